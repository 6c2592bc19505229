package sqs

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The retention of a dead letter begins when the message was sent to its first queue.
func TestDeadLetter_KeepsRetention(t *testing.T) {
	bubble(t, func(t *testing.T, s *Server, dead string) {
		arn := mustCreate(t, s, "source", "VisibilityTimeout=0", fmt.Sprintf(`RedrivePolicy={"deadLetterTargetArn":%q,`+
			`"maxReceiveCount":1}`, dead))
		mustSend(t, s, "source", "old")
		time.Sleep(time.Minute)
		mustSend(t, s, "source", "young")
		mustReceive(t, s, arn, 10, 0)
		mustReceive(t, s, arn, 10, 0)
		if n := s.queue("q").messageCounts(); n[visible] != 2 {
			t.Fatalf("dead letters: got %v, want 2", n)
		}
		time.Sleep(time.Minute)
		if got := bodies(mustReceive(t, s, dead, 10, 0)); got != "young" {
			t.Errorf("after two minutes: got %q, want young", got)
		}
	}, "MessageRetentionPeriod=120")
}

func TestDeadLetter_WakesLongPoll(t *testing.T) {
	bubble(t, func(t *testing.T, s *Server, dead string) {
		arn := mustCreate(t, s, "source", "VisibilityTimeout=0", fmt.Sprintf(`RedrivePolicy={"deadLetterTargetArn":%q,`+
			`"maxReceiveCount":1}`, dead))
		mustSend(t, s, "source", "x")
		mustReceive(t, s, arn, 1, 0)
		got := make(chan string)
		go func() { got <- bodies(mustReceive(t, s, dead, 1, 20*time.Second)) }()
		synctest.Wait()
		start := time.Now()
		mustReceive(t, s, arn, 1, 0)
		if body := <-got; body != "x" || time.Since(start) != 0 {
			t.Errorf("got %q after %v, want x at once", body, time.Since(start))
		}
	})
}

func TestDeadLetter_QueueDeleted(t *testing.T) {
	bubble(t, func(t *testing.T, s *Server, dead string) {
		arn := mustCreate(t, s, "source", "VisibilityTimeout=0", fmt.Sprintf(`RedrivePolicy={"deadLetterTargetArn":%q,`+
			`"maxReceiveCount":1}`, dead))
		mustSend(t, s, "source", "x")
		do(t, s, "DeleteQueue", `{"QueueUrl":"http://x/000000000000/q"}`)
		for range 3 {
			if got := mustReceive(t, s, arn, 1, 0); len(got) != 1 {
				t.Fatal("got no message, want it in its queue")
			}
		}
	})
}

// A queue that is its own dead-letter queue must not loop.
func TestDeadLetter_SameQueue(t *testing.T) {
	bubble(t, func(t *testing.T, s *Server, arn string) {
		do(t, s, "SetQueueAttributes", fmt.Sprintf(`{"QueueUrl":"http://x/000000000000/q","Attributes":{"RedrivePolicy":%q}}`,
			fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":1}`, arn)))
		mustSend(t, s, "q", "x")
		for i := range 3 {
			got := mustReceive(t, s, arn, 1, 20*time.Second)
			if len(got) != 1 || got[0].Attributes["ApproximateReceiveCount"] != fmt.Sprint(i+1) {
				t.Fatalf("receive %d: got %v", i+1, got)
			}
		}
	}, "VisibilityTimeout=1")
}

func TestRedriveAllowPolicy(t *testing.T) {
	for permission, allowed := range map[string]bool{
		`{"redrivePermission":"allowAll"}`: true,
		`{"redrivePermission":"denyAll"}`:  false,
		`{"redrivePermission":"byQueue","sourceQueueArns":["arn:aws:sqs:us-east-1:000000000000:source"]}`: true,
		`{"redrivePermission":"byQueue","sourceQueueArns":["arn:aws:sqs:us-east-1:000000000000:other"]}`:  false,
	} {
		s := New(Options{})
		dead := mustCreate(t, s, "dead", "RedriveAllowPolicy="+permission)
		_, err := s.CreateQueue(QueueConfig{Name: "source", Attributes: map[string]string{
			"RedrivePolicy": fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":1}`, dead)}})
		if (err == nil) != allowed {
			t.Errorf("%s: got %v, want allowed %t", permission, err, allowed)
		}
		s.Close()
	}
	for _, bad := range []string{`{"redrivePermission":"some"}`, `{"redrivePermission":"byQueue"}`, `[]`,
		`{"redrivePermission":"denyAll","sourceQueueArns":["x"]}`} {
		if _, err := parseRedriveAllowPolicy(bad); err == nil {
			t.Errorf("%s: got nil, want an error", bad)
		}
	}
}

func TestMoveTask_RateAndCancel(t *testing.T) {
	bubble(t, func(t *testing.T, s *Server, dead string) {
		arn := mustCreate(t, s, "source", fmt.Sprintf(`RedrivePolicy={"deadLetterTargetArn":%q,"maxReceiveCount":1}`, dead))
		mustSend(t, s, "q", "1", "2", "3", "4", "5", "6")
		start := fmt.Sprintf(`{"SourceArn":%q,"DestinationArn":%q,"MaxNumberOfMessagesPerSecond":1}`, dead, arn)
		handle := do(t, s, "StartMessageMoveTask", start)["TaskHandle"].(string)
		if e := refusal(t, s, "StartMessageMoveTask", start); e.Code != "InvalidParameterValue" ||
			!strings.Contains(e.Message, "already a task running") {
			t.Errorf("second task: got %v, want InvalidParameterValue", e)
		}
		time.Sleep(2500 * time.Millisecond)
		synctest.Wait()
		task := moveTasks(t, s, dead)[0]
		if task["Status"] != "RUNNING" || task["ApproximateNumberOfMessagesMoved"] != 3.0 ||
			task["ApproximateNumberOfMessagesToMove"] != 6.0 || task["TaskHandle"] != handle {
			t.Errorf("after 2.5 s at one message a second: got %v", task)
		}
		do(t, s, "CancelMessageMoveTask", fmt.Sprintf(`{"TaskHandle":%q}`, handle))
		synctest.Wait()
		task = moveTasks(t, s, dead)[0]
		if task["Status"] != "CANCELLED" || task["TaskHandle"] != nil {
			t.Errorf("after the cancellation: got %v", task)
		}
		if got := bodies(mustReceive(t, s, arn, 10, 0)); got != "1 2 3" {
			t.Errorf("moved messages: got %q, want 1 2 3", got)
		}
	})
}

func TestMoveTask_Failures(t *testing.T) {
	bubble(t, func(t *testing.T, s *Server, dead string) {
		arn := mustCreate(t, s, "source", fmt.Sprintf(`RedrivePolicy={"deadLetterTargetArn":%q,"maxReceiveCount":1}`, dead))
		mustSend(t, s, "q", "sent to the dead-letter queue by hand", "second")
		do(t, s, "StartMessageMoveTask", fmt.Sprintf(`{"SourceArn":%q}`, dead))
		synctest.Wait()
		if task := moveTasks(t, s, dead)[0]; task["Status"] != "FAILED" ||
			task["FailureReason"] != "CouldNotDetermineMessageSource" {
			t.Errorf("without a source: got %v", task)
		}
		do(t, s, "StartMessageMoveTask", fmt.Sprintf(`{"SourceArn":%q,"DestinationArn":%q,`+
			`"MaxNumberOfMessagesPerSecond":1}`, dead, arn))
		synctest.Wait()
		do(t, s, "DeleteQueue", `{"QueueUrl":"http://x/000000000000/source"}`)
		time.Sleep(time.Second)
		synctest.Wait()
		if task := moveTasks(t, s, dead)[0]; task["Status"] != "FAILED" ||
			task["FailureReason"] != "AWS.SimpleQueueService.NonExistentQueue" {
			t.Errorf("destination deleted: got %v", task)
		}
		if n := s.queue("q").messageCounts(); n[visible] != 1 {
			t.Errorf("messages left: got %v, want 1", n)
		}
	})
}

func moveTasks(t *testing.T, s *Server, arn string) []map[string]any {
	t.Helper()
	var tasks []map[string]any
	for _, r := range do(t, s, "ListMessageMoveTasks", fmt.Sprintf(`{"SourceArn":%q,"MaxResults":10}`,
		arn))["Results"].([]any) {
		tasks = append(tasks, r.(map[string]any))
	}
	return tasks
}

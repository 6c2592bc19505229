package sqs

import (
	"fmt"
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

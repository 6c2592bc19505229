package sqs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// These tests run in synctest's bubbles: hours pass as soon as everybody waits, and no moment is a matter of luck.

// bubble runs f with a server that has a queue "q" with the given attributes ("Name=value").
func bubble(t *testing.T, f func(t *testing.T, s *Server, arn string), attributes ...string) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{})
		defer s.Close()
		f(t, s, mustCreate(t, s, "q", attributes...))
	})
}

func mustCreate(t testing.TB, s *Server, name string, attributes ...string) (arn string) {
	t.Helper()
	c := QueueConfig{Name: name, Attributes: map[string]string{}}
	for _, text := range attributes {
		key, value, _ := strings.Cut(text, "=")
		c.Attributes[key] = value
	}
	arn, err := s.CreateQueue(c)
	if err != nil {
		t.Fatal(err)
	}
	return arn
}

func mustSend(t testing.TB, s *Server, queue string, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		do(t, s, "SendMessage", fmt.Sprintf(`{"QueueUrl":"http://x/000000000000/%s","MessageBody":%q}`, queue, body))
	}
}

func mustReceive(t testing.TB, s *Server, arn string, max int, wait time.Duration) []Message {
	t.Helper()
	messages, err := s.Receive(t.Context(), arn, max, wait)
	if err != nil {
		t.Fatal(err)
	}
	return messages
}

func bodies(messages []Message) string {
	var all []string
	for _, m := range messages {
		all = append(all, m.Body)
	}
	return strings.Join(all, " ")
}

func TestVisibilityTimeout(t *testing.T) {
	bubble(t, func(t *testing.T, s *Server, arn string) {
		mustSend(t, s, "q", "x")
		first := mustReceive(t, s, arn, 1, 0)
		time.Sleep(30*time.Second - 1)
		if got := mustReceive(t, s, arn, 1, 0); len(got) != 0 {
			t.Fatal("visible before the timeout is over")
		}
		time.Sleep(1)
		second := mustReceive(t, s, arn, 1, 0)
		if len(second) != 1 || second[0].Attributes["ApproximateReceiveCount"] != "2" {
			t.Fatalf("at the end of the timeout: %v", second)
		}
		if a, b := first[0].Attributes, second[0].Attributes; a["ApproximateFirstReceiveTimestamp"] != b["ApproximateFirstReceiveTimestamp"] {
			t.Error("the time of the first reception changed")
		}
		if err := s.Delete(arn, first[0].ReceiptHandle); err != nil { // an old handle deletes nothing
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		third := mustReceive(t, s, arn, 1, 0)
		if len(third) != 1 {
			t.Fatal("an old receipt handle deleted the message")
		}
		time.Sleep(time.Minute) // the timeout is over, but nobody received it since
		if err := s.Delete(arn, third[0].ReceiptHandle); err != nil {
			t.Fatal(err)
		}
		if got := mustReceive(t, s, arn, 1, time.Second); len(got) != 0 {
			t.Error("the latest receipt handle did not delete the message")
		}
	})
}

func TestVisibilityBound(t *testing.T) {
	bubble(t, func(t *testing.T, s *Server, arn string) {
		mustSend(t, s, "q", "x")
		q, handle := s.queue("q"), mustReceive(t, s, arn, 1, 0)[0].ReceiptHandle
		for range 11 { // hour by hour
			if err := q.changeVisibility(handle, 3601*time.Second); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour)
		}
		err := q.changeVisibility(handle, time.Hour+time.Second)
		if err == nil || !strings.Contains(err.Message, "beyond the limit [43200 seconds]") {
			t.Errorf("12 h and a second after the reception: %v", err)
		}
		if err := q.changeVisibility(handle, time.Hour); err != nil {
			t.Errorf("12 h after the reception: %v", err)
		}
	})
}

// Real SQS accepts a change for a message that is visible again, and leaves it visible.
func TestVisibilityChangeTooLate(t *testing.T) {
	bubble(t, func(t *testing.T, s *Server, arn string) {
		mustSend(t, s, "q", "x")
		old := mustReceive(t, s, arn, 1, 0)[0].ReceiptHandle
		time.Sleep(30 * time.Second)
		if err := s.queue("q").changeVisibility(old, time.Minute); err != nil {
			t.Error(err)
		}
		if got := mustReceive(t, s, arn, 1, 0); len(got) != 1 {
			t.Fatal("a late change hid the message")
		}
		if err := s.queue("q").changeVisibility(old, 0); err != nil { // an older handle speaks for it too
			t.Error(err)
		}
		if got := mustReceive(t, s, arn, 1, 0); len(got) != 1 {
			t.Error("visibility 0 by an older handle left the message hidden")
		}
	})
}

func TestDelay(t *testing.T) {
	bubble(t, func(t *testing.T, s *Server, arn string) {
		mustSend(t, s, "q", "later")
		do(t, s, "SendMessage", `{"QueueUrl":"http://x/000000000000/q","MessageBody":"at once","DelaySeconds":0}`)
		if got := bodies(mustReceive(t, s, arn, 10, 0)); got != "at once" {
			t.Errorf("received %q", got)
		}
		start := time.Now()
		if got := bodies(mustReceive(t, s, arn, 10, 20*time.Second)); got != "later" || time.Since(start) != 9*time.Second {
			t.Errorf("received %q after %v, want it after 9s", got, time.Since(start))
		}
	}, "DelaySeconds=9")
}

func TestRetention(t *testing.T) {
	bubble(t, func(t *testing.T, s *Server, arn string) {
		mustSend(t, s, "q", "a", "b")
		held := mustReceive(t, s, arn, 1, 0)[0]
		do(t, s, "SendMessage", `{"QueueUrl":"http://x/000000000000/q","MessageBody":"c","DelaySeconds":900}`)
		time.Sleep(time.Minute - 1)
		if n := s.queue("q").numbers(); n != [3]int{visible: 1, delayed: 1, inFlight: 1} {
			t.Errorf("before the end of the retention period: %v", n)
		}
		time.Sleep(1)
		if n := s.queue("q").numbers(); n != [3]int{} {
			t.Errorf("after the retention period: %v", n)
		}
		if err := s.Delete(arn, held.ReceiptHandle); err != nil { // as recorded against AWS
			t.Errorf("delete of an expired message: %v", err)
		}
	}, "MessageRetentionPeriod=60", "VisibilityTimeout=600")
}

// A dead letter expires by the time it was sent first.
func TestRetentionOfDeadLetters(t *testing.T) {
	bubble(t, func(t *testing.T, s *Server, dead string) {
		arn := mustCreate(t, s, "source", "VisibilityTimeout=0", fmt.Sprintf(`RedrivePolicy={"deadLetterTargetArn":%q,"maxReceiveCount":1}`, dead))
		mustSend(t, s, "source", "old")
		time.Sleep(time.Minute)
		mustSend(t, s, "source", "young")
		mustReceive(t, s, arn, 10, 0)
		mustReceive(t, s, arn, 10, 0)
		if n := s.queue("q").numbers(); n[visible] != 2 {
			t.Fatalf("dead letters: %v", n)
		}
		time.Sleep(time.Minute)
		if got := bodies(mustReceive(t, s, dead, 10, 0)); got != "young" {
			t.Errorf("two minutes after it was sent, the first is still there: %q", got)
		}
	}, "MessageRetentionPeriod=120")
}

func TestDeadLetterQueueGone(t *testing.T) {
	bubble(t, func(t *testing.T, s *Server, dead string) {
		arn := mustCreate(t, s, "source", "VisibilityTimeout=0", fmt.Sprintf(`RedrivePolicy={"deadLetterTargetArn":%q,"maxReceiveCount":1}`, dead))
		mustSend(t, s, "source", "x")
		do(t, s, "DeleteQueue", `{"QueueUrl":"http://x/000000000000/q"}`)
		for range 3 {
			if got := mustReceive(t, s, arn, 1, 0); len(got) != 1 {
				t.Fatal("the message went to a dead-letter queue that does not exist")
			}
		}
	})
}

// A queue that is its own dead-letter queue must not spin.
func TestDeadLetterQueueIsItself(t *testing.T) {
	bubble(t, func(t *testing.T, s *Server, arn string) {
		do(t, s, "SetQueueAttributes", fmt.Sprintf(`{"QueueUrl":"http://x/000000000000/q","Attributes":{"RedrivePolicy":%q}}`,
			fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":1}`, arn)))
		mustSend(t, s, "q", "x")
		for i := range 3 {
			got := mustReceive(t, s, arn, 1, 20*time.Second)
			if len(got) != 1 || got[0].Attributes["ApproximateReceiveCount"] != fmt.Sprint(i+1) {
				t.Fatalf("reception %d: %v", i+1, got)
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
			t.Errorf("%s: %v", permission, err)
		}
		s.Close()
	}
	for _, bad := range []string{`{"redrivePermission":"some"}`, `{"redrivePermission":"byQueue"}`, `[]`, `{"redrivePermission":"denyAll","sourceQueueArns":["x"]}`} {
		if _, err := parseRedriveAllowPolicy(bad); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}

func TestLongPollEndsEmpty(t *testing.T) {
	bubble(t, func(t *testing.T, s *Server, arn string) {
		start := time.Now()
		if got := mustReceive(t, s, arn, 1, 20*time.Second); len(got) != 0 || time.Since(start) != 20*time.Second {
			t.Errorf("received %v after %v", got, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.Receive(ctx, arn, 1, 20*time.Second); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with a context that ended: %v", err)
		}
		if s.queue("q").waiting.queue.Len() != 0 {
			t.Error("somebody still waits")
		}
	})
}

// Every message wakes exactly one of those who wait, the one who waits longest.
func TestLongPollWakesOne(t *testing.T) {
	bubble(t, func(t *testing.T, s *Server, arn string) {
		const pollers = 50
		type answer struct {
			poller int
			body   string
		}
		answers := make(chan answer, pollers)
		for i := range pollers {
			go func() {
				messages, err := s.Receive(t.Context(), arn, 10, 20*time.Second)
				if err != nil {
					t.Error(err)
				}
				answers <- answer{i, bodies(messages)}
			}()
			synctest.Wait() // they queue up in order
		}
		for i := range pollers {
			mustSend(t, s, "q", fmt.Sprint(i))
			synctest.Wait()
			if len(answers) != 1 {
				t.Fatalf("message %d woke %d pollers", i, len(answers))
			}
			if got := <-answers; got != (answer{i, fmt.Sprint(i)}) {
				t.Fatalf("message %d went to poller %d as %q", i, got.poller, got.body)
			}
		}
	})
}

// A waiter that is woken and gives up at the same moment hands on what woke it.
func TestLongPollHandsOn(t *testing.T) {
	bubble(t, func(t *testing.T, s *Server, arn string) {
		q := s.queue("q")
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan error)
		go func() {
			_, err := s.Receive(ctx, arn, 1, 20*time.Second)
			gone <- err
		}()
		synctest.Wait()
		got := make(chan string)
		go func() { got <- bodies(mustReceive(t, s, arn, 1, 20*time.Second)) }()
		synctest.Wait()
		q.mu.Lock() // the first is told to go and is woken before it can see either
		cancel()
		q.enter(&message{id: "x", outgoing: outgoing{body: "x"}, sent: time.Now()})
		q.wake(time.Now())
		q.mu.Unlock()
		err := <-gone
		if err == nil { // it took the message: give it back
			q.mu.Lock()
			q.displace(q.messages[1])
			q.place(q.messages[1], visible)
			q.wake(time.Now())
			q.mu.Unlock()
		}
		start := time.Now()
		if body := <-got; body != "x" || time.Since(start) != 0 {
			t.Errorf("the other waiter got %q after %v", body, time.Since(start))
		}
	})
}

func TestLongPollOfDeletedQueue(t *testing.T) {
	bubble(t, func(t *testing.T, s *Server, arn string) {
		failed := make(chan error)
		go func() {
			_, err := s.Receive(t.Context(), arn, 1, 20*time.Second)
			failed <- err
		}()
		synctest.Wait()
		do(t, s, "DeleteQueue", `{"QueueUrl":"http://x/000000000000/q"}`)
		if err, ok := errors.AsType[*Error](<-failed); !ok || err.Type != "QueueDoesNotExist" {
			t.Errorf("waiting for a deleted queue: %v", err)
		}
	})
}

func TestCloseEndsLongPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{})
		arn := mustCreate(t, s, "q")
		failed := make(chan error)
		go func() {
			_, err := s.Receive(t.Context(), arn, 1, 20*time.Second)
			failed <- err
		}()
		synctest.Wait()
		start := time.Now()
		s.Close()
		if err := <-failed; !errors.Is(err, errClosed) || time.Since(start) != 0 {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestInFlightLimit(t *testing.T) {
	bubble(t, func(t *testing.T, s *Server, arn string) {
		q := s.queue("q")
		batch := make([]outgoing, MaxInFlight+1)
		for i := range batch {
			batch[i].body = "x"
		}
		if _, err := q.add("", batch); err != nil {
			t.Fatal(err)
		}
		var handle string
		for range MaxInFlight / 10 {
			handle = mustReceive(t, s, arn, 10, 0)[9].ReceiptHandle
		}
		_, err := s.Receive(t.Context(), arn, 1, 0)
		if e, ok := errors.AsType[*Error](err); !ok || e.Code != "OverLimit" {
			t.Errorf("short poll at the limit: %v", err)
		}
		if got := mustReceive(t, s, arn, 10, time.Second); len(got) != 0 {
			t.Errorf("long poll at the limit got %d messages", len(got))
		}
		freed := make(chan int)
		go func() { freed <- len(mustReceive(t, s, arn, 10, 20*time.Second)) }()
		synctest.Wait()
		start := time.Now()
		if err := s.Delete(arn, handle); err != nil {
			t.Fatal(err)
		}
		if n := <-freed; n != 1 || time.Since(start) != 0 {
			t.Errorf("after a deletion the long poll got %d messages after %v", n, time.Since(start))
		}
	}, "VisibilityTimeout=600")
}

func TestPurgeCooldown(t *testing.T) {
	bubble(t, func(t *testing.T, s *Server, arn string) {
		q := s.queue("q")
		mustSend(t, s, "q", "x")
		handle := mustReceive(t, s, arn, 1, 0)[0].ReceiptHandle
		if err := q.purge(); err != nil {
			t.Fatal(err)
		}
		if err := s.Delete(arn, handle); err != nil {
			t.Errorf("delete of a purged message: %v", err)
		}
		time.Sleep(time.Minute - 1)
		if err := q.purge(); err == nil || err.Type != "PurgeQueueInProgress" {
			t.Errorf("a second purge within a minute: %v", err)
		}
		time.Sleep(1)
		if err := q.purge(); err != nil {
			t.Errorf("a second purge after a minute: %v", err)
		}
	})
}

func TestRecreateCooldown(t *testing.T) {
	bubble(t, func(t *testing.T, s *Server, arn string) {
		mustSend(t, s, "q", "x")
		handle := mustReceive(t, s, arn, 1, 0)[0].ReceiptHandle
		do(t, s, "DeleteQueue", `{"QueueUrl":"http://x/000000000000/q"}`)
		time.Sleep(time.Minute - 1)
		if _, err := s.CreateQueue(QueueConfig{Name: "q"}); err == nil {
			t.Error("created anew within a minute")
		}
		time.Sleep(1)
		mustCreate(t, s, "q")
		if n := s.queue("q").numbers(); n != [3]int{} {
			t.Errorf("the new queue has %v", n)
		}
		if err := s.Delete(arn, handle); err == nil {
			t.Error("the new queue accepts the old one's receipt handle")
		}
	})
}

func TestMoveTaskRateAndCancel(t *testing.T) {
	bubble(t, func(t *testing.T, s *Server, dead string) {
		arn := mustCreate(t, s, "source", fmt.Sprintf(`RedrivePolicy={"deadLetterTargetArn":%q,"maxReceiveCount":1}`, dead))
		mustSend(t, s, "q", "1", "2", "3", "4", "5", "6")
		start := fmt.Sprintf(`{"SourceArn":%q,"DestinationArn":%q,"MaxNumberOfMessagesPerSecond":1}`, dead, arn)
		handle := do(t, s, "StartMessageMoveTask", start)["TaskHandle"].(string)
		if e := refusal(t, s, "StartMessageMoveTask", start); e.Code != "InvalidParameterValue" || !strings.Contains(e.Message, "already a task running") {
			t.Errorf("a second task: %v", e)
		}
		time.Sleep(2500 * time.Millisecond)
		synctest.Wait()
		task := moveTasks(t, s, dead)[0]
		if task["Status"] != "RUNNING" || task["ApproximateNumberOfMessagesMoved"] != 3.0 || task["ApproximateNumberOfMessagesToMove"] != 6.0 || task["TaskHandle"] != handle {
			t.Errorf("after 2.5 s at one a second: %v", task)
		}
		do(t, s, "CancelMessageMoveTask", fmt.Sprintf(`{"TaskHandle":%q}`, handle))
		synctest.Wait()
		task = moveTasks(t, s, dead)[0]
		if task["Status"] != "CANCELLED" || task["TaskHandle"] != nil {
			t.Errorf("after the cancellation: %v", task)
		}
		if got := bodies(mustReceive(t, s, arn, 10, 0)); got != "1 2 3" {
			t.Errorf("moved %q", got)
		}
	})
}

func TestMoveTaskFails(t *testing.T) {
	bubble(t, func(t *testing.T, s *Server, dead string) {
		arn := mustCreate(t, s, "source", fmt.Sprintf(`RedrivePolicy={"deadLetterTargetArn":%q,"maxReceiveCount":1}`, dead))
		mustSend(t, s, "q", "sent to the dead-letter queue by hand", "second")
		do(t, s, "StartMessageMoveTask", fmt.Sprintf(`{"SourceArn":%q}`, dead))
		synctest.Wait()
		if task := moveTasks(t, s, dead)[0]; task["Status"] != "FAILED" || task["FailureReason"] != "CouldNotDetermineMessageSource" {
			t.Errorf("without a source: %v", task)
		}
		do(t, s, "StartMessageMoveTask", fmt.Sprintf(`{"SourceArn":%q,"DestinationArn":%q,"MaxNumberOfMessagesPerSecond":1}`, dead, arn))
		synctest.Wait()
		do(t, s, "DeleteQueue", `{"QueueUrl":"http://x/000000000000/source"}`)
		time.Sleep(time.Second)
		synctest.Wait()
		if task := moveTasks(t, s, dead)[0]; task["Status"] != "FAILED" || task["FailureReason"] != "AWS.SimpleQueueService.NonExistentQueue" {
			t.Errorf("destination deleted: %v", task)
		}
		if n := s.queue("q").numbers(); n[visible] != 1 {
			t.Errorf("a message was lost: %v", n)
		}
	})
}

func moveTasks(t *testing.T, s *Server, arn string) []map[string]any {
	t.Helper()
	var tasks []map[string]any
	for _, r := range do(t, s, "ListMessageMoveTasks", fmt.Sprintf(`{"SourceArn":%q,"MaxResults":10}`, arn))["Results"].([]any) {
		tasks = append(tasks, r.(map[string]any))
	}
	return tasks
}

func TestOrderIsNearlyFirstInFirstOut(t *testing.T) {
	bubble(t, func(t *testing.T, s *Server, arn string) {
		var want []string
		for i := range 25 {
			want = append(want, fmt.Sprint(i))
		}
		mustSend(t, s, "q", want...)
		var got []string
		for range 3 {
			for _, m := range mustReceive(t, s, arn, 10, 0) {
				got = append(got, m.Body)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("received %v", got)
		}
	})
}

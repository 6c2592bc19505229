package sqs

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fanfare/local/clock"
)

// These tests run in synctest bubbles: time passes only while all goroutines wait, so that hours take no time.

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

func mustReceive(t testing.TB, s *Server, arn string, limit int, wait time.Duration) []Message {
	t.Helper()
	messages, err := s.Receive(t.Context(), arn, limit, wait)
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

func TestVisibility_Timeout(t *testing.T) {
	bubble(t, func(t *testing.T, s *Server, arn string) {
		mustSend(t, s, "q", "x")
		first := mustReceive(t, s, arn, 1, 0)
		time.Sleep(30*time.Second - 1)
		if got := mustReceive(t, s, arn, 1, 0); len(got) != 0 {
			t.Fatal("before the timeout: got the message, want none")
		}
		time.Sleep(time.Nanosecond)
		second := mustReceive(t, s, arn, 1, 0)
		if len(second) != 1 || second[0].Attributes["ApproximateReceiveCount"] != "2" {
			t.Fatalf("after the timeout: got %v, want the message", second)
		}
		const firstReceive = "ApproximateFirstReceiveTimestamp"
		if a, b := first[0].Attributes, second[0].Attributes; a[firstReceive] != b[firstReceive] {
			t.Error("ApproximateFirstReceiveTimestamp: got another one at the second receive")
		}
		if err := s.Delete(arn, first[0].ReceiptHandle); err != nil { // an old handle deletes nothing
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		third := mustReceive(t, s, arn, 1, 0)
		if len(third) != 1 {
			t.Fatal("after Delete with an old handle: got no message, want 1")
		}
		time.Sleep(time.Minute) // the timeout is over, but the message was not received again
		if err := s.Delete(arn, third[0].ReceiptHandle); err != nil {
			t.Fatal(err)
		}
		if got := mustReceive(t, s, arn, 1, time.Second); len(got) != 0 {
			t.Error("after Delete with the latest handle: got the message, want none")
		}
	})
}

func TestVisibility_TotalLimit(t *testing.T) {
	bubble(t, func(t *testing.T, s *Server, arn string) {
		mustSend(t, s, "q", "x")
		q, handle := s.queue("q"), mustReceive(t, s, arn, 1, 0)[0].ReceiptHandle
		for range 11 { // extend the timeout every hour
			if err := q.changeVisibility(handle, 3601*time.Second); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour)
		}
		err := q.changeVisibility(handle, time.Hour+time.Second)
		if err == nil || !strings.Contains(err.Message, "beyond the limit [43200 seconds]") {
			t.Errorf("12 h and 1 s after the receive: got %v, want an error", err)
		}
		if err := q.changeVisibility(handle, time.Hour); err != nil {
			t.Errorf("12 h after the receive: got %v, want nil", err)
		}
	})
}

// SQS accepts a change for a message that is visible again, and leaves it visible.
func TestVisibility_LateChange(t *testing.T) {
	bubble(t, func(t *testing.T, s *Server, arn string) {
		mustSend(t, s, "q", "x")
		old := mustReceive(t, s, arn, 1, 0)[0].ReceiptHandle
		time.Sleep(30 * time.Second)
		if err := s.queue("q").changeVisibility(old, time.Minute); err != nil {
			t.Error(err)
		}
		if got := mustReceive(t, s, arn, 1, 0); len(got) != 1 {
			t.Fatal("after a late change: got no message, want 1")
		}
		if err := s.queue("q").changeVisibility(old, 0); err != nil { // an older handle is valid, too
			t.Error(err)
		}
		if got := mustReceive(t, s, arn, 1, 0); len(got) != 1 {
			t.Error("after visibility 0 by an older handle: got no message, want 1")
		}
	})
}

func TestDelay(t *testing.T) {
	bubble(t, func(t *testing.T, s *Server, arn string) {
		mustSend(t, s, "q", "later")
		do(t, s, "SendMessage", `{"QueueUrl":"http://x/000000000000/q","MessageBody":"at once","DelaySeconds":0}`)
		if got := bodies(mustReceive(t, s, arn, 10, 0)); got != "at once" {
			t.Errorf("got %q, want at once", got)
		}
		start := time.Now()
		if got := bodies(mustReceive(t, s, arn, 10, 20*time.Second)); got != "later" || time.Since(start) != 9*time.Second {
			t.Errorf("got %q after %v, want later after 9s", got, time.Since(start))
		}
	}, "DelaySeconds=9")
}

func TestRetention(t *testing.T) {
	bubble(t, func(t *testing.T, s *Server, arn string) {
		mustSend(t, s, "q", "a", "b")
		held := mustReceive(t, s, arn, 1, 0)[0]
		do(t, s, "SendMessage", `{"QueueUrl":"http://x/000000000000/q","MessageBody":"c","DelaySeconds":900}`)
		time.Sleep(time.Minute - 1)
		if n := s.queue("q").messageCounts(); n != [3]int{visible: 1, delayed: 1, inFlight: 1} {
			t.Errorf("before the end of the retention period: got %v", n)
		}
		time.Sleep(time.Nanosecond)
		if n := s.queue("q").messageCounts(); n != [3]int{} {
			t.Errorf("after the retention period: got %v, want none", n)
		}
		if err := s.Delete(arn, held.ReceiptHandle); err != nil { // as recorded against AWS
			t.Errorf("delete an expired message: got %v, want nil", err)
		}
	}, "MessageRetentionPeriod=60", "VisibilityTimeout=600")
}

func TestPurge_Cooldown(t *testing.T) {
	bubble(t, func(t *testing.T, s *Server, arn string) {
		q := s.queue("q")
		mustSend(t, s, "q", "x")
		handle := mustReceive(t, s, arn, 1, 0)[0].ReceiptHandle
		if err := q.purge(); err != nil {
			t.Fatal(err)
		}
		if err := s.Delete(arn, handle); err != nil {
			t.Errorf("delete a purged message: got %v, want nil", err)
		}
		time.Sleep(time.Minute - 1)
		if err := q.purge(); err == nil || err.Type != "PurgeQueueInProgress" {
			t.Errorf("second purge within a minute: got %v, want PurgeQueueInProgress", err)
		}
		time.Sleep(time.Nanosecond)
		if err := q.purge(); err != nil {
			t.Errorf("second purge after a minute: got %v, want nil", err)
		}
	})
}

func TestCreateQueue_Cooldown(t *testing.T) {
	bubble(t, func(t *testing.T, s *Server, arn string) {
		mustSend(t, s, "q", "x")
		handle := mustReceive(t, s, arn, 1, 0)[0].ReceiptHandle
		do(t, s, "DeleteQueue", `{"QueueUrl":"http://x/000000000000/q"}`)
		time.Sleep(time.Minute - 1)
		if _, err := s.CreateQueue(QueueConfig{Name: "q"}); err == nil {
			t.Error("create again within a minute: got nil, want an error")
		}
		time.Sleep(time.Nanosecond)
		mustCreate(t, s, "q")
		if n := s.queue("q").messageCounts(); n != [3]int{} {
			t.Errorf("messages of the new queue: got %v, want none", n)
		}
		if err := s.Delete(arn, handle); err == nil {
			t.Error("receipt handle of the old queue: got nil, want an error")
		}
	})
}

// Timers and timestamps follow Options.Clock.
func TestClock_Scaled(t *testing.T) {
	c := clock.New(10_000)
	s := New(Options{Clock: c})
	defer s.Close()
	arn := mustCreate(t, s, "q", "DelaySeconds=900")
	start := c.Now()
	mustSend(t, s, "q", "x")
	for range 1000 {
		got := mustReceive(t, s, arn, 1, 20*time.Second)
		if len(got) == 0 {
			continue
		}
		if late := c.Since(start); late < 900*time.Second {
			t.Errorf("visible: got it after %v, want at least 15m", late)
		}
		sent, err := strconv.ParseInt(got[0].Attributes["SentTimestamp"], 10, 64)
		if err != nil || sent < start.UnixMilli() || sent > c.Now().UnixMilli() {
			t.Errorf("SentTimestamp: got %s, %v", got[0].Attributes["SentTimestamp"], err)
		}
		return
	}
	t.Error("got no message in 1000 polls of 20 s, want one after 15m")
}

func TestReceive_Order(t *testing.T) {
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
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

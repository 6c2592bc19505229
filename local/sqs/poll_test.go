package sqs

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestReceive_WaitEnds(t *testing.T) {
	bubble(t, func(t *testing.T, s *Server, arn string) {
		start := time.Now()
		if got := mustReceive(t, s, arn, 1, 20*time.Second); len(got) != 0 || time.Since(start) != 20*time.Second {
			t.Errorf("got %v after %v, want none after 20s", got, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.Receive(ctx, arn, 1, 20*time.Second); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("canceled context: got %v", err)
		}
		if s.queue("q").waiting.queue.Len() != 0 {
			t.Error("waiters: got some, want none")
		}
	})
}

// Each message wakes exactly one waiter, the one that waits longest.
func TestReceive_WakesOneWaiter(t *testing.T) {
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
				if err != nil && t.Context().Err() == nil {
					t.Error(err)
				}
				answers <- answer{i, bodies(messages)}
			}()
			synctest.Wait() // so that they wait in this order
		}
		for i := range pollers {
			mustSend(t, s, "q", fmt.Sprint(i))
			synctest.Wait()
			if len(answers) != 1 {
				t.Fatalf("message %d: got %d woken pollers, want 1", i, len(answers))
			}
			if got := <-answers; got != (answer{i, fmt.Sprint(i)}) {
				t.Fatalf("message %d: got it at poller %d as %q", i, got.poller, got.body)
			}
		}
	})
}

// A waiter that is woken and canceled at the same moment wakes the next one.
func TestReceive_CanceledWaiterPassesOn(t *testing.T) {
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
		q.mu.Lock() // the first is canceled and woken before it runs
		cancel()
		q.insert(&message{id: "x", outgoing: outgoing{body: "x"}, sent: time.Now()})
		q.wake(time.Now())
		q.mu.Unlock()
		err := <-gone
		if err == nil { // it took the message: return it
			q.mu.Lock()
			q.detach(q.messages[1])
			q.attach(q.messages[1], visible)
			q.wake(time.Now())
			q.mu.Unlock()
		}
		start := time.Now()
		if body := <-got; body != "x" || time.Since(start) != 0 {
			t.Errorf("other waiter: got %q after %v, want x at once", body, time.Since(start))
		}
	})
}

func TestReceive_QueueDeleted(t *testing.T) {
	bubble(t, func(t *testing.T, s *Server, arn string) {
		failed := make(chan error)
		go func() {
			_, err := s.Receive(t.Context(), arn, 1, 20*time.Second)
			failed <- err
		}()
		synctest.Wait()
		start := time.Now()
		do(t, s, "DeleteQueue", `{"QueueUrl":"http://x/000000000000/q"}`)
		if err, ok := errors.AsType[*Error](<-failed); !ok || err.Type != "QueueDoesNotExist" || time.Since(start) != 0 {
			t.Errorf("deleted queue: got %v after %v, want QueueDoesNotExist at once", err, time.Since(start))
		}
	})
}

func TestClose_EndsLongPolls(t *testing.T) {
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
			t.Errorf("got %v after %v, want errClosed at once", err, time.Since(start))
		}
	})
}

func TestReceive_InFlightLimit(t *testing.T) {
	bubble(t, func(t *testing.T, s *Server, arn string) {
		q := s.queue("q")
		mustSend(t, s, "q", "received", "left")
		handle := mustReceive(t, s, arn, 1, 0)[0].ReceiptHandle
		q.mu.Lock()
		for q.counts[inFlight] < MaxInFlight {
			q.insert(&message{sent: time.Now(), state: inFlight, due: time.Now().Add(time.Hour)})
		}
		q.mu.Unlock()
		_, err := s.Receive(t.Context(), arn, 1, 0)
		if e, ok := errors.AsType[*Error](err); !ok || e.Code != "OverLimit" {
			t.Errorf("short poll at the limit: got %v, want OverLimit", err)
		}
		if got := mustReceive(t, s, arn, 10, time.Second); len(got) != 0 {
			t.Errorf("long poll at the limit: got %d messages, want 0", len(got))
		}
		freed := make(chan int)
		go func() { freed <- len(mustReceive(t, s, arn, 10, 20*time.Second)) }()
		synctest.Wait()
		start := time.Now()
		if err := s.Delete(arn, handle); err != nil {
			t.Fatal(err)
		}
		if n := <-freed; n != 1 || time.Since(start) != 0 {
			t.Errorf("long poll after a deletion: got %d messages after %v, want 1 at once", n, time.Since(start))
		}
	}, "VisibilityTimeout=600")
}

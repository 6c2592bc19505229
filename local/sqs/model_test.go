package sqs

import (
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// modelMessage is a message of the model.
type modelMessage struct {
	sent, due    time.Time
	receiveCount int
	handles      []string
}

// noDeadline hides the Deadline of a test, which panics in a synctest bubble.
type noDeadline struct{ rapid.TB }

// TestServer_Model executes random operations on a queue and a model, and compares the received messages and the
// counts.
func TestServer_Model(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const retention, visibility = 10 * time.Minute, time.Minute
		rapid.Check(noDeadline{t}, func(r *rapid.T) {
			s := New(Options{})
			defer s.Close()
			arn := mustCreate(t, s, "q", "MessageRetentionPeriod=600", "VisibilityTimeout=60")
			q := s.queue("q")
			model := map[string]*modelMessage{} // by body
			expire := func() {
				for body, m := range model {
					if time.Since(m.sent) >= retention {
						delete(model, body)
					}
				}
			}
			anyHandle := func() (string, *modelMessage, bool) {
				var handles []string
				owner := map[string]*modelMessage{}
				for i := range len(model) + 1000 { // in a fixed order, so that rapid can repeat it
					if m := model[strconv.Itoa(i)]; m != nil {
						for _, h := range m.handles {
							handles = append(handles, h)
							owner[h] = m
						}
					}
				}
				if len(handles) == 0 {
					return "", nil, false
				}
				h := rapid.SampledFrom(handles).Draw(r, "handle")
				return h, owner[h], h == owner[h].handles[len(owner[h].handles)-1]
			}
			sent := 0
			for range rapid.IntRange(1, 60).Draw(r, "steps") {
				expire()
				switch rapid.SampledFrom([]string{"send", "send", "receive", "receive", "delete", "change", "sleep"}).Draw(r,
					"step") {
				case "send":
					delay := rapid.SampledFrom([]int{0, 0, 1, 900}).Draw(r, "delay")
					body := strconv.Itoa(sent)
					sent++
					do(t, s, "SendMessage", fmt.Sprintf(`{"QueueUrl":"http://x/000000000000/q","MessageBody":%q,"DelaySeconds":%d}`,
						body, delay))
					model[body] = &modelMessage{sent: time.Now(), due: time.Now().Add(time.Duration(delay) * time.Second)}
				case "receive":
					limit := rapid.IntRange(1, 10).Draw(r, "limit")
					available := 0
					for _, m := range model {
						if !m.due.After(time.Now()) {
							available++
						}
					}
					got := mustReceive(t, s, arn, limit, 0)
					if len(got) != min(limit, available) {
						r.Fatalf("got %d messages of %d available, limit %d", len(got), available, limit)
					}
					for _, message := range got {
						m := model[message.Body]
						if m == nil || m.due.After(time.Now()) {
							r.Fatalf("got %q, want a visible message", message.Body)
						}
						m.receiveCount++
						if message.Attributes["ApproximateReceiveCount"] != strconv.Itoa(m.receiveCount) {
							r.Fatalf("receive count of %q: got %s, want %d", message.Body, message.Attributes["ApproximateReceiveCount"],
								m.receiveCount)
						}
						m.due = time.Now().Add(visibility)
						m.handles = append(m.handles, message.ReceiptHandle)
					}
				case "delete":
					handle, owner, latest := anyHandle()
					if owner == nil {
						continue
					}
					if err := s.Delete(arn, handle); err != nil {
						r.Fatal(err)
					}
					for body, m := range model {
						if m == owner && latest {
							delete(model, body)
						}
					}
				case "change":
					handle, m, _ := anyHandle()
					if m == nil {
						continue
					}
					seconds := time.Duration(rapid.SampledFrom([]int{0, 1, 120}).Draw(r, "timeout")) * time.Second
					if err := q.changeVisibility(handle, seconds); err != nil {
						r.Fatal(err)
					}
					if m.due.After(time.Now()) {
						m.due = time.Now().Add(seconds)
					}
				case "sleep":
					time.Sleep(rapid.SampledFrom([]time.Duration{time.Second, time.Minute, 4 * time.Minute}).Draw(r, "sleep"))
				}
				expire()
				if err := checkQueue(q); err != nil {
					r.Fatal(err)
				}
				var want [3]int
				for _, m := range model {
					switch {
					case !m.due.After(time.Now()):
						want[visible]++
					case m.receiveCount > 0:
						want[inFlight]++
					default:
						want[delayed]++
					}
				}
				if got := q.messageCounts(); got != want {
					r.Fatalf("counts %v, want %v", got, want)
				}
			}
		})
	})
}

// Each message of many concurrent senders reaches one of many receivers, once.
func TestServer_ConcurrentClients(t *testing.T) {
	s := New(Options{})
	defer s.Close()
	arn := mustCreate(t, s, "q", "VisibilityTimeout=600")
	const senders, receivers, each = 8, 8, 250
	var sending, receiving sync.WaitGroup
	for i := range senders {
		sending.Go(func() {
			for j := range each {
				mustSend(t, s, "q", fmt.Sprint(i, " ", j))
			}
		})
	}
	var mu sync.Mutex
	times := map[string]int{}
	for range receivers {
		receiving.Go(func() {
			for {
				messages, err := s.Receive(t.Context(), arn, 10, 20*time.Second)
				if err != nil {
					return // closed
				}
				mu.Lock()
				for _, m := range messages {
					times[m.Body]++
					if err := s.Delete(arn, m.ReceiptHandle); err != nil {
						t.Error(err)
					}
				}
				done := len(times) == senders*each
				mu.Unlock()
				if done {
					s.Close()
				}
			}
		})
	}
	sending.Wait()
	receiving.Wait()
	for body, n := range times {
		if n != 1 {
			t.Errorf("%q: got it %d times, want once", body, n)
		}
	}
	if err := checkQueue(s.queue("q")); err != nil {
		t.Error(err)
	}
	if n := s.queue("q").messageCounts(); n != [3]int{} {
		t.Errorf("messages left: got %v, want none", n)
	}
}

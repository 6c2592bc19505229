package simulation

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"fanfare/pkg/broadcast"
)

// TestRun_PlantedFaults makes the world itself break a promise, once, and expects that the run reports it.
func TestRun_PlantedFaults(t *testing.T) {
	// The scenario has no other faults. Its two broadcasts are delivered by the time `later`.
	quiet := Settings{
		PostsPerSecond: 100, DispatcherConcurrency: 1, SenderConcurrency: 2, BatchConnections: 3, BatchPosts: 20,
		Segments: 2, Workers: 1, MaxAttempts: 3, PageRows: 20, Clients: 6, Broadcasts: 2, Duration: 1,
	}
	const soon, later = 70 * time.Millisecond, 20 * time.Second
	c0 := func(w *world) *client { return w.gateway.clients["c0"] }
	posted := func(w *world) (payload []byte, id string) {
		for p, i := range w.gateway.payloads {
			if id == "" || i < id {
				payload, id = []byte(p), i
			}
		}
		return payload, id
	}
	// first calls do with the first broadcast as soon as it is on the queue.
	first := func(w *world, do func(m *message)) {
		q, done := w.queues["broadcast"], false
		poll := q.poll
		q.poll = func() {
			if !done {
				done = true
				do(q.messages[0])
			}
			poll()
		}
	}
	settled := func(w *world, change func(*batchPart)) {
		_, id := posted(w)
		for name, part := range w.ledger.batches[id] {
			change(&part)
			w.ledger.batches[id][name] = part
			return
		}
		panic("got no settled batch, want one")
	}
	for _, test := range []struct {
		name  string
		at    time.Duration
		plant func(w *world)
		want  string
	}{
		{"nothing", later, func(w *world) {}, ""},
		{"SQS loses a batch", soon, func(w *world) {
			q := w.queues["send"]
			if len(q.messages) == 0 {
				panic("got no batch on the queue, want one")
			}
			q.remove(q.messages[len(q.messages)-1])
		}, "outstanding"},
		{"SQS loses a broadcast", 0, func(w *world) {
			first(w, func(m *message) { w.queues["broadcast"].remove(m) })
		}, "missing"},
		{"an acknowledged broadcast is not stored", 0, func(w *world) {
			first(w, func(*message) { clear(w.broadcasts) })
		}, "SQS has not stored it"},
		{"a client receives a broadcast again", later, func(w *world) {
			payload, _ := posted(w)
			c0(w).audit.Receive(payload, time.Now())
		}, "duplicate"},
		{"a client receives something else", later, func(w *world) {
			c0(w).audit.Receive([]byte("something else"), time.Now())
		}, "corrupt"},
		{"the row of a live client is deleted", later, func(w *world) {
			registryClient{w}.delete("c0")
		}, "the row of live client c0 is deleted"},
		{"the row of a live client vanishes", later, func(w *world) {
			w.registry.remove("c0")
		}, "client c0 is connected and has no row"},
		{"posts to open connections are answered 410", 0, func(w *world) {
			w.settings.FalselyGone = 1
		}, ""},
		{"the first 410 deletes the row", 0, func(w *world) {
			w.settings.FalselyGone, w.table = 1, hasty{registryClient{w}}
		}, "the row of live client c0 is deleted"},
		{"a success leaves the record of the 410", 0, func(w *world) {
			w.settings.FalselyGone, w.table = 1, forgetful{registryClient{w}}
		}, "client c0 has received the last broadcast, and its row has the record of a 410"},
		{"API Gateway accepts posts for a lost client", soon, func(w *world) {
			c0(w).state = lost
		}, "missing"},
		{"the ledger counts one delivery more", later, func(w *world) {
			settled(w, func(p *batchPart) { p.outcome.Delivered++; p.claim.Size++ })
		}, "unaccounted"},
		{"the ledger counts one delivery less", later, func(w *world) {
			settled(w, func(p *batchPart) { p.outcome.Delivered--; p.claim.Size-- })
		}, "unaccounted"},
		{"the ledger counts a delivery as gone", later, func(w *world) {
			settled(w, func(p *batchPart) { p.outcome.Delivered--; p.outcome.Gone++ })
		}, "unaccounted"},
		{"the ledger counts a delivery as failed", later, func(w *world) {
			settled(w, func(p *batchPart) {
				p.outcome.Delivered--
				p.outcome.Failed = map[string]int{broadcast.ReasonBufferFull: 1}
			})
		}, "unaccounted"},
		{"an outcome does not add up to its claim", later, func(w *world) {
			settled(w, func(p *batchPart) { p.outcome.Gone++ })
		}, "and its outcome has"},
		{"the ledger forgets a plan", later, func(w *world) {
			_, id := posted(w)
			clear(w.ledger.plans[id])
		}, "is in no plan"},
		{"a dead letter has no reason", later, func(w *world) {
			w.queues["send-dead"].send("{}", nil, 0)
		}, "without a reason"},
		{"more is posted than the budget allows", later, func(w *world) {
			for range 4 {
				w.gateway.log = append(w.gateway.log, spending{at: time.Now()})
			}
		}, "more than 100 a second"},
		{"a broadcast has too many hops", 0, func(w *world) {
			first(w, func(m *message) { m.lineage = recursion })
		}, "as recursive"},
		{"a sender hangs", 0, func(w *world) {
			m := w.mappings["sender"]
			start := m.start
			m.start = func() function {
				m.start = start
				return func(ctx context.Context, _ *invocation, _ events.SQSEvent) (events.SQSEventResponse, error) {
					<-ctx.Done()
					return events.SQSEventResponse{}, ctx.Err()
				}
			}
		}, "1 invocations timed out without a slow service"},
		{"events without end", later, func(w *world) {
			var again func()
			again = func() { w.after(time.Minute, "again", again) }
			again()
		}, "is not at rest"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := quiet
			s.plant = func(w *world) { w.after(test.at, "planted", func() { test.plant(w) }) }
			r := Run(t, 1, s, true)
			var all []string
			for _, err := range r.Broken {
				all = append(all, err.Error())
			}
			found := strings.Join(all, "\n")
			if test.want == "" && found != "" || !strings.Contains(found, test.want) {
				t.Errorf("got %q, want %q", found, test.want)
				if testing.Verbose() {
					t.Log(r.Log)
				}
			}
		})
	}
}

// hasty deletes the row of a connection at the first 410.
type hasty struct{ registryClient }

func (h hasty) MarkGone(ctx context.Context, id string, _ time.Time) (time.Time, error) {
	return time.Time{}, h.Remove(ctx, id)
}

// forgetful does not remove the record of a 410 after a success.
type forgetful struct{ registryClient }

func (forgetful) ClearGone(context.Context, string, time.Time) error { return nil }

func TestWorld_Rows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, Settings{})
		w.row("expired", 3*time.Hour)
		if w.rows(); len(w.broken) > 0 {
			t.Errorf("expired row: got %v, want nothing broken", w.broken)
		}
		w.row("dead", 0)
		if w.rows(); len(w.broken) != 1 || !strings.Contains(w.broken[0].Error(), "the row of dead is left") {
			t.Errorf("row of a closed connection: got %v, want one broken promise", w.broken)
		}
	})
}

package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fanfare/pkg/broadcast"
)

// registry is the connections table. Every connection has a row without the record of a 410, unless the maps say
// otherwise.
type registry struct {
	mu      sync.Mutex
	goneAt  map[string]time.Time
	missing map[string]bool
	cleared []string
	hangs   bool  // calls return when their context ends
	err     error // of each call
}

func (r *registry) begin(ctx context.Context) (end func(), err error) {
	if r.hangs {
		<-ctx.Done()
		return func() {}, ctx.Err()
	}
	r.mu.Lock()
	return r.mu.Unlock, r.err
}

func (r *registry) MarkGone(ctx context.Context, id string, at time.Time) (time.Time, error) {
	end, err := r.begin(ctx)
	defer end()
	if err != nil || r.missing[id] {
		return time.Time{}, err
	}
	if _, ok := r.goneAt[id]; !ok {
		r.goneAt[id] = at
	}
	return r.goneAt[id], nil
}

func (r *registry) ClearGone(ctx context.Context, id string, before time.Time) error {
	end, err := r.begin(ctx)
	defer end()
	if err != nil {
		return err
	}
	r.cleared = append(r.cleared, id)
	if !r.goneAt[id].After(before) {
		delete(r.goneAt, id)
	}
	return nil
}

func (r *registry) RemoveGone(ctx context.Context, id string, before time.Time) (bool, error) {
	end, err := r.begin(ctx)
	defer end()
	if err != nil {
		return false, err
	}
	if at, ok := r.goneAt[id]; ok && !at.After(before) {
		r.missing[id] = true
	}
	return r.missing[id], nil
}

func (r *registry) Remove(ctx context.Context, id string) error {
	end, err := r.begin(ctx)
	defer end()
	if err != nil {
		return err
	}
	r.missing[id] = true
	return nil
}

// TestSender_Gone answers a post with 410 for each state of the connection's row.
func TestSender_Gone(t *testing.T) {
	const none, missing = -1, -2 // no record of a 410, and no row
	answer410, success := always(gone), always(nil)
	then410 := func(post int) error {
		if post == 1 {
			return nil
		}
		return gone
	}
	for _, test := range []struct {
		name    string
		answer  func(int) error
		row     time.Duration // age of the record
		suspect bool
		young   bool // it is settling
		batches int  // earlier confirmations
		err     error

		want string // outcome: delivered, gone, confirm, or the reason of a retry
		left time.Duration
	}{
		{name: "first", answer: answer410, row: none, want: "confirm", left: 0},
		{name: "disconnected", answer: answer410, row: missing, want: "gone", left: missing},
		{name: "recent first", answer: answer410, row: 9 * time.Second, want: "confirm", left: 9 * time.Second},
		{name: "first of another batch", answer: answer410, row: 10 * time.Second, want: "gone", left: missing},
		{name: "invalid id", answer: always(invalidID), row: none, want: "gone", left: missing},

		{name: "second", answer: answer410, row: 10 * time.Second, suspect: true, want: "gone", left: missing},
		{name: "second too early", answer: answer410, row: 9 * time.Second, suspect: true, want: "confirm",
			left: 9 * time.Second},
		{name: "second after a success", answer: answer410, row: none, suspect: true, want: "confirm", left: 0},
		{name: "second without a row", answer: answer410, row: missing, suspect: true, want: "gone", left: missing},

		{name: "young", answer: answer410, row: none, young: true, want: broadcast.ReasonSettling, left: none},
		{name: "young and suspect", answer: answer410, row: 5 * time.Second, suspect: true, young: true,
			want: "confirm", left: 5 * time.Second},

		{name: "success", answer: success, row: 20 * time.Second, want: "delivered", left: 20 * time.Second},
		{name: "success of a suspect", answer: success, row: 20 * time.Second, suspect: true, want: "delivered",
			left: none},
		{name: "success, then first", answer: then410, row: none, want: "confirm", left: 0},
		{name: "success of a suspect, then first", answer: then410, row: 20 * time.Second, suspect: true,
			want: "confirm", left: 0},

		{name: "one confirmation", answer: answer410, row: none, suspect: true, batches: 1, want: "confirm", left: 0},
		{name: "too many confirmations", answer: answer410, row: none, suspect: true, batches: 2, want: "gone", left: 0},

		{name: "error", answer: answer410, row: none, err: errForbidden, want: "confirm", left: none},
		{name: "error of a suspect", answer: answer410, row: time.Minute, suspect: true, err: errForbidden,
			want: "confirm", left: time.Minute},
		{name: "error of the last confirmation", answer: answer410, row: time.Minute, suspect: true, batches: 2,
			err: errForbidden, want: "gone", left: time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.clients.answers["c"], w.registry.err = test.answer, test.err
				switch test.row {
				case none:
				case missing:
					w.registry.missing["c"] = true
				default:
					w.registry.goneAt["c"] = time.Now().Add(-test.row)
				}
				b := broadcast.Batch{
					ID: "b", Attempt: 1, Confirmations: test.batches, Messages: messages("m", "n"), DispatchedAt: time.Now(),
				}
				if test.young {
					b.Settling = []string{"c"}
				} else {
					b.Connections = []string{"c"}
				}
				if test.suspect {
					b.Suspect = []string{"c"}
				}
				if _, err := w.Send(t.Context(), record(t, b, "i")); !errors.Is(err, test.err) {
					t.Errorf("got error %v, want %v", err, test.err)
				}
				w.checkSums(t)

				o := w.ledger.outcomes["n/b"]
				got := map[bool]string{o.Delivered == 1: "delivered", o.Gone == 1: "gone"}[true]
				for _, r := range w.sinks.retried {
					got = r.Reason
					if r.Confirmations > test.batches {
						got = "confirm"
						if r.Attempt != 1 || r.Confirmations != test.batches+1 || len(r.Settling) > 0 ||
							!slices.Equal(r.Connections, []string{"c"}) || !slices.Equal(r.Suspect, r.Connections) ||
							w.sinks.delays[0] < broadcast.SettlingAge {
							t.Errorf("got %+v after %v, want attempt 1 to confirm c, after 10 s", r, w.sinks.delays[0])
						}
					}
				}
				if got != test.want {
					t.Errorf("got %q (%+v), want %q", got, o, test.want)
				}
				left := time.Duration(none)
				if at, ok := w.registry.goneAt["c"]; ok {
					left = time.Since(at)
				}
				if w.registry.missing["c"] {
					left = missing
				}
				if left != test.left {
					t.Errorf("row: got %d, want %d (age of the record; -1: none, -2: no row)", left, test.left)
				}
			})
		})
	}
}

// A chain of batches ends with the row of a dead connection deleted after the second 410, and with the row of an open
// one as it was.
func TestSender_Confirmation(t *testing.T) {
	for name, test := range map[string]struct {
		answer func(post int) error
		posts  int
		want   broadcast.Outcome // of the last batch
		rows   string
	}{
		"dead":         {always(gone), 2, broadcast.Outcome{Gone: 1}, "map[] map[c:true]"},
		"open":         {once(gone, nil), 2, broadcast.Outcome{Delivered: 1}, "map[] map[]"},
		"then retried": {once(gone, once(server, nil)), 3, broadcast.Outcome{Delivered: 1}, "map[] map[]"},
		"then dead":    {once(gone, once(server, always(gone))), 3, broadcast.Outcome{Gone: 1}, "map[] map[c:true]"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.clients.answers["c"] = test.answer
				b := broadcast.Batch{ID: "b", Messages: messages("m"), Connections: []string{"c"}}
				for retried := 0; ; retried++ {
					if _, err := w.Send(t.Context(), record(t, b, "i")); err != nil {
						t.Fatal(err)
					}
					w.checkSums(t)
					if len(w.sinks.retried) == retried {
						break
					}
					b = w.sinks.retried[retried]
					time.Sleep(w.sinks.delays[retried])
				}
				o := w.ledger.outcomes["m/"+b.ID]
				if o.Delivered != test.want.Delivered || o.Gone != test.want.Gone || w.clients.posts["c"] != test.posts {
					t.Errorf("got %+v after %d posts, want %+v after %d", o, w.clients.posts["c"], test.want, test.posts)
				}
				maps.DeleteFunc(w.registry.goneAt, func(id string, _ time.Time) bool { return w.registry.missing[id] })
				if got := fmt.Sprint(w.registry.goneAt, w.registry.missing); got != test.rows {
					t.Errorf("got rows %s, want %s", got, test.rows)
				}
				if n := len(w.sinks.deadLetters); n != 0 {
					t.Errorf("got %d dead letters, want none", n)
				}
			})
		})
	}
}

// once answers the first post with err and the later ones with next.
func once(err error, next func(int) error) func(int) error {
	return func(post int) error {
		switch {
		case post == 1:
			return err
		case next == nil:
			return nil
		}
		return next(post - 1)
	}
}

// A sender that takes a batch over does not know which rows the dead one has marked: each success clears them.
func TestSender_TakenOver(t *testing.T) {
	for owner, want := range map[string][]string{"i": nil, "dead": connections(3)} {
		w := newWorld()
		w.ledger.claims["m/b"] = broadcast.Claim{Owner: owner, Until: time.Now().Add(-time.Second)}
		b := broadcast.Batch{ID: "b", Messages: messages("m"), Connections: connections(3)}
		if _, err := w.Send(t.Context(), record(t, b, "i")); err != nil {
			t.Fatal(err)
		}
		slices.Sort(w.registry.cleared)
		if !slices.Equal(w.registry.cleared, want) {
			t.Errorf("claim of %s: got cleared %v, want %v", owner, w.registry.cleared, want)
		}
	}
}

// Confirmed connections keep to the batches that their other failures need.
func TestSender_SuspectLeftovers(t *testing.T) {
	w := newWorld()
	w.clients.answers["c001"], w.clients.answers["c002"] = always(server), always(server)
	b := broadcast.Batch{
		ID: "b", Messages: messages("m"), Connections: connections(3), Suspect: []string{"c000", "c001"}, Confirmations: 1,
	}
	if _, err := w.Send(t.Context(), record(t, b, "i")); err != nil {
		t.Fatal(err)
	}
	if r := w.sinks.retried; len(r) != 1 || r[0].Confirmations != 1 || r[0].Attempt != 1 ||
		!slices.Equal(r[0].Suspect, []string{"c001"}) {
		t.Errorf("got retries %+v, want one with suspect c001", r)
	}
}

// A connections table that does not answer leaves enough time to settle.
func TestSender_RegistryHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.registry.hangs = true
		w.clients.answers["c001"] = always(gone)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		b := broadcast.Batch{ID: "b", Messages: messages("m"), Connections: connections(3), Suspect: connections(1)}
		if _, err := w.Send(ctx, record(t, b, "i")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the registry's error", err)
		}
		if o := w.ledger.outcomes["m/b"]; o.Delivered != 2 || o.Left != 1 || ctx.Err() != nil {
			t.Errorf("got %+v, %v, want 2 delivered and 1 left before the deadline", o, ctx.Err())
		}
		if r := w.sinks.retried; len(r) != 1 || r[0].Confirmations != 1 {
			t.Errorf("got retries %+v, want one to confirm", r)
		}
	})
}

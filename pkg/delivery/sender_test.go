package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"fanfare/pkg/broadcast"
	"fanfare/pkg/delivery"
)

// clients answer posts: each connection by its answer, or by receiving the payload.
type clients struct {
	mu           sync.Mutex
	answers      map[string]func(post int) error // by connection; post counts the connection's posts from 1
	posts        map[string]int
	received     map[string][]string
	disconnected []string
}

func (c *clients) Post(ctx context.Context, id string, payload []byte) error {
	c.mu.Lock()
	c.posts[id]++
	n, answer := c.posts[id], c.answers[id]
	c.mu.Unlock()
	if answer != nil {
		if err := answer(n); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.received[id] = append(c.received[id], string(payload))
	return ctx.Err()
}

func (c *clients) Disconnect(_ context.Context, id string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.disconnected = append(c.disconnected, id)
	return nil
}

// book is a ledger in memory.
type book struct {
	mu       sync.Mutex
	asked    int                        // of Claim and Settle
	claims   map[string]broadcast.Claim // by broadcast and batch
	settled  map[string]string          // leftovers, likewise
	outcomes map[string]broadcast.Outcome
	err      error // of Settle
	claimErr error
}

func (b *book) Claim(_ context.Context, c broadcast.Claim) (broadcast.ClaimStatus, string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	if b.claimErr != nil {
		return 0, "", b.claimErr
	}
	key := c.BroadcastID + "/" + c.BatchID
	if left, ok := b.settled[key]; ok {
		return broadcast.Settled, left, nil
	}
	if other, ok := b.claims[key]; ok && other.Owner != c.Owner && time.Now().Before(other.Until) {
		return broadcast.Busy, "", nil
	}
	b.claims[key] = c
	return broadcast.Claimed, "", nil
}

func (b *book) Settle(_ context.Context, batchID, owner string, outcomes []broadcast.Outcome, left string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	if b.err != nil {
		return b.err
	}
	for i, o := range outcomes {
		key := o.BroadcastID + "/" + batchID
		if b.claims[key].Owner != owner {
			return fmt.Errorf("%s is not %s's", key, owner)
		}
		b.outcomes[key] = o
		b.settled[key] = ""
		if i == 0 {
			b.settled[key] = left
		}
	}
	return nil
}

// rest is where what a sender does not deliver goes.
type rest struct {
	mu      sync.Mutex
	retried []broadcast.Batch
	delays  []time.Duration
	buried  []broadcast.Batch
	reasons []string
	records []broadcast.Record
	removed []string
	err     error // of Retry
}

func (r *rest) Retry(_ context.Context, b broadcast.Batch, delay time.Duration) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.retried, r.delays = append(r.retried, b), append(r.delays, delay)
	return r.err
}

func (r *rest) PutBatch(_ context.Context, b broadcast.Batch, reason error) error {
	_, why := broadcast.ClassOf(reason)
	r.buried, r.reasons = append(r.buried, b), append(r.reasons, why)
	return nil
}

func (r *rest) Put(_ context.Context, record broadcast.Record, _ error) error {
	r.records = append(r.records, record)
	return nil
}

func (r *rest) RemoveAll(_ context.Context, ids []string) error {
	r.removed = append(r.removed, ids...)
	return nil
}

type world struct {
	*delivery.Sender
	clients *clients
	book    *book
	rest    *rest
}

func newWorld() world {
	w := world{
		clients: &clients{answers: map[string]func(int) error{}, posts: map[string]int{}, received: map[string][]string{}},
		book:    &book{claims: map[string]broadcast.Claim{}, settled: map[string]string{}, outcomes: map[string]broadcast.Outcome{}},
		rest:    &rest{},
	}
	w.Sender = &delivery.Sender{
		Poster: w.clients, Ledger: w.book, Queue: w.rest, DeadLetters: w.rest, Registry: w.rest,
		Pace: rate.NewLimiter(rate.Inf, 1), Workers: 4, MaxAttempts: 3, Reserve: 8 * time.Second,
	}
	return w
}

func always(err error) func(int) error { return func(int) error { return err } }

func connections(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("c%03d", i)
	}
	return ids
}

func messages(ids ...string) []broadcast.Message {
	var all []broadcast.Message
	for _, id := range ids {
		all = append(all, broadcast.Message{ID: id, Payload: []byte("payload of " + id)})
	}
	return all
}

func record(t *testing.T, b broadcast.Batch, invocation string) broadcast.Record {
	t.Helper()
	body, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return broadcast.Record{ID: "record", Body: body, Invocation: invocation}
}

var (
	gone         = broadcast.Gone(errors.New("410"))
	throttled    = broadcast.Retry(broadcast.ReasonThrottled, errors.New("429"))
	server       = broadcast.Retry(broadcast.ReasonServer, errors.New("500"))
	tooLarge     = broadcast.Permanent(broadcast.ReasonTooLarge, errors.New("413"))
	errForbidden = errors.New("403")
)

func TestEveryoneGetsEveryMessageInOrder(t *testing.T) {
	w := newWorld()
	b := broadcast.Batch{ID: "b", Messages: messages("m1", "m2", "m3"), Connections: connections(50), Settling: []string{"young"}}
	b.Messages[1].Exclude = []string{"c007"}
	r, err := w.Send(t.Context(), record(t, b, "i"))
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range append(connections(50), "young") {
		want := []string{"payload of m1", "payload of m2", "payload of m3"}
		if id == "c007" {
			want = []string{"payload of m1", "payload of m3"}
		}
		if got := w.clients.received[id]; !slices.Equal(got, want) {
			t.Errorf("%s received %v", id, got)
		}
	}
	for id, n := range map[string]int{"m1": 51, "m2": 50, "m3": 51} {
		o := w.book.outcomes[id+"/b"]
		if o.Delivered != n || o.Posts != n || o.Gone+o.Left+len(o.Failed) != 0 || o.First.IsZero() || o.Last.Before(o.First) || w.book.claims[id+"/b"].Size != n {
			t.Errorf("%s: %+v, claimed %+v", id, o, w.book.claims[id+"/b"])
		}
	}
	if len(w.rest.retried)+len(w.rest.buried)+len(w.rest.removed) != 0 || len(r.Latencies) != 152 {
		t.Errorf("rest %+v, %d latencies", w.rest, len(r.Latencies))
	}
}

// account checks that what a batch's claim asked for is what its outcome tells of.
func (w world) account(t *testing.T) {
	t.Helper()
	for key, o := range w.book.outcomes {
		sum := o.Delivered + o.Gone + o.Left
		for _, n := range o.Failed {
			sum += n
		}
		if sum != w.book.claims[key].Size {
			t.Errorf("%s: %+v does not add up to %d", key, o, w.book.claims[key].Size)
		}
	}
}

func TestEachConnectionHasItsFate(t *testing.T) {
	w, at := newWorld(), time.Now()
	w.Now = func() time.Time { return at } // who is settling stays so
	maps.Copy(w.clients.answers, map[string]func(int) error{
		"c001": always(gone),
		"c002": always(server),
		"c003": always(throttled),
		"c004": func(post int) error { // the second message meets a fault, so the third has to wait
			if post == 2 {
				return server
			}
			return nil
		},
		"c005": func(post int) error {
			if post == 2 {
				return gone
			}
			return nil
		},
		"c006": func(post int) error {
			if post == 2 {
				return tooLarge
			}
			return nil
		},
		"y001": always(gone), // still connecting
	})
	b := broadcast.Batch{ID: "b", Messages: messages("m1", "m2", "m3"), Connections: connections(20), Settling: []string{"y000", "y001"}, DispatchedAt: at}
	result, err := w.Send(t.Context(), record(t, b, "i"))
	if err != nil {
		t.Fatal(err)
	}
	w.account(t)
	slices.Sort(w.rest.removed)
	if !slices.Equal(w.rest.removed, []string{"c001", "c005"}) {
		t.Errorf("removed %v: no row of a living client may go", w.rest.removed)
	}
	type group struct{ reason, connections, settling, messages string }
	var got []group
	for _, r := range w.rest.retried {
		var ids []string
		for _, m := range r.Messages {
			ids = append(ids, m.ID)
		}
		got = append(got, group{r.Reason, fmt.Sprint(r.Connections), fmt.Sprint(r.Settling), fmt.Sprint(ids)})
		if r.Attempt != 1 {
			t.Errorf("attempt %d", r.Attempt)
		}
	}
	want := []group{
		{broadcast.ReasonBufferFull, "[c003]", "[]", "[m1 m2 m3]"}, // the others' posts got through
		{broadcast.ReasonServer, "[c002]", "[]", "[m1 m2 m3]"},
		{broadcast.ReasonSettling, "[]", "[y001]", "[m1 m2 m3]"},
		{broadcast.ReasonServer, "[c004]", "[]", "[m2 m3]"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("left over:\n got %v\nwant %v", got, want)
	}
	if len(w.rest.buried) != 1 || !slices.Equal(w.rest.buried[0].Connections, []string{"c006"}) || w.rest.buried[0].Messages[0].ID != "m2" || len(w.rest.buried[0].Messages) != 1 {
		t.Errorf("buried %+v", w.rest.buried)
	}
	if !slices.Equal(w.clients.received["c006"], []string{"payload of m1", "payload of m3"}) {
		t.Errorf("c006 received %v", w.clients.received["c006"])
	}
	if result.Gone != 2 || result.Throttled != 1 || result.DeadLettered != 1 {
		t.Errorf("%+v", result)
	}
}

func TestA410IsGoneOnceTheConnectionHasSettled(t *testing.T) {
	w := newWorld()
	w.clients.answers["y000"] = always(gone)
	b := broadcast.Batch{ID: "b", Messages: messages("m"), Settling: []string{"y000"}, DispatchedAt: time.Now().Add(-broadcast.SettlingAge)}
	if _, err := w.Send(t.Context(), record(t, b, "i")); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(w.rest.removed, []string{"y000"}) || len(w.rest.retried) != 0 {
		t.Errorf("removed %v, retried %v", w.rest.removed, w.rest.retried)
	}
}

func TestRetriesNarrowAndEnd(t *testing.T) {
	for _, test := range []struct {
		name       string
		answer     error
		healthy    int
		disconnect bool
		failed     string
		buried     int
		dropped    int
	}{
		{"a fault of the server's ends in a dead letter", server, 5, false, broadcast.ReasonServer, 1, 0},
		{"so does the rate", throttled, 0, false, broadcast.ReasonThrottled, 1, 0},
		{"a full buffer does not", throttled, 5, false, broadcast.ReasonBufferFull, 0, 0},
		{"a full buffer may end the connection", throttled, 5, true, broadcast.ReasonBufferFull, 0, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld()
			w.DisconnectFull = test.disconnect
			w.clients.answers["sick"] = always(test.answer)
			batch := broadcast.Batch{ID: "b", Messages: messages("m"), Connections: append(connections(test.healthy), "sick")}
			for attempt := range 3 {
				if _, err := w.Send(t.Context(), record(t, batch, "i")); err != nil {
					t.Fatal(err)
				}
				w.account(t)
				if attempt == 2 {
					break
				}
				if len(w.rest.retried) != attempt+1 {
					t.Fatalf("after attempt %d: %d retries", attempt, len(w.rest.retried))
				}
				batch = w.rest.retried[attempt]
				if !slices.Equal(batch.Connections, []string{"sick"}) || batch.Attempt != attempt+1 {
					t.Errorf("the retry is %+v", batch)
				}
				low, high := time.Second<<attempt, 2*time.Second<<attempt
				if d := w.rest.delays[attempt]; d < low || d > high {
					t.Errorf("retry %d waits %v, want %v to %v", attempt+1, d, low, high)
				}
			}
			if n := w.clients.posts["sick"]; n != 3 {
				t.Errorf("%d posts to the sick one, want 3", n)
			}
			o := w.book.outcomes["m/"+batch.ID]
			if !maps.Equal(o.Failed, map[string]int{test.failed: 1}) {
				t.Errorf("failed %v", o.Failed)
			}
			if len(w.rest.buried) != test.buried || len(w.clients.disconnected) != test.dropped || len(w.rest.retried) != 2 {
				t.Errorf("buried %v, disconnected %v, %d retries", w.rest.buried, w.clients.disconnected, len(w.rest.retried))
			}
			for _, b := range w.rest.buried {
				if b.Attempt != 3 || !slices.Equal(b.Connections, []string{"sick"}) {
					t.Errorf("buried %+v", b)
				}
			}
		})
	}
}

func TestWhatIsSettledIsNotPostedAgain(t *testing.T) {
	w := newWorld()
	w.clients.answers["c001"] = always(server)
	r := record(t, broadcast.Batch{ID: "b", Messages: messages("m", "n"), Connections: connections(3)}, "first")
	w.rest.err = errors.New("the queue is down")
	if _, err := w.Send(t.Context(), r); !errors.Is(err, w.rest.err) {
		t.Fatalf("a rest that could not be handed on is no success: %v", err)
	}
	w.rest.err = nil
	r.Invocation = "second"
	if _, err := w.Send(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if n := w.clients.posts["c000"]; n != 2 {
		t.Errorf("c000 was posted %d times, want once for each message", n)
	}
	// Both times the rest has the same id, so that it is posted once.
	if len(w.rest.retried) != 2 || w.rest.retried[0].ID != w.rest.retried[1].ID || !slices.Equal(w.rest.retried[1].Connections, []string{"c001"}) || len(w.rest.retried[1].Messages) != 2 {
		t.Errorf("retried %+v", w.rest.retried)
	}
}

// Another copy may have one of the messages alone: what it has claimed is left to it, and the others are not held up.
func TestWhatAnotherPostsIsLeftToIt(t *testing.T) {
	w := newWorld()
	w.book.claims["n/b"] = broadcast.Claim{Owner: "other", Until: time.Now().Add(time.Hour)}
	b := broadcast.Batch{ID: "b", Messages: messages("m", "n", "o"), Connections: connections(1)}
	if _, err := w.Send(t.Context(), record(t, b, "me")); !errors.Is(err, delivery.ErrBusy) {
		t.Fatal(err)
	}
	if got := w.clients.received["c000"]; !slices.Equal(got, []string{"payload of m", "payload of o"}) {
		t.Errorf("received %v", got)
	}
	w.account(t)
}

// A broadcast that is dispatched twice may be in two batches of the same id, with other broadcasts in each.
func TestACopyHandsOnOnlyWhatItHas(t *testing.T) {
	w := newWorld()
	w.clients.answers["c001"] = func(post int) error {
		if post == 2 {
			return server
		}
		return nil
	}
	b := broadcast.Batch{ID: "b", Messages: messages("m", "n"), Connections: connections(3)}
	if _, err := w.Send(t.Context(), record(t, b, "first")); err != nil {
		t.Fatal(err)
	}
	b.Messages = messages("m") // of which nothing was left
	if _, err := w.Send(t.Context(), record(t, b, "second")); err != nil {
		t.Fatal(err)
	}
	if len(w.rest.retried) != 1 || len(w.rest.retried[0].Messages) != 1 || w.rest.retried[0].Messages[0].ID != "n" {
		t.Errorf("retried %+v", w.rest.retried)
	}
}

func TestABatchThatAnotherPostsStaysInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		b := broadcast.Batch{ID: "b", Messages: messages("m", "n"), Connections: connections(3)}
		w.book.claims["m/b"] = broadcast.Claim{Owner: "other", Until: time.Now().Add(20 * time.Second)}
		if _, err := w.Send(ctx, record(t, b, "me")); !errors.Is(err, delivery.ErrBusy) {
			t.Fatal(err)
		}
		if _, claimed := w.book.claims["n/b"]; claimed || len(w.clients.received) > 0 {
			t.Errorf("received %v: n comes after m, which the other has yet to post", w.clients.received)
		}
		time.Sleep(21 * time.Second)
		if _, err := w.Send(ctx, record(t, b, "again")); err != nil {
			t.Fatal(err)
		}
		if until := w.book.claims["n/b"].Until; !until.Equal(time.Now().Add(9 * time.Second)) {
			t.Errorf("n is claimed until %v, want the deadline", until)
		}
		if got := w.clients.received["c000"]; !slices.Equal(got, []string{"payload of m", "payload of n"}) {
			t.Errorf("received %v", got)
		}
	})
}

func TestShortOfTimeTheRestIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.Pace = rate.NewLimiter(2, 1)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if _, err := w.Send(ctx, record(t, broadcast.Batch{ID: "b", Messages: messages("m"), Connections: connections(100)}, "i")); err != nil {
			t.Fatal(err)
		}
		w.account(t)
		// Two posts a second for 22 of the 30 seconds, and one at once.
		if o := w.book.outcomes["m/b"]; o.Delivered < 43 || o.Delivered > 45 || o.Left != 100-o.Delivered {
			t.Errorf("%+v", o)
		}
		if len(w.rest.retried) != 1 || w.rest.retried[0].Reason != broadcast.ReasonDeadline {
			t.Errorf("retried %+v", w.rest.retried)
		}
	})
}

func TestThePaceHoldsAcrossBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.Pace = rate.NewLimiter(50, 1)
		start := time.Now()
		for i := range 4 {
			if _, err := w.Send(t.Context(), record(t, broadcast.Batch{ID: fmt.Sprint(i), Messages: messages("m"), Connections: connections(100)}, "i")); err != nil {
				t.Fatal(err)
			}
		}
		if took, least := time.Since(start), 399*20*time.Millisecond; took < least {
			t.Errorf("400 posts at 50 a second took %v, less than %v", took, least)
		}
	})
}

func TestASlowClientDelaysOnlyItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.clients.answers["c000"] = func(int) error { time.Sleep(5 * time.Second); return nil }
		start := time.Now()
		var last time.Duration
		for _, id := range connections(200)[1:] {
			w.clients.answers[id] = func(int) error { last = max(last, time.Since(start)); return nil }
		}
		w.Workers = 2
		if _, err := w.Send(t.Context(), record(t, broadcast.Batch{ID: "b", Messages: messages("m"), Connections: connections(200)}, "i")); err != nil {
			t.Fatal(err)
		}
		if last != 0 {
			t.Errorf("the last of the others waited %v", last)
		}
	})
}

func TestARefusalFailsLoudlyAndStopsNobody(t *testing.T) {
	w := newWorld()
	w.clients.answers["c010"] = always(errForbidden)
	w.clients.answers["c001"] = always(gone)
	r := record(t, broadcast.Batch{ID: "b", Messages: messages("m", "n"), Connections: connections(100)}, "i")
	if _, err := w.Send(t.Context(), r); !errors.Is(err, errForbidden) {
		t.Fatal(err)
	}
	w.account(t)
	if o := w.book.outcomes["n/b"]; o.Delivered != 98 || o.Gone != 1 || o.Left != 1 {
		t.Errorf("%+v", o)
	}
	if !slices.Equal(w.rest.removed, []string{"c001"}) {
		t.Errorf("removed %v: a refusal tells nothing about the connection", w.rest.removed)
	}
	if len(w.rest.retried) != 1 || w.rest.retried[0].Reason != broadcast.ReasonRefused || !slices.Equal(w.rest.retried[0].Connections, []string{"c010"}) {
		t.Errorf("retried %+v", w.rest.retried)
	}
	// The message comes back, and nobody is posted to again.
	if _, err := w.Send(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if n := w.clients.posts["c000"]; n != 2 {
		t.Errorf("%d posts to c000, want one of each message", n)
	}
}

func TestARefusalThatLastsEndsInADeadLetter(t *testing.T) {
	w := newWorld()
	w.clients.answers["c000"] = always(errForbidden)
	w.MaxAttempts = 1
	if _, err := w.Send(t.Context(), record(t, broadcast.Batch{ID: "b", Messages: messages("m"), Connections: connections(1)}, "i")); !errors.Is(err, errForbidden) {
		t.Fatal(err)
	}
	if len(w.rest.buried) != 1 || w.rest.reasons[0] != broadcast.ReasonRefused || w.book.outcomes["m/b"].Failed[broadcast.ReasonRefused] != 1 {
		t.Errorf("buried %v as %v, %+v", w.rest.buried, w.rest.reasons, w.book.outcomes)
	}
}

func TestAnOutcomeThatIsNotRecordedIsNotActedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			err  error
			took time.Duration
		}{{errors.New("throttled"), 30 * time.Second}, {fmt.Errorf("settle: %w", broadcast.ErrLapsed), 0}, {fmt.Errorf("settle: %w", broadcast.ErrRefused), 0}} {
			w := newWorld()
			w.book.err = test.err
			w.clients.answers["c000"] = always(gone)
			w.clients.answers["c001"] = always(server)
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			start := time.Now()
			_, err := w.Send(ctx, record(t, broadcast.Batch{ID: "b", Messages: messages("m"), Connections: connections(3)}, "i"))
			cancel()
			if !errors.Is(err, w.book.err) || time.Since(start) != test.took {
				t.Errorf("%v after %v: what is not recorded is posted again, so it is tried until the deadline", err, time.Since(start))
			}
			if len(w.rest.removed)+len(w.rest.retried) != 0 {
				t.Errorf("%+v", w.rest)
			}
		}
	})
}

func TestALedgerThatRefusesIsHeardAtOnce(t *testing.T) {
	denied := fmt.Errorf("no permission: %w", broadcast.ErrRefused)
	for name, test := range map[string]struct {
		claim, settle error
		asked         int
		received      int
	}{
		"at the claim":    {denied, nil, 1, 0},
		"at the settling": {nil, denied, 4, 6}, // after a claim for each of three messages
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.book.claimErr, w.book.err = test.claim, test.settle
			w.clients.answers["c000"] = always(gone)
			w.clients.answers["c001"] = always(server)
			b := broadcast.Batch{ID: "b", Messages: messages("m", "n", "o"), Connections: connections(4)}
			if _, err := w.Send(t.Context(), record(t, b, "i")); !errors.Is(err, broadcast.ErrRefused) || strings.Count(err.Error(), "no permission") != 1 {
				t.Errorf("%v: it has to be said, once", err)
			}
			received := 0
			for _, all := range w.clients.received {
				received += len(all)
			}
			if w.book.asked != test.asked || received != test.received {
				t.Errorf("asked %d times, %d received", w.book.asked, received)
			}
			if len(w.rest.removed)+len(w.rest.retried)+len(w.rest.buried) != 0 {
				t.Errorf("%+v: nothing is recorded, and nothing may be done", w.rest)
			}
		})
	}
}

func TestAnOutcomeIsRecordedAtLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.book.err = errors.New("throttled")
		time.AfterFunc(5*time.Second, func() {
			w.book.mu.Lock()
			defer w.book.mu.Unlock()
			w.book.err = nil
		})
		if _, err := w.Send(t.Context(), record(t, broadcast.Batch{ID: "b", Messages: messages("m"), Connections: connections(3)}, "i")); err != nil {
			t.Fatal(err)
		}
		if w.book.outcomes["m/b"].Delivered != 3 || w.clients.posts["c000"] != 1 {
			t.Errorf("%+v, %d posts", w.book.outcomes, w.clients.posts["c000"])
		}
	})
}

func TestWhatIsNoBatchIsBuriedOnce(t *testing.T) {
	w := newWorld()
	result, err := w.Send(t.Context(), broadcast.Record{ID: "record", Body: "hello"})
	if err != nil || result.Rejected == nil || len(w.rest.records) != 1 || w.rest.records[0].Body != "hello" {
		t.Errorf("%v, %+v, %+v", err, result, w.rest.records)
	}
}

// SQS may hand over a batch long after it was settled, and more than once.
func TestWhatIsHandedOnTwiceIsPostedOnce(t *testing.T) {
	w := newWorld()
	w.clients.answers["c001"] = func(post int) error {
		if post <= 3 { // as many as MaxAttempts
			return server
		}
		return nil
	}
	sent := []broadcast.Record{record(t, broadcast.Batch{ID: "b", Messages: messages("m"), Connections: connections(3)}, "i")}
	for n := 0; n < len(sent); n++ {
		for range 2 {
			retried := len(w.rest.retried)
			if _, err := w.Send(t.Context(), sent[n]); err != nil {
				t.Fatal(err)
			}
			for _, b := range w.rest.retried[retried:] {
				sent = append(sent, record(t, b, "i"))
			}
		}
	}
	if len(sent) != 1+2+4 || len(w.rest.buried) != 8 {
		t.Errorf("%d batches were sent, and %d letters", len(sent), len(w.rest.buried))
	}
	for _, letter := range w.rest.buried {
		letter.Attempt, letter.Redriven = 0, true
		if _, err := w.Send(t.Context(), record(t, letter, "i")); err != nil {
			t.Fatal(err)
		}
	}
	if w.clients.posts["c000"] != 1 || w.clients.posts["c001"] != 4 || len(w.clients.received["c001"]) != 1 {
		t.Errorf("posts %v, received %v", w.clients.posts, w.clients.received)
	}
}

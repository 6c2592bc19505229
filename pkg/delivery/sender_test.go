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

// clients answers posts by the connection's answer, or by receiving the payload.
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

// ledger records claims and outcomes in memory.
type ledger struct {
	mu       sync.Mutex
	asked    int                        // calls of Claim and Settle
	claims   map[string]broadcast.Claim // by broadcast and batch
	settled  map[string]string          // leftovers, likewise
	outcomes map[string]broadcast.Outcome
	err      error // of Settle
	claimErr error
}

func (b *ledger) Claim(_ context.Context, c broadcast.Claim) (broadcast.ClaimResult, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	if b.claimErr != nil {
		return broadcast.ClaimResult{}, b.claimErr
	}
	key := c.BroadcastID + "/" + c.BatchID
	if left, ok := b.settled[key]; ok {
		return broadcast.ClaimResult{Status: broadcast.Settled, Leftovers: left}, nil
	}
	other, ok := b.claims[key]
	if ok && other.Owner != c.Owner && time.Now().Before(other.Until) {
		return broadcast.ClaimResult{Status: broadcast.Busy, Until: other.Until}, nil
	}
	b.claims[key] = c
	if ok && other.Owner != c.Owner {
		return broadcast.ClaimResult{Status: broadcast.TakenOver, Until: other.Until}, nil
	}
	return broadcast.ClaimResult{Status: broadcast.Claimed}, nil
}

func (b *ledger) Settle(_ context.Context, batchID, owner string, outcomes []broadcast.Outcome, left string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	if b.err != nil {
		return b.err
	}
	for i, o := range outcomes {
		key := o.BroadcastID + "/" + batchID
		if b.claims[key].Owner != owner {
			return fmt.Errorf("settle %s: %s does not hold the claim", key, owner)
		}
		b.outcomes[key] = o
		b.settled[key] = ""
		if i == 0 {
			b.settled[key] = left
		}
	}
	return nil
}

// sinks takes leftovers and dead letters.
type sinks struct {
	mu          sync.Mutex
	retried     []broadcast.Batch
	delays      []time.Duration
	deadLetters []broadcast.Batch
	reasons     []string
	records     []broadcast.Record
	err         error // of Retry
}

func (r *sinks) Retry(_ context.Context, b broadcast.Batch, delay time.Duration) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.retried, r.delays = append(r.retried, b), append(r.delays, delay)
	return r.err
}

func (r *sinks) PutBatch(_ context.Context, b broadcast.Batch, reason error) error {
	_, why := broadcast.ClassOf(reason)
	r.deadLetters, r.reasons = append(r.deadLetters, b), append(r.reasons, why)
	return nil
}

func (r *sinks) Put(_ context.Context, record broadcast.Record, _ error) error {
	r.records = append(r.records, record)
	return nil
}

type world struct {
	*delivery.Sender
	clients  *clients
	ledger   *ledger
	sinks    *sinks
	registry *registry
}

func newWorld() world {
	w := world{
		clients: &clients{answers: map[string]func(int) error{}, posts: map[string]int{}, received: map[string][]string{}},
		ledger: &ledger{
			claims: map[string]broadcast.Claim{}, settled: map[string]string{}, outcomes: map[string]broadcast.Outcome{},
		},
		sinks:    &sinks{},
		registry: &registry{goneAt: map[string]time.Time{}, missing: map[string]bool{}},
	}
	w.Sender = &delivery.Sender{
		Poster: w.clients, Ledger: w.ledger, Queue: w.sinks, DeadLetters: w.sinks, Registry: w.registry,
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
	invalidID    = broadcast.InvalidID(errors.New("400"))
	server       = broadcast.Retry(broadcast.ReasonServer, errors.New("500"))
	tooLarge     = broadcast.Permanent(broadcast.ReasonTooLarge, errors.New("413"))
	errForbidden = errors.New("403")
)

func TestSender_Order(t *testing.T) {
	w := newWorld()
	b := broadcast.Batch{
		ID: "b", Messages: messages("m1", "m2", "m3"), Connections: connections(50), Settling: []string{"young"},
	}
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
			t.Errorf("%s: got %v, want %v", id, got, want)
		}
	}
	for id, n := range map[string]int{"m1": 51, "m2": 50, "m3": 51} {
		o, claim := w.ledger.outcomes[id+"/b"], w.ledger.claims[id+"/b"]
		if o.Delivered != n || o.Posts != n || o.Gone+o.Left+len(o.Failed) != 0 || o.First.IsZero() ||
			o.Last.Before(o.First) || claim.Size != n {
			t.Errorf("%s: got %+v with claim %+v, want %d delivered", id, o, claim, n)
		}
	}
	if len(w.sinks.retried)+len(w.sinks.deadLetters)+len(w.registry.cleared) != 0 || len(r.Latencies) != 152 {
		t.Errorf("got %+v and %d latencies, want nothing left and 152", w.sinks, len(r.Latencies))
	}
}

// checkSums checks that the counts of each outcome add up to the size of its claim.
func (w world) checkSums(t *testing.T) {
	t.Helper()
	for key, o := range w.ledger.outcomes {
		sum := o.Delivered + o.Gone + o.Left
		for _, n := range o.Failed {
			sum += n
		}
		if sum != w.ledger.claims[key].Size {
			t.Errorf("%s: got the sum %d of %+v, want %d", key, sum, o, w.ledger.claims[key].Size)
		}
		retries := 0
		for _, n := range o.Retries {
			retries += n
		}
		if retries != o.Left {
			t.Errorf("%s: got retries %v, want %d as left", key, o.Retries, o.Left)
		}
	}
}

func TestSender_FailureClasses(t *testing.T) {
	w, at := newWorld(), time.Now()
	w.Now = func() time.Time { return at } // settling connections stay so
	maps.Copy(w.clients.answers, map[string]func(int) error{
		"c001": always(invalidID),
		"c002": always(server),
		"c003": always(throttled),
		"c004": func(post int) error { // the second message fails, so the third has to wait
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
	b := broadcast.Batch{
		ID: "b", Messages: messages("m1", "m2", "m3"), Connections: connections(20),
		Settling: []string{"y000", "y001"}, DispatchedAt: at,
	}
	result, err := w.Send(t.Context(), record(t, b, "i"))
	if err != nil {
		t.Fatal(err)
	}
	w.checkSums(t)
	if !maps.Equal(w.registry.missing, map[string]bool{"c001": true}) {
		t.Errorf("got removed %v, want c001 only", w.registry.missing)
	}
	type group struct{ reason, connections, settling, messages string }
	var got []group
	for _, r := range w.sinks.retried {
		var ids []string
		for _, m := range r.Messages {
			ids = append(ids, m.ID)
		}
		got = append(got, group{r.Reason, fmt.Sprint(r.Connections), fmt.Sprint(r.Settling), fmt.Sprint(ids)})
		if want := 1 - r.Confirmations; r.Attempt != want {
			t.Errorf("batch %s: got attempt %d, want %d", r.ID, r.Attempt, want)
		}
	}
	want := []group{
		{broadcast.ReasonBufferFull, "[c003]", "[]", "[m1 m2 m3]"}, // the others' posts succeeded
		{broadcast.ReasonServer, "[c002]", "[]", "[m1 m2 m3]"},
		{broadcast.ReasonSettling, "[]", "[y001]", "[m1 m2 m3]"},
		{broadcast.ReasonGone, "[c005]", "[]", "[m2 m3]"}, // to be confirmed
		{broadcast.ReasonServer, "[c004]", "[]", "[m2 m3]"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("leftovers:\n got %v\nwant %v", got, want)
	}
	if d := w.sinks.deadLetters; len(d) != 1 || !slices.Equal(d[0].Connections, []string{"c006"}) ||
		d[0].Messages[0].ID != "m2" || len(d[0].Messages) != 1 {
		t.Errorf("got dead letters %+v, want m2 for c006", d)
	}
	if !slices.Equal(w.clients.received["c006"], []string{"payload of m1", "payload of m3"}) {
		t.Errorf("c006: got %v, want m1 and m3", w.clients.received["c006"])
	}
	if result.Gone != 1 || result.Throttled != 1 || result.PostErrors != 2 || result.DeadLettered != 1 {
		t.Errorf("got %+v, want 1 gone, 1 throttled, 2 post errors, 1 dead-lettered", result)
	}
}

func TestSender_GoneAfterSettling(t *testing.T) {
	w := newWorld()
	w.clients.answers["y000"] = always(gone)
	b := broadcast.Batch{
		ID: "b", Messages: messages("m"), Settling: []string{"y000"}, DispatchedAt: time.Now().Add(-broadcast.SettlingAge),
	}
	if _, err := w.Send(t.Context(), record(t, b, "i")); err != nil {
		t.Fatal(err)
	}
	if r := w.sinks.retried; len(r) != 1 || r[0].Confirmations != 1 || len(w.registry.goneAt) != 1 {
		t.Errorf("got retried %+v, marked %v, want y000 to be confirmed", r, w.registry.goneAt)
	}
}

func TestSender_Attempts(t *testing.T) {
	for _, test := range []struct {
		name       string
		answer     error
		healthy    int
		disconnect bool
		failed     string

		deadLetters, disconnected int
	}{
		{"a server error ends in a dead letter", server, 5, false, broadcast.ReasonServer, 1, 0},
		{"an exceeded rate ends in a dead letter", throttled, 0, false, broadcast.ReasonThrottled, 1, 0},
		{"a full buffer is dropped", throttled, 5, false, broadcast.ReasonBufferFull, 0, 0},
		{"a full buffer closes the connection", throttled, 5, true, broadcast.ReasonBufferFull, 0, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld()
			w.DisconnectFull = test.disconnect
			w.clients.answers["failing"] = always(test.answer)
			batch := broadcast.Batch{ID: "b", Messages: messages("m"), Connections: append(connections(test.healthy), "failing")}
			for attempt := range 3 {
				if _, err := w.Send(t.Context(), record(t, batch, "i")); err != nil {
					t.Fatal(err)
				}
				w.checkSums(t)
				if attempt == 2 {
					break
				}
				if len(w.sinks.retried) != attempt+1 {
					t.Fatalf("attempt %d: got %d retries, want %d", attempt, len(w.sinks.retried), attempt+1)
				}
				batch = w.sinks.retried[attempt]
				if !slices.Equal(batch.Connections, []string{"failing"}) || batch.Attempt != attempt+1 {
					t.Errorf("got retry %+v, want attempt %d for the failing connection", batch, attempt+1)
				}
				low, high := time.Second<<attempt, 2*time.Second<<attempt
				if d := w.sinks.delays[attempt]; d < low || d > high {
					t.Errorf("retry %d: got delay %v, want %v to %v", attempt+1, d, low, high)
				}
			}
			if n := w.clients.posts["failing"]; n != 3 {
				t.Errorf("got %d posts to the failing connection, want 3", n)
			}
			o := w.ledger.outcomes["m/"+batch.ID]
			if !maps.Equal(o.Failed, map[string]int{test.failed: 1}) {
				t.Errorf("got failed %v, want 1 %s", o.Failed, test.failed)
			}
			if len(w.sinks.deadLetters) != test.deadLetters || len(w.clients.disconnected) != test.disconnected ||
				len(w.sinks.retried) != 2 {
				t.Errorf("got dead letters %v, disconnected %v, %d retries, want %d, %d, 2", w.sinks.deadLetters,
					w.clients.disconnected, len(w.sinks.retried), test.deadLetters, test.disconnected)
			}
			for _, b := range w.sinks.deadLetters {
				if b.Attempt != 3 || !slices.Equal(b.Connections, []string{"failing"}) {
					t.Errorf("got dead letter %+v, want attempt 3 for the failing connection", b)
				}
			}
		})
	}
}

func TestSender_SettledBatch(t *testing.T) {
	w := newWorld()
	w.clients.answers["c001"] = always(server)
	r := record(t, broadcast.Batch{ID: "b", Messages: messages("m", "n"), Connections: connections(3)}, "first")
	w.sinks.err = errors.New("the queue is down")
	if _, err := w.Send(t.Context(), r); !errors.Is(err, w.sinks.err) {
		t.Fatalf("queue down: got %v, want %v", err, w.sinks.err)
	}
	w.sinks.err = nil
	r.Invocation = "second"
	if _, err := w.Send(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if n := w.clients.posts["c000"]; n != 2 {
		t.Errorf("c000: got %d posts, want one for each of 2 messages", n)
	}
	// Both times the leftovers have the same id, so that they are posted once.
	if r := w.sinks.retried; len(r) != 2 || r[0].ID != r[1].ID || !slices.Equal(r[1].Connections, []string{"c001"}) ||
		len(r[1].Messages) != 2 {
		t.Errorf("got retries %+v, want two of the same id for c001", r)
	}
}

// A copy of the batch may have only one of the messages. Its sender posts that one, and the other messages do not wait.
func TestSender_PartlyBusy(t *testing.T) {
	w := newWorld()
	w.ledger.claims["n/b"] = broadcast.Claim{Owner: "other", Until: time.Now().Add(time.Hour)}
	b := broadcast.Batch{ID: "b", Messages: messages("m", "n", "o"), Connections: connections(1)}
	if _, err := w.Send(t.Context(), record(t, b, "me")); !errors.Is(err, delivery.ErrBusy) {
		t.Fatalf("got %v, want ErrBusy", err)
	}
	if got := w.clients.received["c000"]; !slices.Equal(got, []string{"payload of m", "payload of o"}) {
		t.Errorf("c000: got %v, want the claimed messages", got)
	}
	w.checkSums(t)
}

// A broadcast that is dispatched twice may be in two batches of the same id with different other broadcasts.
func TestSender_SettledOtherMessages(t *testing.T) {
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
	b.Messages = messages("m") // it had no leftovers
	if _, err := w.Send(t.Context(), record(t, b, "second")); err != nil {
		t.Fatal(err)
	}
	if r := w.sinks.retried; len(r) != 1 || len(r[0].Messages) != 1 || r[0].Messages[0].ID != "n" {
		t.Errorf("got retries %+v, want one of message n", r)
	}
}

func TestSender_BusyBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		b := broadcast.Batch{ID: "b", Messages: messages("m", "n"), Connections: connections(3)}
		w.ledger.claims["m/b"] = broadcast.Claim{Owner: "other", Until: time.Now().Add(20 * time.Second)}
		until := time.Now().Add(20 * time.Second)
		r, err := w.Send(ctx, record(t, b, "me"))
		if !errors.Is(err, delivery.ErrBusy) {
			t.Fatal(err)
		}
		if !r.BusyUntil().Equal(until) || !r.Busy["m"].Equal(until) {
			t.Errorf("got busy until %v, %v, want %v for m", r.BusyUntil(), r.Busy, until)
		}
		if _, claimed := w.ledger.claims["n/b"]; claimed || len(w.clients.received) > 0 {
			t.Errorf("got %v, want nothing claimed or posted: n comes after m", w.clients.received)
		}
		time.Sleep(21 * time.Second)
		if r, err = w.Send(ctx, record(t, b, "again")); err != nil {
			t.Fatal(err)
		}
		if len(r.TakenOver) != 1 || !r.TakenOver["m"].Equal(until) || len(r.Busy) > 0 {
			t.Errorf("got taken over %v, busy %v, want m, whose claim lapsed at %v", r.TakenOver, r.Busy, until)
		}
		if until := w.ledger.claims["n/b"].Until; !until.Equal(time.Now().Add(9 * time.Second)) {
			t.Errorf("n: got a claim until %v, want the deadline", until)
		}
		if got := w.clients.received["c000"]; !slices.Equal(got, []string{"payload of m", "payload of n"}) {
			t.Errorf("c000: got %v, want the claimed messages", got)
		}
	})
}

func TestSender_DeadlineLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.Pace = rate.NewLimiter(2, 1)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		b := broadcast.Batch{ID: "b", Messages: messages("m"), Connections: connections(100)}
		if _, err := w.Send(ctx, record(t, b, "i")); err != nil {
			t.Fatal(err)
		}
		w.checkSums(t)
		// Two posts a second for 22 of the 30 seconds, and one at once.
		if o := w.ledger.outcomes["m/b"]; o.Delivered < 43 || o.Delivered > 45 || o.Left != 100-o.Delivered {
			t.Errorf("got %+v, want 43 to 45 delivered and the others left", o)
		}
		if r := w.sinks.retried; len(r) != 1 || r[0].Reason != broadcast.ReasonDeadline {
			t.Errorf("got retries %+v, want one for the deadline", r)
		}
	})
}

func TestSender_PaceAcrossBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.Pace = rate.NewLimiter(50, 1)
		start := time.Now()
		for i := range 4 {
			b := broadcast.Batch{ID: fmt.Sprint(i), Messages: messages("m"), Connections: connections(100)}
			if _, err := w.Send(t.Context(), record(t, b, "i")); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := time.Since(start), 399*20*time.Millisecond; got < want {
			t.Errorf("400 posts at 50 per second: got %v, want at least %v", got, want)
		}
	})
}

func TestSender_SlowClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.clients.answers["c000"] = func(int) error { time.Sleep(5 * time.Second); return nil }
		start := time.Now()
		var last time.Duration
		for _, id := range connections(200)[1:] {
			w.clients.answers[id] = func(int) error { last = max(last, time.Since(start)); return nil }
		}
		w.Workers = 2
		b := broadcast.Batch{ID: "b", Messages: messages("m"), Connections: connections(200)}
		if _, err := w.Send(t.Context(), record(t, b, "i")); err != nil {
			t.Fatal(err)
		}
		if last != 0 {
			t.Errorf("last post to the others: got after %v, want no delay", last)
		}
	})
}

func TestSender_Fatal(t *testing.T) {
	w := newWorld()
	w.clients.answers["c010"] = always(errForbidden)
	w.clients.answers["c001"] = always(invalidID)
	r := record(t, broadcast.Batch{ID: "b", Messages: messages("m", "n"), Connections: connections(100)}, "i")
	if _, err := w.Send(t.Context(), r); !errors.Is(err, errForbidden) {
		t.Fatalf("got %v, want %v", err, errForbidden)
	}
	w.checkSums(t)
	if o := w.ledger.outcomes["n/b"]; o.Delivered != 98 || o.Gone != 1 || o.Left != 1 {
		t.Errorf("got %+v, want 98 delivered, 1 gone, 1 left", o)
	}
	if !maps.Equal(w.registry.missing, map[string]bool{"c001": true}) {
		t.Errorf("got removed %v, want c001 only", w.registry.missing)
	}
	if r := w.sinks.retried; len(r) != 1 || r[0].Reason != broadcast.ReasonRefused ||
		!slices.Equal(r[0].Connections, []string{"c010"}) {
		t.Errorf("got retries %+v, want one for c010", r)
	}
	// The message is delivered again, and no post is repeated.
	if _, err := w.Send(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if n := w.clients.posts["c000"]; n != 2 {
		t.Errorf("c000: got %d posts, want one for each of 2 messages", n)
	}
}

func TestSender_FatalLastAttempt(t *testing.T) {
	w := newWorld()
	w.clients.answers["c000"] = always(errForbidden)
	w.MaxAttempts = 1
	b := broadcast.Batch{ID: "b", Messages: messages("m"), Connections: connections(1)}
	if _, err := w.Send(t.Context(), record(t, b, "i")); !errors.Is(err, errForbidden) {
		t.Fatalf("got %v, want %v", err, errForbidden)
	}
	if len(w.sinks.deadLetters) != 1 || w.sinks.reasons[0] != broadcast.ReasonRefused ||
		w.ledger.outcomes["m/b"].Failed[broadcast.ReasonRefused] != 1 {
		t.Errorf("got dead letters %v, reasons %v, outcomes %+v, want one refused", w.sinks.deadLetters,
			w.sinks.reasons, w.ledger.outcomes)
	}
}

func TestSender_SettleFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			err  error
			took time.Duration
		}{
			{errors.New("throttled"), 30 * time.Second}, // retried until the deadline
			{fmt.Errorf("settle: %w", broadcast.ErrLapsed), 0},
			{fmt.Errorf("settle: %w", broadcast.ErrRefused), 0},
		} {
			w := newWorld()
			w.ledger.err = test.err
			w.clients.answers["c000"] = always(gone)
			w.clients.answers["c001"] = always(server)
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			start := time.Now()
			_, err := w.Send(ctx, record(t, broadcast.Batch{ID: "b", Messages: messages("m"), Connections: connections(3)}, "i"))
			cancel()
			if !errors.Is(err, w.ledger.err) || time.Since(start) != test.took {
				t.Errorf("got %v after %v, want %v after %v", err, time.Since(start), w.ledger.err, test.took)
			}
			if len(w.registry.missing)+len(w.sinks.retried) != 0 {
				t.Errorf("got %v, %+v, want nothing removed or retried", w.registry.missing, w.sinks)
			}
		}
	})
}

func TestSender_LedgerRefuses(t *testing.T) {
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
			w.ledger.claimErr, w.ledger.err = test.claim, test.settle
			w.clients.answers["c000"] = always(gone)
			w.clients.answers["c001"] = always(server)
			b := broadcast.Batch{ID: "b", Messages: messages("m", "n", "o"), Connections: connections(4)}
			if _, err := w.Send(t.Context(), record(t, b, "i")); !errors.Is(err, broadcast.ErrRefused) ||
				strings.Count(err.Error(), "no permission") != 1 {
				t.Errorf("got %v, want ErrRefused with its cause once", err)
			}
			received := 0
			for _, all := range w.clients.received {
				received += len(all)
			}
			if w.ledger.asked != test.asked || received != test.received {
				t.Errorf("got %d calls of the ledger and %d posts, want %d and %d",
					w.ledger.asked, received, test.asked, test.received)
			}
			if len(w.registry.missing)+len(w.sinks.retried)+len(w.sinks.deadLetters) != 0 {
				t.Errorf("got %+v, want nothing, as no outcome is recorded", w.sinks)
			}
		})
	}
}

func TestSender_SettleRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.ledger.err = errors.New("throttled")
		time.AfterFunc(5*time.Second, func() {
			w.ledger.mu.Lock()
			defer w.ledger.mu.Unlock()
			w.ledger.err = nil
		})
		b := broadcast.Batch{ID: "b", Messages: messages("m"), Connections: connections(3)}
		if _, err := w.Send(t.Context(), record(t, b, "i")); err != nil {
			t.Fatal(err)
		}
		if w.ledger.outcomes["m/b"].Delivered != 3 || w.clients.posts["c000"] != 1 {
			t.Errorf("got %+v, %d posts to c000, want 3 delivered, 1 post", w.ledger.outcomes, w.clients.posts["c000"])
		}
	})
}

func TestSender_Malformed(t *testing.T) {
	w := newWorld()
	result, err := w.Send(t.Context(), broadcast.Record{ID: "record", Body: "hello"})
	if err != nil || result.Rejected == nil || len(w.sinks.records) != 1 || w.sinks.records[0].Body != "hello" {
		t.Errorf("got %v, %+v, records %+v, want the record rejected once", err, result, w.sinks.records)
	}
}

// SQS may deliver a batch long after it was settled, and more than once.
func TestSender_DuplicateBatches(t *testing.T) {
	w := newWorld()
	w.clients.answers["c001"] = func(post int) error {
		if post <= 3 { // as many as MaxAttempts
			return server
		}
		return nil
	}
	b := broadcast.Batch{ID: "b", Messages: messages("m"), Connections: connections(3)}
	sent := []broadcast.Record{record(t, b, "i")}
	for n := 0; n < len(sent); n++ {
		for range 2 {
			retried := len(w.sinks.retried)
			if _, err := w.Send(t.Context(), sent[n]); err != nil {
				t.Fatal(err)
			}
			for _, b := range w.sinks.retried[retried:] {
				sent = append(sent, record(t, b, "i"))
			}
		}
	}
	if len(sent) != 1+2+4 || len(w.sinks.deadLetters) != 8 {
		t.Errorf("got %d batches and %d dead letters, want 7 and 8", len(sent), len(w.sinks.deadLetters))
	}
	for _, letter := range w.sinks.deadLetters {
		letter.Attempt, letter.Redriven = 0, true
		if _, err := w.Send(t.Context(), record(t, letter, "i")); err != nil {
			t.Fatal(err)
		}
	}
	if w.clients.posts["c000"] != 1 || w.clients.posts["c001"] != 4 || len(w.clients.received["c001"]) != 1 {
		t.Errorf("got posts %v, received %v, want c000 once, c001 once after 3 failures",
			w.clients.posts, w.clients.received)
	}
}

package fanout_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fanfare/pkg/broadcast"
	"fanfare/pkg/fanout"
)

// table is a connections table in memory. Rows are in order, a page has a fixed number of them, and the segment of a
// row follows from the number in its id.
type table struct {
	rows  []broadcast.Connection
	old   map[string]bool // expired: they fill pages and are left out
	page  int
	reads int
	mu    sync.Mutex
	err   error
	read  func(reads int) // called before each read
}

func (t *table) Page(_ context.Context, segment, segments int, after string) (
	connections []broadcast.Connection, next string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reads++
	if t.read != nil {
		t.read(t.reads)
	}
	defer func() {
		connections = slices.DeleteFunc(connections, func(c broadcast.Connection) bool { return t.old[c.ID] })
	}()
	for _, c := range t.rows {
		var n int
		fmt.Sscanf(c.ID, "c%d", &n)
		if n%segments != segment || c.ID <= after {
			continue
		}
		if len(connections) == t.page {
			return connections, connections[len(connections)-1].ID, t.err
		}
		connections = append(connections, c)
	}
	return connections, "", t.err
}

// plans stores plans in memory.
type plans struct {
	mu    sync.Mutex
	plans map[string]map[string]broadcast.Plan
	err   error
}

func (b *plans) Plan(_ context.Context, id string, p broadcast.Plan) (broadcast.Plan, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.plans == nil {
		b.plans = make(map[string]map[string]broadcast.Plan)
	}
	if b.plans[id] == nil {
		b.plans[id] = make(map[string]broadcast.Plan)
	}
	if earlier, ok := b.plans[id][p.Key()]; ok {
		return earlier, b.err
	}
	b.plans[id][p.Key()] = p
	return p, b.err
}

func (b *plans) Emitted(_ context.Context, id string, p broadcast.Plan) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	held := b.plans[id][p.Key()]
	held.Emitted, held.Buckets = true, p.Buckets
	b.plans[id][p.Key()] = held
	return b.err
}

// queues is both queues and the dead-letter queue in memory.
type queues struct {
	mu          sync.Mutex
	batches     []broadcast.Batch
	continued   []broadcast.Request
	deadLetters map[string]error
	sent        func() error // called before batches are stored
	putErr      error
}

func (q *queues) Send(_ context.Context, batches []broadcast.Batch) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.sent != nil {
		if err := q.sent(); err != nil {
			return err
		}
	}
	q.batches = append(q.batches, batches...)
	return nil
}

func (q *queues) Continue(_ context.Context, r broadcast.Request) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.continued = append(q.continued, r)
	return nil
}

func (q *queues) Put(_ context.Context, r broadcast.Record, reason error) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.deadLetters == nil {
		q.deadLetters = make(map[string]error)
	}
	q.deadLetters[r.ID] = reason
	return q.putErr
}

// reached returns the number of batches that address each connection for the broadcast, and the number of batches of
// each id.
func (q *queues) reached(id string) (connections, ids map[string]int) {
	connections, ids = make(map[string]int), make(map[string]int)
	for _, b := range q.batches {
		for _, m := range b.Messages {
			if m.ID != id {
				continue
			}
			ids[b.ID]++
			for _, c := range slices.Concat(b.Connections, b.Settling) {
				if !m.Excludes(c) {
					connections[c]++
				}
			}
		}
	}
	return connections, ids
}

func connections(n int, age time.Duration) []broadcast.Connection {
	rows := make([]broadcast.Connection, n)
	for i := range rows {
		rows[i] = broadcast.Connection{ID: fmt.Sprintf("c%06d", i), ConnectedAt: time.Now().Add(-age)}
	}
	return rows
}

func request(id string) broadcast.Request {
	return broadcast.Request{Record: broadcast.Record{ID: id}, Message: broadcast.Message{ID: id, Payload: []byte("x")}}
}

func again(r broadcast.Request) broadcast.Request {
	r.Record.Redelivered = true
	return r
}

type world struct {
	*fanout.Dispatcher
	table  *table
	ledger *plans
	queues *queues
}

func newWorld(rows []broadcast.Connection, page int) world {
	w := world{table: &table{rows: rows, page: page}, ledger: &plans{}, queues: &queues{}}
	w.Dispatcher = &fanout.Dispatcher{
		Registry: w.table, Ledger: w.ledger, Batches: w.queues, Continuations: w.queues, DeadLetters: w.queues,
		Segments: 4, BatchConnections: 100, BatchPosts: 1000, Senders: 1, Reserve: time.Second,
	}
	return w
}

// allOnce checks that the batches address every connection once for each broadcast, and no others.
func (w world) allOnce(t *testing.T, ids ...string) {
	t.Helper()
	for _, id := range ids {
		reached, _ := w.queues.reached(id)
		for _, c := range w.table.rows {
			if reached[c.ID] != 1 {
				t.Errorf("%s: %s: got %d batches, want 1", id, c.ID, reached[c.ID])
			}
			delete(reached, c.ID)
		}
		if len(reached) > 0 {
			t.Errorf("%s: got other connections %v, want none", id, reached)
		}
	}
}

func noErrors(t *testing.T, results []fanout.Result) {
	t.Helper()
	for _, r := range results {
		if r.Err != nil || r.Rejected != nil {
			t.Errorf("%s: got %v, %v, want no error", r.Request.Message.ID, r.Err, r.Rejected)
		}
	}
}

func TestDispatcher_Batches(t *testing.T) {
	for _, test := range []struct {
		name             string
		rows, page       int
		senders, reads   int
		minimal, maximal int // batches
	}{
		{"none", 0, 100, 1, 1, 0, 0},
		{"one", 1, 100, 10, 1, 1, 1},
		{"a page", 100, 100, 1, 1, 1, 1},
		{"a page, for ten senders", 100, 100, 10, 1, 4, 4},
		{"many pages", 5000, 100, 1, 1 + 4*13, 50, 60},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(connections(test.rows, time.Hour), test.page)
			w.Senders = test.senders
			noErrors(t, w.Dispatch(t.Context(), []broadcast.Request{request("m")}))
			w.allOnce(t, "m")
			if n := len(w.queues.batches); n < test.minimal || n > test.maximal {
				t.Errorf("got %d batches, want %d to %d", n, test.minimal, test.maximal)
			}
			if w.table.reads != test.reads {
				t.Errorf("got %d reads, want %d", w.table.reads, test.reads)
			}
			for id, p := range w.ledger.plans["m"] {
				if !p.Emitted && p.Split == 0 {
					t.Errorf("plan %s: got not emitted, want emitted", id)
				}
			}
		})
	}
}

func TestDispatcher_SharedRead(t *testing.T) {
	w := newWorld(connections(80, time.Hour), 100)
	var requests []broadcast.Request
	var ids []string
	for i := range 10 {
		ids = append(ids, fmt.Sprintf("m%d", i))
		requests = append(requests, request(ids[i]))
	}
	noErrors(t, w.Dispatch(t.Context(), requests))
	w.allOnce(t, ids...)
	if w.table.reads != 1 {
		t.Errorf("got %d reads, want 1", w.table.reads)
	}
	for _, b := range w.queues.batches {
		var order []string
		for _, m := range b.Messages {
			order = append(order, m.ID)
		}
		if !slices.Equal(order, ids) {
			t.Errorf("batch %s: got messages %v, want %v", b.ID, order, ids)
		}
		if posts := b.Len(); posts > 1500 {
			t.Errorf("batch %s: got %d posts, want at most 1500", b.ID, posts)
		}
	}
}

func TestDispatcher_LargeMessages(t *testing.T) {
	w := newWorld(connections(3, time.Hour), 100)
	var requests []broadcast.Request
	for i := range 10 {
		r := request(fmt.Sprintf("m%d", i))
		r.Message.Payload = []byte(strings.Repeat("x", broadcast.MaxPayloadBytes))
		requests = append(requests, r)
	}
	noErrors(t, w.Dispatch(t.Context(), requests))
	for _, r := range requests {
		w.allOnce(t, r.Message.ID)
	}
	for _, b := range w.queues.batches {
		if _, err := b.Encode(); err != nil {
			t.Error(err)
		}
	}
	if n := len(w.queues.batches); n != 2 {
		t.Errorf("1.3 MB of payload: got %d batches, want 2", n)
	}
}

func TestDispatcher_ExcludedAndSettling(t *testing.T) {
	at := time.Now()
	young := broadcast.Connection{ID: "c000007", ConnectedAt: at.Add(-3 * time.Second)}
	gone := func(id string, age time.Duration) broadcast.Connection { // age of its last 410
		return broadcast.Connection{ID: id, ConnectedAt: at.Add(-time.Hour), GoneAt: at.Add(-age)}
	}
	w := newWorld(append(connections(5, time.Hour), young, gone("c000008", 9*time.Second),
		gone("c000009", 10*time.Second)), 100)
	w.Now = func() time.Time { return at }
	r := request("m")
	r.Message.Exclude = []string{"c000001", "c000003"}
	results := w.Dispatch(t.Context(), []broadcast.Request{r, request("for all")})
	noErrors(t, results)
	reached, _ := w.queues.reached("m")
	if len(reached) != 6 || reached["c000001"]+reached["c000003"] != 0 {
		t.Errorf("got %v, want 6 connections without c000001 and c000003", reached)
	}
	w.allOnce(t, "for all")
	if a := w.ledger.plans["m"]["0/1.0"].Audience(); a != 6 || results[0].Connections != 6 {
		t.Errorf("got audience %d in the plan and %d in the result, want 6", a, results[0].Connections)
	}
	for _, b := range w.queues.batches {
		if !slices.Equal(b.Settling, []string{"c000007", "c000008"}) ||
			!slices.Equal(b.Suspect, []string{"c000008", "c000009"}) {
			t.Errorf("batch %s: got settling %v and suspect %v, want c000007 and c000008, c000008 and c000009",
				b.ID, b.Settling, b.Suspect)
		}
	}
}

// From ten seconds after DispatchedAt a 410 means that the connection is gone. A client that connected during the read
// must not be younger then.
func TestDispatcher_DispatchedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(connections(5, time.Hour), 100)
		w.table.read = func(int) {
			time.Sleep(30 * time.Second)
			w.table.rows = append(w.table.rows, broadcast.Connection{ID: "c000007", ConnectedAt: time.Now()})
		}
		noErrors(t, w.Dispatch(t.Context(), []broadcast.Request{request("m")}))
		for _, b := range w.queues.batches {
			if !slices.Equal(b.Settling, []string{"c000007"}) || b.DispatchedAt.Before(w.table.rows[5].ConnectedAt) {
				t.Errorf("got settling %v, dispatched at %v, want c000007, not before %v",
					b.Settling, b.DispatchedAt, w.table.rows[5].ConnectedAt)
			}
		}
		w.allOnce(t, "m")
	})
}

func TestDispatcher_DuplicateInEvent(t *testing.T) {
	w := newWorld(connections(5, time.Hour), 100)
	noErrors(t, w.Dispatch(t.Context(), []broadcast.Request{request("m"), request("m")}))
	w.allOnce(t, "m")
}

// After a crash of a dispatcher, or a duplicate from SQS, a connection must be addressed in a batch of the same id:
// senders recognise repeated batches by it.
func TestDispatcher_RepeatedBatches(t *testing.T) {
	for _, test := range []struct {
		name   string
		rows   int
		before func(w world) // between the two
	}{
		{"nothing changed", 950, func(world) {}},
		{"a third has gone", 950, func(w world) {
			w.table.rows = slices.DeleteFunc(w.table.rows, func(c broadcast.Connection) bool { return c.ID[6]%3 == 0 })
		}},
		{"half as many have come", 950, func(w world) {
			for i := range 475 {
				w.table.rows = append(w.table.rows, broadcast.Connection{ID: fmt.Sprintf("c%06d", 2000+i)})
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(connections(test.rows, time.Hour), 100)
			crash := errors.New("killed")
			calls := 0
			w.queues.sent = func() error {
				if calls++; calls == 3 {
					return crash
				}
				return nil
			}
			if r := w.Dispatch(t.Context(), []broadcast.Request{request("m"), request("n")}); !errors.Is(r[0].Err, crash) {
				t.Fatalf("got %v, want %v", r[0].Err, crash)
			}
			before := slices.Clone(w.queues.batches)
			test.before(w)
			noErrors(t, w.Dispatch(t.Context(), []broadcast.Request{again(request("m"))}))

			bucket := make(map[string]string) // of each connection
			for _, b := range w.queues.batches {
				for _, c := range b.Connections {
					if earlier, ok := bucket[c]; ok && earlier != b.ID {
						t.Fatalf("%s: got batches %s and %s, want one", c, earlier, b.ID)
					}
					bucket[c] = b.ID
				}
			}
			for _, c := range w.table.rows {
				if bucket[c.ID] == "" && c.ID < "c001000" {
					t.Errorf("%s: got no batch, want one", c.ID)
				}
			}
			if len(before) == 0 {
				t.Error("first dispatch: got no batches, want some")
			}
		})
	}
}

// Two dispatchers may have the same message at once, because SQS delivered it twice. Between their reads the table may
// grow beyond one page, or shrink to one page.
func TestDispatcher_RepeatedSplit(t *testing.T) {
	for name, rows := range map[string][2]int{
		"first one page, then many": {80, 950}, "first many pages, then one": {950, 80},
	} {
		t.Run(name, func(t *testing.T) {
			all := connections(950, time.Hour)
			w := newWorld(all[:rows[0]], 100)
			// The plans are marked as not emitted, as if the first dispatcher had died before it recorded that.
			w.Dispatch(t.Context(), []broadcast.Request{request("m")})
			for id, p := range w.ledger.plans["m"] {
				p.Emitted = false
				w.ledger.plans["m"][id] = p
			}
			w.table.rows = all[:rows[1]]
			noErrors(t, w.Dispatch(t.Context(), []broadcast.Request{request("m"), request("n")}))
			bucket := make(map[string]string)
			for _, b := range w.queues.batches {
				if b.Messages[0].ID != "m" {
					continue
				}
				for _, c := range b.Connections {
					if earlier, ok := bucket[c]; ok && earlier != b.ID {
						t.Fatalf("%s: got batches %s and %s, want one", c, earlier, b.ID)
					}
					bucket[c] = b.ID
				}
			}
			for _, c := range all[:80] {
				if bucket[c.ID] == "" {
					t.Errorf("%s: got no batch, want one", c.ID)
				}
			}
			if _, ids := w.queues.reached("m"); ids["0/1.0.0"]+ids["0/4.0.0"] != 2 {
				t.Errorf("got batches %v, want 0/1.0.0 or 0/4.0.0 twice", ids)
			}
			w.allOnce(t, "n")
		})
	}
}

// A stretch that is read again ends at the same place, even if its last row and the rows around it have gone.
func TestDispatcher_RepeatedStretch(t *testing.T) {
	for _, test := range []struct {
		name   string
		gone   func(i int) bool // rows that go before the second read
		old    func(i int) bool // rows that have expired by then
		read   int              // during the second read of the stretch, before this page:
		going  func(i int) bool // rows that go
		coming string           // a row that comes
	}{
		{name: "its last row has gone", gone: func(i int) bool { return i%10 == 9 }},
		{name: "all around its last row have gone", gone: func(i int) bool { return i%100 > 5 && i%100 < 95 }},
		{
			name: "expired rows fill the next pages",
			gone: func(i int) bool { return i == 9 }, old: func(i int) bool { return i > 9 && i < 70 },
		},
		{
			name: "the next rows go before they are read",
			gone: func(i int) bool { return i == 9 }, read: 5, going: func(i int) bool { return i > 9 && i < 24 },
		},
		{
			name: "the next row goes after it was read",
			gone: func(i int) bool { return i == 3 }, read: 6, going: func(i int) bool { return i == 10 },
		},
		{name: "a row comes directly after", gone: func(i int) bool { return i == 8 || i == 9 }, read: 5, coming: "c000009x"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(connections(300, time.Hour), 10)
			w.Segments, w.StretchConnections, w.BatchConnections = 1, 10, 3
			calls := 0
			w.queues.sent = func() error {
				if calls++; calls == 20 { // most stretches are planned
					return errors.New("killed")
				}
				return nil
			}
			w.Dispatch(t.Context(), []broadcast.Request{request("m")})
			w.queues.sent = nil
			for id, p := range w.ledger.plans["m"] {
				p.Emitted = false
				w.ledger.plans["m"][id] = p
			}
			w.table.old = make(map[string]bool)
			left := w.table.rows[:0:0]
			for i, c := range w.table.rows {
				if test.gone == nil || !test.gone(i) {
					left = append(left, c)
				}
				if test.old != nil && test.old(i) {
					w.table.old[c.ID] = true
				}
			}
			w.table.rows = left
			reads := w.table.reads
			w.table.read = func(n int) {
				if n != reads+test.read {
					return
				}
				w.table.rows = slices.DeleteFunc(slices.Clone(w.table.rows), func(c broadcast.Connection) bool {
					var i int
					fmt.Sscanf(c.ID, "c%d", &i)
					return test.going != nil && test.going(i)
				})
				if test.coming != "" {
					w.table.rows = append(w.table.rows, broadcast.Connection{ID: test.coming})
					slices.SortFunc(w.table.rows, func(a, b broadcast.Connection) int { return strings.Compare(a.ID, b.ID) })
				}
			}
			w.StretchConnections = 25 // the second dispatcher alone would end its stretches elsewhere
			noErrors(t, w.Dispatch(t.Context(), []broadcast.Request{again(request("m"))}))

			bucket := make(map[string]string)
			for _, b := range w.queues.batches {
				for _, c := range b.Connections {
					if earlier, ok := bucket[c]; ok && earlier != b.ID {
						t.Errorf("%s: got batches %s and %s, want one", c, earlier, b.ID)
					}
					bucket[c] = b.ID
				}
			}
			audience := 0
			for _, p := range w.ledger.plans["m"] {
				audience += p.Audience()
			}
			reached := 0
			for _, c := range w.table.rows {
				if bucket[c.ID] == "" && !w.table.old[c.ID] {
					t.Errorf("%s: got no batch, want one", c.ID)
				}
				if !w.table.old[c.ID] {
					reached++
				}
			}
			// The plans must hold the emitted sizes: connections that left since would stay outstanding in the report.
			if audience < reached || audience > reached+4 {
				t.Errorf("got an audience of %d in the plans, want %d to %d", audience, reached, reached+4)
			}
		})
	}
}

func TestDispatcher_EmittedOnce(t *testing.T) {
	w := newWorld(connections(950, time.Hour), 100)
	noErrors(t, w.Dispatch(t.Context(), []broadcast.Request{request("m")}))
	n := len(w.queues.batches)
	noErrors(t, w.Dispatch(t.Context(), []broadcast.Request{again(request("m")), request("new")}))
	if _, ids := w.queues.reached("m"); len(ids) != n {
		t.Errorf("got %d batches, want %d as before", len(ids), n)
	}
	w.allOnce(t, "m", "new")
}

func TestDispatcher_DeadlineContinues(t *testing.T) {
	w := newWorld(connections(4000, time.Hour), 100)
	w.Segments = 2
	var all []broadcast.Request
	pending := []broadcast.Request{request("m"), request("n")}
	for hop := 0; len(pending) > 0; hop++ {
		if hop > 200 {
			t.Fatal("got more than 200 hops, want an end")
		}
		// A deadline within the reserve: each dispatcher reads one page of each segment.
		ctx, cancel := context.WithTimeout(t.Context(), w.Reserve/2)
		w.queues.continued = nil
		noErrors(t, w.Dispatch(ctx, pending[:min(10, len(pending))]))
		cancel()
		pending = append(pending[min(10, len(pending)):], w.queues.continued...)
		all = append(all, w.queues.continued...)
		if hop == 0 && len(all) != 4 {
			t.Errorf("two broadcasts in two segments: got %d continuations, want 4", len(all))
		}
		for i := range pending {
			pending[i].Hop = 0 // this test is not about the limit
		}
	}
	w.allOnce(t, "m", "n")
	for _, id := range []string{"m", "n"} {
		_, ids := w.queues.reached(id)
		for batch, n := range ids {
			if n != 1 {
				t.Errorf("%s: batch %s: got it %d times, want once", id, batch, n)
			}
		}
	}
}

func TestDispatcher_MaxHops(t *testing.T) {
	w := newWorld(connections(400, time.Hour), 100)
	r := request("m")
	r.Cursor, r.Hop = broadcast.Cursor{Segments: 1}, fanout.MaxHops-1
	ctx, cancel := context.WithTimeout(t.Context(), w.Reserve/2)
	defer cancel()
	results := w.Dispatch(ctx, []broadcast.Request{r})
	if results[0].Err != nil || results[0].Rejected == nil || w.queues.deadLetters["m"] == nil {
		t.Fatalf("got %+v, want a rejected request", results[0])
	}
	if _, reason := broadcast.ClassOf(w.queues.deadLetters["m"]); reason != broadcast.ReasonAudience {
		t.Errorf("got reason %q, want %q", reason, broadcast.ReasonAudience)
	}
}

// Lambda may count the chain of a message from any message of the invocation that sent it.
func TestDispatcher_HopsFromLargest(t *testing.T) {
	w := newWorld(connections(400, time.Hour), 100)
	far, young := request("far"), request("young")
	far.Cursor, young.Cursor = broadcast.Cursor{Segments: 1}, broadcast.Cursor{Segments: 1}
	far.Hop = 5
	ctx, cancel := context.WithTimeout(t.Context(), w.Reserve/2)
	defer cancel()
	noErrors(t, w.Dispatch(ctx, []broadcast.Request{young, far}))
	if len(w.queues.continued) != 2 {
		t.Fatalf("got %d continuations, want 2", len(w.queues.continued))
	}
	for _, r := range w.queues.continued {
		if r.Hop != 6 {
			t.Errorf("%s: got hop %d, want 6", r.Message.ID, r.Hop)
		}
	}
}

func TestDispatcher_Unreadable(t *testing.T) {
	w := newWorld(connections(5, time.Hour), 100)
	malformed := broadcast.Permanent(broadcast.ReasonMalformed, errors.New("%"))
	bad := broadcast.Request{Record: broadcast.Record{ID: "bad"}, Unreadable: malformed}
	results := w.Dispatch(t.Context(), []broadcast.Request{request("m"), bad, request("n")})
	w.allOnce(t, "m", "n")
	if results[0].Err != nil || results[2].Err != nil || results[1].Err != nil || results[1].Rejected == nil ||
		w.queues.deadLetters["bad"] == nil {
		t.Errorf("got %+v, want only the second one rejected", results)
	}
	w.queues.putErr = errors.New("no dead-letter queue")
	if r := w.Dispatch(t.Context(), []broadcast.Request{bad}); r[0].Err == nil || r[0].Rejected != nil {
		t.Errorf("dead-letter queue down: got %+v, want an error", r[0])
	}
}

func TestDispatcher_Failures(t *testing.T) {
	cause := errors.New("no such table")
	for name, fail := range map[string]func(w world){
		"the table":  func(w world) { w.table.err = cause },
		"the ledger": func(w world) { w.ledger.err = cause },
		"the queue":  func(w world) { w.queues.sent = func() error { return cause } },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(connections(500, time.Hour), 100)
			fail(w)
			for _, r := range w.Dispatch(t.Context(), []broadcast.Request{request("m"), again(request("n"))}) {
				if !errors.Is(r.Err, cause) || r.Rejected != nil {
					t.Errorf("%s: got %v, %v, want %v", r.Request.Message.ID, r.Err, r.Rejected, cause)
				}
			}
			if len(w.queues.deadLetters) > 0 {
				t.Errorf("got dead letters %v, want none", w.queues.deadLetters)
			}
		})
	}
}

// A publisher may repeat a message under its id. Another payload under the same id is rejected, in the same pass and in
// a later one, for a table of one page and for one that is read in segments.
func TestDispatcher_IDReused(t *testing.T) {
	for name, rows := range map[string]int{"one page": 50, "segments": 500} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(connections(rows, time.Hour), 100)
			repeated, other := request("m"), request("m")
			repeated.Record.ID, other.Record.ID = "copy", "other"
			other.Message.Payload = []byte("another payload")
			noErrors(t, w.Dispatch(t.Context(), []broadcast.Request{request("m"), repeated, request("n")}))
			w.allOnce(t, "m", "n")
			noErrors(t, w.Dispatch(t.Context(), []broadcast.Request{repeated}))
			w.allOnce(t, "m", "n")

			rejected := func(results []fanout.Result) (ids []string) {
				for _, r := range results {
					if r.Rejected != nil {
						if _, reason := broadcast.ClassOf(r.Rejected); reason != broadcast.ReasonIDReused || r.Err != nil {
							t.Errorf("got %v, %v, want %s", r.Rejected, r.Err, broadcast.ReasonIDReused)
						}
						ids = append(ids, r.Request.Record.ID)
					}
				}
				return ids
			}
			for _, requests := range [][]broadcast.Request{{other}, {repeated, other, request("k")}} {
				if got := rejected(w.Dispatch(t.Context(), requests)); !slices.Equal(got, []string{"other"}) {
					t.Errorf("got %v rejected of %d, want other", got, len(requests))
				}
			}
			w.allOnce(t, "m", "n", "k")

			first, second := request("p"), request("p")
			second.Record.ID, second.Message.Payload = "q", []byte("another payload")
			if got := rejected(w.Dispatch(t.Context(), []broadcast.Request{first, second})); len(got) != 1 {
				t.Errorf("two payloads in one pass: got %v rejected, want one of them", got)
			}
			w.allOnce(t, "m", "n", "k", "p")
		})
	}
}

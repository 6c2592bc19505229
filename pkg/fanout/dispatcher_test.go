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

// table is a connections table in memory: rows in order, a number of them to a page, a row's segment by its place.
type table struct {
	rows  []broadcast.Connection
	old   map[string]bool // past their time: they fill pages, and are not shown
	page  int
	reads int
	mu    sync.Mutex
	err   error
	read  func(reads int) // called before each read
}

func (t *table) Page(_ context.Context, segment, segments int, after string) (connections []broadcast.Connection, next string, err error) {
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

// book is a ledger in memory.
type book struct {
	mu    sync.Mutex
	plans map[string]map[string]broadcast.Plan
	err   error
}

func (b *book) Plan(_ context.Context, id string, p broadcast.Plan) (broadcast.Plan, error) {
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

func (b *book) Emitted(_ context.Context, id string, p broadcast.Plan) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	held := b.plans[id][p.Key()]
	held.Emitted, held.Buckets = true, p.Buckets
	b.plans[id][p.Key()] = held
	return b.err
}

// queues are both queues and the dead letters in memory.
type queues struct {
	mu        sync.Mutex
	batches   []broadcast.Batch
	continued []broadcast.Request
	buried    map[string]error
	sent      func() error // called before batches are taken
	buryErr   error
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
	if q.buried == nil {
		q.buried = make(map[string]error)
	}
	q.buried[r.ID] = reason
	return q.buryErr
}

// reached returns how often the batches address each connection for the broadcast, and each batch id how often it
// occurs.
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
	book   *book
	queues *queues
}

func newWorld(rows []broadcast.Connection, page int) world {
	w := world{table: &table{rows: rows, page: page}, book: &book{}, queues: &queues{}}
	w.Dispatcher = &fanout.Dispatcher{
		Registry: w.table, Ledger: w.book, Batches: w.queues, Continuations: w.queues, DeadLetters: w.queues,
		Segments: 4, BatchConnections: 100, BatchPosts: 1000, Senders: 1, Reserve: time.Second,
	}
	return w
}

func (w world) everyoneOnce(t *testing.T, ids ...string) {
	t.Helper()
	for _, id := range ids {
		reached, _ := w.queues.reached(id)
		for _, c := range w.table.rows {
			if reached[c.ID] != 1 {
				t.Errorf("%s: %s is addressed %d times", id, c.ID, reached[c.ID])
			}
			delete(reached, c.ID)
		}
		if len(reached) > 0 {
			t.Errorf("%s: addressed are also %v", id, reached)
		}
	}
}

func noErrors(t *testing.T, results []fanout.Result) {
	t.Helper()
	for _, r := range results {
		if r.Err != nil || r.Rejected != nil {
			t.Errorf("%s: %v, %v", r.Request.Message.ID, r.Err, r.Rejected)
		}
	}
}

func TestEveryoneIsAddressedOnce(t *testing.T) {
	for _, test := range []struct {
		name             string
		rows, page       int
		senders, reads   int
		minimal, maximal int // batches
	}{
		{"nobody", 0, 100, 1, 1, 0, 0},
		{"one", 1, 100, 10, 1, 1, 1},
		{"a page", 100, 100, 1, 1, 1, 1},
		{"a page, for ten senders", 100, 100, 10, 1, 4, 4},
		{"many pages", 5000, 100, 1, 1 + 4*13, 50, 60},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(connections(test.rows, time.Hour), test.page)
			w.Senders = test.senders
			noErrors(t, w.Dispatch(t.Context(), []broadcast.Request{request("m")}))
			w.everyoneOnce(t, "m")
			if n := len(w.queues.batches); n < test.minimal || n > test.maximal {
				t.Errorf("%d batches, want %d to %d", n, test.minimal, test.maximal)
			}
			if w.table.reads != test.reads {
				t.Errorf("%d reads, want %d", w.table.reads, test.reads)
			}
			for id, p := range w.book.plans["m"] {
				if !p.Emitted && p.Split == 0 {
					t.Errorf("plan %s is not emitted", id)
				}
			}
		})
	}
}

func TestTheTableIsReadOnceForTenMessages(t *testing.T) {
	w := newWorld(connections(80, time.Hour), 100)
	var requests []broadcast.Request
	var ids []string
	for i := range 10 {
		ids = append(ids, fmt.Sprintf("m%d", i))
		requests = append(requests, request(ids[i]))
	}
	noErrors(t, w.Dispatch(t.Context(), requests))
	w.everyoneOnce(t, ids...)
	if w.table.reads != 1 {
		t.Errorf("%d reads", w.table.reads)
	}
	for _, b := range w.queues.batches {
		var order []string
		for _, m := range b.Messages {
			order = append(order, m.ID)
		}
		if !slices.Equal(order, ids) {
			t.Errorf("batch %s has the messages in the order %v", b.ID, order)
		}
		if posts := b.Len(); posts > 1500 {
			t.Errorf("batch %s asks for %d posts", b.ID, posts)
		}
	}
}

func TestMessagesTooLargeForOneBatchGoInSeveral(t *testing.T) {
	w := newWorld(connections(3, time.Hour), 100)
	var requests []broadcast.Request
	for i := range 10 {
		r := request(fmt.Sprintf("m%d", i))
		r.Message.Payload = []byte(strings.Repeat("x", broadcast.MaxPayloadBytes))
		requests = append(requests, r)
	}
	noErrors(t, w.Dispatch(t.Context(), requests))
	for _, r := range requests {
		w.everyoneOnce(t, r.Message.ID)
	}
	for _, b := range w.queues.batches {
		if _, err := b.Encode(); err != nil {
			t.Error(err)
		}
	}
	if n := len(w.queues.batches); n != 2 {
		t.Errorf("%d batches: 1.3 MB of payload take two", n)
	}
}

func TestExcludedAndSettlingConnections(t *testing.T) {
	at := time.Now()
	w := newWorld(append(connections(5, time.Hour), broadcast.Connection{ID: "c000007", ConnectedAt: at.Add(-3 * time.Second)}), 100)
	w.Now = func() time.Time { return at }
	r := request("m")
	r.Message.Exclude = []string{"c000001", "c000003"}
	results := w.Dispatch(t.Context(), []broadcast.Request{r, request("for all")})
	noErrors(t, results)
	reached, _ := w.queues.reached("m")
	if len(reached) != 4 || reached["c000001"]+reached["c000003"] != 0 {
		t.Errorf("reached %v", reached)
	}
	w.everyoneOnce(t, "for all")
	if a := w.book.plans["m"]["0/1.0"].Audience(); a != 4 || results[0].Connections != 4 {
		t.Errorf("the planned audience is %d, the result's %d; want 4", a, results[0].Connections)
	}
	for _, b := range w.queues.batches {
		if !slices.Equal(b.Settling, []string{"c000007"}) {
			t.Errorf("settling: %v", b.Settling)
		}
	}
}

// A sender takes a 410 for "gone" once ten seconds have passed since DispatchedAt: a client that connected while the
// table was read must not be younger then.
func TestAConnectionSettlesFromWhenItWasRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(connections(5, time.Hour), 100)
		w.table.read = func(int) {
			time.Sleep(30 * time.Second)
			w.table.rows = append(w.table.rows, broadcast.Connection{ID: "c000007", ConnectedAt: time.Now()})
		}
		noErrors(t, w.Dispatch(t.Context(), []broadcast.Request{request("m")}))
		for _, b := range w.queues.batches {
			if !slices.Equal(b.Settling, []string{"c000007"}) || b.DispatchedAt.Before(w.table.rows[5].ConnectedAt) {
				t.Errorf("settling %v since %v; it connected at %v", b.Settling, b.DispatchedAt, w.table.rows[5].ConnectedAt)
			}
		}
		w.everyoneOnce(t, "m")
	})
}

func TestTwoCopiesInOneEventAreOneBroadcast(t *testing.T) {
	w := newWorld(connections(5, time.Hour), 100)
	noErrors(t, w.Dispatch(t.Context(), []broadcast.Request{request("m"), request("m")}))
	w.everyoneOnce(t, "m")
}

// A dispatcher that dies, or a message that SQS hands over twice, must not address anyone under another batch id: that
// is how senders recognise what they have posted.
func TestARepeatedDispatchMakesTheSameBatches(t *testing.T) {
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
				t.Fatal(r[0].Err)
			}
			before := slices.Clone(w.queues.batches)
			test.before(w)
			noErrors(t, w.Dispatch(t.Context(), []broadcast.Request{again(request("m"))}))

			bucket := make(map[string]string) // of each connection
			for _, b := range w.queues.batches {
				for _, c := range b.Connections {
					if earlier, ok := bucket[c]; ok && earlier != b.ID {
						t.Fatalf("%s is addressed in batch %s and in batch %s", c, earlier, b.ID)
					}
					bucket[c] = b.ID
				}
			}
			for _, c := range w.table.rows {
				if bucket[c.ID] == "" && c.ID < "c001000" {
					t.Errorf("%s is not addressed", c.ID)
				}
			}
			if len(before) == 0 {
				t.Error("the first dispatch emitted nothing: the test shows nothing")
			}
		})
	}
}

// Two dispatchers may have the same message at once, because SQS handed it over twice, and the table may grow beyond a
// page between their reads, or shrink below it.
func TestTwoDispatchersReadTheTableInOneWay(t *testing.T) {
	for name, rows := range map[string][2]int{"first one page, then many": {80, 950}, "first many pages, then one": {950, 80}} {
		t.Run(name, func(t *testing.T) {
			all := connections(950, time.Hour)
			w := newWorld(all[:rows[0]], 100)
			// Both take the batches; the plans count as not emitted, as if the first had died before it could say so.
			w.Dispatch(t.Context(), []broadcast.Request{request("m")})
			for id, p := range w.book.plans["m"] {
				p.Emitted = false
				w.book.plans["m"][id] = p
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
						t.Fatalf("%s is addressed in batch %s and in batch %s", c, earlier, b.ID)
					}
					bucket[c] = b.ID
				}
			}
			for _, c := range all[:80] {
				if bucket[c.ID] == "" {
					t.Errorf("%s is not addressed", c.ID)
				}
			}
			if _, ids := w.queues.reached("m"); ids["0/1.0.0"]+ids["0/4.0.0"] != 2 {
				t.Errorf("the second dispatcher emitted none of the same batches: %v", ids)
			}
			w.everyoneOnce(t, "n")
		})
	}
}

// A stretch that is read for the second time ends where it did at first, whatever has become of its last row and of
// those around it.
func TestAStretchEndsWhereItEnded(t *testing.T) {
	for _, test := range []struct {
		name   string
		gone   func(i int) bool // rows that go before the second read
		old    func(i int) bool // rows that are past their time by then
		read   int              // while the stretch is read for the second time, before this read:
		going  func(i int) bool // rows that go
		coming string           // a row that comes
	}{
		{name: "its last row has gone", gone: func(i int) bool { return i%10 == 9 }},
		{name: "all around its last row have gone", gone: func(i int) bool { return i%100 > 5 && i%100 < 95 }},
		{name: "rows past their time fill the next pages", gone: func(i int) bool { return i == 9 }, old: func(i int) bool { return i > 9 && i < 70 }},
		{name: "the next rows go before they are met", gone: func(i int) bool { return i == 9 }, read: 5, going: func(i int) bool { return i > 9 && i < 24 }},
		{name: "the next row goes after it was met", gone: func(i int) bool { return i == 3 }, read: 6, going: func(i int) bool { return i == 10 }},
		{name: "a row comes right behind", gone: func(i int) bool { return i == 8 || i == 9 }, read: 5, coming: "c000009x"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(connections(300, time.Hour), 10)
			w.Segments, w.StretchConnections, w.BatchConnections = 1, 10, 3
			calls := 0
			w.queues.sent = func() error {
				if calls++; calls == 20 { // with most stretches planned, and none of them emitted again
					return errors.New("killed")
				}
				return nil
			}
			w.Dispatch(t.Context(), []broadcast.Request{request("m")})
			w.queues.sent = nil
			for id, p := range w.book.plans["m"] {
				p.Emitted = false
				w.book.plans["m"][id] = p
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
			w.StretchConnections = 25 // so that the second dispatcher would end its stretches elsewhere
			noErrors(t, w.Dispatch(t.Context(), []broadcast.Request{again(request("m"))}))

			bucket := make(map[string]string)
			for _, b := range w.queues.batches {
				for _, c := range b.Connections {
					if earlier, ok := bucket[c]; ok && earlier != b.ID {
						t.Errorf("%s is addressed in batch %s and in batch %s", c, earlier, b.ID)
					}
					bucket[c] = b.ID
				}
			}
			audience := 0
			for _, p := range w.book.plans["m"] {
				audience += p.Audience()
			}
			reached := 0
			for _, c := range w.table.rows {
				if bucket[c.ID] == "" && !w.table.old[c.ID] {
					t.Errorf("%s is not addressed", c.ID)
				}
				if !w.table.old[c.ID] {
					reached++
				}
			}
			// The ledger expects what was emitted, not what was planned: those who have left since would be outstanding for
			// ever.
			if audience < reached || audience > reached+4 {
				t.Errorf("the plans are of %d connections, and %d are addressed", audience, reached)
			}
		})
	}
}

func TestWhatIsEmittedIsNotEmittedAgain(t *testing.T) {
	w := newWorld(connections(950, time.Hour), 100)
	noErrors(t, w.Dispatch(t.Context(), []broadcast.Request{request("m")}))
	n := len(w.queues.batches)
	noErrors(t, w.Dispatch(t.Context(), []broadcast.Request{again(request("m")), request("new")}))
	if _, ids := w.queues.reached("m"); len(ids) != n {
		t.Errorf("%d batches, before there were %d", len(ids), n)
	}
	w.everyoneOnce(t, "m", "new")
}

func TestShortOfTimeTheRestIsHandedOn(t *testing.T) {
	w := newWorld(connections(4000, time.Hour), 100)
	w.Segments = 2
	var all []broadcast.Request
	pending := []broadcast.Request{request("m"), request("n")}
	for hop := 0; len(pending) > 0; hop++ {
		if hop > 200 {
			t.Fatal("it never ends")
		}
		// A deadline within the reserve: each dispatcher reads one page of each portion.
		ctx, cancel := context.WithTimeout(t.Context(), w.Reserve/2)
		w.queues.continued = nil
		noErrors(t, w.Dispatch(ctx, pending[:min(10, len(pending))]))
		cancel()
		pending = append(pending[min(10, len(pending)):], w.queues.continued...)
		all = append(all, w.queues.continued...)
		if hop == 0 && len(all) != 4 {
			t.Errorf("two broadcasts in two segments are continued in %d messages", len(all))
		}
		for i := range pending {
			pending[i].Hop = 0 // here it is about completeness
		}
	}
	w.everyoneOnce(t, "m", "n")
	for _, id := range []string{"m", "n"} {
		_, ids := w.queues.reached(id)
		for batch, n := range ids {
			if n != 1 {
				t.Errorf("batch %s of %s was emitted %d times", batch, id, n)
			}
		}
	}
}

func TestTooManyHopsEndInADeadLetter(t *testing.T) {
	w := newWorld(connections(400, time.Hour), 100)
	r := request("m")
	r.Cursor, r.Hop = broadcast.Cursor{Segments: 1}, fanout.MaxHops-1
	ctx, cancel := context.WithTimeout(t.Context(), w.Reserve/2)
	defer cancel()
	results := w.Dispatch(ctx, []broadcast.Request{r})
	if results[0].Err != nil || results[0].Rejected == nil || w.queues.buried["m"] == nil {
		t.Fatalf("%+v", results[0])
	}
	if _, reason := broadcast.ClassOf(w.queues.buried["m"]); reason != broadcast.ReasonAudience {
		t.Errorf("reason %q", reason)
	}
}

// Lambda may count the chain of each message that an invocation sends from whichever it was given.
func TestHopsCountFromTheLongestWayOfTheInvocation(t *testing.T) {
	w := newWorld(connections(400, time.Hour), 100)
	far, young := request("far"), request("young")
	far.Cursor, young.Cursor = broadcast.Cursor{Segments: 1}, broadcast.Cursor{Segments: 1}
	far.Hop = 5
	ctx, cancel := context.WithTimeout(t.Context(), w.Reserve/2)
	defer cancel()
	noErrors(t, w.Dispatch(ctx, []broadcast.Request{young, far}))
	if len(w.queues.continued) != 2 {
		t.Fatalf("%d are continued", len(w.queues.continued))
	}
	for _, r := range w.queues.continued {
		if r.Hop != 6 {
			t.Errorf("%s goes on at hop %d, want 6", r.Message.ID, r.Hop)
		}
	}
}

func TestTheUnreadableIsBuriedAndTheRestGoesOut(t *testing.T) {
	w := newWorld(connections(5, time.Hour), 100)
	bad := broadcast.Request{Record: broadcast.Record{ID: "bad"}, Unreadable: broadcast.Permanent(broadcast.ReasonMalformed, errors.New("%"))}
	results := w.Dispatch(t.Context(), []broadcast.Request{request("m"), bad, request("n")})
	w.everyoneOnce(t, "m", "n")
	if results[0].Err != nil || results[2].Err != nil || results[1].Err != nil || results[1].Rejected == nil || w.queues.buried["bad"] == nil {
		t.Errorf("%+v", results)
	}
	w.queues.buryErr = errors.New("no dead-letter queue")
	if r := w.Dispatch(t.Context(), []broadcast.Request{bad}); r[0].Err == nil || r[0].Rejected != nil {
		t.Errorf("what could not be buried has to come back: %+v", r[0])
	}
}

func TestFailuresBringTheMessagesBack(t *testing.T) {
	cause := errors.New("no such table")
	for name, breakIt := range map[string]func(w world){
		"the table":  func(w world) { w.table.err = cause },
		"the ledger": func(w world) { w.book.err = cause },
		"the queue":  func(w world) { w.queues.sent = func() error { return cause } },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(connections(500, time.Hour), 100)
			breakIt(w)
			for _, r := range w.Dispatch(t.Context(), []broadcast.Request{request("m"), again(request("n"))}) {
				if !errors.Is(r.Err, cause) || r.Rejected != nil {
					t.Errorf("%s: %v, %v", r.Request.Message.ID, r.Err, r.Rejected)
				}
			}
			if len(w.queues.buried) > 0 {
				t.Errorf("buried %v", w.queues.buried)
			}
		})
	}
}

package audit

import (
	"fmt"
	"hash/maphash"
	"math"
	"slices"
	"sync"
	"time"
)

// Trail is the record of a run. NewTrail returns one. All methods but Check are safe for concurrent use.
type Trail struct {
	begin time.Time
	seeds [2]maphash.Seed

	payloads sync.Map // digest to *Broadcast

	mu         sync.Mutex
	broadcasts []*Broadcast
	ids        map[string]*Broadcast
	clients    []*Client
	names      map[string]*Client
	passes     int
	allowed    map[delivery]int // repeats that are allowed
	dead       int              // connections that the system takes for open
}

// digest identifies a payload by two hashes with different seeds and the length, so that payloads are not kept.
type digest struct {
	a, b   uint64
	length int
}

// delivery is the delivery of a broadcast to a client, by their indexes.
type delivery struct{ broadcast, client uint32 }

// never is the time of an event that has not happened.
const never = math.MaxInt64

// NewTrail returns an empty trail of a run that begins at the given time. No event may be earlier.
func NewTrail(begin time.Time) *Trail {
	return &Trail{
		begin:   begin,
		seeds:   [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
		ids:     make(map[string]*Broadcast),
		names:   make(map[string]*Client),
		allowed: make(map[delivery]int),
	}
}

func (t *Trail) digest(payload []byte) digest {
	return digest{maphash.Bytes(t.seeds[0], payload), maphash.Bytes(t.seeds[1], payload), len(payload)}
}

// Broadcast is a payload that was offered.
type Broadcast struct {
	trail *Trail
	index uint32

	// trail.mu guards the following.
	id        string
	offered   int64 // nanoseconds since begin
	accepted  int64
	publisher string
	exclude   []string // sorted
	passed    bool
	pass      int // 0: none or several
	place     int // within the pass
	report    *Report
}

// Offer records that a publisher is about to publish a payload; exclude names the connections that must not receive it.
// Receptions are assigned by payload, so a second offer of the same payload is an error.
func (t *Trail) Offer(payload []byte, publisher string, at time.Time, exclude ...string) (*Broadcast, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	exclude = slices.Sorted(slices.Values(exclude))
	b := &Broadcast{
		trail: t, index: uint32(len(t.broadcasts)),
		offered: t.nanos(at), accepted: never, publisher: publisher, exclude: exclude,
	}
	if _, repeated := t.payloads.LoadOrStore(t.digest(payload), b); repeated {
		return nil, fmt.Errorf("offer payload of %d bytes: the same payload was offered before", len(payload))
	}
	t.broadcasts = append(t.broadcasts, b)
	return b, nil
}

// Accept records that the system has acknowledged the broadcast with an id. The broadcast is then owed.
func (b *Broadcast) Accept(id string, at time.Time) {
	b.Identify(id)
	b.trail.mu.Lock()
	defer b.trail.mu.Unlock()
	b.accepted = b.trail.nanos(at)
}

// Identify records the id of a broadcast that was not acknowledged. It may be delivered and is not owed.
func (b *Broadcast) Identify(id string) {
	b.trail.mu.Lock()
	defer b.trail.mu.Unlock()
	b.id = id
	b.trail.ids[id] = b
}

// Pass records that broadcasts were dispatched together, in this order. Each client must receive them in this order. A
// broadcast in two passes, as after a retry, has no order.
func (t *Trail) Pass(ids ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.passes++
	for place, id := range ids {
		b := t.ids[id]
		switch {
		case b == nil:
			continue
		case b.passed:
			b.pass = 0
		default:
			b.pass, b.place, b.passed = t.passes, place, true
		}
	}
}

// Party is the side that closed a connection.
type Party uint8

// The sides of a connection. A client that closes is not owed messages in flight; a connection closed by the system is.
const (
	ByClient Party = iota
	BySystem
)

// Client is one connection. After a reconnect it is another Client.
type Client struct {
	trail *Trail
	index uint32
	name  string

	mu         sync.Mutex
	opened     int64
	closed     int64
	by         Party
	receptions []reception
	strays     []stray
}

// reception is a received broadcast. It has eight bytes, as there may be many millions.
type reception struct {
	broadcast uint32
	at        uint32 // milliseconds since begin
}

// stray is a received payload that was not offered.
type stray struct {
	after  int // number of receptions before
	length int
	at     uint32
}

// Client returns the client of that name. A new client is not open.
func (t *Trail) Client(connection string) *Client {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.names[connection]
	if c == nil {
		c = &Client{trail: t, index: uint32(len(t.clients)), name: connection, opened: never, closed: never}
		t.names[connection] = c
		t.clients = append(t.clients, c)
	}
	return c
}

// Open records that the connection is open, once the client knows.
func (c *Client) Open(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.opened = c.trail.nanos(at)
}

// snapshot returns a copy of the client. Later receptions are only appended.
func (c *Client) snapshot() *Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &Client{
		trail: c.trail, index: c.index, name: c.name,
		opened: c.opened, closed: c.closed, by: c.by, receptions: c.receptions, strays: c.strays,
	}
}

// Close records that a side has closed the connection. Later calls have no effect.
func (c *Client) Close(at time.Time, by Party) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed == never {
		c.closed, c.by = c.trail.nanos(at), by
	}
}

// Receive records that the client received a payload.
func (c *Client) Receive(payload []byte, at time.Time) {
	t := c.trail
	found, known := t.payloads.Load(t.digest(payload))
	c.mu.Lock()
	defer c.mu.Unlock()
	millis := uint32(t.nanos(at) / int64(time.Millisecond))
	if !known {
		c.strays = append(c.strays, stray{len(c.receptions), len(payload), millis})
		return
	}
	c.receptions = append(c.receptions, reception{found.(*Broadcast).index, millis})
}

// Dead records n connections that the system takes for open although they never were, or are no longer part of the run.
// Reports may count them as gone or failed.
func (t *Trail) Dead(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dead += n
}

// MayRepeat allows one more repeat of a delivery: the test has crashed its sender before the outcome was recorded, or
// has dropped the answer.
func (t *Trail) MayRepeat(id, connection string) {
	c := t.Client(connection)
	t.mu.Lock()
	defer t.mu.Unlock()
	if b := t.ids[id]; b != nil {
		t.allowed[delivery{b.index, c.index}]++
	}
}

// Report is the system's own report on a broadcast, from its ledger.
type Report struct {
	Audience    int // all deliveries
	Delivered   int
	Gone        int            // the connection was closed
	Failed      map[string]int // by reason
	Outstanding int            // without an outcome
	Repeatable  int            // deliveries that may have been repeated
}

func (r Report) failed() int {
	sum := 0
	for _, n := range r.Failed {
		sum += n
	}
	return sum
}

// Report records the system's report on a broadcast. It replaces an earlier one.
func (t *Trail) Report(id string, r Report) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.ids[id]
	if b == nil {
		return fmt.Errorf("report on broadcast %s, which was not offered", id)
	}
	b.report = &r
	return nil
}

func (t *Trail) nanos(at time.Time) int64 { return max(0, int64(at.Sub(t.begin))) }

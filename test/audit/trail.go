package audit

import (
	"fmt"
	"hash/maphash"
	"math"
	"slices"
	"sync"
	"time"
)

// Trail is the record of a run. Make one with NewTrail.
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
	licences   map[delivery]int // repeats that are allowed, by delivery
	dead       int
}

// digest stands for a payload: two hashes of seeds of their own and the length, so that no payload need be kept.
type digest struct {
	a, b   uint64
	length int
}

// delivery is a broadcast to a client.
type delivery struct{ broadcast, client uint32 }

// never is a time that has not come.
const never = math.MaxInt64

// NewTrail returns an empty trail of a run that begins at the given time: no event of it is earlier.
func NewTrail(begin time.Time) *Trail {
	return &Trail{
		begin:    begin,
		seeds:    [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
		ids:      make(map[string]*Broadcast),
		names:    make(map[string]*Client),
		licences: make(map[delivery]int),
	}
}

func (t *Trail) digest(payload []byte) digest {
	return digest{maphash.Bytes(t.seeds[0], payload), maphash.Bytes(t.seeds[1], payload), len(payload)}
}

// Broadcast is a payload on its way to everybody.
type Broadcast struct {
	trail *Trail
	index uint32

	// All below is guarded by trail.mu.
	id        string
	offered   int64 // nanoseconds since the trail's begin
	accepted  int64
	publisher string
	exclude   []string // sorted
	passed    bool
	pass      int // 0: none, or several
	place     int // within the pass
	report    *Report
}

// Offer records that a publisher is about to hand a payload over; exclude names the connections that shall not receive
// it. Clients are told apart by what they receive, so that a payload may be offered once only: another time is an error.
func (t *Trail) Offer(payload []byte, publisher string, at time.Time, exclude ...string) (*Broadcast, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	exclude = slices.Sorted(slices.Values(exclude))
	b := &Broadcast{
		trail: t, index: uint32(len(t.broadcasts)),
		offered: t.nanos(at), accepted: never, publisher: publisher, exclude: exclude,
	}
	if _, repeated := t.payloads.LoadOrStore(t.digest(payload), b); repeated {
		return nil, fmt.Errorf("a payload of %d bytes was offered before: receptions could not be told apart", len(payload))
	}
	t.broadcasts = append(t.broadcasts, b)
	return b, nil
}

// Accept records that the system has acknowledged the broadcast under an id: from now on it is owed.
func (b *Broadcast) Accept(id string, at time.Time) {
	b.Identify(id)
	b.trail.mu.Lock()
	defer b.trail.mu.Unlock()
	b.accepted = b.trail.nanos(at)
}

// Identify records a broadcast's id without its having been acknowledged: it may be delivered, and is owed to nobody.
func (b *Broadcast) Identify(id string) {
	b.trail.mu.Lock()
	defer b.trail.mu.Unlock()
	b.id = id
	b.trail.ids[id] = b
}

// Pass records that broadcasts were handed on together, in this order, which then has to reach each client. A broadcast
// that is in two passes (it was handed on again) is in no order at all.
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

// Party is who closed a connection.
type Party uint8

// Whoever leaves forgoes what was still on its way; whom the system cuts off has been wronged.
const (
	ByClient Party = iota
	BySystem
)

// Client is one connection, from its opening to its close. A client that reconnects is another Client.
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

// reception is what a client received: eight bytes, for there may be many millions.
type reception struct {
	broadcast uint32
	at        uint32 // milliseconds since the trail's begin
}

// stray is a payload that nobody has offered.
type stray struct {
	after  int // how many receptions came before
	length int
	at     uint32
}

// Client returns the client of that name, which is not open yet if it is new.
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

// Open records that the connection is open: the system has told the client so.
func (c *Client) Open(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.opened = c.trail.nanos(at)
}

// snapshot returns the client as it is now. What it records from now on is only appended.
func (c *Client) snapshot() *Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &Client{
		trail: c.trail, index: c.index, name: c.name,
		opened: c.opened, closed: c.closed, by: c.by, receptions: c.receptions, strays: c.strays,
	}
}

// Close records that the connection has ended, and through whom.
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

// Dead records connections that the system takes for open though they never were, or are no longer part of the run: its
// books may count so many of them as gone or failed.
func (t *Trail) Dead(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dead += n
}

// MayRepeat allows one repeat of a delivery: the test has crashed what was delivering it before its outcome could be
// recorded, or has lost the answer.
func (t *Trail) MayRepeat(id, connection string) {
	c := t.Client(connection)
	t.mu.Lock()
	defer t.mu.Unlock()
	if b := t.ids[id]; b != nil {
		t.licences[delivery{b.index, c.index}]++
	}
}

// Report is what the system's own books say of a broadcast.
type Report struct {
	Audience    int // deliveries that were undertaken
	Delivered   int
	Gone        int            // the connection no longer existed
	Failed      map[string]int // by reason
	Outstanding int            // not ended yet
	Repeatable  int            // deliveries that may have been made again
}

func (r Report) failed() int {
	sum := 0
	for _, n := range r.Failed {
		sum += n
	}
	return sum
}

// Report records what the system's books say of a broadcast; a later report replaces an earlier one.
func (t *Trail) Report(id string, r Report) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.ids[id]
	if b == nil {
		return fmt.Errorf("there is a report of broadcast %s, which nobody has offered", id)
	}
	b.report = &r
	return nil
}

func (t *Trail) nanos(at time.Time) int64 { return max(0, int64(at.Sub(t.begin))) }

package engine

import (
	"net/netip"
	"time"

	"fanfare/loadtest/result"
)

// Plan is what an engine needs to know to open its clients. It travels to worker processes as JSON.
type Plan struct {
	URL            string
	Header         map[string][]string
	Process        int // from 0
	Processes      int // at least 1
	Connections    int // clients of the whole run; a process has those whose number modulo Processes is its own
	Ramp           float64
	Slow           int // the last so many clients do not read as they should
	SlowRate       int // bytes per second
	Publishers     int
	Via            string // Clients, Queue or Both
	QueueURL       string
	Sources        []netip.Addr
	Shards         int
	ConnectTimeout time.Duration
	Attempts       int           // to connect, per client
	Ping           time.Duration // 0: never
	Streams        bool
	Start          int64 // of the ramp, microseconds since the Unix epoch
}

// Ways to publish.
const (
	Clients = "clients"
	Queue   = "queue"
	Both    = "both"
)

// Measurement is one measurement on an engine's connections. It travels to worker processes as JSON.
type Measurement struct {
	Conditions result.Conditions
	Body       []byte // of every payload; nil: pad to Conditions.Size
	Settle     time.Duration
	File       string
}

// Slots returns the clients of this process.
func (p *Plan) Slots() []int {
	var slots []int
	for slot := p.Process; slot < p.Connections; slot += p.Processes {
		slots = append(slots, slot)
	}
	return slots
}

// slow tells whether a client is one that does not read as it should.
func (p *Plan) slow(slot int) bool { return slot >= p.Connections-p.Slow }

// publisher is one of those who publish in turns.
type publisher struct {
	byQueue bool
	slot    int // of the client, if not by the queue
}

// publishers returns all publishers of the run. Clients that publish are spread evenly over those that read; with both
// ways, they alternate with the queue.
func (p *Plan) publishers() []publisher {
	all := make([]publisher, p.Publishers)
	readers := max(p.Connections-p.Slow, 1)
	for i := range all {
		all[i].byQueue = p.Via == Queue || p.Via == Both && i%2 == 1
		if !all[i].byQueue {
			all[i].slot = i * readers / p.Publishers
		}
	}
	return all
}

// mine tells whether a publisher belongs to this process: a client's to the process that has the client, a queue's in
// turn.
func (p *Plan) mine(number int, who publisher) bool {
	if who.byQueue {
		return number%p.Processes == p.Process
	}
	return who.slot%p.Processes == p.Process
}

// Movers returns the clients of this process that may be made to reconnect: those that read and do not publish, since
// an answer to a publisher that leaves would be lost with its connection.
func (p *Plan) Movers() []int {
	busy := map[int]bool{}
	for _, who := range p.publishers() {
		if !who.byQueue {
			busy[who.slot] = true
		}
	}
	var movers []int
	for _, slot := range p.Slots() {
		if !busy[slot] && !p.slow(slot) {
			movers = append(movers, slot)
		}
	}
	return movers
}

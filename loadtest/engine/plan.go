package engine

import (
	"net/netip"
	"time"

	"fanfare/loadtest/result"
)

// Plan describes the clients of a load test. It is sent to worker processes as JSON.
type Plan struct {
	URL            string
	Header         map[string][]string
	Protocols      []string // sub-protocols to offer
	Process        int      // from 0
	Processes      int      // at least 1
	Connections    int      // of the whole run; a process has the clients whose number modulo Processes is its own
	Ramp           float64  // connects per second, over all processes
	Slow           int      // number of slow clients: the last ones
	SlowRate       int      // bytes per second that a slow client reads
	Publishers     int
	Via            string // Clients, Queue or Both
	QueueURL       string
	Sources        []netip.Addr
	Shards         int
	ConnectTimeout time.Duration
	Attempts       int           // to connect each client
	Ping           time.Duration // interval of keep-alive messages; 0: none
	Streams        bool
	Start          int64 // time of the first connect, microseconds since the Unix epoch
}

// The values of Plan.Via.
const (
	Clients = "clients"
	Queue   = "queue"
	Both    = "both"
)

// Measurement is one measurement on open connections. It is sent to worker processes as JSON.
type Measurement struct {
	Conditions result.Conditions
	Body       []byte        // content of every payload; nil: padding to Conditions.Size
	Settle     time.Duration // wait for duplicates
	File       string        // result file
}

// Slots returns the numbers of the clients of this process.
func (p *Plan) Slots() []int {
	var slots []int
	for slot := p.Process; slot < p.Connections; slot += p.Processes {
		slots = append(slots, slot)
	}
	return slots
}

// slow reports whether a client is a slow one.
func (p *Plan) slow(slot int) bool { return slot >= p.Connections-p.Slow }

// publisher is a client or a queue connection; publishers publish in turns.
type publisher struct {
	byQueue bool
	slot    int // of the client, unless byQueue
}

// publishers returns all publishers of the run. Publishing clients are spread evenly over those that are not slow; with
// Both they alternate with the queue.
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

// owns reports whether a publisher belongs to this process. A client belongs to the process that has it; queue
// publishers are assigned in rotation.
func (p *Plan) owns(number int, who publisher) bool {
	if who.byQueue {
		return number%p.Processes == p.Process
	}
	return who.slot%p.Processes == p.Process
}

// Movers returns the clients of this process that churn may reconnect: those that are not slow and do not publish. An
// answer to a publisher that reconnects would be lost.
func (p *Plan) Movers() []int {
	publishing := map[int]bool{}
	for _, who := range p.publishers() {
		if !who.byQueue {
			publishing[who.slot] = true
		}
	}
	var movers []int
	for _, slot := range p.Slots() {
		if !publishing[slot] && !p.slow(slot) {
			movers = append(movers, slot)
		}
	}
	return movers
}

package engine

import (
	"encoding/json"
	"sync/atomic"

	"fanfare/loadtest/client"
	"fanfare/loadtest/latency"
	"fanfare/loadtest/payload"
	"fanfare/loadtest/result"
	"fanfare/loadtest/timing"
)

// listener records what the connections of one shard receive. All but its counters is guarded by the shard's lock.
type listener struct {
	engine *Engine

	records  *result.Shard // nil between measurements
	run      string
	earlier  map[string]bool // runs measured before on these connections
	turns    timing.Turns
	asked    map[*client.Conn]*questions
	answered bool // anybody's message
	live     *latency.Histogram
	total    uint32 // events of the measurement
	patience int64  // microseconds that an answer may take
	digest   uint64 // of all of them

	complete atomic.Int64 // connections that have everything
	frames   atomic.Int64
	answers  atomic.Int64
	accepted atomic.Int64
}

// questions are a publisher's messages that wait for an answer. An answer does not say which message it is for, so they
// are taken in order; while several wait, that is a guess.
type questions struct {
	waiting []question
	mixed   bool // several waited at some time since none did
}

type question struct {
	event uint32
	at    int64
}

// maxQuestions bounds what is remembered for a publisher; a system that answers nothing needs no more.
const maxQuestions = 4096

// begin starts a measurement.
func (l *listener) begin(c *result.Conditions, records *result.Shard) {
	l.records, l.run, l.turns = records, c.Run, timing.Turns{Publishers: max(c.Publishers, 1)}
	l.asked, l.answered, l.live = map[*client.Conn]*questions{}, false, latency.NewCoarse()
	l.total, l.digest, l.patience = uint32(c.Count), 0, c.Deadline.Microseconds()
	for n := range l.total {
		l.digest ^= mix(n)
	}
	l.complete.Store(0)
	l.frames.Store(0)
	l.answers.Store(0)
	l.accepted.Store(0)
}

// end stops it.
func (l *listener) end() {
	l.earlier[l.run] = true
	l.records.Flush()
	l.records = nil
}

// mix spreads an event's number over 64 bits (the finalizer of MurmurHash3), so that the exclusive-or of a set of
// events hardly ever equals that of another.
func mix(n uint32) uint64 {
	x := uint64(n) + 0x9e3779b97f4a7c15
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

func (l *listener) Opened(c *client.Conn) {
	l.engine.arrived(c)
	if l.records != nil {
		l.opened(c)
	}
}

func (l *listener) opened(c *client.Conn) {
	r := result.Record{Kind: result.Opened, Connection: c.ID, At: c.At, A: int64(c.Slot), B: c.Took}
	if c.Slow {
		r.Flag = result.Slow
	}
	c.Count, c.Digest, c.Whole = 0, 0, false
	l.records.Add(r)
}

func (l *listener) Closed(c *client.Conn, cause uint8, code int, detail string, at int64) {
	if l.records != nil {
		l.records.Add(result.Record{Kind: result.Closed, Connection: c.ID, At: at, Flag: cause, A: int64(code), Text: detail})
		delete(l.asked, c)
		if c.Whole {
			l.complete.Add(-1)
		}
	}
	l.engine.left(c, cause)
}

func (l *listener) Message(c *client.Conn, text []byte, binary bool, at int64) {
	if l.records == nil {
		return
	}
	l.frames.Add(1)
	h, kind, readable := payload.Recognise(text, l.run)
	if kind == payload.Sound && !binary {
		n := uint32(l.turns.Event(h.Publisher, h.Sequence))
		l.records.Delivered(c.ID, n, at)
		l.live.Add(at - h.At)
		c.Count++
		c.Digest ^= mix(n)
		if c.Count == l.total && c.Digest == l.digest {
			c.Whole = true
			l.complete.Add(1)
		}
		return
	}
	if kind != payload.Sound && !readable && l.answer(c, text, at) {
		l.answers.Add(1)
		return
	}
	odd := result.Record{Kind: result.Odd, Connection: c.ID, At: at, Flag: result.Corrupt, A: int64(len(text))}
	switch kind {
	case payload.Sound:
		odd.Text, readable = "published as text, delivered as a binary frame", true
	case payload.Foreign:
		odd.Flag = result.Foreign
		if l.earlier[payload.Run(text)] {
			odd.Flag = result.Stale
		}
	}
	if readable {
		odd.Broadcast, odd.B = uint32(l.turns.Event(h.Publisher, h.Sequence)), 1
	}
	l.records.Add(odd)
}

// reply is whatever a system says to a client in its own name.
type reply struct {
	Type    string `json:"type"`
	ID      string `json:"id"`
	Code    string `json:"code"`
	Message string `json:"message"`
	// API Gateway's own errors have these two and no type.
	ConnectionID string `json:"connectionId"`
	RequestID    string `json:"requestId"`
}

// answer takes text for an answer if it is one.
func (l *listener) answer(c *client.Conn, text []byte, at int64) bool {
	var r reply
	if len(text) == 0 || text[0] != '{' || json.Unmarshal(text, &r) != nil {
		return false
	}
	record := result.Record{Kind: result.Answered, Connection: c.ID, At: at}
	switch {
	case r.Type == "pong":
		return true
	case r.Type == "ack":
		record.Flag, record.Text = result.Acknowledged, r.ID
	case r.Type == "error":
		record.Flag, record.Text = result.Refused, r.Code
	case r.Type == "" && r.RequestID != "" && r.Message != "":
		record.Flag, record.Text = result.Refused, "API Gateway: "+r.Message
	default:
		return false
	}
	q := l.asked[c]
	if q == nil || len(q.waiting) == 0 {
		l.records.Add(result.Record{Kind: result.Odd, Connection: c.ID, At: at, Flag: result.StrayAnswer, A: int64(len(text)),
			Text: r.Type})
		l.answers.Add(-1) // it is recorded as an odd arrival instead
		return true
	}
	l.answered = true
	record.Broadcast = q.waiting[0].event
	if q.mixed {
		record.Flag |= result.Guessed
	}
	if q.waiting = q.waiting[1:]; len(q.waiting) == 0 {
		q.waiting, q.mixed = nil, false
	}
	if record.Flag&^result.Guessed == result.Acknowledged {
		l.accepted.Add(1)
	}
	l.records.Add(record)
	return true
}

// ask remembers that a message waits for its answer, and gives up on those that have waited past the deadline: their
// answers will not come, and must not be taken for those of others for ever.
func (l *listener) ask(c *client.Conn, event uint32, at int64) {
	q := l.asked[c]
	if q == nil {
		q = &questions{}
		l.asked[c] = q
	}
	for len(q.waiting) > 0 && at-q.waiting[0].at > l.patience {
		q.waiting = q.waiting[1:]
	}
	if len(q.waiting) == 0 {
		q.mixed = false
	}
	if len(q.waiting) < maxQuestions {
		q.waiting = append(q.waiting, question{event, at})
	}
	q.mixed = q.mixed || len(q.waiting) > 1
}

// forget takes the last question back, after it could not be asked.
func (l *listener) forget(c *client.Conn, event uint32) {
	if q := l.asked[c]; q != nil && len(q.waiting) > 0 && q.waiting[len(q.waiting)-1].event == event {
		q.waiting = q.waiting[:len(q.waiting)-1]
	}
}

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

// listener records what the connections of one shard receive. The shard's lock guards everything but the atomic
// counters.
type listener struct {
	engine *Engine

	records    *result.Shard // nil between measurements
	run        string
	earlier    map[string]bool // runs measured earlier on these connections
	turns      timing.Turns
	pending    map[*client.Conn]*pending
	answered   bool // the system has answered some message
	live       *latency.Histogram
	total      uint32 // messages of the measurement
	answerTime int64  // in which an answer must arrive, microseconds
	digest     uint64 // of all messages

	complete atomic.Int64 // connections that have all messages
	frames   atomic.Int64
	answers  atomic.Int64
	accepted atomic.Int64
}

// pending has a publisher's messages without an answer. An answer does not name its message, so answers are assigned in
// order; while several messages wait, this is a guess.
type pending struct {
	messages []unanswered
	mixed    bool // several have waited since the list was last empty
}

// unanswered is a message that waits for its answer.
type unanswered struct {
	event uint32
	at    int64
}

// maxPending bounds the messages kept for a publisher, in case the system answers nothing.
const maxPending = 4096

// begin starts recording a measurement.
func (l *listener) begin(c *result.Conditions, records *result.Shard) {
	l.records, l.run, l.turns = records, c.Run, timing.Turns{Publishers: max(c.Publishers, 1)}
	l.pending, l.answered, l.live = map[*client.Conn]*pending{}, false, latency.NewCoarse()
	l.total, l.digest, l.answerTime = uint32(c.Count), 0, c.Deadline.Microseconds()
	for n := range l.total {
		l.digest ^= mix(n)
	}
	l.complete.Store(0)
	l.frames.Store(0)
	l.answers.Store(0)
	l.accepted.Store(0)
}

// end stops recording.
func (l *listener) end() {
	l.earlier[l.run] = true
	l.records.Flush()
	l.records = nil
}

// mix hashes a message's number to 64 bits (the finalizer of MurmurHash3), so that the XOR over a set of messages
// identifies the set.
func mix(n uint32) uint64 {
	x := uint64(n) + 0x9e3779b97f4a7c15
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// Opened implements client.Handler.
func (l *listener) Opened(c *client.Conn) {
	l.engine.addConn(c)
	if l.records != nil {
		l.opened(c)
	}
}

// opened records an open connection.
func (l *listener) opened(c *client.Conn) {
	r := result.Record{Kind: result.Opened, Connection: c.ID, At: c.At, A: int64(c.Slot), B: c.Took}
	if c.Slow {
		r.Flag = result.Slow
	}
	c.Count, c.Digest, c.Whole = 0, 0, false
	l.records.Add(r)
}

// Closed implements client.Handler.
func (l *listener) Closed(c *client.Conn, cause uint8, code int, detail string, at int64) {
	if l.records != nil {
		l.records.Add(result.Record{Kind: result.Closed, Connection: c.ID, At: at, Flag: cause, A: int64(code), Text: detail})
		delete(l.pending, c)
		if c.Whole {
			l.complete.Add(-1)
		}
	}
	l.engine.removeConn(c, cause)
}

// Message implements client.Handler.
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

// reply is a message from the system itself.
type reply struct {
	Type    string `json:"type"`
	ID      string `json:"id"`
	Code    string `json:"code"`
	Message string `json:"message"`
	// Errors of API Gateway have these two and no type.
	ConnectionID string `json:"connectionId"`
	RequestID    string `json:"requestId"`
}

// answer records text as an answer to the oldest pending message. It reports whether text is an answer.
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
	q := l.pending[c]
	if q == nil || len(q.messages) == 0 {
		l.records.Add(result.Record{Kind: result.Odd, Connection: c.ID, At: at, Flag: result.StrayAnswer, A: int64(len(text)),
			Text: r.Type})
		l.answers.Add(-1) // it counts as an odd frame instead
		return true
	}
	l.answered = true
	record.Broadcast = q.messages[0].event
	if q.mixed {
		record.Flag |= result.Guessed
	}
	if q.messages = q.messages[1:]; len(q.messages) == 0 {
		q.messages, q.mixed = nil, false
	}
	if record.Flag&^result.Guessed == result.Acknowledged {
		l.accepted.Add(1)
	}
	l.records.Add(record)
	return true
}

// addPending adds a message that waits for its answer. It removes messages that have waited longer than the deadline,
// so that later answers are not assigned to them.
func (l *listener) addPending(c *client.Conn, event uint32, at int64) {
	q := l.pending[c]
	if q == nil {
		q = &pending{}
		l.pending[c] = q
	}
	for len(q.messages) > 0 && at-q.messages[0].at > l.answerTime {
		q.messages = q.messages[1:]
	}
	if len(q.messages) == 0 {
		q.mixed = false
	}
	if len(q.messages) < maxPending {
		q.messages = append(q.messages, unanswered{event, at})
	}
	q.mixed = q.mixed || len(q.messages) > 1
}

// removePending removes the newest message after it could not be sent.
func (l *listener) removePending(c *client.Conn, event uint32) {
	if q := l.pending[c]; q != nil && len(q.messages) > 0 && q.messages[len(q.messages)-1].event == event {
		q.messages = q.messages[:len(q.messages)-1]
	}
}

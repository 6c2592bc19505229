package account

import (
	"cmp"
	"slices"
	"time"

	"fanfare/loadtest/latency"
	"fanfare/loadtest/result"
	"fanfare/loadtest/timing"
)

// builder computes an account. Messages are in the order of publishing; other fields refer to them by index.
type builder struct {
	*Account
	turns    timing.Turns
	deadline int64 // microseconds
	messages []message
	indexOf  []int32 // by message number; -1 if it was not published
	segments []*segmentBuilder
	findings map[string]int // by kind
}

// message is a published message with its state.
type message struct {
	Broadcast
	origin  origin
	answer  uint8
	guessed bool
	seen    bool     // by any connection
	times   []uint32 // microseconds of each delivery

	// The following include slow connections, for the comparison with the system's ledger.
	received int64 // connections with a whole copy
	unsure   int64 // connections with an unknown outcome
	arrived  int64 // time of the last first copy
}

// origin is the connection that published a message, and its process.
type origin struct {
	process    int
	connection uint32
}

// segmentBuilder is the part of a builder for the connections of one segment.
type segmentBuilder struct {
	*builder
	segment     *result.Segment
	connections []connection
	latency     latency.Histogram // merged into the account's at the end
	last        int64             // last time in the segment
}

// connection is one connection with its state.
type connection struct {
	opened, closed int64 // 0: not
	cause          uint8
	slow           bool
	slot           int
	highest        int32    // index of the latest message so far, -1 for none
	seen           []uint64 // bit set by index
	corrupt        []int32  // indexes of damaged copies
}

// gather reads the connections, the published messages and their answers, but not the deliveries.
func gather(a *Account, segments []*result.Segment) (*builder, error) {
	c := a.Conditions
	a.Series = Series{Start: c.Start, Width: time.Second}
	b := &builder{Account: a, turns: timing.Turns{Publishers: max(c.Publishers, 1)}, deadline: c.Deadline.Microseconds(),
		findings: map[string]int{}}
	a.Connections = Connections{Wanted: c.Connections, Required: c.Required(), Unopened: map[string]int{},
		Causes: map[string]int{}}
	a.Publishing = Publishing{Scheduled: c.Count, Unpublished: map[string]int{}, Refused: map[string]int{}}
	var answers []result.Record
	for _, segment := range segments {
		s := &segmentBuilder{builder: b, segment: segment}
		b.segments = append(b.segments, s)
		err := segment.Each(func(r *result.Record) error {
			s.last = max(s.last, r.At)
			switch r.Kind {
			case result.Opened, result.Closed:
				s.addConnection(r)
			case result.Unopened:
				a.Connections.Unopened[r.Text]++
				if r.Flag == result.Harness {
					a.Connections.Unmade++
				}
			case result.Published:
				b.publish(r, segment.Conditions.Process)
			case result.Unpublished:
				a.Publishing.Unpublished[r.Text]++
			case result.Answered:
				answers = append(answers, *r)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		s.closeUnfinished()
		s.countStarted()
	}
	b.order()
	for i := range answers {
		b.answer(&answers[i])
	}
	for i := range b.messages {
		if b.messages[i].answer == 0 {
			a.Publishing.Unanswered++
		}
	}
	a.Publishing.Silent = len(answers) == 0
	return b, nil
}

// countStarted counts the connections that were open when the first message was due.
func (s *segmentBuilder) countStarted() {
	start := s.Conditions.Start
	for i := range s.connections {
		if c := &s.connections[i]; c.opened <= start && c.closed > start {
			s.Connections.Started++
		}
	}
}

// addConnection counts an opened or a closed connection.
func (s *segmentBuilder) addConnection(r *result.Record) {
	c := s.connection(r.Connection)
	if r.Kind == result.Opened {
		c.opened, c.slot, c.slow = r.At, int(r.A), r.Flag == result.Slow
		s.Connections.Opened++
		if c.slow {
			s.Connections.Slow++
		}
		s.Connections.Took.Add(r.B)
		return
	}
	c.closed, c.cause = r.At, r.Flag
	switch r.Flag {
	case result.Moved:
		s.Connections.Moved++
		return
	case result.Peer:
		s.Connections.Lost++
	case result.Broken:
		s.Connections.Broken++
	case result.Harness:
		s.Connections.Dropped++
	default:
		return
	}
	cause := result.CauseName(r.Flag) + ": " + r.Text
	s.Connections.Causes[cause]++
	s.addFinding(Finding{Kind: "lost", Connection: int(r.Connection), Broadcast: -1, At: r.At, Text: cause})
}

// connection returns a connection by its number; it adds missing ones.
func (s *segmentBuilder) connection(n uint32) *connection {
	for int(n) >= len(s.connections) {
		s.connections = append(s.connections, connection{highest: -1})
	}
	return &s.connections[n]
}

// closeUnfinished closes the connections that have no end because their process did not finish. The harness has lost
// them.
func (s *segmentBuilder) closeUnfinished() {
	for i := range s.connections {
		if c := &s.connections[i]; c.opened != 0 && c.closed == 0 {
			c.closed, c.cause = s.last, result.Harness
			s.Connections.Dropped++
			s.Connections.Causes[result.CauseName(result.Harness)+": its process did not finish"]++
		}
	}
}

// publish adds a published message.
func (b *builder) publish(r *result.Record, process int) {
	publisher, sequence := b.turns.Of(int(r.Broadcast))
	byQueue := r.Flag == result.ByQueue
	b.Publishing.Sent++
	if byQueue {
		b.Publishing.ByQueue++
	}
	b.messages = append(b.messages, message{origin: origin{process, r.Connection}, Broadcast: Broadcast{
		Number: int(r.Broadcast), Publisher: publisher, Sequence: sequence, ByQueue: byQueue,
		Intended: r.A, Sent: r.At,
		Warm: r.A < b.Conditions.Start+b.Conditions.Warmup.Microseconds(),
	}})
}

// order sorts the messages by the time of publishing and sets indexOf.
func (b *builder) order() {
	slices.SortFunc(b.messages, func(x, y message) int {
		return cmp.Or(cmp.Compare(x.Sent, y.Sent), cmp.Compare(x.Number, y.Number))
	})
	highest := -1
	for i := range b.messages {
		highest = max(highest, b.messages[i].Number)
	}
	b.indexOf = slices.Repeat([]int32{-1}, highest+1)
	for index := range b.messages {
		b.indexOf[b.messages[index].Number] = int32(index)
	}
}

// index returns the index of the message of that number, -1 if it was not published.
func (b *builder) index(number uint32) int32 {
	if int(number) >= len(b.indexOf) {
		return -1
	}
	return b.indexOf[number]
}

// answer adds the answer to a message.
func (b *builder) answer(r *result.Record) {
	index := b.index(r.Broadcast)
	if index < 0 {
		return
	}
	m := &b.messages[index]
	m.answer, m.guessed = r.Flag&^result.Guessed, r.Flag&result.Guessed != 0
	if m.guessed {
		b.Publishing.Guessed++
	}
	if m.answer == result.Refused {
		b.Publishing.Refused[r.Text]++
		return
	}
	b.Publishing.Acknowledged++
	m.ID, m.Acknowledged = r.Text, r.At
	if !m.Warm {
		b.Latency.Acknowledged.Add(r.At - m.Intended)
	}
}

// addFinding adds a finding about a connection of the segment.
func (s *segmentBuilder) addFinding(f Finding) {
	f.Process = s.segment.Conditions.Process
	f.Slot = s.connections[f.Connection].slot
	s.keepFinding(f)
}

// keepFinding adds a finding unless there are FindingsKept of its kind.
func (b *builder) keepFinding(f Finding) {
	if b.findings[f.Kind]++; b.findings[f.Kind] <= FindingsKept {
		b.Findings = append(b.Findings, f)
	}
}

func microseconds(us int64) time.Duration { return time.Duration(us) * time.Microsecond }

package account

import (
	"fmt"
	"time"

	"fanfare/loadtest/result"
)

// readDeliveries reads the deliveries and the odd frames of one segment.
func (s *segmentBuilder) readDeliveries() error {
	words := (len(s.messages) + 63) / 64
	for i := range s.connections {
		s.connections[i].seen = make([]uint64, words)
	}
	err := s.segment.Each(func(r *result.Record) error {
		switch r.Kind {
		case result.Delivered, result.Odd:
			if int(r.Connection) >= len(s.connections) || s.connections[r.Connection].opened == 0 {
				return fmt.Errorf("results of process %d: delivery to connection %d, which was not opened",
					s.segment.Conditions.Process, r.Connection)
			}
			if r.Kind == result.Odd {
				s.addOdd(r)
			} else {
				s.addDelivery(r)
			}
		}
		return nil
	})
	s.Latency.Delivery.Merge(&s.latency)
	return err
}

// tally returns the counters for a connection.
func (s *segmentBuilder) tally(c *connection) *Deliveries {
	if c.slow {
		return &s.Slow
	}
	return &s.Deliveries
}

// addDelivery counts a delivery.
func (s *segmentBuilder) addDelivery(r *result.Record) {
	c := &s.connections[r.Connection]
	tally := s.tally(c)
	index := s.index(r.Broadcast)
	if index < 0 {
		tally.Unknown++
		s.addFinding(Finding{Kind: "unknown", Connection: int(r.Connection), Broadcast: int(r.Broadcast), At: r.At,
			Text: "the payload was never published"})
		return
	}
	m := &s.messages[index]
	if c.has(index) {
		tally.Duplicates++
		if !c.slow {
			m.Duplicates++
		}
		s.addFinding(Finding{Kind: "duplicate", Connection: int(r.Connection), Broadcast: m.Number, At: r.At})
		return
	}
	c.seen[index/64] |= 1 << (index % 64)
	m.seen = true
	m.received++
	m.arrived = max(m.arrived, r.At)
	if index < c.highest {
		tally.Reordered++
		text := "after a later message"
		if s.outOfTurn(c, index) {
			tally.OutOfTurn++
			text = "after a later message of the same publisher"
		}
		s.addFinding(Finding{Kind: "reordered", Connection: int(r.Connection), Broadcast: m.Number, At: r.At, Text: text})
	}
	c.highest = max(c.highest, index)
	took := r.At - m.Intended
	if s.deadline > 0 && took > s.deadline {
		tally.Late++
		s.addFinding(Finding{Kind: "late", Connection: int(r.Connection), Broadcast: m.Number, At: r.At,
			Text: microseconds(took).Round(time.Millisecond).String()})
	}
	s.Series.delivered(r.At, m.Intended, took, c.slow)
	if !c.slow {
		m.times = append(m.times, uint32(min(max(took, 0), 1<<32-1)))
		if !m.Warm {
			s.latency.Add(took)
		}
	}
}

// has reports whether the connection has received the message of that index.
func (c *connection) has(index int32) bool { return c.seen[index/64]&(1<<(index%64)) != 0 }

// outOfTurn reports whether a later message of the same publisher came before the message of this index.
func (s *segmentBuilder) outOfTurn(c *connection, index int32) bool {
	m := &s.messages[index]
	for next := m.Number + s.turns.Publishers; next < len(s.indexOf); next += s.turns.Publishers {
		later := s.indexOf[next]
		if later > index && c.has(later) {
			return true
		}
		if later > c.highest {
			return false
		}
	}
	return false
}

// oddKinds have the kind of finding and the counter for each flag of an odd frame.
var oddKinds = map[uint8]struct {
	kind    string
	counter func(*Deliveries) *int64
}{
	result.Corrupt:     {"corrupt", func(d *Deliveries) *int64 { return &d.CorruptTexts }},
	result.Foreign:     {"foreign", func(d *Deliveries) *int64 { return &d.ForeignTexts }},
	result.StrayAnswer: {"stray answer", func(d *Deliveries) *int64 { return &d.StrayAnswers }},
	result.Stale:       {"stale", func(d *Deliveries) *int64 { return &d.Stale }},
}

// addOdd counts an odd frame.
func (s *segmentBuilder) addOdd(r *result.Record) {
	odd, ok := oddKinds[r.Flag]
	if !ok {
		return
	}
	c := &s.connections[r.Connection]
	*odd.counter(s.tally(c))++
	if r.Flag == result.Stale {
		return
	}
	f := Finding{Kind: odd.kind, Connection: int(r.Connection), Broadcast: -1, At: r.At,
		Text: fmt.Sprintf("%d bytes", r.A)}
	if r.Text != "" {
		f.Text += ", " + r.Text
	}
	if r.Flag == result.Corrupt && r.B == 1 {
		if index := s.index(r.Broadcast); index >= 0 {
			f.Broadcast = int(r.Broadcast)
			c.corrupt = append(c.corrupt, index)
		}
	}
	s.addFinding(f)
}

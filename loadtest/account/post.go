package account

import (
	"fmt"
	"time"

	"fanfare/loadtest/result"
)

// post enters the deliveries and the odd arrivals of one segment.
func (l *leaf) post() error {
	words := (len(l.messages) + 63) / 64
	for i := range l.connections {
		l.connections[i].seen = make([]uint64, words)
	}
	err := l.segment.Each(func(r *result.Record) error {
		switch r.Kind {
		case result.Delivered, result.Odd:
			if int(r.Connection) >= len(l.connections) || l.connections[r.Connection].opened == 0 {
				return fmt.Errorf("results of process %d: connection %d received without having been opened",
					l.segment.Conditions.Process, r.Connection)
			}
			if r.Kind == result.Odd {
				l.odd(r)
			} else {
				l.delivered(r)
			}
		}
		return nil
	})
	l.Latency.Delivery.Merge(&l.latency)
	return err
}

// tally returns the counts that a connection belongs to.
func (l *leaf) tally(c *connection) *Deliveries {
	if c.slow {
		return &l.Slow
	}
	return &l.Deliveries
}

func (l *leaf) delivered(r *result.Record) {
	c := &l.connections[r.Connection]
	tally := l.tally(c)
	rank := l.ranked(r.Broadcast)
	if rank < 0 {
		tally.Unknown++
		l.find(Finding{Kind: "unknown", Connection: int(r.Connection), Broadcast: int(r.Broadcast), At: r.At,
			Text: "a payload that was never published"})
		return
	}
	m := &l.messages[rank]
	if c.has(rank) {
		tally.Duplicates++
		if !c.slow {
			m.Duplicates++
		}
		l.find(Finding{Kind: "duplicate", Connection: int(r.Connection), Broadcast: m.Number, At: r.At})
		return
	}
	c.seen[rank/64] |= 1 << (rank % 64)
	m.seen = true
	m.received++
	m.arrived = max(m.arrived, r.At)
	if rank < c.highest {
		tally.Reordered++
		text := "after a later message"
		if l.outOfTurn(c, rank) {
			tally.OutOfTurn++
			text = "after a later message of the same publisher"
		}
		l.find(Finding{Kind: "reordered", Connection: int(r.Connection), Broadcast: m.Number, At: r.At, Text: text})
	}
	c.highest = max(c.highest, rank)
	took := r.At - m.Intended
	if l.deadline > 0 && took > l.deadline {
		tally.Late++
		l.find(Finding{Kind: "late", Connection: int(r.Connection), Broadcast: m.Number, At: r.At,
			Text: microseconds(took).Round(time.Millisecond).String()})
	}
	l.Series.delivered(r.At, m.Intended, took, c.slow)
	if !c.slow {
		m.times = append(m.times, uint32(min(max(took, 0), 1<<32-1)))
		if !m.Warm {
			l.latency.Add(took)
		}
	}
}

func (c *connection) has(rank int32) bool { return c.seen[rank/64]&(1<<(rank%64)) != 0 }

// outOfTurn tells whether a later message of the same publisher came before the one of this rank.
func (l *leaf) outOfTurn(c *connection, rank int32) bool {
	m := &l.messages[rank]
	for next := m.Number + l.turns.Publishers; next < len(l.rankOf); next += l.turns.Publishers {
		later := l.rankOf[next]
		if later > rank && c.has(later) {
			return true
		}
		if later > c.highest {
			return false
		}
	}
	return false
}

var oddities = map[uint8]struct {
	kind    string
	counter func(*Deliveries) *int64
}{
	result.Corrupt:     {"corrupt", func(d *Deliveries) *int64 { return &d.CorruptTexts }},
	result.Foreign:     {"foreign", func(d *Deliveries) *int64 { return &d.ForeignTexts }},
	result.StrayAnswer: {"stray answer", func(d *Deliveries) *int64 { return &d.StrayAnswers }},
	result.Stale:       {"stale", func(d *Deliveries) *int64 { return &d.Stale }},
}

func (l *leaf) odd(r *result.Record) {
	odd, ok := oddities[r.Flag]
	if !ok {
		return
	}
	c := &l.connections[r.Connection]
	*odd.counter(l.tally(c))++
	if r.Flag == result.Stale {
		return
	}
	f := Finding{Kind: odd.kind, Connection: int(r.Connection), Broadcast: -1, At: r.At,
		Text: fmt.Sprintf("%d bytes", r.A)}
	if r.Text != "" {
		f.Text += ", " + r.Text
	}
	if r.Flag == result.Corrupt && r.B == 1 {
		if rank := l.ranked(r.Broadcast); rank >= 0 {
			f.Broadcast = int(r.Broadcast)
			c.corrupt = append(c.corrupt, rank)
		}
	}
	l.find(f)
}

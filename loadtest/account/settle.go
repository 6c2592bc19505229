package account

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
	"sort"

	"fanfare/loadtest/result"
)

// finish computes the outcomes and times, after all deliveries are read.
func (b *builder) finish() {
	b.correctGuesses()
	owed := make([]uint64, (len(b.messages)+63)/64)
	for index := range b.messages {
		if b.owed(&b.messages[index]) {
			owed[index/64] |= 1 << (index % 64)
		}
	}
	for _, s := range b.segments {
		for i := range s.connections {
			if c := &s.connections[i]; c.opened != 0 {
				s.countOwed(uint32(i), c, owed)
			}
		}
	}
	b.misdelivered()
	for index := range b.messages {
		b.time(&b.messages[index])
	}
	b.compareLedger()
	b.Series.close(b.Account)
	for i := range b.Findings {
		if f := &b.Findings[i]; f.Broadcast >= 0 {
			if index := b.index(uint32(f.Broadcast)); index >= 0 {
				f.ID = b.messages[index].ID
			}
		}
	}
	slices.SortStableFunc(b.Findings, func(x, y Finding) int { return cmp.Compare(severity[x.Kind], severity[y.Kind]) })
}

// correctGuesses reassigns guessed answers. An answer does not name its message. If one is lost, each later answer is
// assigned to the message before, and the last message of the publisher seems to have none. So an answer that was
// assigned by a guess to a message that no client received belongs to a message of the same publisher that was received
// and has no answer.
func (b *builder) correctGuesses() {
	wrong := map[origin][]*message{}
	for i := range b.messages {
		if m := &b.messages[i]; m.guessed && m.answer == result.Acknowledged && !m.seen {
			wrong[m.origin] = append(wrong[m.origin], m)
		}
	}
	for i := range b.messages {
		m := &b.messages[i]
		candidates := wrong[m.origin]
		if m.answer != 0 || !m.seen || len(candidates) == 0 {
			continue
		}
		w := candidates[0]
		wrong[m.origin] = candidates[1:]
		m.answer, m.guessed, m.ID, m.Acknowledged = w.answer, true, w.ID, w.Acknowledged
		w.answer, w.guessed, w.ID, w.Acknowledged = 0, false, "", 0
	}
}

// severity orders the kinds of findings, the most severe first.
var severity = map[string]int{"missing": 1, "misdelivered": 2, "corrupt": 3, "disagreement": 4, "unsettled": 5,
	"unknown": 6, "duplicate": 7, "lost": 8, "late": 9, "reordered": 10, "stray answer": 11, "foreign": 12}

// owed reports whether the system owes a message to its clients. A guessed refusal does not count if a client received
// the message.
func (b *builder) owed(m *message) bool {
	switch m.answer {
	case result.Acknowledged:
		return true
	case result.Refused:
		return m.guessed && m.seen
	default:
		return m.seen || b.Publishing.Silent
	}
}

// countOwed counts the outcomes of the deliveries owed to one connection: of the messages published while it was open.
func (s *segmentBuilder) countOwed(number uint32, c *connection, owed []uint64) {
	from := sort.Search(len(s.messages), func(i int) bool { return s.messages[i].Sent > c.opened })
	to := sort.Search(len(s.messages), func(i int) bool { return s.messages[i].Sent > c.closed })
	to = max(to, from)
	tally := s.tally(c)
	for word := range c.seen {
		mask := owed[word] & span(word, from, to)
		tally.Owed += int64(bits.OnesCount64(mask))
		tally.Delivered += int64(bits.OnesCount64(mask & c.seen[word]))
		tally.Unowed += int64(bits.OnesCount64(c.seen[word] &^ mask))
		if !c.slow {
			for rest := mask; rest != 0; rest &= rest - 1 {
				m := &s.messages[word*64+bits.TrailingZeros64(rest)]
				m.Owed++
			}
			for rest := mask & c.seen[word]; rest != 0; rest &= rest - 1 {
				s.messages[word*64+bits.TrailingZeros64(rest)].Delivered++
			}
		}
		for rest := mask &^ c.seen[word]; rest != 0; rest &= rest - 1 {
			s.countMissed(number, c, int32(word*64+bits.TrailingZeros64(rest)), tally)
		}
	}
}

// span returns the bits of a word for the indexes from (included) to (excluded).
func span(word, from, to int) uint64 {
	low, high := from-word*64, to-word*64
	if high <= 0 || low >= 64 {
		return 0
	}
	mask := ^uint64(0)
	if low > 0 {
		mask <<= low
	}
	if high < 64 {
		mask &= 1<<high - 1
	}
	return mask
}

// countMissed counts an owed delivery that did not come, by its cause.
func (s *segmentBuilder) countMissed(number uint32, c *connection, index int32, tally *Deliveries) {
	m := &s.messages[index]
	// If the deadline passed before the connection closed, the delivery is missing.
	inTime := c.closed-m.Sent >= s.deadline
	switch {
	case slices.Contains(c.corrupt, index):
		tally.Corrupt++
		return
	case c.cause == result.Harness && !inTime:
		tally.Harness++
		return
	case c.cause == result.Moved && !inTime:
		tally.Excused++
		return
	case (c.cause == result.Peer || c.cause == result.Broken) && !inTime:
		tally.Cut++
		return
	}
	tally.Missing++
	if !c.slow {
		m.Missing++
		s.addFinding(Finding{Kind: "missing", Connection: int(number), Broadcast: m.Number})
	}
}

// misdelivered counts pairs of a missing copy at one connection and an extra copy at another.
func (b *builder) misdelivered() {
	for index := range b.messages {
		m := &b.messages[index]
		pairs := min(m.Missing, m.Duplicates)
		if pairs == 0 {
			continue
		}
		b.Deliveries.Misdelivered += pairs
		if b.findings["misdelivered"] += int(pairs); b.findings["misdelivered"] > FindingsKept {
			continue
		}
		f := Finding{Kind: "misdelivered", Broadcast: m.Number}
		var missed, doubled *Finding
		for i := range b.Findings {
			g := &b.Findings[i]
			switch {
			case g.Broadcast != m.Number:
			case g.Kind == "missing" && missed == nil:
				missed = g
			case g.Kind == "duplicate" && doubled == nil:
				doubled = g
			}
		}
		if missed == nil || doubled == nil {
			continue // FindingsKept was reached
		}
		f.Process, f.Slot, f.Connection, f.At = doubled.Process, doubled.Slot, doubled.Connection, doubled.At
		f.Text = fmt.Sprintf("client %d received two copies and client %d none: one went to the wrong client",
			doubled.Slot, missed.Slot)
		b.Findings = append(b.Findings, f)
	}
}

// time computes the times of a message from its deliveries.
func (b *builder) time(m *message) {
	if len(m.times) > 0 {
		slices.Sort(m.times)
		at := func(q float64) int64 { return int64(m.times[nearest(q, len(m.times))]) }
		first, median, p99, last := at(0), at(0.5), at(0.99), at(1)
		m.First, m.Median, m.P99, m.Last = microseconds(first), microseconds(median), microseconds(p99), microseconds(last)
		if !m.Warm {
			b.Latency.First.Add(first)
			b.Latency.Median.Add(median)
			b.Latency.P99.Add(p99)
			b.Latency.Last.Add(last)
		}
	}
	m.times = nil
	b.Broadcasts = append(b.Broadcasts, m.Broadcast)
}

// nearest returns the index of quantile q among n sorted values, by the nearest rank.
func nearest(q float64, n int) int {
	rank := int(q * float64(n))
	if float64(rank) < q*float64(n) {
		rank++
	}
	return max(rank-1, 0)
}

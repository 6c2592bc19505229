package account

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
	"sort"

	"fanfare/loadtest/result"
)

// settle decides what was owed, what became of it, and what the messages took.
func (b *book) settle() {
	b.reattribute()
	owed := make([]uint64, (len(b.messages)+63)/64)
	for rank := range b.messages {
		if b.owed(&b.messages[rank]) {
			owed[rank/64] |= 1 << (rank % 64)
		}
	}
	for _, l := range b.leaves {
		for i := range l.connections {
			if c := &l.connections[i]; c.opened != 0 {
				l.balance(uint32(i), c, owed)
			}
		}
	}
	b.misdelivered()
	for rank := range b.messages {
		b.time(&b.messages[rank])
	}
	b.audit()
	b.Series.close(b.Account)
	for i := range b.Findings {
		if f := &b.Findings[i]; f.Broadcast >= 0 {
			if rank := b.ranked(uint32(f.Broadcast)); rank >= 0 {
				f.ID = b.messages[rank].ID
			}
		}
	}
	slices.SortStableFunc(b.Findings, func(x, y Finding) int { return cmp.Compare(severity[x.Kind], severity[y.Kind]) })
}

// reattribute mends guesses. An answer does not say which message it is for; when one stays away, those that follow are
// each taken for the answer to the message before, until the last of a publisher seems to have none. So where a message
// was acknowledged by a guess and nobody ever saw it, while another of the same publisher was seen and has no answer,
// the answer was the other's.
func (b *book) reattribute() {
	unseen := map[asker][]*message{}
	for i := range b.messages {
		if m := &b.messages[i]; m.guessed && m.answer == result.Acknowledged && !m.seen {
			unseen[m.asker] = append(unseen[m.asker], m)
		}
	}
	for i := range b.messages {
		m := &b.messages[i]
		wrong := unseen[m.asker]
		if m.answer != 0 || !m.seen || len(wrong) == 0 {
			continue
		}
		w := wrong[0]
		unseen[m.asker] = wrong[1:]
		m.answer, m.guessed, m.ID, m.Acknowledged = w.answer, true, w.ID, w.Acknowledged
		w.answer, w.guessed, w.ID, w.Acknowledged = 0, false, "", 0
	}
}

var severity = map[string]int{"missing": 1, "misdelivered": 2, "corrupt": 3, "disagreement": 4, "unsettled": 5,
	"unknown": 6, "duplicate": 7,
	"lost": 8, "late": 9, "reordered": 10, "stray answer": 11, "foreign": 12}

// owed tells whether the system has accepted a message for everybody. An answer that could belong to another message
// does not count against what was seen.
func (b *book) owed(m *message) bool {
	switch m.answer {
	case result.Acknowledged:
		return true
	case result.Refused:
		return m.guessed && m.seen
	default:
		return m.seen || b.Publishing.Silent
	}
}

// balance goes through what one connection was owed: the messages handed over while it was open.
func (l *leaf) balance(number uint32, c *connection, owed []uint64) {
	from := sort.Search(len(l.messages), func(i int) bool { return l.messages[i].Sent > c.opened })
	to := sort.Search(len(l.messages), func(i int) bool { return l.messages[i].Sent > c.closed })
	to = max(to, from)
	tally := l.tally(c)
	for word := range c.seen {
		mask := owed[word] & span(word, from, to)
		tally.Owed += int64(bits.OnesCount64(mask))
		tally.Delivered += int64(bits.OnesCount64(mask & c.seen[word]))
		tally.Unowed += int64(bits.OnesCount64(c.seen[word] &^ mask))
		if !c.slow {
			for rest := mask; rest != 0; rest &= rest - 1 {
				m := &l.messages[word*64+bits.TrailingZeros64(rest)]
				m.Owed++
			}
			for rest := mask & c.seen[word]; rest != 0; rest &= rest - 1 {
				l.messages[word*64+bits.TrailingZeros64(rest)].Delivered++
			}
		}
		for rest := mask &^ c.seen[word]; rest != 0; rest &= rest - 1 {
			l.unseen(number, c, int32(word*64+bits.TrailingZeros64(rest)), tally)
		}
	}
}

// span returns the bits of a word that stand for ranks from (included) to (excluded).
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

// unseen decides why an owed delivery did not come.
func (l *leaf) unseen(number uint32, c *connection, rank int32, tally *Deliveries) {
	m := &l.messages[rank]
	// Before the connection was closed the system had all the time it is given, so closing is no excuse.
	inTime := c.closed-m.Sent >= l.deadline
	switch {
	case slices.Contains(c.corrupt, rank):
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
		l.find(Finding{Kind: "missing", Connection: int(number), Broadcast: m.Number})
	}
}

// misdelivered pairs what is missing at one connection with what is doubled at another.
func (b *book) misdelivered() {
	for rank := range b.messages {
		m := &b.messages[rank]
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
			continue // their own findings were beyond the bound
		}
		f.Process, f.Slot, f.Connection, f.At = doubled.Process, doubled.Slot, doubled.Connection, doubled.At
		f.Text = fmt.Sprintf("client %d had a second copy and client %d none: the delivery went to the wrong client",
			doubled.Slot, missed.Slot)
		b.Findings = append(b.Findings, f)
	}
}

// time takes a message's times from its deliveries.
func (b *book) time(m *message) {
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

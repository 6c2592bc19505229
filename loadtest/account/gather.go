package account

import (
	"cmp"
	"slices"
	"time"

	"fanfare/loadtest/latency"
	"fanfare/loadtest/result"
	"fanfare/loadtest/timing"
)

// book is an account in the making. Messages are ordered by when they were handed over: their rank.
type book struct {
	*Account
	turns    timing.Turns
	deadline int64 // microseconds
	messages []message
	rankOf   []int32 // by event number; -1 if it was not handed over
	leaves   []*leaf
	findings map[string]int
}

type message struct {
	Broadcast
	asker   asker
	answer  uint8
	guessed bool
	seen    bool     // by any connection
	times   []uint32 // microseconds of each delivery

	// Of all connections, the slow ones included; for the comparison with the system's ledger.
	received int64 // connections with a whole copy
	unsure   int64 // connections that cannot tell
	arrived  int64 // when the last first copy came
}

// asker is the connection of one process that published a message.
type asker struct {
	process    int
	connection uint32
}

// leaf is the part of a book that concerns the connections of one segment.
type leaf struct {
	*book
	segment     *result.Segment
	connections []connection
	latency     latency.Histogram // merged into the account's when all are done
	last        int64             // the latest time in the segment
}

type connection struct {
	opened, closed int64 // 0 if not
	cause          uint8
	slow           bool
	slot           int
	highest        int32    // rank of the latest message seen so far, -1 before any
	seen           []uint64 // by rank
	corrupt        []int32  // ranks of damaged copies
}

// gather reads everything but the deliveries: who was there, what was published and how it was answered.
func gather(a *Account, segments []*result.Segment) (*book, error) {
	c := a.Conditions
	a.Series = Series{Start: c.Start, Width: time.Second}
	b := &book{Account: a, turns: timing.Turns{Publishers: max(c.Publishers, 1)}, deadline: c.Deadline.Microseconds(),
		findings: map[string]int{}}
	a.Connections = Connections{Wanted: c.Connections, Unopened: map[string]int{}, Causes: map[string]int{}}
	a.Publishing = Publishing{Scheduled: c.Count, Unpublished: map[string]int{}, Refused: map[string]int{}}
	var answers []result.Record
	for _, s := range segments {
		l := &leaf{book: b, segment: s}
		b.leaves = append(b.leaves, l)
		err := s.Each(func(r *result.Record) error {
			l.last = max(l.last, r.At)
			switch r.Kind {
			case result.Opened, result.Closed:
				l.attend(r)
			case result.Unopened:
				a.Connections.Unopened[r.Text]++
				if r.Flag == result.Harness {
					a.Connections.Unmade++
				}
			case result.Published:
				b.publish(r, s.Conditions.Process)
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
		l.absent()
	}
	b.rank()
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

func (l *leaf) attend(r *result.Record) {
	c := l.connection(r.Connection)
	if r.Kind == result.Opened {
		c.opened, c.slot, c.slow = r.At, int(r.A), r.Flag == result.Slow
		l.Connections.Opened++
		if c.slow {
			l.Connections.Slow++
		}
		l.Connections.Took.Add(r.B)
		return
	}
	c.closed, c.cause = r.At, r.Flag
	counter := map[uint8]*int{result.Moved: &l.Connections.Moved, result.Peer: &l.Connections.Lost,
		result.Broken: &l.Connections.Broken, result.Harness: &l.Connections.Dropped}[r.Flag]
	if counter == nil {
		return
	}
	*counter++
	if r.Flag != result.Moved {
		l.Connections.Causes[result.CauseName(r.Flag)+": "+r.Text]++
		l.find(Finding{Kind: "lost", Connection: int(r.Connection), Broadcast: -1, At: r.At, Text: result.CauseName(r.Flag) +
			": " + r.Text})
	}
}

func (l *leaf) connection(n uint32) *connection {
	for int(n) >= len(l.connections) {
		l.connections = append(l.connections, connection{highest: -1})
	}
	return &l.connections[n]
}

// absent closes what the segment left open: its process did not live to tell, so from then on the harness is at fault.
func (l *leaf) absent() {
	for i := range l.connections {
		if c := &l.connections[i]; c.opened != 0 && c.closed == 0 {
			c.closed, c.cause = l.last, result.Harness
			l.Connections.Dropped++
			l.Connections.Causes[result.CauseName(result.Harness)+": its process did not finish"]++
		}
	}
}

func (b *book) publish(r *result.Record, process int) {
	publisher, sequence := b.turns.Of(int(r.Broadcast))
	byQueue := r.Flag == result.ByQueue
	b.Publishing.Sent++
	if byQueue {
		b.Publishing.ByQueue++
	}
	b.messages = append(b.messages, message{asker: asker{process, r.Connection}, Broadcast: Broadcast{
		Number: int(r.Broadcast), Publisher: publisher, Sequence: sequence, ByQueue: byQueue,
		Intended: r.A, Sent: r.At,
		Warm: r.A < b.Conditions.Start+b.Conditions.Warmup.Microseconds(),
	}})
}

// rank orders the messages as they were handed over.
func (b *book) rank() {
	slices.SortFunc(b.messages, func(x, y message) int {
		return cmp.Or(cmp.Compare(x.Sent, y.Sent), cmp.Compare(x.Number, y.Number))
	})
	highest := -1
	for i := range b.messages {
		highest = max(highest, b.messages[i].Number)
	}
	b.rankOf = slices.Repeat([]int32{-1}, highest+1)
	for rank := range b.messages {
		b.rankOf[b.messages[rank].Number] = int32(rank)
	}
}

func (b *book) ranked(number uint32) int32 {
	if int(number) >= len(b.rankOf) {
		return -1
	}
	return b.rankOf[number]
}

func (b *book) answer(r *result.Record) {
	rank := b.ranked(r.Broadcast)
	if rank < 0 {
		return
	}
	m := &b.messages[rank]
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

// find keeps a finding about a connection.
func (l *leaf) find(f Finding) {
	f.Process = l.segment.Conditions.Process
	f.Slot = l.connections[f.Connection].slot
	l.keep(f)
}

// keep keeps a finding unless there are enough of its kind.
func (b *book) keep(f Finding) {
	if b.findings[f.Kind]++; b.findings[f.Kind] <= FindingsKept {
		b.Findings = append(b.Findings, f)
	}
}

func microseconds(us int64) time.Duration { return time.Duration(us) * time.Microsecond }

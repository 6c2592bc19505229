package account

import (
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strings"

	"fanfare/loadtest/result"
)

// Ledger compares the system's own report on a run's broadcasts with what the clients received.
//
// The two agree on a broadcast if the ledger's number of deliveries is at least the number of connections that received
// it, and at most that number plus the connections with an unknown outcome plus Conditions.Others; and if no more
// further copies arrived than the ledger has repeatable deliveries. A connection has received a broadcast with the
// first whole copy. Its outcome is unknown if it has no whole copy and
//
//   - it was open at any time from publishing to the deadline or, if that is later, to the last arrival of the
//     broadcast at any client, and
//   - it was closed before the end of the run, or is slow, or received a damaged copy.
//
// A broadcast whose id is not certain is not compared.
type Ledger struct {
	Table         string         `json:"table"`
	Error         string         `json:"error,omitempty"` // if it could not be read; then nothing else is set
	Compared      int            `json:"compared"`        // broadcasts
	Uncompared    int            `json:"uncompared"`      // broadcasts without an id, or with a guessed one
	Disagreements int            `json:"disagreements"`   // broadcasts on which ledger and clients disagree
	Excesses      int            `json:"excesses"`        // of these, those of which the ledger has more deliveries
	Unsettled     int            `json:"unsettled"`       // broadcasts that the ledger has not settled
	Audience      int64          `json:"audience"`        // like the following, the sum over all compared broadcasts
	Delivered     int64          `json:"delivered"`
	Gone          int64          `json:"gone"`
	Failed        int64          `json:"failed"`
	Outstanding   int64          `json:"outstanding"`
	Repeatable    int64          `json:"repeatable"`
	Received      int64          `json:"received"` // deliveries, as counted by the run's connections
	Unsure        int64          `json:"unsure"`   // connections with an unknown outcome
	Reasons       map[string]int `json:"reasons,omitempty"`
}

// Comparison has the ledger's report on one broadcast and the counts of the clients.
type Comparison struct {
	result.LedgerReport
	Received int64 `json:"received"` // connections with a whole copy
	Unsure   int64 `json:"unsure"`   // connections with an unknown outcome
	Repeated int64 `json:"repeated"` // further copies
	Agree    bool  `json:"agree"`
}

// compareLedger compares the system's own report with what the clients received, after everything else is counted.
func (b *builder) compareLedger() {
	if b.Conditions.Ledger == "" {
		return
	}
	l := &Ledger{Table: b.Conditions.Ledger, Reasons: map[string]int{}}
	b.Ledger = l
	reports := map[string]*result.LedgerReport{}
	found := false
	for _, segmentBuilder := range b.segments {
		if from := segmentBuilder.segment.Ledger; from != nil {
			found, l.Error = true, from.Error
			for i := range from.Reports {
				reports[from.Reports[i].ID] = &from.Reports[i]
			}
		}
	}
	if !found {
		l.Error = "not in the results"
	}
	if l.Error != "" {
		return
	}
	b.unsure()
	for index := range b.messages {
		m := &b.messages[index]
		report := reports[m.ID]
		if m.ID == "" || m.guessed || report == nil {
			l.Uncompared++
			continue
		}
		b.compare(report, m, &b.Broadcasts[index])
	}
}

// compare compares one broadcast.
func (b *builder) compare(report *result.LedgerReport, m *message, broadcast *Broadcast) {
	l := b.Ledger
	c := &Comparison{LedgerReport: *report, Received: m.received, Unsure: m.unsure, Repeated: broadcast.Duplicates}
	c.Agree = c.Delivered >= c.Received && c.Delivered <= c.Received+c.Unsure+
		int64(b.Conditions.Others) && c.Repeated <= c.Repeatable
	broadcast.Ledger = c
	l.Compared++
	l.Audience += c.Audience
	l.Delivered += c.Delivered
	l.Gone += c.Gone
	l.Failed += c.Failed
	l.Outstanding += c.Outstanding
	l.Repeatable += c.Repeatable
	l.Received += c.Received
	l.Unsure += c.Unsure
	addCounts(l.Reasons, c.Reasons)
	finding := Finding{Slot: -1, Connection: -1, Broadcast: m.Number, ID: m.ID}
	if !c.Agree {
		l.Disagreements++
		if c.Delivered > c.Received {
			l.Excesses++
		}
		finding.Kind, finding.Text = "disagreement", c.disagreement(b.Conditions.Others)
		b.keepFinding(finding)
	}
	if !c.Settled() {
		l.Unsettled++
		finding.Kind, finding.Text = "unsettled", c.unsettled()
		b.keepFinding(finding)
	}
}

// disagreement returns the text of a finding.
func (t *Comparison) disagreement(others int) string {
	s := fmt.Sprintf("delivered %d by the ledger and %d by the clients", t.Delivered, t.Received)
	if t.Delivered > t.Received && t.Unsure > 0 {
		s += fmt.Sprintf(", %d unknown", t.Unsure)
	}
	if t.Delivered > t.Received && others > 0 {
		s += fmt.Sprintf(", %d may be other clients", others)
	}
	if t.Repeated > 0 {
		s += fmt.Sprintf("; further copies %d, at most %d by the ledger", t.Repeated, t.Repeatable)
	}
	s += fmt.Sprintf("; audience %d, gone %d, failed %d", t.Audience, t.Gone, t.Failed)
	if len(t.Reasons) > 0 {
		var reasons []string
		for _, reason := range slices.Sorted(maps.Keys(t.Reasons)) {
			reasons = append(reasons, fmt.Sprintf("%s × %d", reason, t.Reasons[reason]))
		}
		s += " (" + strings.Join(reasons, ", ") + ")"
	}
	return s
}

// unsettled returns the text of a finding.
func (t *Comparison) unsettled() string {
	switch {
	case t.Parts == 0:
		return "not in the ledger"
	case !t.Dispatched:
		return fmt.Sprintf("not completely dispatched; %d of an audience of %d so far are outstanding", t.Outstanding,
			t.Audience)
	case t.Outstanding < 0:
		return fmt.Sprintf("%d more outcomes than the audience of %d", -t.Outstanding, t.Audience)
	}
	return fmt.Sprintf("%d of an audience of %d are outstanding", t.Outstanding, t.Audience)
}

// unsure counts for each message the connections with an unknown outcome.
func (b *builder) unsure() {
	until := make([]int64, len(b.messages))
	for index := range b.messages {
		m := &b.messages[index]
		until[index] = max(m.Sent+b.deadline, m.arrived)
	}
	for _, s := range b.segments {
		for i := range s.connections {
			switch c := &s.connections[i]; {
			case c.opened == 0:
			case c.slow || c.cause != result.Ended:
				b.unsureUnseen(c, until)
			default:
				b.unsureCorrupt(c)
			}
		}
	}
}

// unsureUnseen counts a slow or closed connection for the messages that it has not received and that were sent while it
// was open, or before, as long as the system may deliver them.
func (b *builder) unsureUnseen(c *connection, until []int64) {
	for word, seen := range c.seen {
		for rest := ^seen & span(word, 0, len(b.messages)); rest != 0; rest &= rest - 1 {
			index := word*64 + bits.TrailingZeros64(rest)
			if m := &b.messages[index]; m.Sent <= c.closed && c.opened <= until[index] {
				m.unsure++
			}
		}
	}
}

// unsureCorrupt counts an open connection for the messages of which it has damaged copies only.
func (b *builder) unsureCorrupt(c *connection) {
	for _, index := range slices.Compact(slices.Sorted(slices.Values(c.corrupt))) {
		if !c.has(index) {
			b.messages[index].unsure++
		}
	}
}

// add adds the counts of another ledger.
func (l *Ledger) add(o *Ledger) {
	if o.Error != "" {
		l.Error = o.Error
	}
	l.Compared += o.Compared
	l.Uncompared += o.Uncompared
	l.Disagreements += o.Disagreements
	l.Excesses += o.Excesses
	l.Unsettled += o.Unsettled
	l.Audience += o.Audience
	l.Delivered += o.Delivered
	l.Gone += o.Gone
	l.Failed += o.Failed
	l.Outstanding += o.Outstanding
	l.Repeatable += o.Repeatable
	l.Received += o.Received
	l.Unsure += o.Unsure
	addCounts(l.Reasons, o.Reasons)
}

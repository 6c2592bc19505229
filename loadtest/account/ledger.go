package account

import (
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strings"

	"fanfare/loadtest/result"
)

// Ledger is the system's own report on a run's broadcasts, held against what the clients saw of each.
//
// The two agree on a broadcast if the ledger's delivered is at least the connections that received it, and at most
// these, those that cannot tell, and the clients that are not the run's (Conditions.Others); and if no more further copies
// arrived than the ledger says may have. A connection has received a broadcast with the first whole copy. It cannot tell
// whether a broadcast was posted to it if it has no whole copy and
//
//   - it was open at any time from the handing over to the deadline or, if that is later, the last arrival of the
//     broadcast at anybody, and
//   - it was closed before the end of the run, by whomever; or it does not read as it should; or it got a damaged copy.
//
// A broadcast whose id is not known for certain is not compared.
type Ledger struct {
	Table         string         `json:"table"`
	Error         string         `json:"error,omitempty"` // why there is nothing else
	Compared      int            `json:"compared"`        // broadcasts
	Uncompared    int            `json:"uncompared"`      // broadcasts without an id, or with a guessed one
	Disagreements int            `json:"disagreements"`   // broadcasts of which ledger and clients say different things
	Excesses      int            `json:"excesses"`        // of these, where the ledger has more
	Unsettled     int            `json:"unsettled"`       // broadcasts that the system is not done with
	Audience      int64          `json:"audience"`        // this and all below: sums over the broadcasts compared
	Delivered     int64          `json:"delivered"`
	Gone          int64          `json:"gone"`
	Failed        int64          `json:"failed"`
	Outstanding   int64          `json:"outstanding"`
	Repeatable    int64          `json:"repeatable"`
	Received      int64          `json:"received"` // by the run's connections
	Unsure        int64          `json:"unsure"`   // connections that cannot tell
	Reasons       map[string]int `json:"reasons,omitempty"`
}

// Told is what ledger and clients say of one broadcast.
type Told struct {
	result.LedgerReport
	Received int64 `json:"received"` // connections with a whole copy
	Unsure   int64 `json:"unsure"`   // connections that cannot tell
	Repeated int64 `json:"repeated"` // further copies
	Agree    bool  `json:"agree"`
}

// audit compares the system's own report with what the clients saw. Times and counts of the messages are final.
func (b *book) audit() {
	if b.Conditions.Ledger == "" {
		return
	}
	l := &Ledger{Table: b.Conditions.Ledger, Reasons: map[string]int{}}
	b.Ledger = l
	reports := map[string]*result.LedgerReport{}
	found := false
	for _, leaf := range b.leaves {
		if from := leaf.segment.Ledger; from != nil {
			found, l.Error = true, from.Error
			for i := range from.Reports {
				reports[from.Reports[i].ID] = &from.Reports[i]
			}
		}
	}
	if !found {
		l.Error = "it is not in the results"
	}
	if l.Error != "" {
		return
	}
	b.unsure()
	for rank := range b.messages {
		m := &b.messages[rank]
		report := reports[m.ID]
		if m.ID == "" || m.guessed || report == nil {
			l.Uncompared++
			continue
		}
		b.hold(report, m, &b.Broadcasts[rank])
	}
}

// hold compares one broadcast.
func (b *book) hold(report *result.LedgerReport, m *message, broadcast *Broadcast) {
	l := b.Ledger
	told := &Told{LedgerReport: *report, Received: m.received, Unsure: m.unsure, Repeated: broadcast.Duplicates}
	told.Agree = told.Delivered >= told.Received && told.Delivered <= told.Received+told.Unsure+
		int64(b.Conditions.Others) && told.Repeated <= told.Repeatable
	broadcast.Ledger = told
	l.Compared++
	l.Audience += told.Audience
	l.Delivered += told.Delivered
	l.Gone += told.Gone
	l.Failed += told.Failed
	l.Outstanding += told.Outstanding
	l.Repeatable += told.Repeatable
	l.Received += told.Received
	l.Unsure += told.Unsure
	addCounts(l.Reasons, told.Reasons)
	finding := Finding{Slot: -1, Connection: -1, Broadcast: m.Number, ID: m.ID}
	if !told.Agree {
		l.Disagreements++
		if told.Delivered > told.Received {
			l.Excesses++
		}
		finding.Kind, finding.Text = "disagreement", told.disagreement(b.Conditions.Others)
		b.keep(finding)
	}
	if !told.Settled() {
		l.Unsettled++
		finding.Kind, finding.Text = "unsettled", told.unsettled()
		b.keep(finding)
	}
}

func (t *Told) disagreement(others int) string {
	s := fmt.Sprintf("the ledger says delivered to %d, and %d have it", t.Delivered, t.Received)
	if t.Delivered > t.Received && t.Unsure > 0 {
		s += fmt.Sprintf(", %d more cannot tell", t.Unsure)
	}
	if t.Delivered > t.Received && others > 0 {
		s += fmt.Sprintf(", %d may be others' clients", others)
	}
	if t.Repeated > 0 {
		s += fmt.Sprintf("; %d more copies came, and the ledger knows of at most %d", t.Repeated, t.Repeatable)
	}
	s += fmt.Sprintf("; of an audience of %d, gone %d, failed %d", t.Audience, t.Gone, t.Failed)
	if len(t.Reasons) > 0 {
		var reasons []string
		for _, reason := range slices.Sorted(maps.Keys(t.Reasons)) {
			reasons = append(reasons, fmt.Sprintf("%s × %d", reason, t.Reasons[reason]))
		}
		s += " (" + strings.Join(reasons, ", ") + ")"
	}
	return s
}

func (t *Told) unsettled() string {
	switch {
	case t.Parts == 0:
		return "the ledger does not know it"
	case !t.Dispatched:
		return fmt.Sprintf("it is not all dispatched; %d of an audience of %d so far are outstanding", t.Outstanding,
			t.Audience)
	case t.Outstanding < 0:
		return fmt.Sprintf("the ledger has %d more outcomes than an audience of %d", -t.Outstanding, t.Audience)
	}
	return fmt.Sprintf("%d of an audience of %d are outstanding", t.Outstanding, t.Audience)
}

// unsure counts for each message the connections that cannot tell whether it was posted to them.
func (b *book) unsure() {
	until := make([]int64, len(b.messages))
	for rank := range b.messages {
		m := &b.messages[rank]
		until[rank] = max(m.Sent+b.deadline, m.arrived)
	}
	for _, l := range b.leaves {
		for i := range l.connections {
			c := &l.connections[i]
			if c.opened == 0 {
				continue
			}
			silent := c.slow || c.cause != result.Ended
			if !silent {
				for _, rank := range slices.Compact(slices.Sorted(slices.Values(c.corrupt))) {
					if !c.has(rank) {
						b.messages[rank].unsure++
					}
				}
				continue
			}
			for word, seen := range c.seen {
				for rest := ^seen & span(word, 0, len(b.messages)); rest != 0; rest &= rest - 1 {
					rank := word*64 + bits.TrailingZeros64(rest)
					if m := &b.messages[rank]; m.Sent <= c.closed && c.opened <= until[rank] {
						m.unsure++
					}
				}
			}
		}
	}
}

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

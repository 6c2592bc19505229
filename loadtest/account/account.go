// Package account computes the outcome of every delivery of a run from its records.
//
// A message is owed once the system has acknowledged it or any client has received it; with a system that acknowledges
// nothing, once it was published. It is owed to the connections that were open when it was published. Deliveries that
// are not owed are counted separately.
//
// Each owed delivery has exactly one outcome: delivered, missing, corrupt, cut (the system closed the connection
// first), excused (the client closed it first) or harness (the harness lost it). The six counts add up to the owed
// deliveries. Copies beyond the first are duplicates. A delivery is late if it comes after the deadline, and reordered
// if a message that was published later reached the same connection earlier (RFC 4737, section 3.3).
//
// The account is a pure function of the records.
//
// Package test/audit answers the same question for tests of the system. The two are kept apart on purpose: the harness
// is a black box and must not import test/, it works on recorded files, must sometimes guess which message an answer is
// for, and reports latencies; audit knows which deliveries a test has disturbed, which broadcasts were dispatched
// together and which connections were excluded. TestCheck_AgreesWithAccount in test/audit checks each against the
// other.
package account

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"fanfare/loadtest/latency"
	"fanfare/loadtest/result"
	"fanfare/loadtest/vitals"
)

// Account has the results of a run.
type Account struct {
	Conditions result.Conditions // of the first process; those of the others differ in Process only
	Processes  []Process

	Connections Connections
	Publishing  Publishing
	Deliveries  Deliveries
	Slow        Deliveries // of slow clients; not part of Deliveries
	Latency     Latency
	Broadcasts  []Broadcast // in the order of publishing
	Series      Series
	Ledger      *Ledger   // nil if the run did not read the ledger
	Findings    []Finding // at most FindingsKept of each kind
	Starts      []Start   // of the run, or of all merged runs
}

// Process has the data of one process about itself.
type Process struct {
	Conditions result.Conditions
	End        *result.End // nil if its results are truncated
	Samples    []vitals.Sample
}

// Connections counts connections, not clients: a client that reconnects has several.
type Connections struct {
	Wanted   int // clients
	Required int // clients that must be connected when the first message is due
	Started  int // clients that were
	Opened   int
	Unopened map[string]int // failed attempts, by reason
	Unmade   int            // failed attempts at a limit of the harness
	Moved    int            // closed by the harness to reconnect
	Lost     int            // closed by the system
	Broken   int            // closed by the network, or after a protocol violation
	Dropped  int            // closed by a fault of the harness
	Causes   map[string]int // of Lost, Broken and Dropped, by reason
	Slow     int
	Took     latency.Histogram
}

// Publishing counts published messages and their answers.
type Publishing struct {
	Scheduled    int
	Sent         int
	ByQueue      int            // of Sent
	Unpublished  map[string]int // could not be published, by reason
	Acknowledged int
	Refused      map[string]int // by code
	Unanswered   int
	Guessed      int  // answers that may belong to another message of the same publisher
	Silent       bool // the system sent no answer at all
}

// Deliveries counts deliveries to connections. Owed is the sum of the six fields that follow it.
type Deliveries struct {
	Owed      int64
	Delivered int64
	Missing   int64
	Corrupt   int64
	Cut       int64
	Excused   int64
	Harness   int64

	Unowed       int64 // delivered but not owed: the client connected during the broadcast
	Duplicates   int64
	Reordered    int64 // after a later message
	OutOfTurn    int64 // of these, after a later message of the same publisher
	Late         int64
	Misdelivered int64 // pairs of an extra copy at one connection and a missing one at another
	CorruptTexts int64 // frames with damaged payloads
	ForeignTexts int64 // frames that do not belong to this run
	StrayAnswers int64 // answers to connections without an unanswered message
	Unknown      int64 // sound payloads of this run that were never published
	Stale        int64 // payloads of an earlier measurement on the same connections
}

// Latency has the distributions of times since the intended time, without the warm-up and the slow clients.
type Latency struct {
	Delivery     latency.Histogram // one time per delivery
	Acknowledged latency.Histogram // one per message, like the following
	First        latency.Histogram
	Median       latency.Histogram
	P99          latency.Histogram
	Last         latency.Histogram
}

// Broadcast has the results of one message.
type Broadcast struct {
	Run          int    `json:"run"`    // index of the merged run, from 0
	Number       int    `json:"number"` // of the message in the schedule
	Publisher    uint32 `json:"publisher"`
	Sequence     uint32 `json:"sequence"`
	ID           string `json:"id,omitempty"` // given by the system, if any
	ByQueue      bool   `json:"byQueue,omitempty"`
	Warm         bool   `json:"warm,omitempty"` // published during the warm-up: counted, not timed
	Intended     int64  `json:"intended"`       // microseconds since the Unix epoch, like all times
	Sent         int64  `json:"sent"`
	Acknowledged int64  `json:"acknowledged,omitempty"` // 0: not
	Owed         int64  `json:"owed"`
	Delivered    int64  `json:"delivered"`
	Missing      int64  `json:"missing"`
	Duplicates   int64  `json:"duplicates"`
	// The times are since the intended time, 0 without any delivery.
	First  time.Duration `json:"first"`
	Median time.Duration `json:"median"`
	P99    time.Duration `json:"p99"`
	Last   time.Duration `json:"last"`

	Ledger *Comparison `json:"ledger,omitempty"` // nil if not compared
}

// FindingsKept bounds the findings of each kind in an account. The counts have no bound.
const FindingsKept = 50

// Finding describes one failure.
type Finding struct {
	Run        int    `json:"run"`  // index of the merged run, from 0
	Kind       string `json:"kind"` // a key of severity
	Process    int    `json:"process"`
	Slot       int    `json:"client"`       // number of the client in the run, -1 for none
	Connection int    `json:"connection"`   // of the process, -1 for none
	Broadcast  int    `json:"broadcast"`    // -1 if unknown
	ID         string `json:"id,omitempty"` // of the message, given by the system
	At         int64  `json:"at"`           // 0 without a time
	Text       string `json:"text,omitempty"`
}

// Of computes the account of one run from its segments, one for each process.
func Of(segments []*result.Segment) (*Account, error) {
	if len(segments) == 0 {
		return nil, errors.New("no results")
	}
	segments = slices.Clone(segments)
	slices.SortStableFunc(segments, func(a, b *result.Segment) int { return a.Conditions.Process - b.Conditions.Process })
	a := &Account{Conditions: segments[0].Conditions}
	for i, s := range segments {
		if s.Conditions.Run != a.Conditions.Run {
			return nil, fmt.Errorf("results of different runs %s and %s", a.Conditions.Run, s.Conditions.Run)
		}
		if i > 0 && s.Conditions.Process == segments[i-1].Conditions.Process {
			return nil, fmt.Errorf("run %s: process %d has two results", s.Conditions.Run, s.Conditions.Process)
		}
		a.Processes = append(a.Processes, Process{Conditions: s.Conditions, End: s.End, Samples: s.Samples})
	}
	b, err := gather(a, segments)
	if err != nil {
		return nil, err
	}
	for _, s := range b.segments {
		if err := s.readDeliveries(); err != nil {
			return nil, err
		}
	}
	b.finish()
	a.Starts = []Start{{Run: a.Conditions.Run, At: a.Conditions.Start,
		Length: time.Duration(len(a.Series.Bins)) * a.Series.Width}}
	return a, nil
}

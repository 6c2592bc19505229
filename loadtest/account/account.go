// Package account decides, from the records of a run, what became of every delivery.
//
// What is owed. A message is owed to everybody once it was acknowledged, or was seen by anybody; with a system that
// acknowledges nothing, once it was handed over. It is owed to the connections that had been open when it was handed
// over, and to no other. What arrives without being owed is counted apart.
//
// What became of it. Each owed delivery ends as exactly one of delivered, missing, corrupt, cut (the system closed the
// connection before), excused (the client left before) or harness (lost by the harness itself), so these six always
// add up to the owed. Copies beyond the first are duplicates. A delivery is late if it comes after the deadline, and
// reordered if a message that was handed over after it had reached the same connection before it (RFC 4737, section
// 3.3).
//
// The account is a pure function of the records: the same files give the same account, whoever asks and whenever.
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

// Account is what a run came to.
type Account struct {
	Conditions result.Conditions // of the first process; all agree but for the process's number
	Processes  []Process

	Connections Connections
	Publishing  Publishing
	Deliveries  Deliveries
	Slow        Deliveries // of the clients that do not read as they should; not part of Deliveries
	Latency     Latency
	Broadcasts  []Broadcast // in the order in which they were handed over
	Series      Series
	Ledger      *Ledger   // nil if the run did not ask for it
	Findings    []Finding // at most FindingsKept of each kind
	Starts      []Start   // of the run, or of those that were merged
}

// Process is what one process said about itself.
type Process struct {
	Conditions result.Conditions
	End        *result.End // nil if its results were cut short
	Samples    []vitals.Sample
}

// Connections counts connections, not clients: a client that reconnects has several.
type Connections struct {
	Wanted   int // clients
	Opened   int
	Unopened map[string]int // failed attempts by reason
	Unmade   int            // failed attempts that were the harness's fault
	Moved    int            // closed by the harness in order to reconnect
	Lost     int            // closed by the system
	Broken   int            // closed by the network, or for breaking the protocol
	Dropped  int            // closed by a fault of the harness
	Causes   map[string]int // of Lost, Broken and Dropped
	Slow     int
	Took     latency.Histogram
}

// Publishing counts messages on their way into the system.
type Publishing struct {
	Scheduled    int
	Sent         int
	ByQueue      int            // of Sent
	Unpublished  map[string]int // not handed over, by reason
	Acknowledged int
	Refused      map[string]int // by code
	Unanswered   int
	Guessed      int  // answers that may belong to another message of the same publisher
	Silent       bool // the system answered nothing to anybody
}

// Deliveries counts deliveries to connections. Owed is the sum of the six that follow it.
type Deliveries struct {
	Owed      int64
	Delivered int64
	Missing   int64
	Corrupt   int64
	Cut       int64
	Excused   int64
	Harness   int64

	Unowed       int64 // arrived though not owed, as when the client joined in mid-broadcast
	Duplicates   int64
	Reordered    int64 // against any message
	OutOfTurn    int64 // of these, against a message of the same publisher
	Late         int64
	Misdelivered int64 // a copy too many at one and missing at another, of the same message
	CorruptTexts int64 // frames that were damaged payloads
	ForeignTexts int64 // frames that were no payload of this run
	StrayAnswers int64 // answers to connections that had asked nothing
	Unknown      int64 // sound payloads of this run that nobody published
	Stale        int64 // payloads of an earlier measurement on the same connections
}

// Latency holds the distributions, all counted from the intended time and without the warm-up and the slow clients.
type Latency struct {
	Delivery     latency.Histogram // one time per delivery
	Acknowledged latency.Histogram // one per message, like all below
	First        latency.Histogram
	Median       latency.Histogram
	P99          latency.Histogram
	Last         latency.Histogram
}

// Broadcast is what became of one message.
type Broadcast struct {
	Run          int    `json:"run"`    // of those that were merged, from 0
	Number       int    `json:"number"` // of the event in the schedule
	Publisher    uint32 `json:"publisher"`
	Sequence     uint32 `json:"sequence"`
	ID           string `json:"id,omitempty"` // the system's, empty if it gave none
	ByQueue      bool   `json:"byQueue,omitempty"`
	Warm         bool   `json:"warm,omitempty"` // published while warming up: counted, not timed
	Intended     int64  `json:"intended"`       // microseconds since the Unix epoch, like all moments
	Sent         int64  `json:"sent"`
	Acknowledged int64  `json:"acknowledged,omitempty"` // 0 if not
	Owed         int64  `json:"owed"`
	Delivered    int64  `json:"delivered"`
	Missing      int64  `json:"missing"`
	Duplicates   int64  `json:"duplicates"`
	// Times from the intended one, 0 if nobody had it.
	First  time.Duration `json:"first"`
	Median time.Duration `json:"median"`
	P99    time.Duration `json:"p99"`
	Last   time.Duration `json:"last"`

	Ledger *Told `json:"ledger,omitempty"` // nil if there is nothing to compare with
}

// FindingsKept bounds the findings of each kind that an account names; the counts are always complete.
const FindingsKept = 50

// Finding names one thing that went wrong.
type Finding struct {
	Run        int    `json:"run"`  // of those that were merged, from 0
	Kind       string `json:"kind"` // a key of severity
	Process    int    `json:"process"`
	Slot       int    `json:"client"`       // the client's number in the run, -1 if it is about no client
	Connection int    `json:"connection"`   // of the process, -1 if about none
	Broadcast  int    `json:"broadcast"`    // -1 if unknown
	ID         string `json:"id,omitempty"` // the system's, of the message
	At         int64  `json:"at"`           // 0 if it never happened
	Text       string `json:"text,omitempty"`
}

// Of makes the account of one run from its segments, one from each process.
func Of(segments []*result.Segment) (*Account, error) {
	if len(segments) == 0 {
		return nil, errors.New("no results")
	}
	segments = slices.Clone(segments)
	slices.SortStableFunc(segments, func(a, b *result.Segment) int { return a.Conditions.Process - b.Conditions.Process })
	a := &Account{Conditions: segments[0].Conditions}
	for i, s := range segments {
		if s.Conditions.Run != a.Conditions.Run {
			return nil, fmt.Errorf("results of runs %s and %s: one account is of one run", a.Conditions.Run, s.Conditions.Run)
		}
		if i > 0 && s.Conditions.Process == segments[i-1].Conditions.Process {
			return nil, fmt.Errorf("run %s: process %d is there twice", s.Conditions.Run, s.Conditions.Process)
		}
		a.Processes = append(a.Processes, Process{Conditions: s.Conditions, End: s.End, Samples: s.Samples})
	}
	b, err := gather(a, segments)
	if err != nil {
		return nil, err
	}
	for _, l := range b.leaves {
		if err := l.post(); err != nil {
			return nil, err
		}
	}
	b.settle()
	a.Starts = []Start{{Run: a.Conditions.Run, At: a.Conditions.Start,
		Length: time.Duration(len(a.Series.Bins)) * a.Series.Width}}
	return a, nil
}

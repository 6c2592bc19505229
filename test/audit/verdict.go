package audit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Kind is a kind of fault.
type Kind string

// The faults that Check finds, the most severe first.
const (
	Missing      Kind = "missing"      // owed, not received, and not failed or outstanding by the report
	Misdelivered Kind = "misdelivered" // received by a client that was excluded, not open, or opened too late
	Corrupt      Kind = "corrupt"      // received a payload that was not offered
	Duplicate    Kind = "duplicate"    // received again although no repeat was allowed
	Reordered    Kind = "reordered"    // received after a later broadcast of the same pass
	Unaccounted  Kind = "unaccounted"  // the report is inconsistent or differs from the receptions
	Cut          Kind = "cut"          // owed, but the system closed the connection
	Late         Kind = "late"         // received after Options.Within
)

// severity orders the kinds of faults, the most severe first.
var severity = []Kind{Missing, Misdelivered, Corrupt, Duplicate, Reordered, Unaccounted, Cut, Late}

// Finding is one fault.
type Finding struct {
	Kind      Kind
	Broadcast string        // id, or "(not accepted)"; empty if there is none
	Client    string        // empty if it is about no single client
	At        time.Duration // time of the offer or the reception, since begin
	Detail    string
}

// String returns the finding as text.
func (f Finding) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s at %v", f.Kind, f.At)
	if f.Broadcast != "" {
		fmt.Fprintf(&s, ", broadcast %s", f.Broadcast)
	}
	if f.Client != "" {
		fmt.Fprintf(&s, ", client %s", f.Client)
	}
	if f.Detail != "" {
		fmt.Fprintf(&s, ": %s", f.Detail)
	}
	return s.String()
}

// Verdict is the result of Check. Owed is the sum of Delivered, Excused, Cut, Failed, Outstanding and Missing.
type Verdict struct {
	Clients    int
	Broadcasts int // accepted

	Owed        int64
	Delivered   int64
	Excused     int64 // the client closed before
	Cut         int64 // the system closed the connection before
	Failed      int64 // by the reports
	Outstanding int64 // by the reports
	Missing     int64

	Received  int64 // all receptions, repeats included
	Repeats   int64 // beyond the first reception
	Allowed   int64 // of Repeats
	Newcomers int64 // received by connections that opened after the offer, within Options.Join

	// Unserved counts, by client, the owed deliveries that an open client did not receive, regardless of the reports.
	Unserved map[string]int64

	Faults   map[Kind]int64
	Findings []Finding // at most FindingsKept of each kind, the most severe kind first
}

// FindingsKept bounds the findings of each kind in a verdict. The counts have no bound.
const FindingsKept = 20

// Err returns nil without faults, else an error with the number and the first of each kind of fault.
func (v *Verdict) Err() error {
	if len(v.Faults) == 0 {
		return nil
	}
	var parts []string
	for _, kind := range severity {
		if n := v.Faults[kind]; n > 0 {
			first := slices.IndexFunc(v.Findings, func(f Finding) bool { return f.Kind == kind })
			parts = append(parts, fmt.Sprintf("%d × %v", n, v.Findings[first]))
		}
	}
	return fmt.Errorf("%s", strings.Join(parts, "\n"))
}

// addFinding counts a fault and keeps its finding, up to FindingsKept of each kind.
func (v *Verdict) addFinding(f Finding) {
	v.Faults[f.Kind]++
	same := 0
	for _, other := range v.Findings {
		if other.Kind == f.Kind {
			same++
		}
	}
	if same < FindingsKept {
		v.Findings = append(v.Findings, f)
	}
}

// sort sorts the findings by severity and time.
func (v *Verdict) sort() {
	slices.SortStableFunc(v.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(slices.Index(severity, a.Kind), slices.Index(severity, b.Kind)), cmp.Compare(a.At, b.At))
	})
}

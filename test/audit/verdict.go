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

// The faults that Judge finds, the worst first.
const (
	Missing      Kind = "missing"      // owed, not received, and in no book as failed
	Misdelivered Kind = "misdelivered" // received by a client that was excluded, not open, or came too late for it
	Corrupt      Kind = "corrupt"      // received, though nobody offered such a payload
	Duplicate    Kind = "duplicate"    // received again without a licence
	Reordered    Kind = "reordered"    // received before what came earlier in the same pass
	Unaccounted  Kind = "unaccounted"  // the books do not add up, or are not what clients saw
	Cut          Kind = "cut"          // owed, and the system closed the connection instead
	Late         Kind = "late"         // received after the time allowed
)

var severity = []Kind{Missing, Misdelivered, Corrupt, Duplicate, Reordered, Unaccounted, Cut, Late}

// Finding is one fault.
type Finding struct {
	Kind      Kind
	Broadcast string        // id, or "(not accepted)"; empty if there is none
	Client    string        // empty if it is about no one client
	At        time.Duration // since the trail's begin; when it was offered, or received
	Detail    string
}

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

// Verdict is what a trail comes to. Owed is the sum of Delivered, Excused, Cut, Failed, Outstanding and Missing.
type Verdict struct {
	Clients    int
	Broadcasts int // accepted

	Owed        int64
	Delivered   int64
	Excused     int64 // the client left before
	Cut         int64 // the system closed the connection before
	Failed      int64 // the books say so
	Outstanding int64 // the books say so
	Missing     int64

	Received  int64 // everything that clients received, repeats included
	Repeats   int64 // beyond the first reception
	Licensed  int64 // of Repeats
	Newcomers int64 // received by connections that opened after it was offered, within Options.Join

	// Unserved counts, by client, the owed deliveries that a client which stayed did not receive, whatever the books say.
	Unserved map[string]int64

	Faults   map[Kind]int64
	Findings []Finding // at most FindingsKept of each kind, the worst kind first
}

// FindingsKept is how many findings of a kind a verdict lists; it counts them all.
const FindingsKept = 20

// Err returns nil if nothing was found, else an error that counts the faults and names the first of each kind.
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

func (v *Verdict) find(n int64, f Finding) {
	if n <= 0 {
		return
	}
	v.Faults[f.Kind] += n
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

func (v *Verdict) sort() {
	slices.SortStableFunc(v.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(slices.Index(severity, a.Kind), slices.Index(severity, b.Kind)), cmp.Compare(a.At, b.At))
	})
}

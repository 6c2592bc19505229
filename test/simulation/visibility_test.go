package simulation

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"fanfare/pkg/handler"
	"fanfare/pkg/queue"
)

// held is a stack whose senders need seconds for a batch, and whose processes die now and then.
var held = Settings{
	PostsPerSecond: 2, DispatcherConcurrency: 2, SenderConcurrency: 2, BatchConnections: 8, BatchPosts: 20,
	Segments: 1, StretchConnections: 8, Workers: 1, MaxAttempts: 3, PageRows: 20, Clients: 8, Broadcasts: 3,
	Duration: 1, Crash: 0.02,
}

// shortened sets every visibility timeout to a second.
type shortened struct{ handler.Visibility }

func (v shortened) Change(ctx context.Context, changes []queue.VisibilityChange) error {
	for i := range changes {
		changes[i].After = time.Second
	}
	return v.Visibility.Change(ctx, changes)
}

// unchanged sets no visibility timeout.
type unchanged struct{}

func (unchanged) Change(context.Context, []queue.VisibilityChange) error { return nil }

// TestRun_PlantedVisibility shows that the simulation finds a wrong visibility timeout.
func TestRun_PlantedVisibility(t *testing.T) {
	for _, test := range []struct {
		name  string
		plant func(handler.Visibility) handler.Visibility
		want  string
	}{
		{"right", nil, ""},
		{"shortened", func(v handler.Visibility) handler.Visibility { return shortened{v} }, "which sender-"},
		{"unchanged", func(handler.Visibility) handler.Visibility { return unchanged{} }, "returns 3m0s after the start"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var found strings.Builder
			recovered := 0
			for seed := range uint64(30) {
				s := held
				s.plantVisibility = test.plant
				r := Run(t, seed, s, false)
				for _, err := range r.Broken {
					fmt.Fprintf(&found, "seed %d: %v\n", seed, err)
				}
				recovered += r.Census.Recovered
			}
			if test.want == "" && found.Len() > 0 || !strings.Contains(found.String(), test.want) {
				t.Errorf("got %q, want %q", found.String(), test.want)
			}
			if test.want == "" && recovered == 0 {
				t.Error("got no message of a killed invocation that returned in time, want some")
			}
		})
	}
}

// TestRun_Outage makes DynamoDB fail for 15 minutes, at once or after up to a minute, from any stage of the work on.
// The five receives of a message span the outage, so no message goes to a dead-letter queue.
func TestRun_Outage(t *testing.T) {
	const outage = 15 * time.Minute
	for _, slow := range []bool{false, true} {
		t.Run(fmt.Sprintf("slow %v", slow), func(t *testing.T) {
			failed := 0
			for step := range 60 {
				s := held
				s.Crash, s.PostsPerSecond = 0, 20
				from := time.Duration(step) * 20 * time.Millisecond
				fault := Faults{Outage: Window{from, from + outage}}
				s.Ledger, s.Scan, s.Registry = fault, fault, fault
				if slow {
					s.plant = func(w *world) {
						w.after(from, "DynamoDB is slow", func() { w.slow(&w.settings.Ledger, &w.settings.Scan, &w.settings.Registry) })
						w.after(from+outage, "DynamoDB is quick", func() {
							w.settings.Ledger.Slow, w.settings.Scan.Slow, w.settings.Registry.Slow = 0, 0, 0
						})
					}
				}
				r := Run(t, 1, s, false)
				for _, err := range r.Broken {
					t.Errorf("outage from %v on: %v", from, err)
				}
				c := r.Census
				failed += c.Errors
				if c.Moved+c.DeadLettered != 0 || c.Posted < s.Clients*(s.Broadcasts+1) {
					t.Errorf("outage from %v on: got %d messages moved, %d dead letters, %d posts, want none and at least %d",
						from, c.Moved, c.DeadLettered, c.Posted, s.Clients*(s.Broadcasts+1))
				}
			}
			if failed == 0 {
				t.Error("got no failed invocation, want some")
			}
		})
	}
}

// slow makes every request of the services take up to a minute.
func (w *world) slow(services ...*Faults) {
	for _, f := range services {
		f.Slow, f.SlowFor = 1, time.Minute
	}
}

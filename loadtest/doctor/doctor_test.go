package doctor

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"fanfare/loadtest/engine"
	"fanfare/loadtest/report"
	"fanfare/test/fakeresult"

	"go.uber.org/goleak"
)

// The test binary is the worker process when DOCTOR_TEST_WORKER is set.
func TestMain(m *testing.M) {
	if os.Getenv("DOCTOR_TEST_WORKER") != "" {
		if err := engine.ServeWorker(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// If the harness loses its detection of a fault, the control of that fault fails here.
func TestExamine_Healthy(t *testing.T) {
	t.Setenv("DOCTOR_TEST_WORKER", "1")
	t.Setenv("GORACE", "atexit_sleep_ms=0")
	seen := map[string]bool{}
	healthy, err := Examine(t.Context(), Options{Command: []string{os.Args[0]}, Observe: func(o Outcome) {
		seen[o.Name] = true
		t.Logf("%-40s %6.1fs  %s", o.Name, o.Took.Seconds(), o.Found)
		if o.Err != nil {
			t.Errorf("%s: %v", o.Name, o.Err)
		}
	}})
	if err != nil || !healthy || len(seen) != len(controls)+1 {
		t.Errorf("got healthy %v, %d outcomes, %v, want true, %d, nil", healthy, len(seen), err, len(controls)+1)
	}
}

// Every control but the first must fail on a run without a fault, and the first must fail on a run with one.
func TestControl_DetectsOnlyItsFault(t *testing.T) {
	reports := map[string]*report.Report{}
	clean := controls[0]
	clean.check = func(r *report.Report, _ fault) (string, error) { reports["clean"] = r; return "", nil }
	if _, err := clean.examine(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	s := settings("")
	for _, c := range controls[1:] {
		if _, err := c.verify(reports["clean"], c.fault(), s); err == nil {
			t.Errorf("%q: got no error for a run without a fault, want one", c.name)
		}
	}
	faulty := control{name: "drops one", fault: func() fault { return drop{target: at} },
		check: func(r *report.Report, _ fault) (string, error) {
			reports["drop"] = r
			return "", nil
		}}
	if _, err := faulty.examine(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	for _, c := range controls {
		if _, err := c.verify(reports["drop"], c.fault(), s); (err == nil) != (c.name == "drops one delivery") {
			t.Errorf("%q: got error %v for a run that dropped one delivery", c.name, err)
		}
	}
}

// A slow machine makes deliveries late. This is not a fault of the relay.
func TestControl_LateDeliveriesIgnored(t *testing.T) {
	r, err := report.Load([]string{fakeresult.Write(t, fakeresult.Run{Clients: clients, Messages: messages,
		Slower: time.Minute})}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := controls[0].verify(r, nil, settings("")); err != nil || r.Account.Deliveries.Late == 0 {
		t.Errorf("got %d late deliveries, %v, want more than 0, nil", r.Account.Deliveries.Late, err)
	}
}

func TestPredicted_Quantiles(t *testing.T) {
	for q, want := range map[float64]time.Duration{
		0: 0, 0.5: 0, 400.0 / 600: 0, 401.0 / 600: 10 * time.Millisecond, 0.75: 500 * time.Millisecond,
		0.9:  1400 * time.Millisecond,
		0.99: 1940 * time.Millisecond, 1: 2 * time.Second,
	} {
		if got := predicted(q); got != want {
			t.Errorf("quantile %v: got %v, want %v", q, got, want)
		}
	}
}

func TestExamine_InvalidURL(t *testing.T) {
	for _, url := range []string{"wss://example.com", "http://127.0.0.1:1", "ws://nohost"} {
		if _, err := Examine(t.Context(), Options{URL: url, Observe: func(Outcome) {}}); err == nil {
			t.Errorf("Examine(%q): got no error, want one", url)
		}
	}
}

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

// The test binary plays the worker when it is started as one.
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

// Every fault must be found, and nothing else: with its detection taken out of the harness, its control fails here.
func TestTheHarnessIsHealthy(t *testing.T) {
	t.Setenv("DOCTOR_TEST_WORKER", "1")
	t.Setenv("GORACE", "atexit_sleep_ms=0")
	told := map[string]bool{}
	healthy, err := Examine(t.Context(), Options{Command: []string{os.Args[0]}, Tell: func(o Outcome) {
		told[o.Name] = true
		t.Logf("%-40s %6.1fs  %s", o.Name, o.Took.Seconds(), o.Found)
		if o.Err != nil {
			t.Errorf("%s: %v", o.Name, o.Err)
		}
	}})
	if err != nil || !healthy || len(told) != len(controls)+1 {
		t.Errorf("healthy %v, %d of %d controls told, %v", healthy, len(told), len(controls)+1, err)
	}
}

// No control may be content with a run in which nothing went wrong, but the one that wants just that; and that one must
// not be content with any fault.
func TestNoControlIsBlind(t *testing.T) {
	reports := map[string]*report.Report{}
	faultless := controls[0]
	faultless.check = func(r *report.Report, _ Fault) (string, error) { reports["faultless"] = r; return "", nil }
	if _, err := faultless.examine(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	s := settings("")
	for _, c := range controls[1:] {
		if _, err := c.judge(reports["faultless"], c.fault(), s); err == nil {
			t.Errorf("%q is content with a run without faults", c.name)
		}
	}
	faulty := control{name: "drops one", fault: func() Fault { return Drop{At: at} },
		check: func(r *report.Report, _ Fault) (string, error) {
			reports["drop"] = r
			return "", nil
		}}
	if _, err := faulty.examine(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	for _, c := range controls {
		if _, err := c.judge(reports["drop"], c.fault(), s); (err == nil) != (c.name == "drops one delivery") {
			t.Errorf("%q of a run that dropped one delivery: %v", c.name, err)
		}
	}
}

// A machine that stands still makes deliveries late, and that is no fault of the relay.
func TestALateRunIsFaultless(t *testing.T) {
	r, err := report.Load([]string{fakeresult.Write(t, fakeresult.Run{Clients: clients, Messages: messages,
		Slower: time.Minute})}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := controls[0].judge(r, nil, settings("")); err != nil || r.Account.Deliveries.Late == 0 {
		t.Errorf("%d late: %v", r.Account.Deliveries.Late, err)
	}
}

func TestThePredictedCurve(t *testing.T) {
	for q, want := range map[float64]time.Duration{
		0: 0, 0.5: 0, 400.0 / 600: 0, 401.0 / 600: 10 * time.Millisecond, 0.75: 500 * time.Millisecond,
		0.9:  1400 * time.Millisecond,
		0.99: 1940 * time.Millisecond, 1: 2 * time.Second,
	} {
		if got := predicted(q); got != want {
			t.Errorf("quantile %v: %v, want %v", q, got, want)
		}
	}
}

func TestBadURLs(t *testing.T) {
	for _, url := range []string{"wss://example.com", "http://127.0.0.1:1", "ws://nohost"} {
		if _, err := Examine(t.Context(), Options{URL: url, Tell: func(Outcome) {}}); err == nil {
			t.Errorf("%q was accepted", url)
		}
	}
}

package engine_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fanfare/loadtest/account"
	"fanfare/loadtest/echo"
	"fanfare/loadtest/engine"
	"fanfare/loadtest/report"
	"fanfare/loadtest/result"
	"fanfare/loadtest/timing"

	"go.uber.org/goleak"
)

// The test binary is the worker process when FLEET_TEST_WORKER is set.
func TestMain(m *testing.M) {
	if os.Getenv("FLEET_TEST_WORKER") != "" {
		if err := engine.ServeWorker(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func serveURL(t *testing.T) string {
	t.Helper()
	_, url := serve(t, echo.Options{})
	return url
}

func fleetPlan(url string, processes int) engine.Plan {
	return engine.Plan{
		URL: url, Processes: processes, Connections: 30, Ramp: 10_000, Publishers: 3, Via: engine.Clients, Shards: 1,
		ConnectTimeout: time.Minute, Attempts: 1, Start: timing.Now(),
	}
}

func measurement(t *testing.T, count int) engine.Measurement {
	return engine.Measurement{
		Conditions: result.Conditions{Run: "12345678", Connections: 30, Publishers: 3, Via: engine.Clients, Rate: 100,
			Count: count, Size: 200,
			Deadline: 30 * time.Second, Start: timing.Now() + 100_000},
		Settle: 20 * time.Millisecond, File: filepath.Join(t.TempDir(), "results"),
	}
}

func startFleet(t *testing.T, p engine.Plan) *engine.Fleet {
	t.Helper()
	t.Setenv("FLEET_TEST_WORKER", "1")
	t.Setenv("GORACE", "atexit_sleep_ms=0")
	f, err := engine.NewFleet(t.Context(), p, []string{os.Args[0]})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	if err := f.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := status(t, f); s.Connected != p.Connections {
		t.Errorf("got status with %d connected clients, want %d", s.Connected, p.Connections)
	}
	return f
}

func status(t *testing.T, f *engine.Fleet) engine.Status {
	t.Helper()
	s, err := f.Status()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func read(t *testing.T, name string) *account.Account {
	t.Helper()
	f, err := result.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	a, err := account.Of(f.Segments)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestFleet_Measure(t *testing.T) {
	for _, processes := range []int{1, 3} {
		t.Run(fmt.Sprint(processes), func(t *testing.T) {
			f := startFleet(t, fleetPlan(serveURL(t), processes))
			for range 2 { // twice on the same connections
				m := measurement(t, 30)
				if err := f.Measure(t.Context(), m); err != nil {
					t.Fatal(err)
				}
				a := read(t, m.File)
				if a.Deliveries.Owed != 900 || a.Deliveries.Delivered != 900 || len(a.Processes) != processes ||
					a.Publishing.Acknowledged != 30 {
					t.Errorf("got %d processes, %+v, %+v, want %d processes, 900 delivered, 30 acknowledged",
						len(a.Processes), a.Deliveries, a.Publishing, processes)
				}
				if parts, _ := filepath.Glob(m.File + ".*"); len(parts) != 0 {
					t.Errorf("got files %v left, want none", parts)
				}
			}
			s := status(t, f)
			if s.Published != 30 || s.Accepted != 30 || s.Live.Count() != 900 {
				t.Errorf("got status %+v with %d latencies, want 30 published and accepted, 900 latencies", s, s.Live.Count())
			}
		})
	}
}

func TestFleet_Interrupt(t *testing.T) {
	f := startFleet(t, fleetPlan(serveURL(t), 2))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
			if s, err := f.Status(); err != nil || s.Published > 0 {
				return
			}
		}
	}()
	m := measurement(t, 100_000)
	if err := f.Measure(ctx, m); err != nil {
		t.Fatal(err)
	}
	a := read(t, m.File)
	for _, p := range a.Processes {
		if p.End == nil || !p.End.Interrupted {
			t.Errorf("process %d: got end %+v, want interrupted", p.Conditions.Process, p.End)
		}
	}
}

// A worker that dies ends the measurement with an error, and a report of what was measured is invalid.
func TestFleet_WorkerKilled(t *testing.T) {
	f := startFleet(t, fleetPlan(serveURL(t), 2))
	var killing sync.WaitGroup
	killing.Go(func() {
		for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
			if s, err := f.Status(); err != nil || s.Published > 0 {
				break
			}
		}
		if err := syscall.Kill(f.Workers()[1], syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	})
	m := measurement(t, 300)
	m.Conditions.Deadline = 100 * time.Millisecond
	if err := f.Measure(t.Context(), m); err == nil || !strings.Contains(err.Error(), "process has ended") {
		t.Errorf("got error %v, want one of the process", err)
	}
	killing.Wait()
	if r, err := report.Load([]string{m.File}, nil); err == nil && r.Verdict != report.Invalid {
		t.Errorf("got verdict %v, want %v", r.Verdict, report.Invalid)
	}
}

// An interrupt right after its order must end the measurement, which would take a thousand seconds.
func TestServeWorker_ImmediateInterrupt(t *testing.T) {
	p, m := fleetPlan(serveURL(t), 1), measurement(t, 100_000)
	var orders bytes.Buffer
	for _, o := range []map[string]any{{"do": "plan", "plan": p}, {"do": "open"}, {"do": "prepare", "measurement": m},
		{"do": "measure"}, {"do": "interrupt"}} {
		if err := json.NewEncoder(&orders).Encode(o); err != nil {
			t.Fatal(err)
		}
	}
	// All orders arrive in one read. The input ends after the last answer.
	in, end := io.Pipe()
	answers, out := io.Pipe()
	var running sync.WaitGroup
	running.Go(func() {
		if err := engine.ServeWorker(t.Context(), io.MultiReader(&orders, in), out); err != nil {
			t.Error(err)
		}
		out.Close()
	})
	for d, done := json.NewDecoder(answers), ""; ; {
		var a struct{ Done, Error string }
		if err := d.Decode(&a); err != nil || a.Error != "" {
			t.Fatalf("after %q: got error %q, %v", done, a.Error, err)
		}
		if done = cmp.Or(a.Done, done); done == "measure" {
			break
		}
	}
	end.Close()
	io.Copy(io.Discard, answers)
	running.Wait()
	if a := read(t, m.File); !a.Processes[0].End.Interrupted {
		t.Errorf("got end %+v, want interrupted", a.Processes[0].End)
	}
}

func TestNewFleet_WorkerErrors(t *testing.T) {
	t.Setenv("FLEET_TEST_WORKER", "1")
	t.Setenv("GORACE", "atexit_sleep_ms=0")
	if _, err := engine.NewFleet(t.Context(), fleetPlan("nonsense", 2), []string{os.Args[0]}); err == nil {
		t.Error("invalid URL: got no error, want one")
	}
	if _, err := engine.NewFleet(t.Context(), fleetPlan("ws://127.0.0.1:1", 2),
		[]string{"/nonexistent/loadtest"}); err == nil {
		t.Error("missing program: got no error, want one")
	}
}

package fleet_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"fanfare/loadtest/account"
	"fanfare/loadtest/clock"
	"fanfare/loadtest/echo"
	"fanfare/loadtest/engine"
	"fanfare/loadtest/fleet"
	"fanfare/loadtest/result"

	"go.uber.org/goleak"
)

// The test binary plays the worker when it is started as one.
func TestMain(m *testing.M) {
	if os.Getenv("FLEET_TEST_WORKER") != "" {
		if err := fleet.Serve(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func serve(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := echo.New(echo.Options{})
	done := make(chan error)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return "ws://" + l.Addr().String()
}

func plan(url string, processes int) engine.Plan {
	return engine.Plan{
		URL: url, Processes: processes, Connections: 30, Ramp: 10_000, Publishers: 3, Via: engine.Clients, Shards: 1,
		ConnectTimeout: 5 * time.Second, Attempts: 1, Start: clock.Now(),
	}
}

func measurement(t *testing.T, count int) engine.Measurement {
	return engine.Measurement{
		Conditions: result.Conditions{Run: "12345678", Connections: 30, Publishers: 3, Via: engine.Clients, Rate: 100, Count: count, Size: 200,
			Deadline: 30 * time.Second, Start: clock.Now() + 100_000},
		Settle: 20 * time.Millisecond, File: filepath.Join(t.TempDir(), "results"),
	}
}

func start(t *testing.T, p engine.Plan) *fleet.Fleet {
	t.Helper()
	t.Setenv("FLEET_TEST_WORKER", "1")
	t.Setenv("GORACE", "atexit_sleep_ms=0")
	f, err := fleet.New(t.Context(), p, []string{os.Args[0]})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	if err := f.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return f
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

func TestProcesses(t *testing.T) {
	for _, processes := range []int{1, 3} {
		t.Run(fmt.Sprint(processes), func(t *testing.T) {
			f := start(t, plan(serve(t), processes))
			for range 2 { // the same connections serve again
				m := measurement(t, 30)
				if err := f.Measure(t.Context(), m); err != nil {
					t.Fatal(err)
				}
				a := read(t, m.File)
				if a.Deliveries.Owed != 900 || a.Deliveries.Delivered != 900 || len(a.Processes) != processes || a.Publishing.Acknowledged != 30 {
					t.Errorf("%d processes: %+v %+v", len(a.Processes), a.Deliveries, a.Publishing)
				}
				if parts, _ := filepath.Glob(m.File + ".*"); len(parts) != 0 {
					t.Errorf("parts are left: %v", parts)
				}
			}
			for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
				s, err := f.Status()
				if err != nil {
					t.Fatal(err)
				}
				if s.Connected == 30 && s.Published == 30 && s.Accepted == 30 && s.Live.Count() == 900 {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("status %+v of %d deliveries", s.Status, s.Live.Count())
				}
			}
		})
	}
}

func TestInterruptionReachesTheWorkers(t *testing.T) {
	f := start(t, plan(serve(t), 2))
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
			t.Errorf("process %d ended as %+v", p.Conditions.Process, p.End)
		}
	}
}

func TestAWorkersErrorIsHeard(t *testing.T) {
	t.Setenv("FLEET_TEST_WORKER", "1")
	t.Setenv("GORACE", "atexit_sleep_ms=0")
	if _, err := fleet.New(t.Context(), plan("nonsense", 2), []string{os.Args[0]}); err == nil {
		t.Error("a plan without a URL was accepted")
	}
	if _, err := fleet.New(t.Context(), plan("ws://127.0.0.1:1", 2), []string{"/nonexistent/loadtest"}); err == nil {
		t.Error("a worker that cannot start was accepted")
	}
}

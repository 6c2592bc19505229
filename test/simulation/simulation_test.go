package simulation_test

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fanfare/pkg/fanout"
	"fanfare/test/simulation"
)

var (
	seeds = flag.Int("seeds", 100, "number of seeds that TestSeeds runs; with a single one it logs all events")
	first = flag.Uint64("seed", 1, "first seed of TestSeeds")
)

func TestMain(m *testing.M) {
	flag.Parse()
	debug.SetGCPercent(400) // runs allocate much and keep little
	os.Exit(m.Run())
}

// maxFailures is the number of failed seeds after which TestSeeds stops.
const maxFailures = 5

// rare holds the number of seeds from which on a rare event must have happened; other events must happen in a hundred
// seeds. TestRun_MaxHops and TestRun_EveryCrashPoint always cause them.
var rare = map[string]int{
	"TooManyHops": 5000, "Timeouts": 500, "Disconnected": 500, "Forbidden": 500, "FaultsEnded": 1000,
}

// TestSeeds runs random scenarios with random faults and checks each against the promises.
func TestSeeds(t *testing.T) {
	if *seeds == 1 {
		testSeed(t, *first)
		return
	}
	var next, failed atomic.Int64
	var mu sync.Mutex
	var sum simulation.Census
	t.Run("workers", func(t *testing.T) {
		for i := range runtime.GOMAXPROCS(0) {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				for n := next.Add(1) - 1; n < int64(*seeds) && failed.Load() < maxFailures; n = next.Add(1) - 1 {
					seed := *first + uint64(n)
					r := simulation.Run(t, seed, simulation.SettingsOf(seed), false)
					for _, err := range r.Broken {
						t.Errorf("seed %d: %v", seed, err)
					}
					if len(r.Broken) > 0 {
						failed.Add(1)
						t.Errorf("to repeat it: go test ./test/simulation -count=1 -run TestSeeds -args -seeds 1 -seed %d", seed)
					}
					mu.Lock()
					add(&sum, r.Census)
					mu.Unlock()
				}
			})
		}
	})
	t.Logf("%d seeds: %+v", *seeds, sum)
	for name, n := range fields(sum) {
		if n == 0 && *seeds >= max(100, rare[name]) {
			t.Errorf("%d seeds: got no %s, want at least one", *seeds, name)
		}
	}
}

// testSeed runs a single seed and logs all events. If the run depends on the Go scheduler (see the package's
// documentation), it is repeated until it fails, at most a hundred times.
func testSeed(t *testing.T, seed uint64) {
	s := simulation.SettingsOf(seed)
	r := simulation.Run(t, seed, s, true)
	for runs := 1; len(r.Broken) == 0 && s.Workers > 1 && runs < 100; runs++ {
		r = simulation.Run(t, seed, s, true)
	}
	t.Logf("seed %d: %+v\n%s%+v\n%+v", seed, s, r.Log, r.Census, r.Verdict)
	for _, err := range r.Broken {
		t.Error(err)
	}
}

func add(sum *simulation.Census, c simulation.Census) {
	s, v := reflect.ValueOf(sum).Elem(), reflect.ValueOf(c)
	for i := range v.NumField() {
		s.Field(i).SetInt(s.Field(i).Int() + v.Field(i).Int())
	}
}

func fields(c simulation.Census) map[string]int64 {
	all := make(map[string]int64)
	v := reflect.ValueOf(c)
	for i := range v.NumField() {
		all[v.Type().Field(i).Name] = v.Field(i).Int()
	}
	return all
}

// TestRun_Repeatable checks, for one in a hundred of the seeds, that equal seeds make equal runs. It uses one worker,
// because a run with concurrent posts may differ.
func TestRun_Repeatable(t *testing.T) {
	for n := range max(5, uint64(*seeds/100)) {
		seed := *first + 20*n
		s := simulation.SettingsOf(seed)
		s.Workers = 1
		a, b := simulation.Run(t, seed, s, false), simulation.Run(t, seed, s, false)
		if a.Digest != b.Digest {
			t.Errorf("seed %d: got different digests of two runs, want equal ones", seed)
		}
		if c := simulation.Run(t, seed+1, s, false); c.Digest == a.Digest {
			t.Errorf("seeds %d and %d: got equal digests, want different ones", seed, seed+1)
		}
	}
}

// TestRun_MaxHops reads a table that takes more than fanout.MaxHops dispatchers: the broadcast must end on the
// dead-letter queue before Lambda would drop it, and after a redrive it must reach every client, with the table still
// as slow.
func TestRun_MaxHops(t *testing.T) {
	s := plain
	s.Broadcasts, s.Clients, s.Segments, s.PageRows, s.StretchConnections = 1, 80, 1, 1, 2
	s.Scan, s.RedrivenEarly = simulation.Faults{Slow: 1, SlowFor: 19 * time.Second}, true
	r := simulation.Run(t, 1, s, true)
	for _, err := range r.Broken {
		t.Error(err)
	}
	c := r.Census
	if c.Continued <= fanout.MaxHops-1 || c.TooManyHops != 1 || c.DeadLettered != 1 || c.Redriven != 1 {
		t.Errorf("got %d continuations, %d with too many hops, %d dead letters, %d redriven, want more than %d, then 1 each",
			c.Continued, c.TooManyHops, c.DeadLettered, c.Redriven, fanout.MaxHops-1)
	}
	if c.Posted != 2*s.Clients { // each run ends with one more broadcast
		t.Errorf("got %d accepted posts, want 2 for each of %d clients", c.Posted, s.Clients)
	}
	if t.Failed() {
		t.Log(r.Log)
	}
}

// plain is a stack without faults, small enough for every crash point to be tried.
var plain = simulation.Settings{
	PostsPerSecond: 100, DispatcherConcurrency: 1, SenderConcurrency: 2, BatchConnections: 3, BatchPosts: 20,
	Segments: 2, StretchConnections: 4, Workers: 1, MaxAttempts: 3, PageRows: 20,
	Clients: 4, DeadRows: 1, Broadcasts: 2, Duration: 1,
}

// TestRun_EveryCrashPoint lets a process die before and after each of its effects, and lets each effect fail before and
// after it takes place, one at a time. One scenario has any two crashes. For these a crash before each effect is
// enough: a crash after an effect leaves the same state as one before the next.
func TestRun_EveryCrashPoint(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*simulation.Settings)
		pairs  bool
	}{
		{"one page", func(*simulation.Settings) {}, false},
		{"two crashes", func(s *simulation.Settings) { s.Clients, s.BatchConnections = 2, 12 }, true},
		{"several segments and stretches", func(s *simulation.Settings) { s.PageRows, s.StretchConnections = 2, 2 }, false},
		{"clients connect and disconnect", func(s *simulation.Settings) {
			s.Duration, s.Joining, s.Leaving = 1e9, 3, 3
		}, false},
		{"clients with full buffers at the last attempt", func(s *simulation.Settings) {
			s.Stalled, s.MaxAttempts = 0.6, 2
		}, false},
		{"clients that are disconnected", func(s *simulation.Settings) {
			s.Stalled, s.MaxAttempts, s.DisconnectFull = 0.6, 2, true
		}, false},
		{"dead letters", func(s *simulation.Settings) {
			s.Forbidden, s.MaxAttempts, s.RedrivenEarly = simulation.Window{From: 3e8, To: 20e9}, 2, true
			s.Clients = 2
		}, false},
		{"a table that takes several dispatchers", func(s *simulation.Settings) {
			s.PageRows, s.Segments, s.StretchConnections = 1, 1, 3
			s.Scan.Slow, s.Scan.SlowFor = 1, 18e9
		}, false},
		{"posts to open connections that are answered 410", func(s *simulation.Settings) {
			s.FalselyGone, s.DeadRows = 0.5, 2
		}, false},
		{"messages that SQS delivers twice", func(s *simulation.Settings) {
			s.Queue.Duplicate, s.Queue.Undeleted = 0.3, 0.3
		}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := plain
			test.change(&s)
			runs, repeats := 0, int64(0)
			run := func(at map[int]simulation.Mishap) simulation.Result {
				s.At = at
				r := simulation.Run(t, 1, s, false)
				for _, err := range r.Broken {
					t.Errorf("mishaps %v: %v", at, err)
				}
				runs++
				repeats += r.Verdict.Repeats
				return r
			}
			whole := run(map[int]simulation.Mishap{})
			if whole.Verdict.Repeats > 0 || whole.Census.Kills > 0 {
				t.Errorf("no crash: got %+v, %+v, want no repeats and no kills", whole.Verdict, whole.Census)
			}
			for point := 1; point <= whole.Points && !t.Failed(); point++ {
				for _, how := range simulation.Mishaps {
					r := run(map[int]simulation.Mishap{point: how})
					if r.Census.Kills == 0 && how == simulation.CrashBefore {
						t.Errorf("point %d: got no kill, want one", point)
					}
					if !test.pairs || how != simulation.CrashBefore {
						continue
					}
					for second := point + 1; second <= r.Points && !t.Failed(); second++ {
						run(map[int]simulation.Mishap{point: how, second: how})
					}
				}
			}
			t.Logf("%d points, %d runs, %d deliveries repeated", whole.Points, runs, repeats)
			if repeats == 0 {
				t.Error("got no repeated delivery, want some from crashes during a batch")
			}
		})
	}
}

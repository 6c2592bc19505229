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
	seeds = flag.Int("seeds", 100, "how many seeds TestSeeds runs; of a single one, it tells all that happened")
	first = flag.Uint64("seed", 1, "the first seed that TestSeeds runs")
)

func TestMain(m *testing.M) {
	flag.Parse()
	debug.SetGCPercent(400) // runs leave much garbage and keep little
	os.Exit(m.Run())
}

// failuresKept is after how many bad seeds TestSeeds has seen enough.
const failuresKept = 5

// rare is what so few runs meet that it is asked for from so many seeds on; the others are asked for from a hundred on.
// TestABroadcastThatIsHandedOnTooOften and TestEveryCrashPoint meet them always.
var rare = map[string]int{"TooManyHops": 5000, "Timeouts": 500, "Disconnected": 500, "Forbidden": 500, "Relieved": 1000}

// TestSeeds runs scenarios that chance has made, each with faults of its own, and holds each against the promises.
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
				for n := next.Add(1) - 1; n < int64(*seeds) && failed.Load() < failuresKept; n = next.Add(1) - 1 {
					seed := *first + uint64(n)
					r := simulation.Run(t, seed, simulation.SettingsOf(seed), false)
					for _, err := range r.Broken {
						t.Errorf("seed %d: %v", seed, err)
					}
					if len(r.Broken) > 0 {
						failed.Add(1)
						t.Errorf("run it again: go test ./test/simulation -count=1 -run TestSeeds -args -seeds 1 -seed %d", seed)
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
			t.Errorf("in %d seeds there was not one of %s: what it takes to survive it was not tested", *seeds, name)
		}
	}
}

// testSeed runs a single seed and tells what happened. Where the Go scheduler has a say in it (see the package's
// documentation), a run that is no failure may be followed by one that is.
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

// TestARunCanBeRepeated holds that a seed is all it takes to see a failure again, for one in a hundred of the seeds. Where
// a sender has several posts under way at once, a run may come out otherwise.
func TestARunCanBeRepeated(t *testing.T) {
	for n := range max(5, uint64(*seeds/100)) {
		seed := *first + 20*n
		s := simulation.SettingsOf(seed)
		s.Workers = 1
		a, b := simulation.Run(t, seed, s, false), simulation.Run(t, seed, s, false)
		if a.Digest != b.Digest {
			t.Errorf("seed %d made another run the second time", seed)
		}
		if c := simulation.Run(t, seed+1, s, false); c.Digest == a.Digest {
			t.Errorf("another seed made the same run as seed %d: the digest tells nothing", seed)
		}
	}
}

// TestABroadcastThatIsHandedOnTooOften has a table that takes more dispatchers than a broadcast may pass through: it has
// to end in the dead-letter queue, before Lambda would drop it, and to reach everybody once it is sent back, though the
// table is no quicker then.
func TestABroadcastThatIsHandedOnTooOften(t *testing.T) {
	s := plain
	s.Broadcasts, s.Clients, s.Segments, s.PageRows, s.StretchConnections = 1, 80, 1, 1, 2
	s.Scan, s.RedrivenEarly = simulation.Faults{Slow: 1, SlowFor: 19 * time.Second}, true
	r := simulation.Run(t, 1, s, true)
	for _, err := range r.Broken {
		t.Error(err)
	}
	c := r.Census
	if c.Continued <= fanout.MaxHops-1 || c.TooManyHops != 1 || c.DeadLettered != 1 || c.Redriven != 1 {
		t.Errorf("handed on %d times, given up %d times, buried %d times, sent back %d times; want %d before and more after, then 1 each",
			c.Continued, c.TooManyHops, c.DeadLettered, c.Redriven, fanout.MaxHops-1)
	}
	if c.Posted != 2*s.Clients { // the last broadcast of a run is one more
		t.Errorf("%d posts were accepted, want 2 for each of %d clients", c.Posted, s.Clients)
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

// TestEveryCrashPoint has a process die before and after each single thing that it asks of the world, and has that fail
// before and after it took effect, one at a time; and in one scenario it has any two deaths follow each other. For these
// the death before each thing is enough: to die after one thing leaves the same behind as to die before the next.
func TestEveryCrashPoint(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*simulation.Settings)
		pairs  bool
	}{
		{"one page", func(*simulation.Settings) {}, false},
		{"two deaths", func(s *simulation.Settings) { s.Clients, s.BatchConnections = 2, 12 }, true},
		{"several segments and stretches", func(s *simulation.Settings) { s.PageRows, s.StretchConnections = 2, 2 }, false},
		{"clients come and go", func(s *simulation.Settings) { s.Duration, s.Joining, s.Leaving = 1e9, 3, 3 }, false},
		{"clients that are full, to the last attempt", func(s *simulation.Settings) { s.Stalled, s.MaxAttempts = 0.6, 2 }, false},
		{"clients that are disconnected", func(s *simulation.Settings) { s.Stalled, s.MaxAttempts, s.DisconnectFull = 0.6, 2, true }, false},
		{"dead letters", func(s *simulation.Settings) {
			s.Forbidden, s.MaxAttempts, s.RedrivenEarly = simulation.Window{From: 3e8, To: 20e9}, 2, true
			s.Clients = 2
		}, false},
		{"a table that takes several dispatchers", func(s *simulation.Settings) {
			s.PageRows, s.Segments, s.StretchConnections = 1, 1, 3
			s.Scan.Slow, s.Scan.SlowFor = 1, 18e9
		}, false},
		{"messages that SQS hands over twice", func(s *simulation.Settings) { s.Queue.Duplicate, s.Queue.Undeleted = 0.3, 0.3 }, false},
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
				t.Errorf("without a crash: %+v, %+v", whole.Verdict, whole.Census)
			}
			for point := 1; point <= whole.Points && !t.Failed(); point++ {
				for _, how := range simulation.Mishaps {
					r := run(map[int]simulation.Mishap{point: how})
					if r.Census.Kills == 0 && how == simulation.CrashBefore {
						t.Errorf("nothing died at point %d", point)
					}
					for second := point + 1; test.pairs && how == simulation.CrashBefore && second <= r.Points && !t.Failed(); second++ {
						run(map[int]simulation.Mishap{point: how, second: how})
					}
				}
			}
			t.Logf("%d points, %d runs, %d deliveries repeated", whole.Points, runs, repeats)
			if repeats == 0 {
				t.Error("no crash has repeated a delivery: none was in mid-batch")
			}
		})
	}
}

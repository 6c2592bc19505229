package lambda

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"
)

// Faults make functions fail. Rates are shares of the invocations, and InitError of the starts, from 0 to 1. An
// invocation has at most one fault, so that their sum is at most 1. Seed, the function's name and n decide the fault of
// its nth invocation, so that equal seeds inject equal faults. The zero value injects none.
type Faults struct {
	// Seed is the seed of the fault generator.
	Seed uint64
	// Functions are the names of the functions that may fail; empty means all.
	Functions []string
	// Throttle: the invocation fails with ErrThrottled.
	Throttle float64
	// ErrorBefore: the invocation fails with ErrService, and the function does not run.
	ErrorBefore float64
	// ErrorAfter: the function runs, and a successful invocation then fails with ErrService.
	ErrorAfter float64
	// Kill: the process receives SIGKILL within KillWithin after the event, unless it has finished before.
	Kill float64
	// KillWithin is the maximum delay of Kill; the delay is uniformly distributed. 0 kills at once.
	KillWithin time.Duration
	// Timeout: when the function answers, it is killed and reported as timed out.
	Timeout float64
	// InitError: a start of a process fails as if the process had exited.
	InitError float64
}

type faultKind int

const (
	faultNone faultKind = iota
	faultThrottle
	faultErrorBefore
	faultErrorAfter
	faultKill
	faultTimeout
)

// fault is the fault of one invocation.
type fault struct {
	kind  faultKind
	delay time.Duration // before the kill
}

// rates returns the rates of invocations in the order of their kinds, from faultThrottle on.
func (x *Faults) rates() [5]float64 {
	return [...]float64{x.Throttle, x.ErrorBefore, x.ErrorAfter, x.Kill, x.Timeout}
}

func (x *Faults) check() error {
	sum := 0.0
	for _, rate := range []float64{x.Throttle, x.ErrorBefore, x.ErrorAfter, x.Kill, x.Timeout, x.InitError} {
		if !(rate >= 0 && rate <= 1) { // also true for NaN
			return fmt.Errorf("faults: rate %v: want 0 to 1", rate)
		}
	}
	for _, rate := range x.rates() {
		sum += rate
	}
	if sum > 1+1e-9 {
		return fmt.Errorf("faults: sum of the rates of invocations %v: want at most 1", sum)
	}
	if x.KillWithin < 0 {
		return fmt.Errorf("faults: KillWithin %v is negative", x.KillWithin)
	}
	return nil
}

// SetFaults replaces the faults of later invocations and starts. It returns an error and changes nothing if a rate is
// out of range.
func (s *Service) SetFaults(faults Faults) error {
	if err := faults.check(); err != nil {
		return err
	}
	s.faults.Store(&faults)
	return nil
}

func (x *Faults) applies(function string) bool {
	return len(x.Functions) == 0 || slices.Contains(x.Functions, function)
}

// source returns a random generator for a function's nth invocation or start.
func (x *Faults) source(function, what string, n uint64) *rand.Rand {
	hash := fnv.New64a()
	hash.Write([]byte(what + "\x00" + function))
	return rand.New(rand.NewPCG(x.Seed^hash.Sum64(), n))
}

// drawFault returns the fault of the function's next invocation.
func (s *Service) drawFault(f *function) fault {
	x := s.faults.Load()
	n := f.invoked.Add(1)
	if x.rates() == [5]float64{} || !x.applies(f.Name) {
		return fault{}
	}
	random := x.source(f.Name, "invocation", n)
	at := random.Float64()
	for i, rate := range x.rates() {
		if at < rate {
			drawn := fault{kind: faultThrottle + faultKind(i)}
			if drawn.kind == faultKill && x.KillWithin > 0 {
				drawn.delay = time.Duration(random.Int64N(int64(x.KillWithin)))
			}
			return drawn
		}
		at -= rate
	}
	return fault{}
}

// drawInitError reports whether the next start of the function fails.
func (s *Service) drawInitError(f *function) bool {
	x := s.faults.Load()
	n := f.launched.Add(1)
	if x.InitError == 0 || !x.applies(f.Name) {
		return false
	}
	return x.source(f.Name, "start", n).Float64() < x.InitError
}

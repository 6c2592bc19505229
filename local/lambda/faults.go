package lambda

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"
)

// Faults make functions fail on purpose. Rates are shares of invocations (of starts, for InitError) from 0 to 1; at
// most one fault befalls an invocation, so that their sum may not be over 1. What befalls the nth invocation of a
// function follows from Seed, the function's name and n alone, so that a run can be repeated. The zero value is none.
type Faults struct {
	// Seed chooses which invocations are hit.
	Seed uint64
	// Functions are the names of those that can be hit; empty means all.
	Functions []string
	// Throttle: the invocation fails with ErrThrottled.
	Throttle float64
	// ErrorBefore: it fails with ErrService, and the function is not run.
	ErrorBefore float64
	// ErrorAfter: the function runs to its end, and then the invocation fails with ErrService if it was a success.
	ErrorAfter float64
	// Kill: the process gets a SIGKILL within KillWithin after it was given the event, unless it has finished by then.
	Kill float64
	// KillWithin bounds the delay of Kill, which is drawn from it evenly; 0 kills at once.
	KillWithin time.Duration
	// Timeout: the function runs until it answers; then its time is taken to be up, and it is killed.
	Timeout float64
	// InitError: a start of a process fails as though it had exited.
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

// fault is what befalls one invocation.
type fault struct {
	kind  faultKind
	delay time.Duration // before the kill
}

// rates returns the rates in the order of their kinds from faultThrottle on.
func (x *Faults) rates() [5]float64 {
	return [...]float64{x.Throttle, x.ErrorBefore, x.ErrorAfter, x.Kill, x.Timeout}
}

func (x *Faults) check() error {
	sum := 0.0
	for _, rate := range []float64{x.Throttle, x.ErrorBefore, x.ErrorAfter, x.Kill, x.Timeout, x.InitError} {
		if !(rate >= 0 && rate <= 1) { // NaN is neither
			return fmt.Errorf("faults: rate %v: want 0 to 1", rate)
		}
	}
	for _, rate := range x.rates() {
		sum += rate
	}
	if sum > 1+1e-9 {
		return fmt.Errorf("faults: the rates of invocations add up to %v: want at most 1", sum)
	}
	if x.KillWithin < 0 {
		return fmt.Errorf("faults: KillWithin %v is negative", x.KillWithin)
	}
	return nil
}

// SetFaults replaces the faults for invocations and starts from now on. It returns an error, and changes nothing, if a
// rate is out of bounds.
func (s *Service) SetFaults(faults Faults) error {
	if err := faults.check(); err != nil {
		return err
	}
	s.faults.Store(&faults)
	return nil
}

func (x *Faults) hits(function string) bool {
	return len(x.Functions) == 0 || slices.Contains(x.Functions, function)
}

// source returns the random numbers of a function's nth invocation or start.
func (x *Faults) source(function, what string, n uint64) *rand.Rand {
	hash := fnv.New64a()
	hash.Write([]byte(what + "\x00" + function))
	return rand.New(rand.NewPCG(x.Seed^hash.Sum64(), n))
}

// draw decides what befalls the next invocation of the function.
func (s *Service) draw(f *function) fault {
	x := s.faults.Load()
	n := f.invoked.Add(1)
	if x.rates() == [5]float64{} || !x.hits(f.Name) {
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

// drawInitError decides whether the next start of a process of the function fails.
func (s *Service) drawInitError(f *function) bool {
	x := s.faults.Load()
	n := f.launched.Add(1)
	if x.InitError == 0 || !x.hits(f.Name) {
		return false
	}
	return x.source(f.Name, "start", n).Float64() < x.InitError
}

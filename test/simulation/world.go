package simulation

import (
	"cmp"
	"container/heap"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"fanfare/pkg/delivery"
	"fanfare/test/audit"
)

// Faults end after maxFaultTime of virtual time or maxFaultEvents events; otherwise duplicated messages multiply
// without bound. A run that is not at rest after horizon or maxEvents has failed.
const (
	maxFaultTime   = 2 * time.Hour
	maxFaultEvents = 50_000
	horizon        = 24 * time.Hour
	maxEvents      = 500_000
)

// world is the state of one run and its scheduled events. Only the goroutine of run uses it, except for arrivals, which
// makes a run repeatable: the stages run in goroutines of their own, but their effects wait until all goroutines wait,
// and are then executed in an order that the seed decides.
type world struct {
	settings   Settings
	random     *rand.Rand
	begin      time.Time
	agenda     agenda
	serial     int  // of events
	points     int  // crash points passed
	answerLost bool // the answer of the present effect is lost
	tracer     tracer

	mu       sync.Mutex
	arrivals []*effect // requested since the last admit
	wake     chan struct{}

	running     map[*invocation]bool
	invocations int
	trail       *audit.Trail
	offers      map[string]*audit.Broadcast // by payload
	broadcasts  map[string]bool             // ids of broadcasts that SQS has stored
	queues      map[string]*messageQueue
	mappings    map[string]*mapping // by function
	registry    *registry
	table       delivery.Registry // of senders: the registry's client, unless a test plants another
	ledger      *ledger
	gateway     *gateway
	census      Census
	broken      []error // broken promises
}

// event is a scheduled function.
type event struct {
	at   time.Time
	seq  int
	name string
	do   func()
}

type agenda []*event

func (e agenda) Len() int           { return len(e) }
func (e agenda) Less(i, j int) bool { return cmp.Or(e[i].at.Compare(e[j].at), e[i].seq-e[j].seq) < 0 }
func (e agenda) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *agenda) Push(x any)        { *e = append(*e, x.(*event)) }
func (e *agenda) Pop() any {
	last := len(*e) - 1
	x := (*e)[last]
	(*e)[last] = nil
	*e = (*e)[:last]
	return x
}

// after schedules a function.
func (w *world) after(d time.Duration, name string, do func()) {
	w.serial++
	heap.Push(&w.agenda, &event{time.Now().Add(d), w.serial, name, do})
}

// run executes events until there are none and no invocation is running.
func (w *world) run() {
	for {
		synctest.Wait() // until every stage waits for an answer or a timer
		w.admit()
		if len(w.agenda) == 0 && len(w.running) == 0 {
			return
		}
		if !w.settings.calm && (time.Since(w.begin) > maxFaultTime || w.serial > maxFaultEvents) {
			w.settings.calm = true
			w.census.FaultsEnded++
			w.tracer.note(w, "the faults end")
		}
		if time.Since(w.begin) > horizon || w.serial > maxEvents {
			w.fail("the system is not at rest: %d invocations are running, %d messages to dispatch, %d to send",
				len(w.running), len(w.queues["broadcast"].messages), len(w.queues["send"].messages))
			w.giveUp()
			return
		}
		if len(w.agenda) == 0 {
			<-w.wake
			continue
		}
		next := w.agenda[0]
		wait := time.Until(next.at)
		if wait <= 0 {
			heap.Pop(&w.agenda)
			w.tracer.note(w, "%s", next.name)
			next.do()
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-w.wake:
			timer.Stop()
		}
	}
}

// giveUp ends all invocations and removes all events.
func (w *world) giveUp() {
	for inv := range w.running {
		w.end(inv)
	}
	clear(w.running)
	w.agenda = nil
	for _, q := range w.queues {
		q.messages, q.poll = nil, nil
	}
}

// effect is one request of a stage to the world.
type effect struct {
	by      *invocation
	key     string
	latency latency
	act     func() error
	faults  *Faults

	twins     []*effect     // equal requests of the same invocation at the same time
	answer    time.Duration // delay of its answer
	done      chan struct{}
	err       error
	abandoned bool // the caller no longer waits; guarded by world.mu
}

// latency draws the delays of a request and of its answer.
type latency func() (there, back time.Duration)

func instantly() (there, back time.Duration) { return 0, 0 }

// errDead is the result of all effects of a killed process.
var errDead = errors.New("the process is dead")

// do requests an effect and waits for its answer or the end of ctx; in the second case the effect may take place or
// not. With faults, the answer may be an error with or without the effect.
func (w *world) do(ctx context.Context, key string, latency latency, faults *Faults, act func() error) error {
	inv := invoked(ctx)
	e := &effect{by: inv, key: key, latency: latency, act: act, faults: faults, done: make(chan struct{})}
	w.mu.Lock()
	if inv.dead {
		w.mu.Unlock()
		return errDead
	}
	w.arrivals = append(w.arrivals, e)
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
	select {
	case <-e.done:
		return e.err
	case <-inv.died:
		return errDead
	case <-ctx.Done():
		w.mu.Lock()
		defer w.mu.Unlock()
		e.abandoned = true
		return ctx.Err()
	}
}

// admit schedules the requested effects, in an order that does not depend on the scheduler of goroutines. Equal
// requests of an invocation at the same time, such as two reads of one page, cannot be ordered: they have one delay and
// one outcome.
func (w *world) admit() {
	w.mu.Lock()
	arrivals := w.arrivals
	w.arrivals = nil
	w.mu.Unlock()
	slices.SortStableFunc(arrivals, func(a, b *effect) int {
		return cmp.Or(cmp.Compare(a.by.number, b.by.number), cmp.Compare(a.key, b.key))
	})
	for i, e := range arrivals {
		if i > 0 && e.by == arrivals[i-1].by && e.key == arrivals[i-1].key {
			arrivals[i] = arrivals[i-1]
			arrivals[i].twins = append(arrivals[i].twins, e)
		}
	}
	for _, e := range slices.Compact(arrivals) {
		var there time.Duration
		there, e.answer = e.latency()
		w.after(there, e.by.id+" "+e.key, func() { w.execute(e) })
	}
}

// execute executes an effect, or lets it fail, or kills its process before or after it.
func (w *world) execute(e *effect) {
	w.mu.Lock()
	lost := e.abandoned || e.by.dead
	w.mu.Unlock()
	if lost { // the request may still arrive
		if w.random.IntN(2) == 0 {
			w.answerLost = true
			e.actAll()
			w.answerLost = false
		}
		return
	}
	mishap := w.mishap(e)
	if mishap == CrashBefore {
		w.kill(e.by, "crash before "+e.key)
		return
	}
	switch mishap {
	case FailBefore:
		e.fail(failure(e.key + " failed"))
	case FailAfter:
		w.answerLost = true
		e.actAll()
		w.answerLost = false
		e.fail(failure(e.key + " took effect, and its answer was lost"))
	default:
		e.actAll()
	}
	if mishap == CrashAfter && !e.by.ended {
		w.kill(e.by, "crash after "+e.key)
		return
	}
	if e.err != nil {
		w.tracer.note(w, "  %v", e.err)
	}
	if e.answer == 0 {
		e.end()
		return
	}
	w.after(e.answer, e.by.id+" hears of "+e.key, e.end)
}

// actAll executes the effect and its twins.
func (e *effect) actAll() {
	e.err = e.act()
	for _, twin := range e.twins {
		twin.err = twin.act()
	}
}

// fail gives the effect and its twins an error.
func (e *effect) fail(err error) {
	e.err = err
	for _, twin := range e.twins {
		twin.err = err
	}
}

// end answers the effect and its twins.
func (e *effect) end() {
	close(e.done)
	for _, twin := range e.twins {
		close(twin.done)
	}
}

// failure is an error that the world injects.
type failure string

func (f failure) Error() string { return "simulated: " + string(f) }

// Mishap is a fault of one effect.
type Mishap int

const (
	NoMishap    Mishap = iota
	CrashBefore        // the caller dies before the effect
	CrashAfter         // the caller dies after the effect
	FailBefore         // an error without the effect
	FailAfter          // an error after the effect
)

// Mishaps lists all mishaps.
var Mishaps = []Mishap{CrashBefore, CrashAfter, FailBefore, FailAfter}

// mishap decides whether an effect has a mishap. Every effect of a dispatcher, a sender or an operator is a crash
// point.
func (w *world) mishap(e *effect) Mishap {
	ours := (e.by.mapping != nil || e.by.operator) && !w.settings.calm
	if ours {
		w.points++
	}
	switch {
	case ours && e.key == returns && w.settings.At[w.points] != NoMishap:
		return CrashBefore // it can fail only with its process
	case ours && w.settings.At[w.points] != NoMishap:
		return w.settings.At[w.points]
	case ours && w.settings.At == nil && w.chance(w.settings.Crash):
		return CrashBefore + Mishap(w.random.IntN(2))
	case e.faults == nil:
		return NoMishap
	case !w.settings.calm && e.faults.Outage.covers(time.Since(w.begin)), w.chance(e.faults.Before):
		return FailBefore
	case w.chance(e.faults.After):
		return FailAfter
	}
	return NoMishap
}

// chance returns true with a probability, and never after the faults have ended.
func (w *world) chance(p float64) bool {
	return p > 0 && !w.settings.calm && w.random.Float64() < p
}

// between returns a duration from low to high.
func (w *world) between(low, high time.Duration) time.Duration {
	return low + time.Duration(w.random.Int64N(int64(high-low)+1))
}

func (w *world) fail(format string, args ...any) {
	err := fmt.Errorf("after %v: "+format, append([]any{time.Since(w.begin)}, args...)...)
	w.tracer.note(w, "BROKEN: %v", err)
	w.broken = append(w.broken, err)
}

// tracer records all events as a digest, by which repeated runs are compared, and as text if requested.
type tracer struct {
	digest hash.Hash64
	line   []byte
	lines  *strings.Builder
}

func (t *tracer) note(w *world, format string, args ...any) {
	t.line = binary.LittleEndian.AppendUint64(t.line[:0], uint64(time.Since(w.begin)))
	text := len(t.line)
	t.line = fmt.Appendf(t.line, format, args...)
	t.digest.Write(t.line)
	if t.lines != nil {
		fmt.Fprintf(t.lines, "%15s  %s\n", time.Since(w.begin), t.line[text:])
	}
}

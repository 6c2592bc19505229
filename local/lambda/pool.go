package lambda

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// initLimit is the maximum duration of the init phase. A longer one is killed and repeated within the invocation. Only
// tests change it.
// Source: docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html, Init phase.
var initLimit = 10 * time.Second

// function is a declared function and its processes.
type function struct {
	Function
	s                 *Service
	env               map[string]string
	limit             *limit
	invoked, launched atomic.Uint64 // counts of invocations and starts, for faults

	mu       sync.Mutex
	version  version    // of bootstrap, as last read
	idle     []*process // waiting for an event; the most recently used last
	all      map[*process]struct{}
	waiting  list.List // of *waiter, the oldest first
	starting int       // processes that are starting
	stopped  bool
}

// waiter is an invocation that waits for a process.
type waiter struct {
	ready   chan assignment // buffered, receives one value
	element *list.Element   // nil once it is removed from the list
}

type assignment struct {
	p   *process
	err error
}

// version identifies a build of bootstrap.
type version struct {
	inode    uint64
	size     int64
	modified time.Time
}

func newFunction(s *Service, fn Function) *function {
	f := &function{Function: fn, s: s, env: fn.environment(s.o), limit: &s.unreserved, all: map[*process]struct{}{}}
	if fn.ReservedConcurrency != 0 {
		f.limit = &limit{}
		f.limit.max.Store(int64(max(fn.ReservedConcurrency, 0)))
	}
	return f
}

func (f *function) path() string { return filepath.Join(f.Dir, "bootstrap") }

// currentVersion returns the executable's current version, or the zero version if it does not exist.
func (f *function) currentVersion() version {
	info, err := os.Stat(f.path())
	if err != nil {
		return version{}
	}
	v := version{size: info.Size(), modified: info.ModTime()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		v.inode = uint64(sys.Ino) //nolint:unconvert // narrower on some systems
	}
	return v
}

// run takes or starts a process and passes it the invocation. If it returns an error, the invocation has ended.
func (f *function) run(ctx context.Context, inv *invocation) error {
	for {
		p, err := f.take(ctx)
		if err == nil {
			if p.begin(inv) {
				return nil
			}
			continue // the process has ended without receiving the event
		}
		f.limit.release()
		f.s.endInvocation()
		if start, ok := errors.AsType[*StartError](err); ok {
			failure := start.invocationError(inv.id)
			inv.start, inv.status, inv.kind = time.Now(), StatusError, failure.Type
			if failure.Type == TypeTimeout {
				inv.status = StatusTimeout
			}
			inv.report(nil, inv.start)
			return failure
		}
		return fmt.Errorf("invoke %s: %w", f.Name, err)
	}
}

// take returns an idle process, or the first that becomes free or has started.
func (f *function) take(ctx context.Context) (*process, error) {
	v := f.currentVersion()
	f.mu.Lock()
	if f.stopped {
		f.mu.Unlock()
		return nil, ErrShutDown
	}
	f.setVersion(v)
	if n := len(f.idle); n > 0 {
		p := f.idle[n-1]
		f.idle[n-1] = nil
		f.idle = f.idle[:n-1]
		f.mu.Unlock()
		return p, nil
	}
	w := &waiter{ready: make(chan assignment, 1)}
	w.element = f.waiting.PushBack(w)
	f.startMore()
	f.mu.Unlock()

	select {
	case a := <-w.ready:
		return a.p, a.err
	case <-ctx.Done():
	}
	f.mu.Lock()
	if w.element != nil {
		f.waiting.Remove(w.element)
		w.element = nil
		f.mu.Unlock()
		return nil, ctx.Err()
	}
	f.mu.Unlock()
	if a := <-w.ready; a.err == nil {
		f.free(a.p)
	}
	return nil, ctx.Err()
}

// setVersion ends the idle processes of a replaced bootstrap. If the file is missing it does nothing, because a build
// may be replacing it. The caller holds f.mu.
func (f *function) setVersion(v version) {
	if v == f.version || v == (version{}) {
		return
	}
	if f.version != (version{}) {
		f.s.log.Info("executable changed, replacing its processes", "function", f.Name, "path", f.path())
	}
	f.version = v
	for _, p := range f.idle {
		f.s.running.Go(p.retire)
	}
	f.idle = nil
}

// startMore starts one process per waiting invocation, within the limits. The caller holds f.mu.
func (f *function) startMore() {
	for f.starting < f.s.o.StartConcurrency && f.starting < f.waiting.Len() && !f.stopped {
		f.starting++
		f.s.running.Go(f.start)
	}
}

// start starts one process and assigns it, or its error, to the oldest waiter.
func (f *function) start() {
	p, err := f.launch(initLimit, false)
	if failed, ok := errors.AsType[*StartError](err); ok && failed.Type != TypeEntrypoint {
		// Lambda repeats the init phase within the invocation's timeout.
		f.s.log.Info("init failed, repeating it within the invocation", "function", f.Name, "error", failed.Reason)
		p, err = f.launch(f.Timeout, true)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.starting--
	switch {
	case err == nil:
		f.assign(p)
	case f.waiting.Len() > 0:
		f.nextWaiter() <- assignment{err: err}
	case errors.Is(err, ErrShutDown): // the shutdown stopped the start, and no invocation waits for it
	default: // other processes served the waiters
		f.s.log.Error("process did not start", "function", f.Name, "error", err)
	}
	f.startMore()
}

// refreshVersion updates and returns the version that a process started now has.
func (f *function) refreshVersion() version {
	v := f.currentVersion()
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.stopped {
		f.setVersion(v)
	}
	return f.version
}

// nextWaiter removes the oldest waiter from the list, which must not be empty. The caller holds f.mu.
func (f *function) nextWaiter() chan<- assignment {
	w := f.waiting.Remove(f.waiting.Front()).(*waiter)
	w.element = nil
	return w.ready
}

// free makes a process available that asks for its next event.
func (f *function) free(p *process) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.assign(p)
}

// assign assigns an available process to the oldest waiter, or keeps it as idle, or ends it if its executable was
// replaced. The caller holds f.mu.
func (f *function) assign(p *process) {
	switch _, alive := f.all[p]; {
	case !alive:
	case p.version != f.version || f.stopped:
		f.s.running.Go(p.retire)
		f.startMore() // instead of this process
	case f.waiting.Len() > 0:
		f.nextWaiter() <- assignment{p: p}
	default:
		p.idleSince = f.s.o.Clock.Now()
		f.idle = append(f.idle, p)
	}
}

// warmUp starts a process unless the function has one.
func (f *function) warmUp(ctx context.Context) error {
	v := f.currentVersion()
	f.mu.Lock()
	if !f.stopped {
		f.setVersion(v)
	}
	if f.stopped || len(f.all) > 0 {
		f.mu.Unlock()
		return nil
	}
	f.starting++
	result := make(chan error, 1)
	f.s.running.Go(func() {
		p, err := f.launch(initLimit, false)
		f.mu.Lock()
		f.starting--
		if err == nil {
			f.assign(p)
		}
		f.startMore()
		f.mu.Unlock()
		result <- err
	})
	f.mu.Unlock()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return fmt.Errorf("warm up function %s: %w", f.Name, ctx.Err())
	}
}

// remove removes an ended process.
func (f *function) remove(p *process) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.all, p)
	for i, q := range f.idle {
		if q == p {
			f.idle = append(f.idle[:i], f.idle[i+1:]...)
			break
		}
	}
}

// reap ends the processes that have been idle since a time before the given one.
func (f *function) reap(before time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0 // the processes that have been idle longest are first
	for n < len(f.idle) && f.idle[n].idleSince.Before(before) {
		f.s.running.Go(f.idle[n].retire)
		n++
	}
	f.idle = append([]*process(nil), f.idle[n:]...)
}

// stop ends all processes, busy ones included, and waits for them.
func (f *function) stop() {
	f.mu.Lock()
	f.stopped = true
	f.idle = nil
	for f.waiting.Len() > 0 {
		f.nextWaiter() <- assignment{err: ErrShutDown}
	}
	processes := make([]*process, 0, len(f.all))
	for p := range f.all {
		processes = append(processes, p)
	}
	f.mu.Unlock()
	var wait sync.WaitGroup
	for _, p := range processes {
		wait.Go(p.retire)
	}
	wait.Wait()
}

package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"fanfare/loadtest/latency"
)

// member is the engine of one process: of this process or of a worker.
type member interface {
	Open(ctx context.Context) error
	Prepare(m Measurement) error
	Measure(ctx context.Context) error
	Status() Status
	Close()
}

// Fleet runs a load test in one or more processes. Call Open first and Close last; Status may be called at any time.
type Fleet struct {
	members []member
}

// NewFleet starts an engine in each of plan.Processes processes: in this process if there is one, else in worker
// processes that command starts and that must call ServeWorker. The workers inherit standard error.
func NewFleet(ctx context.Context, plan Plan, command []string) (*Fleet, error) {
	f := &Fleet{}
	for i := range plan.Processes {
		p := plan
		p.Process = i
		var m member
		var err error
		if plan.Processes == 1 {
			m, err = New(ctx, p)
		} else {
			m, err = startWorker(p, command)
		}
		if err != nil {
			f.Close()
			return nil, err
		}
		f.members = append(f.members, m)
	}
	return f, nil
}

// all calls do for all members concurrently and joins their errors.
func (f *Fleet) all(do func(i int, m member) error) error {
	errs := make([]error, len(f.members))
	var running sync.WaitGroup
	for i, m := range f.members {
		running.Go(func() { errs[i] = do(i, m) })
	}
	running.Wait()
	return errors.Join(errs...)
}

// Open connects all clients; see Engine.Open.
func (f *Fleet) Open(ctx context.Context) error {
	return f.all(func(_ int, m member) error { return m.Open(ctx) })
}

// Measure runs one measurement and writes the results of all processes to m.File. No process publishes before all are
// recording, so that each records all messages.
func (f *Fleet) Measure(ctx context.Context, m Measurement) error {
	if len(f.members) == 1 {
		if err := f.members[0].Prepare(m); err != nil {
			return err
		}
		return f.members[0].Measure(ctx)
	}
	part := func(i int) string { return fmt.Sprintf("%s.%d", m.File, i) }
	err := f.all(func(i int, each member) error {
		mine := m
		mine.File = part(i)
		return each.Prepare(mine)
	})
	if err == nil {
		err = f.all(func(_ int, each member) error { return each.Measure(ctx) })
	}
	// Results are kept even after an error.
	return errors.Join(err, join(m.File, len(f.members), part))
}

// join concatenates the parts into one file and removes them.
func join(name string, n int, part func(int) string) (err error) {
	out, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("create result file: %w", err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	for i := range n {
		in, err := os.Open(part(i))
		if errors.Is(err, os.ErrNotExist) {
			continue // its process has returned the error
		}
		if err != nil {
			return fmt.Errorf("read part of the results: %w", err)
		}
		_, err = io.Copy(out, in)
		in.Close()
		if err != nil {
			return fmt.Errorf("join result files: %w", err)
		}
		if err := os.Remove(part(i)); err != nil {
			return fmt.Errorf("remove part of the results: %w", err)
		}
	}
	return nil
}

// Status returns the sum over all processes.
func (f *Fleet) Status() (Status, error) {
	sum := Status{Live: latency.NewCoarse()}
	for _, m := range f.members {
		s := m.Status()
		if s.Live == nil {
			var err error
			if s.Live, err = latency.Decode(s.Latency); err != nil {
				return sum, err
			}
		}
		sum.Live.Merge(s.Live)
		sum.Wanted += s.Wanted
		sum.Connected += s.Connected
		sum.Failed += s.Failed
		sum.Published += s.Published
		sum.Accepted += s.Accepted
		sum.Frames += s.Frames
	}
	return sum, nil
}

// Workers returns the process ids of the workers, nil if the engine is in this process.
func (f *Fleet) Workers() (ids []int) {
	for _, m := range f.members {
		if w, ok := m.(*worker); ok {
			ids = append(ids, w.process.Process.Pid)
		}
	}
	return ids
}

// Close closes all connections and ends all processes.
func (f *Fleet) Close() {
	_ = f.all(func(_ int, m member) error { m.Close(); return nil })
}

// statusEvery is the interval at which a worker sends its status.
const statusEvery = 500 * time.Millisecond

package engine

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// rehearsal is a process whose Prepare takes until all others can do no more.
type rehearsal struct {
	err      error
	measured *atomic.Int32 // by all processes
	early    *atomic.Int32 // of these, before this one was prepared
}

func (r *rehearsal) Open(context.Context) error { return nil }

func (r *rehearsal) Prepare(Measurement) error {
	if r.early != nil {
		synctest.Wait()
		r.early.Add(r.measured.Load())
	}
	return r.err
}

func (r *rehearsal) Measure(context.Context) error { r.measured.Add(1); return nil }
func (r *rehearsal) Status() Status                { return Status{} }
func (r *rehearsal) Close()                        {}

func TestFleet_PreparesAllFirst(t *testing.T) {
	for name, c := range map[string]struct {
		err      error
		measured int32
	}{"all can": {nil, 3}, "one cannot": {errors.New("no space"), 0}} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "results")
			synctest.Test(t, func(t *testing.T) {
				var measured, early atomic.Int32
				f := &Fleet{members: []member{&rehearsal{measured: &measured}, &rehearsal{measured: &measured, early: &early,
					err: c.err}, &rehearsal{measured: &measured}}}
				err := f.Measure(t.Context(), Measurement{File: file})
				if measured.Load() != c.measured || early.Load() != 0 {
					t.Errorf("%d measured, %d of them before all were prepared", measured.Load(), early.Load())
				}
				if (c.err == nil) != (err == nil) || c.err != nil && !strings.Contains(err.Error(), c.err.Error()) {
					t.Errorf("error %v, want %v", err, c.err)
				}
			})
		})
	}
}

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

// slowMember is a member whose Prepare ends after all other members are idle.
type slowMember struct {
	err      error
	measured *atomic.Int32 // number of calls of Measure, of all members
	early    *atomic.Int32 // number of these before this member was prepared
}

func (r *slowMember) Open(context.Context) error { return nil }

func (r *slowMember) Prepare(Measurement) error {
	if r.early != nil {
		synctest.Wait()
		r.early.Add(r.measured.Load())
	}
	return r.err
}

func (r *slowMember) Measure(context.Context) error { r.measured.Add(1); return nil }
func (r *slowMember) Status() Status                { return Status{} }
func (r *slowMember) Close()                        {}

func TestFleet_PreparesAllFirst(t *testing.T) {
	for name, c := range map[string]struct {
		err      error
		measured int32
	}{"all succeed": {nil, 3}, "one fails": {errors.New("no space"), 0}} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "results")
			synctest.Test(t, func(t *testing.T) {
				var measured, early atomic.Int32
				f := &Fleet{members: []member{&slowMember{measured: &measured},
					&slowMember{measured: &measured, early: &early, err: c.err}, &slowMember{measured: &measured}}}
				err := f.Measure(t.Context(), Measurement{File: file})
				if measured.Load() != c.measured || early.Load() != 0 {
					t.Errorf("got %d measured, %d before all were prepared, want %d, 0", measured.Load(), early.Load(), c.measured)
				}
				if (c.err == nil) != (err == nil) || c.err != nil && !strings.Contains(err.Error(), c.err.Error()) {
					t.Errorf("got error %v, want %v", err, c.err)
				}
			})
		})
	}
}

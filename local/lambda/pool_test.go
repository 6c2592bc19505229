package lambda

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"
)

// If a caller is cancelled while a process is assigned to it, the process becomes idle again.
func TestFunction_TakeCanceled(t *testing.T) {
	s := &Service{log: slog.New(slog.DiscardHandler)} // StartConcurrency 0 starts no processes
	f := newFunction(s, Function{Name: "f"})
	p := &process{f: f}
	f.all[p] = struct{}{}
	type result struct {
		p   *process
		err error
	}
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan result, 1)
		go func() {
			p, err := f.take(ctx)
			got <- result{p, err}
		}()
		for waiting := false; !waiting; time.Sleep(100 * time.Microsecond) {
			f.mu.Lock()
			waiting = f.waiting.Len() == 1
			f.mu.Unlock()
		}
		f.mu.Lock()
		cancel()
		time.Sleep(time.Millisecond) // take may notice the cancellation first, or not; both must work
		f.assign(p)
		f.mu.Unlock()
		r := <-got
		if r.err == nil {
			f.free(r.p)
		} else if !errors.Is(r.err, context.Canceled) {
			t.Fatalf("take: got error %v, want context.Canceled", r.err)
		}
		if len(f.idle) != 1 || f.idle[0] != p {
			t.Fatalf("got %d idle processes after error %v, want 1", len(f.idle), r.err)
		}
		f.idle = nil
	}
}

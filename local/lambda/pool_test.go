package lambda

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"
)

// A process that is given to a caller in the moment the caller gives up is not lost.
func TestProcessGivenTooLate(t *testing.T) {
	s := &Service{log: slog.New(slog.DiscardHandler)} // its StartConcurrency of 0 starts nothing
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
		time.Sleep(time.Millisecond) // for it to see that it has been cancelled; whether it does is all the same
		f.place(p)
		f.mu.Unlock()
		r := <-got
		if r.err == nil {
			f.free(r.p)
		} else if !errors.Is(r.err, context.Canceled) {
			t.Fatal(r.err)
		}
		if len(f.idle) != 1 || f.idle[0] != p {
			t.Fatalf("%d idle processes after error %v, want the one", len(f.idle), r.err)
		}
		f.idle = nil
	}
}

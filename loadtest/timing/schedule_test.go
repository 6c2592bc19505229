package timing_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"fanfare/loadtest/timing"

	"pgregory.net/rapid"
)

func TestSteadyIsAbsolute(t *testing.T) {
	for _, c := range []struct {
		rate float64
		d    time.Duration
		want int
		last time.Duration
	}{
		{10, 6 * time.Second, 60, 5900 * time.Millisecond},
		{0.1, 10 * time.Second, 1, 0},
		{3, time.Second, 3, 666666667},
		{0.1, 9 * time.Second, 0, -10 * time.Second},
		{1000, time.Hour, 3600000, time.Hour - time.Millisecond},
	} {
		s := timing.Over(c.rate, c.d)
		if s.Count != c.want {
			t.Errorf("%v/s over %v: %d events, want %d", c.rate, c.d, s.Count, c.want)
		}
		if got := s.Offset(s.Count - 1); got != c.last {
			t.Errorf("%v/s over %v: last at %v, want %v", c.rate, c.d, got, c.last)
		}
	}
}

func TestSteadyNeverDrifts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := timing.Steady{Rate: rapid.Float64Range(0.01, 1e5).Draw(t, "rate"), Count: 1 << 30}
		n := rapid.IntRange(0, int(1e6*s.Rate)).Draw(t, "n") // eleven days of events
		gap := s.Offset(n+1) - s.Offset(n)
		exact := time.Duration(float64(time.Second) / s.Rate)
		if diff := gap - exact; diff > 2*time.Microsecond || diff < -2*time.Microsecond {
			t.Fatalf("gap after event %d is %v, want %v", n, gap, exact)
		}
	})
}

func TestTurnsAreReversible(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		turns := timing.Turns{Publishers: rapid.IntRange(1, 5000).Draw(t, "publishers")}
		n := rapid.IntRange(0, 1<<30).Draw(t, "n")
		p, s := turns.Of(n)
		if int(p) >= turns.Publishers || turns.Event(p, s) != n {
			t.Fatalf("event %d is publisher %d's message %d, which is event %d", n, p, s, turns.Event(p, s))
		}
	})
}

func TestChurn(t *testing.T) {
	slots := make([]int, 100)
	for i := range slots {
		slots[i] = 1000 + i
	}
	moves := timing.Churn(7, slots, 0.5, 3*time.Minute)
	if len(moves) != 150 {
		t.Fatalf("%d moves, want half of 100 a minute for three minutes", len(moves))
	}
	seen := map[int]int{}
	for i, m := range moves {
		if m.Offset < 0 || m.Offset >= 3*time.Minute || i > 0 && m.Offset < moves[i-1].Offset {
			t.Fatalf("move %d at %v is out of place", i, m.Offset)
		}
		seen[m.Slot]++
	}
	if len(seen) != 100 {
		t.Errorf("%d of 100 slots moved, want each once before any twice", len(seen))
	}
	for slot, n := range seen {
		if n > 2 || slot < 1000 || slot >= 1100 {
			t.Errorf("slot %d moved %d times", slot, n)
		}
	}
	again := timing.Churn(7, slots, 0.5, 3*time.Minute)
	other := timing.Churn(8, slots, 0.5, 3*time.Minute)
	same := 0
	for i := range moves {
		if moves[i] != again[i] {
			t.Fatal("the same seed gave another order")
		}
		if moves[i] == other[i] {
			same++
		}
	}
	if same == len(moves) {
		t.Error("another seed gave the same order")
	}
	if got := timing.Churn(7, nil, 0.5, time.Minute); got != nil {
		t.Errorf("no slots, but moves %v", got)
	}
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The bubble's time is not the clock's, so only the distances count: a past moment returns at once.
		if err := timing.Wait(t.Context(), timing.Now()-1); err != nil {
			t.Errorf("waiting for the past: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := timing.Wait(ctx, timing.Now()+int64(time.Hour/time.Microsecond)); err != context.Canceled {
			t.Errorf("waiting with an ended context: %v", err)
		}
	})
}

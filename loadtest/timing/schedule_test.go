package timing_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"fanfare/loadtest/timing"

	"pgregory.net/rapid"
)

func TestSteady_Offset(t *testing.T) {
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
			t.Errorf("%v/s over %v: got %d events, want %d", c.rate, c.d, s.Count, c.want)
		}
		if got := s.Offset(s.Count - 1); got != c.last {
			t.Errorf("%v/s over %v: got last event at %v, want %v", c.rate, c.d, got, c.last)
		}
	}
}

func TestSteady_NoDrift(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := timing.Steady{Rate: rapid.Float64Range(0.01, 1e5).Draw(t, "rate"), Count: 1 << 30}
		n := rapid.IntRange(0, int(1e6*s.Rate)).Draw(t, "n") // at most 1e6 s, eleven days
		gap := s.Offset(n+1) - s.Offset(n)
		exact := time.Duration(float64(time.Second) / s.Rate)
		if diff := gap - exact; diff > 2*time.Microsecond || diff < -2*time.Microsecond {
			t.Fatalf("gap after event %d: got %v, want %v", n, gap, exact)
		}
	})
}

func TestTurns_Inverse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		turns := timing.Turns{Publishers: rapid.IntRange(1, 5000).Draw(t, "publishers")}
		n := rapid.IntRange(0, 1<<30).Draw(t, "n")
		p, s := turns.Of(n)
		if int(p) >= turns.Publishers || turns.Event(p, s) != n {
			t.Fatalf("event %d: got message %d of publisher %d, which is event %d", n, s, p, turns.Event(p, s))
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
		t.Fatalf("got %d moves, want 150: half of 100 a minute for three minutes", len(moves))
	}
	seen := map[int]int{}
	for i, m := range moves {
		if m.Offset < 0 || m.Offset >= 3*time.Minute || i > 0 && m.Offset < moves[i-1].Offset {
			t.Fatalf("move %d: got offset %v, want ascending offsets below 3m", i, m.Offset)
		}
		seen[m.Slot]++
	}
	if len(seen) != 100 {
		t.Errorf("got %d slots that moved, want all 100", len(seen))
	}
	for slot, n := range seen {
		if n > 2 || slot < 1000 || slot >= 1100 {
			t.Errorf("slot %d: got %d moves, want 1 or 2 of slots 1000 to 1099", slot, n)
		}
	}
	again := timing.Churn(7, slots, 0.5, 3*time.Minute)
	other := timing.Churn(8, slots, 0.5, 3*time.Minute)
	same := 0
	for i := range moves {
		if moves[i] != again[i] {
			t.Fatal("got another order for the same seed, want the same")
		}
		if moves[i] == other[i] {
			same++
		}
	}
	if same == len(moves) {
		t.Error("got the same order for another seed, want another order")
	}
	if got := timing.Churn(7, nil, 0.5, time.Minute); got != nil {
		t.Errorf("no slots: got moves %v, want none", got)
	}
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The time of the test bubble differs from that of the clock, but a time in the past returns at once.
		if err := timing.Wait(t.Context(), timing.Now()-1); err != nil {
			t.Errorf("past time: got %v, want nil", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := timing.Wait(ctx, timing.Now()+int64(time.Hour/time.Microsecond)); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled context: got %v, want %v", err, context.Canceled)
		}
	})
}

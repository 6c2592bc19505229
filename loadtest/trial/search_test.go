package trial_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"fanfare/loadtest/trial"

	"pgregory.net/rapid"
)

func TestTheCapacityIsFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		capacity := rapid.Float64Range(1, 900).Draw(t, "capacity")
		r := trial.Range{From: 1, To: 1000, Precision: rapid.SampledFrom([]float64{0.01, 0.05, 0.2}).Draw(t, "precision"),
			Repeats: rapid.IntRange(1, 4).Draw(t, "repeats")}
		probes := 0
		c, err := trial.Search(context.Background(), r, func(_ context.Context, rate float64) (bool, error) {
			probes++
			if rate < r.From || rate > r.To {
				t.Fatalf("probed %v, outside of %v to %v", rate, r.From, r.To)
			}
			return rate <= capacity, nil
		})
		if err != nil || len(c.Rates) != r.Repeats || c.AtLeast {
			t.Fatalf("%+v, %v", c, err)
		}
		for _, rate := range c.Rates {
			if rate > capacity || rate < capacity/(1+r.Precision)*0.999999 {
				t.Fatalf("found %v of %v", rate, capacity)
			}
		}
		if most := 22 + 14*(r.Repeats-1); probes > most {
			t.Fatalf("%d probes, want at most %d", probes, most)
		}
	})
}

func TestBounds(t *testing.T) {
	r := trial.Range{From: 2, To: 50, Precision: 0.05, Repeats: 3}
	c, err := trial.Search(t.Context(), r, func(context.Context, float64) (bool, error) { return true, nil })
	if err != nil || !c.AtLeast || c.Median() != 50 {
		t.Errorf("a system without limits: %+v, %v", c, err)
	}
	if _, err := trial.Search(t.Context(), r, func(context.Context, float64) (bool, error) {
		return false,
			nil
	}); !errors.Is(err, trial.ErrBelow) {
		t.Errorf("a system without capacity: %v", err)
	}
	broken := errors.New("broken")
	if _, err := trial.Search(t.Context(), r, func(context.Context, float64) (bool, error) {
		return false,
			broken
	}); !errors.Is(err, broken) {
		t.Errorf("a probe that fails: %v", err)
	}
}

// With a system that wavers, the searches differ, and the spread says by how much.
func TestSpread(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	c, err := trial.Search(t.Context(), trial.Range{From: 1, To: 1000, Precision: 0.02, Repeats: 7},
		func(_ context.Context, rate float64) (bool, error) {
			return rate < 100*(0.8+0.4*random.Float64()), nil
		})
	if err != nil {
		t.Fatal(err)
	}
	low, high := c.Spread()
	if m := c.Median(); low >= high || m < low || m > high || low < 79 || high > 121 {
		t.Errorf("%v to %v, median %v", low, high, m)
	}
}

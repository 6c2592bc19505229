package trial_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"fanfare/loadtest/trial"

	"pgregory.net/rapid"
)

func TestSearch_Capacity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		capacity := rapid.Float64Range(1, 900).Draw(t, "capacity")
		r := trial.Range{From: 1, To: 1000, Precision: rapid.SampledFrom([]float64{0.01, 0.05, 0.2}).Draw(t, "precision"),
			Repeats: rapid.IntRange(1, 4).Draw(t, "repeats")}
		probes := 0
		c, err := trial.Search(context.Background(), r, func(_ context.Context, rate float64) (bool, error) {
			probes++
			if rate < r.From || rate > r.To {
				t.Fatalf("got probe at %v, want %v to %v", rate, r.From, r.To)
			}
			return rate <= capacity, nil
		})
		if err != nil || len(c.Rates) != r.Repeats || c.AtLeast {
			t.Fatalf("got %+v, %v, want %d rates below To, nil", c, err, r.Repeats)
		}
		for _, rate := range c.Rates {
			if rate > capacity || rate < capacity/(1+r.Precision)*0.999999 {
				t.Fatalf("got %v, want %v", rate, capacity)
			}
		}
		if most := 22 + 14*(r.Repeats-1); probes > most {
			t.Fatalf("got %d probes, want at most %d", probes, most)
		}
	})
}

func TestSearch_Limits(t *testing.T) {
	r := trial.Range{From: 2, To: 50, Precision: 0.05, Repeats: 3}
	c, err := trial.Search(t.Context(), r, func(context.Context, float64) (bool, error) { return true, nil })
	if err != nil || !c.AtLeast || c.Median() != 50 {
		t.Errorf("no limit: got %+v, %v, want at least 50, nil", c, err)
	}
	fails := func(context.Context, float64) (bool, error) { return false, nil }
	if _, err := trial.Search(t.Context(), r, fails); !errors.Is(err, trial.ErrBelow) {
		t.Errorf("no capacity: got %v, want %v", err, trial.ErrBelow)
	}
	broken := errors.New("broken")
	breaks := func(context.Context, float64) (bool, error) { return false, broken }
	if _, err := trial.Search(t.Context(), r, breaks); !errors.Is(err, broken) {
		t.Errorf("failing probe: got %v, want %v", err, broken)
	}
}

// The results of searches of a noisy system differ; Spread has their range.
func TestCapacity_Spread(t *testing.T) {
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
		t.Errorf("got %v to %v, median %v, want a spread within 79 to 121 around the median", low, high, m)
	}
}

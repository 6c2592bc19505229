package trial

import (
	"context"
	"errors"
	"math"
	"slices"
)

// Probe tries one rate and tells whether the system kept to the bound.
type Probe func(ctx context.Context, rate float64) (kept bool, err error)

// Range says where and how closely to look.
type Range struct {
	From, To  float64 // rates; 0 < From <= To
	Precision float64 // relative: 0.05 stops when the rate that failed is within 5 % of the one that passed
	Repeats   int     // searches, at least 1
}

// Capacity is what the searches came to.
type Capacity struct {
	Rates []float64 // of each search
	// AtLeast tells that the highest rate allowed still passed, so that there may be more.
	AtLeast bool
}

// Median returns the middle of the searches.
func (c Capacity) Median() float64 {
	s := slices.Sorted(slices.Values(c.Rates))
	if n := len(s); n == 0 {
		return 0
	} else if n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// Spread returns the lowest and the highest of the searches.
func (c Capacity) Spread() (low, high float64) {
	if len(c.Rates) == 0 {
		return 0, 0
	}
	return slices.Min(c.Rates), slices.Max(c.Rates)
}

// ErrBelow means that even the lowest rate was too high.
var ErrBelow = errors.New("the bound is exceeded even at the lowest rate")

// Search looks for the capacity. The first search doubles the rate from r.From until the bound is exceeded; each
// later one starts around what the one before found. Then the gap between the highest rate that passed and the lowest
// that failed is halved, by its geometric mean, until it is within the precision.
func Search(ctx context.Context, r Range, probe Probe) (Capacity, error) {
	var c Capacity
	guess := 0.0
	for range max(r.Repeats, 1) {
		rate, top, err := search(ctx, r, guess, probe)
		if err != nil {
			return c, err
		}
		c.Rates = append(c.Rates, rate)
		c.AtLeast = c.AtLeast || top
		guess = rate
	}
	return c, nil
}

func search(ctx context.Context, r Range, guess float64, probe Probe) (rate float64, top bool, err error) {
	step := 2.0
	at := r.From
	if guess > 0 {
		// Close by, steps are as small as what is to be told apart allows.
		step = max(1+3*r.Precision, 1.1)
		at = guess
	}
	low, high := 0.0, math.Inf(1)
	for math.IsInf(high, 1) || low == 0 {
		kept, err := probe(ctx, at)
		if err != nil {
			return 0, false, err
		}
		switch {
		case kept && at >= r.To:
			return r.To, true, nil
		case kept:
			low = max(low, at)
			at = min(at*step, r.To)
		case at <= r.From:
			return 0, false, ErrBelow
		default:
			high = min(high, at)
			at = max(at/step, r.From)
		}
	}
	for high/low > 1+r.Precision {
		middle := math.Sqrt(low * high)
		kept, err := probe(ctx, middle)
		if err != nil {
			return 0, false, err
		}
		if kept {
			low = middle
		} else {
			high = middle
		}
	}
	return low, false, nil
}

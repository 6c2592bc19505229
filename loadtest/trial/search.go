package trial

import (
	"context"
	"errors"
	"math"
	"slices"
)

// Probe tries one rate and reports whether it passed: whether the bound held.
type Probe func(ctx context.Context, rate float64) (passed bool, err error)

// Range says where to search, and how precisely.
type Range struct {
	From, To  float64 // rates; 0 < From <= To
	Precision float64 // relative: 0.05 stops when the lowest rate that failed is within 5 % of the highest that passed
	Repeats   int     // number of searches, at least 1
}

// Capacity is the result of the searches.
type Capacity struct {
	Rates []float64 // one of each search
	// AtLeast reports that Range.To passed, so that the capacity may be higher.
	AtLeast bool
}

// Median returns the median of the searches.
func (c Capacity) Median() float64 {
	s := slices.Sorted(slices.Values(c.Rates))
	if n := len(s); n == 0 {
		return 0
	} else if n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// Spread returns the lowest and the highest result.
func (c Capacity) Spread() (low, high float64) {
	if len(c.Rates) == 0 {
		return 0, 0
	}
	return slices.Min(c.Rates), slices.Max(c.Rates)
}

// ErrBelow is returned if Range.From fails.
var ErrBelow = errors.New("the bound does not hold at the lowest rate")

// Search finds the highest rate that passes. The first search doubles the rate from r.From until one fails; each later
// search starts at the result of the one before. Then a bisection by the geometric mean narrows the gap between the
// highest rate that passed and the lowest that failed to the precision. If a search fails, Search returns those before
// it.
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
		// Near the last result small steps suffice, but not smaller ones than the precision.
		step = max(1+3*r.Precision, 1.1)
		at = guess
	}
	low, high := 0.0, math.Inf(1)
	for math.IsInf(high, 1) || low == 0 {
		passed, err := probe(ctx, at)
		if err != nil {
			return 0, false, err
		}
		switch {
		case passed && at >= r.To:
			return r.To, true, nil
		case passed:
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
		passed, err := probe(ctx, middle)
		if err != nil {
			return 0, false, err
		}
		if passed {
			low = middle
		} else {
			high = middle
		}
	}
	return low, false, nil
}

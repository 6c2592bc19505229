// Package latency keeps distributions of times in HdrHistograms, all of one shape, so that shards of a distribution
// merge into exactly what one histogram would have held.
package latency

import (
	"fmt"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

const (
	// Lowest and Highest bound what a histogram tells apart, in microseconds; longer times count as Highest.
	Lowest  = 1
	Highest = 3_600_000_000 // an hour
	// Digits is the precision: values within 0.1 % of each other may share a bucket.
	Digits = 3
)

// Histogram is a distribution of times. The zero value is empty and ready; it is not safe for concurrent use.
type Histogram struct {
	counts *hdr.Histogram
	early  int64
	digits int // 0 means Digits
}

func (h *Histogram) make() {
	if h.counts == nil {
		digits := h.digits
		if digits == 0 {
			digits = Digits
		}
		h.counts = hdr.New(Lowest, Highest, digits)
	}
}

// Add counts a time of us microseconds. A negative one (clocks that disagree) counts as 0 and is told by Early.
func (h *Histogram) Add(us int64) {
	h.make()
	if us < 0 {
		h.early++
		us = 0
	}
	// Within the bounds RecordValue has no error to return.
	_ = h.counts.RecordValue(min(us, Highest))
}

// Merge adds what other holds. The result is bit for bit what adding every time to one histogram would have given.
func (h *Histogram) Merge(other *Histogram) {
	h.early += other.early
	if other.counts == nil {
		return
	}
	h.make()
	h.counts.Merge(other.counts)
}

// Count returns how many times were added.
func (h *Histogram) Count() int64 {
	if h.counts == nil {
		return 0
	}
	return h.counts.TotalCount()
}

// Early returns how many of them were negative.
func (h *Histogram) Early() int64 { return h.early }

// Quantile returns the time that a share q (0 to 1) of all times do not exceed, 0 if there are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.counts == nil || h.counts.TotalCount() == 0 {
		return 0
	}
	return time.Duration(h.counts.ValueAtQuantile(q*100)) * time.Microsecond
}

// Max returns the longest time, to the histogram's precision.
func (h *Histogram) Max() time.Duration {
	if h.counts == nil {
		return 0
	}
	return time.Duration(h.counts.Max()) * time.Microsecond
}

// Mean returns the mean time.
func (h *Histogram) Mean() time.Duration {
	if h.Count() == 0 {
		return 0
	}
	return time.Duration(h.counts.Mean() * float64(time.Microsecond))
}

// Each calls f for every bucket that is not empty, in rising order.
func (h *Histogram) Each(f func(upTo time.Duration, count int64)) {
	if h.counts == nil {
		return
	}
	for _, bar := range h.counts.Distribution() {
		if bar.Count > 0 {
			f(time.Duration(bar.To)*time.Microsecond, bar.Count)
		}
	}
}

// Encode returns the histogram in HdrHistogram's compressed V2 encoding, nil if it is empty.
func (h *Histogram) Encode() ([]byte, error) {
	if h.counts == nil {
		return nil, nil
	}
	b, err := h.counts.EncodeV2()
	if err != nil {
		return nil, fmt.Errorf("encode histogram: %w", err)
	}
	return b, nil
}

// Decode reads what Encode returned.
func Decode(b []byte) (*Histogram, error) {
	if len(b) == 0 {
		return &Histogram{}, nil
	}
	counts, err := hdr.Decode(b)
	if err != nil {
		return nil, fmt.Errorf("decode histogram: %w", err)
	}
	// Merging into a histogram of our own shape keeps a strange one from a file from changing the shape of all.
	h := &Histogram{counts: hdr.New(Lowest, Highest, Digits)}
	if dropped := h.counts.Merge(counts); dropped > 0 {
		return nil, fmt.Errorf("decode histogram: %d values are out of bounds", dropped)
	}
	return h, nil
}

// NewCoarse returns an empty histogram of two digits: a seventh of the memory, for the many short stretches of a series.
// Coarse histograms merge exactly with each other, not with others.
func NewCoarse() *Histogram { return &Histogram{digits: 2} }

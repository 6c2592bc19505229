// Package latency has distributions of times in HdrHistograms with equal bounds and precision, so that merging the
// parts of a distribution gives exactly the histogram of the whole.
package latency

import (
	"fmt"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

const (
	// Lowest and Highest are the bounds of a histogram in microseconds; longer times count as Highest.
	Lowest  = 1
	Highest = 3_600_000_000 // an hour
	// Digits is the precision in decimal digits: values within 0.1 % may share a bucket.
	Digits = 3
)

// Histogram is a distribution of times. Its zero value is empty and ready. It is not safe for concurrent use.
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

// Add counts a time of us microseconds. A negative time, due to clocks that disagree, counts as 0 and in Early.
func (h *Histogram) Add(us int64) {
	h.make()
	if us < 0 {
		h.early++
		us = 0
	}
	// RecordValue returns no error within the bounds.
	_ = h.counts.RecordValue(min(us, Highest))
}

// Merge adds all times of other. The result equals a histogram to which every time was added.
func (h *Histogram) Merge(other *Histogram) {
	h.early += other.early
	if other.counts == nil {
		return
	}
	h.make()
	h.counts.Merge(other.counts)
}

// Count returns the number of times.
func (h *Histogram) Count() int64 {
	if h.counts == nil {
		return 0
	}
	return h.counts.TotalCount()
}

// Early returns the number of negative times.
func (h *Histogram) Early() int64 { return h.early }

// Quantile returns the quantile q, 0 to 1; 0 without any times.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.counts == nil || h.counts.TotalCount() == 0 {
		return 0
	}
	return time.Duration(h.counts.ValueAtQuantile(q*100)) * time.Microsecond
}

// Max returns the longest time, with the histogram's precision.
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

// Each calls f for every bucket that is not empty, in ascending order.
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

// Encode returns the histogram in the compressed V2 encoding of HdrHistogram, nil if it is empty.
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

// Decode decodes the result of Encode.
func Decode(b []byte) (*Histogram, error) {
	if len(b) == 0 {
		return &Histogram{}, nil
	}
	counts, err := hdr.Decode(b)
	if err != nil {
		return nil, fmt.Errorf("decode histogram: %w", err)
	}
	// Merging into a new histogram keeps its bounds and precision independent of the file.
	h := &Histogram{counts: hdr.New(Lowest, Highest, Digits)}
	if dropped := h.counts.Merge(counts); dropped > 0 {
		return nil, fmt.Errorf("decode histogram: %d values out of bounds", dropped)
	}
	return h, nil
}

// NewCoarse returns an empty histogram of two digits, which needs a seventh of the memory. It is for the many bins of a
// time series. Merging is exact only among coarse histograms.
func NewCoarse() *Histogram { return &Histogram{digits: 2} }

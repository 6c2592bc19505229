package latency_test

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"fanfare/loadtest/latency"
)

// Merged parts equal the histogram of the whole, so that several processes can share a run.
func TestHistogram_Merge(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var one, merged latency.Histogram
	shards := make([]latency.Histogram, 7)
	for range 50_000 {
		us := int64(random.ExpFloat64() * 300_000)
		if random.IntN(1000) == 0 {
			us = -us
		}
		one.Add(us)
		shards[random.IntN(len(shards))].Add(us)
	}
	for i := range shards {
		merged.Merge(&shards[i])
	}
	a, err := one.Encode()
	if err != nil {
		t.Fatal(err)
	}
	b, err := merged.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Fatal("got different histograms, want the same")
	}
	if one.Early() == 0 || one.Early() != merged.Early() {
		t.Errorf("got %d negative times in one, %d in parts", one.Early(), merged.Early())
	}
	for _, q := range []float64{0, 0.5, 0.9, 0.99, 0.999, 0.99999, 1} {
		if one.Quantile(q) != merged.Quantile(q) {
			t.Errorf("quantile %v: got %v and %v", q, one.Quantile(q), merged.Quantile(q))
		}
	}
}

func TestHistogram_Bounds(t *testing.T) {
	var h latency.Histogram
	if h.Quantile(0.5) != 0 || h.Max() != 0 || h.Mean() != 0 || h.Count() != 0 {
		t.Error("empty histogram: got other values than 0")
	}
	h.Add(int64(3 * time.Hour / time.Microsecond))
	if got := h.Max(); got < time.Hour || got > time.Hour+time.Hour/500 {
		t.Errorf("time over Highest: got %v, want 1h", got)
	}
	h.Add(-5)
	if h.Early() != 1 || h.Count() != 2 {
		t.Errorf("got %d early of %d, want 1 of 2", h.Early(), h.Count())
	}
}

func TestHistogram_EncodeDecode(t *testing.T) {
	var h latency.Histogram
	for i := range int64(1000) {
		h.Add(i * i)
	}
	b, err := h.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := latency.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	again, err := got.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b, again) || got.Quantile(0.9) != h.Quantile(0.9) {
		t.Error("got another histogram after decoding")
	}
	if _, err := latency.Decode([]byte("nonsense")); err == nil {
		t.Error("invalid bytes: got no error, want one")
	}
	empty, err := latency.Decode(nil)
	if err != nil || empty.Count() != 0 {
		t.Errorf("no bytes: got error %v, count %d, want nil, 0", err, empty.Count())
	}
	var sum int64
	h.Each(func(upTo time.Duration, count int64) { sum += count })
	if sum != h.Count() {
		t.Errorf("got %d in buckets, want %d", sum, h.Count())
	}
}

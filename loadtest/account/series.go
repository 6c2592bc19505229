package account

import (
	"time"

	"fanfare/loadtest/latency"
)

// SeriesBins bounds the number of periods of a series.
const SeriesBins = 600

// Series has the figures of a run over time, from its start to the last arrival.
type Series struct {
	Start int64         // microseconds since the Unix epoch
	Width time.Duration // of one period: one second, doubled until SeriesBins suffice
	Bins  []Bin
}

// Bin has the figures of one period.
type Bin struct {
	Published    int // messages
	Acknowledged int
	Delivered    int64 // first copies that arrived, slow clients included
	// Latency has the latencies of messages intended for the period, without slow clients; nil without any.
	Latency *latency.Histogram
	// The following are of the harness: cores used, share of the machine in use, largest lags, open connections.
	CPU, Machine float64
	ScheduleLag  time.Duration
	ReadLag      time.Duration
	Open         int
}

// bin returns the bin of a time; it adds missing bins.
func (s *Series) bin(at int64) *Bin {
	i := int(max(at-s.Start, 0) / s.Width.Microseconds())
	for i >= SeriesBins {
		s.halve()
		i = int(max(at-s.Start, 0) / s.Width.Microseconds())
	}
	for i >= len(s.Bins) {
		s.Bins = append(s.Bins, Bin{})
	}
	return &s.Bins[i]
}

// halve doubles the width and merges the bins in pairs.
func (s *Series) halve() {
	s.Width *= 2
	half := s.Bins[:0]
	for i := 0; i < len(s.Bins); i += 2 {
		b := s.Bins[i]
		if i+1 < len(s.Bins) {
			c := s.Bins[i+1]
			b.Published += c.Published
			b.Acknowledged += c.Acknowledged
			b.Delivered += c.Delivered
			b.CPU, b.Machine = (b.CPU+c.CPU)/2, max(b.Machine, c.Machine)
			b.ScheduleLag, b.ReadLag, b.Open = max(b.ScheduleLag, c.ScheduleLag), max(b.ReadLag, c.ReadLag), max(b.Open, c.Open)
			if b.Latency == nil {
				b.Latency = c.Latency
			} else if c.Latency != nil {
				b.Latency.Merge(c.Latency)
			}
		}
		half = append(half, b)
	}
	clear(s.Bins[len(half):])
	s.Bins = half
}

// delivered adds a delivery.
func (s *Series) delivered(at, intended, took int64, slow bool) {
	s.bin(at).Delivered++
	if slow {
		return
	}
	b := s.bin(intended)
	if b.Latency == nil {
		b.Latency = latency.NewCoarse()
	}
	b.Latency.Add(took)
}

// close adds the messages and, when the width is final, the figures of the harness.
func (s *Series) close(a *Account) {
	for i := range a.Broadcasts {
		m := &a.Broadcasts[i]
		s.bin(m.Sent).Published++
		if m.Acknowledged != 0 {
			s.bin(m.Acknowledged).Acknowledged++
		}
	}
	type load struct {
		cpu, machine float64
		open, n      int
	}
	for _, p := range a.Processes {
		loads := make([]load, len(s.Bins))
		for _, v := range p.Samples {
			i := int((v.At - s.Start) / s.Width.Microseconds())
			if v.At < s.Start || i >= len(s.Bins) {
				continue
			}
			b, l := &s.Bins[i], &loads[i]
			b.ScheduleLag = max(b.ScheduleLag, v.ScheduleLag)
			b.ReadLag = max(b.ReadLag, v.ReadLag)
			l.cpu, l.machine, l.open, l.n = l.cpu+v.CPU, max(l.machine, v.Machine), v.Open, l.n+1
		}
		for i, l := range loads {
			if l.n > 0 {
				s.Bins[i].CPU += l.cpu / float64(l.n)
				s.Bins[i].Machine = max(s.Bins[i].Machine, l.machine)
				s.Bins[i].Open += l.open
			}
		}
	}
}

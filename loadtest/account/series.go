package account

import (
	"time"

	"fanfare/loadtest/latency"
)

// SeriesBins bounds the stretches of a series; a run of more seconds has longer ones.
const SeriesBins = 600

// Series is how a run went over time, from its start to the last arrival.
type Series struct {
	Start int64         // microseconds since the Unix epoch
	Width time.Duration // of one stretch: a second, or whole seconds more
	Bins  []Bin
}

// Bin is one stretch of time.
type Bin struct {
	Published    int // handed over in it
	Acknowledged int
	Delivered    int64 // arrived in it, first copies, all clients
	// Latency of the messages that were intended for it, without slow clients; nil if there were none.
	Latency *latency.Histogram
	// Harness figures: cores used by all processes, worst lags.
	CPU, Machine float64
	ScheduleLag  time.Duration
	ReadLag      time.Duration
	Open         int
}

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

// halve doubles the width of the stretches and puts them together in pairs.
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

// close adds what is known once all is counted. The harness's figures come last: by then the width is final.
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

package engine

import "fanfare/loadtest/latency"

// Status has the current counters of an engine, for display; reports use the result files.
type Status struct {
	Wanted    int // clients of this process
	Connected int
	Failed    int64 // connects that failed
	Published int64 // in this measurement, like the following
	Accepted  int64
	Frames    int64
	// Live has the latencies so far, with two digits. Latency is its encoding, for other processes.
	Live    *latency.Histogram `json:"-"`
	Latency []byte
}

// Status returns the current counters.
func (e *Engine) Status() Status {
	s := Status{Wanted: len(e.plan.Slots()), Connected: e.Connected(), Failed: e.failed.Load(),
		Published: e.published.Load(), Accepted: e.accepted.Load(), Live: latency.NewCoarse()}
	e.listeners(func(l *listener) {
		s.Frames += l.frames.Load()
		s.Accepted += l.accepted.Load()
		s.Live.Merge(l.live)
	})
	return s
}

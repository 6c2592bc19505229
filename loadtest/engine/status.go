package engine

import "fanfare/loadtest/latency"

// Status is how an engine is doing, for the eye; reports are made from the files.
type Status struct {
	Wanted    int // clients of this process
	Connected int
	Failed    int64 // connects
	Published int64 // in this measurement, like all below
	Accepted  int64
	Frames    int64
	// Live is the latency of the deliveries so far, coarse. Between processes it travels encoded.
	Live    *latency.Histogram `json:"-"`
	Latency []byte
}

// Status tells how the engine is doing.
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

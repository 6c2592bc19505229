package engine

import (
	"fmt"
	"time"

	"fanfare/loadtest/latency"
)

// Status is how an engine is doing, for the eye; reports are made from the files.
type Status struct {
	Wanted    int // clients of this process
	Connected int
	Failed    int64 // connects
	Published int64 // in this measurement, like all below
	Accepted  int64
	Frames    int64
	Latency   []byte // of the deliveries so far, coarse, encoded
	ReadLag   time.Duration
}

// Status tells how the engine is doing.
func (e *Engine) Status() (Status, error) {
	s := Status{Wanted: len(e.plan.Slots()), Connected: e.Connected(), Failed: e.failed.Load(), Published: e.published.Load(), Accepted: e.accepted.Load()}
	all := latency.NewCoarse()
	e.listeners(func(l *listener) {
		s.Frames += l.frames.Load()
		s.Accepted += l.accepted.Load()
		all.Merge(l.live)
	})
	var err error
	if s.Latency, err = all.Encode(); err != nil {
		return s, fmt.Errorf("status: %w", err)
	}
	return s, nil
}

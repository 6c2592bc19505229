package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"sync"
	"time"

	"fanfare/loadtest/client"
	"fanfare/loadtest/result"
	"fanfare/loadtest/timing"
	"fanfare/loadtest/vitals"
)

// sampleEvery is the interval of the samples of the harness's vitals.
const sampleEvery = time.Second

// activeMeasurement is a measurement between Prepare and the end of Measure.
type activeMeasurement struct {
	Measurement
	file        *os.File
	writer      *result.Writer
	publication *publication
}

// Prepare creates m.File and starts recording: after it has returned, all arriving messages of the measurement are
// recorded, also those that another process publishes. An earlier Prepare without Measure is abandoned.
func (e *Engine) Prepare(m Measurement) (err error) {
	if err := e.abandon(); err != nil {
		return err
	}
	file, err := os.OpenFile(m.File, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("create result file: %w", err)
	}
	c := &m.Conditions
	c.Process, c.Processes, c.Host = e.plan.Process, e.plan.Processes, vitals.Host()
	writer, err := result.NewWriter(file, *c)
	if err != nil {
		return errors.Join(err, file.Close())
	}
	run := &activeMeasurement{Measurement: m, file: file, writer: writer}
	if run.publication, err = newPublication(e, &run.Measurement, writer.Shard()); err != nil {
		return errors.Join(err, writer.Close(result.End{}), file.Close())
	}
	e.begin(run)
	e.prepared = run
	return nil
}

// abandon ends a measurement that was prepared and not run.
func (e *Engine) abandon() error {
	run := e.prepared
	if run == nil {
		return nil
	}
	e.prepared = nil
	return errors.Join(run.writer.Close(e.end(run.writer)), run.file.Close())
}

// Measure runs the prepared measurement: it publishes on schedule, waits for the deliveries, and ends the file. If ctx
// ends, it stops publishing and waiting early, and the file says that the run was interrupted.
func (e *Engine) Measure(ctx context.Context) (err error) {
	run := e.prepared
	if run == nil {
		return errors.New("measure: not prepared")
	}
	e.prepared = nil
	defer func() { err = errors.Join(err, run.file.Close()) }()
	stepped := timing.Stepped()
	watch := vitals.NewWatch()
	e.pool.TakeLag()
	e.pool.WorstLag()

	side, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { e.sample(side, watch, run) })
	running.Go(func() { e.churn(side, &run.Conditions) })
	running.Go(func() { e.pings(side) })
	var publishing sync.WaitGroup
	publishing.Go(func() { run.publication.run(ctx, false) })
	publishing.Go(func() { run.publication.run(ctx, true) })
	publishing.Wait()
	e.drain(ctx, run)
	stop()
	running.Wait()

	end := e.end(run.writer)
	run.publication.records.Flush()
	end.At, end.Interrupted = timing.Now(), ctx.Err() != nil
	end.Clock = timing.Stepped() - stepped
	end.Usage = watch.Usage()
	var lagErr, readErr error
	end.Usage.ScheduleLag, lagErr = run.publication.lag.Encode()
	end.Usage.ReadLag, readErr = e.pool.TakeLag().Encode()
	return errors.Join(lagErr, readErr, run.writer.Close(end))
}

// begin starts recording in all listeners. The file starts with the open connections and the failed connects.
func (e *Engine) begin(run *activeMeasurement) {
	e.published.Store(0)
	e.accepted.Store(0)
	e.recordFailures(run.writer)
	for _, s := range e.pool.Shards() {
		s.Do(func(h client.Handler, conns iter.Seq[*client.Conn]) {
			l := h.(*listener)
			l.begin(&run.Conditions, run.writer.Shard())
			for c := range conns {
				l.opened(c)
			}
		})
	}
}

// end stops recording in all listeners and records the end of each open connection.
func (e *Engine) end(w *result.Writer) (end result.End) {
	for _, s := range e.pool.Shards() {
		s.Do(func(h client.Handler, conns iter.Seq[*client.Conn]) {
			l := h.(*listener)
			for c := range conns {
				end.Unsent += int64(c.Backlog())
				l.records.Add(result.Record{Kind: result.Closed, Connection: c.ID, At: timing.Now(), Flag: result.Ended})
			}
			end.Frames += l.frames.Load()
			end.Answers += l.answers.Load()
			l.end()
		})
	}
	e.recordFailures(w)
	return end
}

// recordFailures writes the connects that failed since the last call.
func (e *Engine) recordFailures(w *result.Writer) {
	e.mu.Lock()
	failures := e.failures
	e.failures = nil
	e.mu.Unlock()
	records := w.Shard()
	for _, r := range failures {
		records.Add(r)
	}
	records.Flush()
}

const (
	// quietTime is the time without a frame, after the deadline, that ends the wait for deliveries. A system that still
	// delivers is late, not lossy.
	quietTime = 2 * time.Second
	// maxDeadlines bounds the wait for deliveries, in deadlines.
	maxDeadlines = 10
)

// pollInterval is the interval at which the wait for deliveries looks at the counters.
const pollInterval = 20 * time.Millisecond

// silence measures how long no frame has arrived. Time during which this process did not run is not counted, as frames
// may have arrived that are not read yet.
type silence struct {
	frames, observed int64
	lasted           time.Duration
}

// observe takes the number of frames at a time and returns the length of the silence.
func (s *silence) observe(now, frames int64) time.Duration {
	if frames != s.frames {
		s.lasted = 0
	} else if s.observed > 0 {
		s.lasted += min(time.Duration(now-s.observed)*time.Microsecond, 5*pollInterval)
	}
	s.frames, s.observed = frames, now
	return s.lasted
}

// drain waits until every connection that is not slow has all messages and every publisher its answers, or until the
// deadline of the last message has passed and no more frames arrive. Then it waits for duplicates.
func (e *Engine) drain(ctx context.Context, run *activeMeasurement) {
	c := &run.Conditions
	length := timing.Steady{Rate: c.Rate, Count: c.Count}.Offset(max(c.Count-1, 0))
	begun := max(c.Start+length.Microseconds(), timing.Now())
	until, limit := begun+c.Deadline.Microseconds(), begun+maxDeadlines*c.Deadline.Microseconds()
	var quiet silence
	for c.Count > 0 && !e.complete() && !run.writer.Failed() {
		now := timing.Now()
		if silent := quiet.observe(now, e.received()); now >= limit || now >= until && silent >= quietTime {
			break
		}
		if timing.Wait(ctx, now+pollInterval.Microseconds()) != nil {
			return
		}
	}
	_ = timing.Wait(ctx, timing.Now()+run.Settle.Microseconds()) // the measurement ends here, interrupted or not
}

// received returns the number of frames that have arrived in this measurement.
func (e *Engine) received() (n int64) {
	e.listeners(func(l *listener) { n += l.frames.Load() })
	return n
}

// complete reports whether every connection that is not slow has every message exactly once, and every publisher the
// answers to its messages, if the system answers at all.
func (e *Engine) complete() bool {
	var complete int64
	waiting, answered := 0, false
	e.mu.Lock()
	open := e.reading
	e.mu.Unlock()
	e.listeners(func(l *listener) {
		complete += l.complete.Load()
		for _, q := range l.pending {
			waiting += len(q.messages)
		}
		answered = answered || l.answered
	})
	return open > 0 && complete >= open && (waiting == 0 || !answered)
}

// sample writes a sample of the vitals at each interval, until ctx ends.
func (e *Engine) sample(ctx context.Context, watch *vitals.Watch, run *activeMeasurement) {
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	for over := false; !over; {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			over = true // take a last sample: a short run has no other
		}
		s := watch.Sample()
		s.Open, s.ScheduleLag, s.ReadLag = e.Connected(), run.publication.takeWorst(), e.pool.WorstLag()
		if run.writer.Sample(s) != nil {
			return
		}
	}
}

// churn makes clients reconnect on schedule until ctx ends.
func (e *Engine) churn(ctx context.Context, c *result.Conditions) {
	length := timing.Steady{Rate: c.Rate, Count: c.Count}.Length()
	var running sync.WaitGroup
	defer running.Wait()
	sem := make(chan struct{}, maxDials)
	for _, move := range timing.Churn(c.Seed+uint64(e.plan.Process), e.plan.Movers(), c.Churn, length) {
		if timing.Wait(ctx, c.Start+move.Offset.Microseconds()) != nil {
			return
		}
		conn := e.connection(move.Slot)
		if conn == nil {
			continue // it is reconnecting already
		}
		select {
		case sem <- struct{}{}:
		case <-ctx.Done():
			return
		}
		e.pool.Drop(conn, result.Moved, "")
		running.Go(func() {
			defer func() { <-sem }()
			e.connect(ctx, move.Slot, 1<<30)
		})
	}
}

// ping is the keep-alive message, which a Fanfare system answers without running a function.
const ping = `{"action":"ping"}`

// pings sends the keep-alive message of every client, spread evenly over the interval. The first is sent after half the
// interval, so that short runs send none, also to systems that do not know the message.
func (e *Engine) pings(ctx context.Context) {
	slots := e.plan.Slots()
	if e.plan.Ping <= 0 || len(slots) == 0 {
		return
	}
	steady := timing.Steady{Rate: float64(len(slots)) / e.plan.Ping.Seconds()}
	start := timing.Now() + e.plan.Ping.Microseconds()/2
	for n := 0; ; n++ {
		if timing.Wait(ctx, start+steady.Offset(n).Microseconds()) != nil {
			return
		}
		if c := e.connection(slots[n%len(slots)]); c != nil && !c.Slow {
			_ = c.WriteText([]byte(ping)) // its reader reports a failed connection
		}
	}
}

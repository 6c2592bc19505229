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

// sampleEvery is the distance of the samples of the harness's vitals.
const sampleEvery = time.Second

// measuring is a measurement under way.
type measuring struct {
	Measurement
	file        *os.File
	writer      *result.Writer
	publication *publication
}

// Prepare creates m.File and turns the connections to the new measurement: once it has returned, whatever arrives of it
// is recorded, whichever process published it. What an earlier Prepare began without a Measure is given up.
func (e *Engine) Prepare(m Measurement) (err error) {
	if err := e.abandon(); err != nil {
		return err
	}
	file, err := os.OpenFile(m.File, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("result file: %w", err)
	}
	c := &m.Conditions
	c.Process, c.Processes, c.Host = e.plan.Process, e.plan.Processes, vitals.Host()
	writer, err := result.NewWriter(file, *c)
	if err != nil {
		return errors.Join(err, file.Close())
	}
	run := &measuring{Measurement: m, file: file, writer: writer}
	if run.publication, err = newPublication(e, &run.Measurement, writer.Shard()); err != nil {
		return errors.Join(err, writer.Close(result.End{}), file.Close())
	}
	e.begin(run)
	e.prepared = run
	return nil
}

// abandon ends a measurement that was prepared and not made.
func (e *Engine) abandon() error {
	run := e.prepared
	if run == nil {
		return nil
	}
	e.prepared = nil
	return errors.Join(run.writer.Close(e.end(run.writer)), run.file.Close())
}

// Measure carries out what Prepare prepared: it publishes on schedule, waits for the deliveries, and ends the file. An
// ended ctx stops the publishing early, and the wait for deliveries with it; the file then says that the run was
// interrupted.
func (e *Engine) Measure(ctx context.Context) (err error) {
	run := e.prepared
	if run == nil {
		return errors.New("measure: nothing is prepared")
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

// begin turns the listeners to a new measurement: the file starts with who is there and who could not come.
func (e *Engine) begin(run *measuring) {
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

// end turns the listeners off and writes what the connections came to.
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

// recordFailures writes the connects that failed since the call before.
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
	// quiet is how long nothing must arrive after the deadline before what has not come counts as missing: a system that
	// is behind but still delivers is late, not lossy.
	quiet = 2 * time.Second
	// drains bounds the whole wait, in deadlines.
	drains = 10
)

// glance is the distance of looks at what has arrived.
const glance = 20 * time.Millisecond

// silence is for how long the system has been heard to say nothing. What the harness slept through, as when its machine
// stood still, was no silence of the system: what came meanwhile is still to be read.
type silence struct {
	frames, looked int64
	lasted         time.Duration
}

func (s *silence) look(now, frames int64) time.Duration {
	if frames != s.frames {
		s.lasted = 0
	} else if s.looked > 0 {
		s.lasted += min(time.Duration(now-s.looked)*time.Microsecond, 5*glance)
	}
	s.frames, s.looked = frames, now
	return s.lasted
}

// drain waits until every reading connection has everything and every publisher its answers, or the deadline of the last
// message is over and nothing arrives any more; and then for what may still come twice.
func (e *Engine) drain(ctx context.Context, run *measuring) {
	c := &run.Conditions
	length := timing.Steady{Rate: c.Rate, Count: c.Count}.Offset(max(c.Count-1, 0))
	begun := max(c.Start+length.Microseconds(), timing.Now())
	until, limit := begun+c.Deadline.Microseconds(), begun+drains*c.Deadline.Microseconds()
	var heard silence
	for c.Count > 0 && !e.complete() && !run.writer.Failed() {
		now := timing.Now()
		if silent := heard.look(now, e.received()); now >= limit || now >= until && silent >= quiet {
			break
		}
		if timing.Wait(ctx, now+glance.Microseconds()) != nil {
			return
		}
	}
	_ = timing.Wait(ctx, timing.Now()+run.Settle.Microseconds()) // interrupted or not, the measurement ends here
}

// received counts what has arrived in this measurement.
func (e *Engine) received() (n int64) {
	e.listeners(func(l *listener) { n += l.frames.Load() })
	return n
}

// complete tells whether every connection that reads has every message exactly once, and every publisher the answers to
// its messages, if the system gives any.
func (e *Engine) complete() bool {
	var complete int64
	waiting, answered := 0, false
	e.mu.Lock()
	open := e.reading
	e.mu.Unlock()
	e.listeners(func(l *listener) {
		complete += l.complete.Load()
		for _, q := range l.asked {
			waiting += len(q.waiting)
		}
		answered = answered || l.answered
	})
	return open > 0 && complete >= open && (waiting == 0 || !answered)
}

func (e *Engine) sample(ctx context.Context, watch *vitals.Watch, run *measuring) {
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	for over := false; !over; {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			over = true // after a last sample: a short run has only that
		}
		s := watch.Sample()
		s.Open, s.ScheduleLag, s.ReadLag = e.Connected(), run.publication.takeWorst(), e.pool.WorstLag()
		if run.writer.Sample(s) != nil {
			return
		}
	}
}

// churn makes clients reconnect on schedule.
func (e *Engine) churn(ctx context.Context, c *result.Conditions) {
	length := timing.Steady{Rate: c.Rate, Count: c.Count}.Length()
	var running sync.WaitGroup
	defer running.Wait()
	tickets := make(chan struct{}, dialling)
	for _, move := range timing.Churn(c.Seed+uint64(e.plan.Process), e.plan.Movers(), c.Churn, length) {
		if timing.Wait(ctx, c.Start+move.Offset.Microseconds()) != nil {
			return
		}
		conn := e.connection(move.Slot)
		if conn == nil {
			continue // it is away already
		}
		select {
		case tickets <- struct{}{}:
		case <-ctx.Done():
			return
		}
		e.pool.Drop(conn, result.Moved, "")
		running.Go(func() {
			defer func() { <-tickets }()
			e.connect(ctx, move.Slot, 1<<30)
		})
	}
}

// ping is the keep-alive that a Fanfare system answers without running anything.
const ping = `{"action":"ping"}`

// pings lets every client say that it is alive, evenly spread over the interval. They begin after half of it, so that
// short runs, and systems that know no such message, are left alone.
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
			_ = c.WriteText([]byte(ping)) // a connection that fails is reported by its reader
		}
	}
}

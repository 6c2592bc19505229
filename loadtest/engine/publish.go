package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	"fanfare/loadtest/client"
	"fanfare/loadtest/latency"
	"fanfare/loadtest/payload"
	"fanfare/loadtest/result"
	"fanfare/loadtest/timing"
)

// maxQueued bounds the concurrent SendMessage calls. If it is reached, publishing falls behind schedule, which the
// report shows as schedule lag.
const maxQueued = 64

// publication publishes the messages of a measurement.
type publication struct {
	engine *Engine
	c      *result.Conditions
	maker  *payload.Maker
	steady timing.Steady
	turns  timing.Turns

	mu      sync.Mutex // guards the following; clients and queue publish concurrently
	records *result.Shard
	lag     latency.Histogram
	worst   int64 // microseconds, since the last takeWorst
}

func newPublication(e *Engine, m *Measurement, records *result.Shard) (*publication, error) {
	c := &m.Conditions
	p := &publication{engine: e, c: c, records: records,
		steady: timing.Steady{Rate: c.Rate, Count: c.Count}, turns: timing.Turns{Publishers: max(c.Publishers, 1)}}
	var err error
	if m.Body != nil {
		p.maker, err = payload.NewBodyMaker(c.Run, m.Body)
	} else {
		p.maker, err = payload.NewMaker(c.Run, c.Size)
	}
	return p, err
}

// run publishes this process's messages through clients or through the queue, each at its time. It returns when the
// last is published, or ctx ends.
func (p *publication) run(ctx context.Context, byQueue bool) {
	var running sync.WaitGroup
	defer running.Wait()
	sem := make(chan struct{}, maxQueued)
	var text []byte
	for n := range p.c.Count {
		number, sequence := p.turns.Of(n)
		who := p.engine.publishers[number]
		if who.byQueue != byQueue || !p.engine.plan.owns(int(number), who) {
			continue
		}
		intended := p.c.Start + p.steady.Offset(n).Microseconds()
		if timing.Wait(ctx, intended) != nil {
			return
		}
		text = p.maker.Append(text[:0], number, sequence, intended)
		if !byQueue {
			p.byClient(uint32(n), who.slot, intended, text)
			continue
		}
		body := string(text)
		select {
		case sem <- struct{}{}:
		case <-ctx.Done():
			return
		}
		running.Go(func() {
			defer func() { <-sem }()
			p.byQueue(ctx, uint32(n), intended, body)
		})
	}
}

func (p *publication) byClient(n uint32, slot int, intended int64, text []byte) {
	c := p.engine.connection(slot)
	if c == nil {
		c = p.engine.anyReader()
	}
	size, now := len(text), timing.Now()
	if c == nil {
		p.failed(n, now, intended, "no client is connected")
		return
	}
	// The message is pending before it is written: the answer may arrive before the write returns.
	with(c.Shard(), func(l *listener) { l.addPending(c, n, now) })
	if err := c.WriteText(text); err != nil {
		with(c.Shard(), func(l *listener) { l.removePending(c, n) })
		p.failed(n, now, intended, err.Error())
		return
	}
	p.add(result.Record{Kind: result.Published, Broadcast: n, Connection: c.ID, At: now, A: intended, B: int64(size),
		Flag: result.ByClient})
}

func (p *publication) byQueue(ctx context.Context, n uint32, intended int64, text string) {
	now := timing.Now()
	id, err := p.engine.queue.Publish(ctx, text)
	p.add(result.Record{Kind: result.Published, Broadcast: n, At: now, A: intended, B: int64(len(text)),
		Flag: result.ByQueue})
	answer := result.Record{Kind: result.Answered, Broadcast: n, At: timing.Now(), Flag: result.Acknowledged, Text: id}
	var refusal interface{ ErrorCode() string }
	switch {
	case errors.As(err, &refusal):
		answer.Flag, answer.Text = result.Refused, refusal.ErrorCode()
	case err != nil:
		// The queue may or may not have it: the message is owed if any client receives it.
		answer.Flag, answer.Text = result.Refused|result.Guessed, "no answer from the queue"
	default:
		p.engine.accepted.Add(1)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.records.Add(answer)
}

// add records a published message and its schedule lag.
func (p *publication) add(r result.Record) {
	p.engine.published.Add(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.records.Add(r)
	late := r.At - r.A
	p.lag.Add(late)
	p.worst = max(p.worst, late)
}

// failed records a message that could not be published.
func (p *publication) failed(n uint32, at, intended int64, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.records.Add(result.Record{Kind: result.Unpublished, Broadcast: n, At: at, A: intended, Text: reason})
}

// takeWorst returns the longest schedule lag since the last call.
func (p *publication) takeWorst() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	worst := p.worst
	p.worst = 0
	return time.Duration(worst) * time.Microsecond
}

// anyReader returns a connection that is not slow, nil if there is none, for a publisher that lost its own.
func (e *Engine) anyReader() *client.Conn {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.current {
		if !c.Slow {
			return c
		}
	}
	return nil
}

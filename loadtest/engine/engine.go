package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"fanfare/loadtest/aws"
	"fanfare/loadtest/client"
	"fanfare/loadtest/latency"
	"fanfare/loadtest/result"
	"fanfare/loadtest/timing"
)

const (
	// maxDials bounds the concurrent connects.
	maxDials = 128
	// failuresKept bounds the failed connects that are recorded.
	failuresKept = 10_000
)

// Engine does the share of one process in a load test. Call Open first, then Prepare and Measure for each measurement,
// and Close last. Status may be called at any time.
type Engine struct {
	plan       Plan
	pool       *client.Pool
	queue      *aws.Queue
	publishers []publisher
	prepared   *activeMeasurement // by Prepare, until Measure

	mu       sync.Mutex
	current  map[int]*client.Conn // by slot
	reading  int64                // number of connections that are not slow
	failures []result.Record

	failed    atomic.Int64 // connects that failed
	published atomic.Int64
	accepted  atomic.Int64 // by the queue

	reconnectCtx  context.Context // ends the clients that reconnect
	stopReconnect context.CancelFunc
	reconnecting  sync.WaitGroup
	closing       bool // guarded by mu
}

// New returns an engine without connections. The caller must Close it.
func New(ctx context.Context, plan Plan) (*Engine, error) {
	e := &Engine{plan: plan, publishers: plan.publishers(), current: map[int]*client.Conn{}}
	if plan.QueueURL != "" && plan.Via != Clients {
		var err error
		if e.queue, err = aws.OpenQueue(ctx, plan.QueueURL, maxQueued); err != nil {
			return nil, err
		}
	}
	pool, err := client.NewPool(client.Options{
		URL: plan.URL, Header: plan.Header, Protocols: plan.Protocols, Sources: plan.Sources, Shards: plan.Shards,
		ConnectTimeout: plan.ConnectTimeout, SlowRate: plan.SlowRate, Streams: plan.Streams,
		Handler: func(int) client.Handler {
			return &listener{engine: e, live: latency.NewCoarse(), earlier: map[string]bool{}}
		},
	})
	if err != nil {
		return nil, err
	}
	e.pool = pool
	e.reconnectCtx, e.stopReconnect = context.WithCancel(context.Background())
	return e, nil
}

// Close closes all connections and returns when all goroutines of the engine have ended.
func (e *Engine) Close() {
	e.mu.Lock()
	e.closing = true
	e.mu.Unlock()
	e.stopReconnect()
	e.reconnecting.Wait()
	_ = e.abandon() // the results are not used
	e.pool.Close()
}

// Open connects the clients, Plan.Ramp a second over all processes. It returns when each client is connected or has
// failed Plan.Attempts times; Status has the numbers. The only error is that of ctx.
func (e *Engine) Open(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	sem := make(chan struct{}, maxDials)
	ramp := timing.Steady{Rate: e.plan.Ramp, Count: e.plan.Connections}
	for _, slot := range e.plan.Slots() {
		if err := timing.Wait(ctx, e.plan.Start+ramp.Offset(slot).Microseconds()); err != nil {
			return fmt.Errorf("connect: %w", err)
		}
		select {
		case sem <- struct{}{}:
		case <-ctx.Done():
			return fmt.Errorf("connect: %w", ctx.Err())
		}
		running.Go(func() {
			defer func() { <-sem }()
			e.connect(ctx, slot, e.plan.Attempts)
		})
	}
	return nil
}

// connect dials for a slot until it succeeds, has failed attempts times, or ctx ends.
func (e *Engine) connect(ctx context.Context, slot, attempts int) {
	for attempt := 1; ; attempt++ {
		_, err := e.pool.Dial(ctx, uint32(slot), e.plan.slow(slot))
		if err == nil || ctx.Err() != nil {
			return
		}
		e.recordFailure(slot, err)
		if attempt >= attempts {
			return
		}
		// The pause is 0.5 s at first, doubles up to 30 s, and has a jitter of half to one and a half.
		pause := min(time.Duration(250<<min(attempt, 8))*time.Millisecond, 30*time.Second)
		pause = pause/2 + rand.N(pause)
		if timing.Wait(ctx, timing.Now()+pause.Microseconds()) != nil {
			return
		}
	}
}

// recordFailure keeps a failed connect for the result file.
func (e *Engine) recordFailure(slot int, err error) {
	e.failed.Add(1)
	r := result.Record{Kind: result.Unopened, At: timing.Now(), A: int64(slot), Flag: result.Peer, Text: err.Error()}
	if dial, ok := errors.AsType[*client.DialError](err); ok {
		r.Text = dial.Reason
		if dial.Harness {
			r.Flag = result.Harness
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.failures) < failuresKept {
		e.failures = append(e.failures, r)
	}
}

// addConn and removeConn keep the current connection of each slot. They are called under the shard's lock.
func (e *Engine) addConn(c *client.Conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.current[int(c.Slot)] = c
	if !c.Slow {
		e.reading++
	}
}

func (e *Engine) removeConn(c *client.Conn, cause uint8) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.current[int(c.Slot)] == c {
		delete(e.current, int(c.Slot))
	}
	if !c.Slow {
		e.reading--
	}
	if cause == result.Ended || cause == result.Moved || e.closing {
		return
	}
	// A client that lost its connection reconnects in a goroutine of its own, as a real client would.
	e.reconnecting.Go(func() {
		pause := time.Second/2 + rand.N(time.Second)
		if timing.Wait(e.reconnectCtx, timing.Now()+pause.Microseconds()) == nil {
			e.connect(e.reconnectCtx, int(c.Slot), 1<<30)
		}
	})
}

func (e *Engine) connection(slot int) *client.Conn {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.current[slot]
}

// Connected returns the number of connected clients.
func (e *Engine) Connected() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.current)
}

// listeners calls f for each listener, with its shard's lock held.
func (e *Engine) listeners(f func(l *listener)) {
	for _, s := range e.pool.Shards() {
		with(s, f)
	}
}

// with calls f for the listener of a shard, with the lock held.
func with(s *client.Shard, f func(l *listener)) {
	s.Do(func(h client.Handler, _ iter.Seq[*client.Conn]) { f(h.(*listener)) })
}

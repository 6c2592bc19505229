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
	// dialling bounds the connects under way at once.
	dialling = 128
	// failuresKept bounds the failed connects that are recorded one by one.
	failuresKept = 10_000
)

// Engine is a process's share of a load test. Open comes first, then Prepare and Measure for each measurement, Close
// last; Status may be called at any time.
type Engine struct {
	plan       Plan
	pool       *client.Pool
	queue      *aws.Queue
	publishers []publisher
	prepared   *measuring // not yet measured

	mu       sync.Mutex
	current  map[int]*client.Conn // by slot
	reading  int64                // of these, those that read as they should
	failures []result.Record

	failed    atomic.Int64 // connects
	published atomic.Int64
	accepted  atomic.Int64 // by the queue

	away    context.Context // of clients that come back
	stop    context.CancelFunc
	coming  sync.WaitGroup
	closing bool // guarded by mu
}

// New returns an engine without connections.
func New(ctx context.Context, plan Plan) (*Engine, error) {
	e := &Engine{plan: plan, publishers: plan.publishers(), current: map[int]*client.Conn{}}
	if plan.QueueURL != "" && plan.Via != Clients {
		var err error
		if e.queue, err = aws.OpenQueue(ctx, plan.QueueURL, sending); err != nil {
			return nil, err
		}
	}
	pool, err := client.NewPool(client.Options{
		URL: plan.URL, Header: plan.Header, Sources: plan.Sources, Shards: plan.Shards,
		ConnectTimeout: plan.ConnectTimeout, SlowRate: plan.SlowRate, Streams: plan.Streams,
		Handler: func(int) client.Handler {
			return &listener{engine: e, live: latency.NewCoarse(), earlier: map[string]bool{}}
		},
	})
	if err != nil {
		return nil, err
	}
	e.pool = pool
	e.away, e.stop = context.WithCancel(context.Background())
	return e, nil
}

// Close closes all connections and returns when nothing of the engine runs any more.
func (e *Engine) Close() {
	e.mu.Lock()
	e.closing = true
	e.mu.Unlock()
	e.stop()
	e.coming.Wait()
	_ = e.abandon() // nobody will read it
	e.pool.Close()
}

// Open connects the clients, Plan.Ramp a second over all processes, and returns when each is connected or has failed
// Plan.Attempts times; how many are shows in Status. Only an ended ctx is an error.
func (e *Engine) Open(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	tickets := make(chan struct{}, dialling)
	ramp := timing.Steady{Rate: e.plan.Ramp, Count: e.plan.Connections}
	for _, slot := range e.plan.Slots() {
		if err := timing.Wait(ctx, e.plan.Start+ramp.Offset(slot).Microseconds()); err != nil {
			return fmt.Errorf("connect: %w", err)
		}
		select {
		case tickets <- struct{}{}:
		case <-ctx.Done():
			return fmt.Errorf("connect: %w", ctx.Err())
		}
		running.Go(func() {
			defer func() { <-tickets }()
			e.connect(ctx, slot, e.plan.Attempts)
		})
	}
	return nil
}

// connect dials for a slot until it succeeds, attempts are used up, or ctx ends.
func (e *Engine) connect(ctx context.Context, slot, attempts int) {
	for attempt := 1; ; attempt++ {
		_, err := e.pool.Dial(ctx, uint32(slot), e.plan.slow(slot))
		if err == nil || ctx.Err() != nil {
			return
		}
		e.missed(slot, err)
		if attempt >= attempts {
			return
		}
		// Half a second, then twice as long each time, up to half a minute; the jitter keeps clients apart.
		pause := min(time.Duration(250<<min(attempt, 8))*time.Millisecond, 30*time.Second)
		pause = pause/2 + rand.N(pause)
		if timing.Wait(ctx, timing.Now()+pause.Microseconds()) != nil {
			return
		}
	}
}

// missed takes down a failed connect.
func (e *Engine) missed(slot int, err error) {
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

// arrived and left keep account of who has which connection. They are called under the shard's lock.
func (e *Engine) arrived(c *client.Conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.current[int(c.Slot)] = c
	if !c.Slow {
		e.reading++
	}
}

func (e *Engine) left(c *client.Conn, cause uint8) {
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
	// A client that lost its connection comes back, as a real one would: one goroutine per client that is away.
	e.coming.Go(func() {
		pause := time.Second/2 + rand.N(time.Second)
		if timing.Wait(e.away, timing.Now()+pause.Microseconds()) == nil {
			e.connect(e.away, int(c.Slot), 1<<30)
		}
	})
}

func (e *Engine) connection(slot int) *client.Conn {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.current[slot]
}

// Connected returns how many clients are connected.
func (e *Engine) Connected() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.current)
}

// listeners calls f for each listener, under its shard's lock.
func (e *Engine) listeners(f func(l *listener)) {
	for _, s := range e.pool.Shards() {
		with(s, f)
	}
}

func with(s *client.Shard, f func(l *listener)) {
	s.Do(func(h client.Handler, _ iter.Seq[*client.Conn]) { f(h.(*listener)) })
}

package client

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"iter"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"fanfare/loadtest/latency"
	"fanfare/loadtest/result"
	"fanfare/loadtest/timing"

	"github.com/gobwas/ws"
)

// Handler takes what happens on the connections of one shard, one call at a time. It must be quick and must not keep
// the slices. It may write to the connection and must not close it.
type Handler interface {
	// Opened comes before anything else of its connection.
	Opened(c *Conn)
	// Message is a text or binary message.
	Message(c *Conn, text []byte, binary bool, at int64)
	// Closed comes after everything else of its connection. cause is one of package result's; code is that of a close
	// frame, 0 without one.
	Closed(c *Conn, cause uint8, code int, detail string, at int64)
}

// Options says how a pool connects and reads.
type Options struct {
	URL            string                  // ws:// or wss://
	Header         http.Header             // of the handshake; may be nil
	TLS            *tls.Config             // for wss://; nil: the system's certificates
	Sources        []netip.Addr            // local addresses to take turns with; empty: the system's choice
	Shards         int                     // at least 1
	ConnectTimeout time.Duration           // of one attempt, handshake included; 0: 10 seconds
	SlowRate       int                     // bytes per second that a slow client reads; 0: nothing
	Streams        bool                    // a goroutine per connection even where epoll could serve
	Handler        func(shard int) Handler // called once per shard, by NewPool
}

// probeEvery is the distance of the probes that measure the read lag. Each wakes every reader, which with few messages is
// what costs the most.
const probeEvery = 20 * time.Millisecond

// Pool holds connections. Its methods may be called concurrently.
type Pool struct {
	options Options
	tls     bool
	shards  []*Shard
	next    atomic.Uint32
	source  atomic.Uint32
	stop    context.CancelFunc
	running sync.WaitGroup
	closing sync.Once
}

// Shard is a share of the connections, served together.
type Shard struct {
	pool *Pool
	loop loop

	mu      sync.Mutex // guards all below and serialises the handler
	handler Handler
	conns   []*Conn // by index; nil where free
	free    []int
	now     int64 // when the bytes at hand were read
	open    int
	lag     latency.Histogram
	worst   int64

	frames atomic.Int64
}

// loop is a transport of a shard.
type loop interface {
	adopt(c *Conn, early []byte) error // start to read; called with the shard's lock held
	release(c *Conn)                   // stop, send what waits if the peer takes it, and close; called with both locks held
	awaitWritable(c *Conn) error       // called with the connection's lock held
	probe() (write func([]byte) error) // where to write probes to
	run(ctx context.Context) error     // until ctx ends
	free()                             // what the transport itself holds; called once, when nothing runs any more
}

// NewPool starts a pool without connections. The caller must Close it.
func NewPool(o Options) (*Pool, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || (u.Scheme != "ws" && u.Scheme != "wss") {
		return nil, fmt.Errorf("url %q: want ws://host:port/path or wss://host/path", o.URL)
	}
	if o.ConnectTimeout <= 0 {
		o.ConnectTimeout = 10 * time.Second
	}
	p := &Pool{options: o, tls: u.Scheme == "wss"}
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	for i := range max(o.Shards, 1) {
		s := &Shard{pool: p, handler: o.Handler(i)}
		if s.loop, err = p.newLoop(s); err != nil {
			p.Close()
			return nil, err
		}
		p.shards = append(p.shards, s)
		p.running.Go(func() {
			if err := s.loop.run(ctx); err != nil {
				s.fail(err)
			}
		})
	}
	p.running.Go(func() { p.sendProbes(ctx) })
	if o.SlowRate > 0 {
		p.running.Go(func() { p.readSlowly(ctx) })
	}
	return p, nil
}

func (p *Pool) newLoop(s *Shard) (loop, error) {
	if p.tls || p.options.Streams || !pollable {
		return newStreams(s)
	}
	return newPoller(s)
}

// Close closes what is still open, as ended, and returns when nothing of the pool runs any more. Nothing may be dialled
// meanwhile or after.
func (p *Pool) Close() { p.closing.Do(p.close) }

func (p *Pool) close() {
	for _, s := range p.shards {
		for _, c := range s.list() {
			p.Drop(c, result.Ended, "")
		}
	}
	p.stop()
	p.running.Wait()
	for _, s := range p.shards {
		s.loop.free()
	}
}

// Drop closes a connection from this side with a close frame and tells the handler the cause. It does nothing if the
// connection is closed already.
func (p *Pool) Drop(c *Conn, cause uint8, detail string) {
	// The lock comes first: otherwise the peer's answer may be read before the end is noted, and be taken for its doing.
	c.shard.mu.Lock()
	defer c.shard.mu.Unlock()
	_ = c.writeControl(ws.OpClose, ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))
	c.shard.close(c, cause, 0, detail)
}

// Shards returns the pool's shards.
func (p *Pool) Shards() []*Shard { return p.shards }

// Do calls f with the shard's handler and open connections, under the shard's lock. f must not keep conns.
func (s *Shard) Do(f func(h Handler, conns iter.Seq[*Conn])) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s.handler, s.each)
}

func (s *Shard) each(yield func(*Conn) bool) {
	for _, c := range s.conns {
		if c != nil && !yield(c) {
			return
		}
	}
}

// list returns the open connections.
func (s *Shard) list() []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(s.each)
}

// Open returns how many connections are open.
func (p *Pool) Open() (n int) {
	for _, s := range p.shards {
		s.mu.Lock()
		n += s.open
		s.mu.Unlock()
	}
	return n
}

// Frames returns how many data messages were received so far.
func (p *Pool) Frames() (n int64) {
	for _, s := range p.shards {
		n += s.frames.Load()
	}
	return n
}

// TakeLag returns the read lags since the call before, and the worst since the call to WorstLag before.
func (p *Pool) TakeLag() *latency.Histogram {
	var all latency.Histogram
	for _, s := range p.shards {
		s.mu.Lock()
		all.Merge(&s.lag)
		s.lag = latency.Histogram{}
		s.mu.Unlock()
	}
	return &all
}

// WorstLag returns the longest read lag since the call before.
func (p *Pool) WorstLag() time.Duration {
	var worst int64
	for _, s := range p.shards {
		s.mu.Lock()
		worst = max(worst, s.worst)
		s.worst = 0
		s.mu.Unlock()
	}
	return time.Duration(worst) * time.Microsecond
}

// sendProbes writes the time into every shard, on an absolute schedule so that its own delays count too.
func (p *Pool) sendProbes(ctx context.Context) {
	var writes []func([]byte) error
	for _, s := range p.shards {
		writes = append(writes, s.loop.probe())
	}
	var b [8]byte
	for at := timing.Now(); ; at += probeEvery.Microseconds() {
		if timing.Wait(ctx, at) != nil {
			return
		}
		binary.LittleEndian.PutUint64(b[:], uint64(at))
		for _, write := range writes {
			// A full pipe means that thousands of probes wait already; one more would tell nothing new.
			_ = write(b[:])
		}
	}
}

// probed takes probes that were read; the caller holds the lock.
func (s *Shard) probed(b []byte) {
	now := timing.Now()
	for ; len(b) >= 8; b = b[8:] {
		late := now - int64(binary.LittleEndian.Uint64(b))
		s.lag.Add(late)
		s.worst = max(s.worst, late)
	}
}

// place gives a connection its place in the shard; the caller holds the lock.
func (s *Shard) place(c *Conn) {
	if n := len(s.free); n > 0 {
		c.index, s.free = s.free[n-1], s.free[:n-1]
		s.conns[c.index] = c
	} else {
		c.index = len(s.conns)
		s.conns = append(s.conns, c)
	}
	s.open++
}

// close takes a connection out; the caller holds the shard's lock.
func (s *Shard) close(c *Conn, cause uint8, code int, detail string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.closed = true
	s.loop.release(c)
	s.conns[c.index] = nil
	s.free = append(s.free, c.index)
	s.open--
	s.handler.Closed(c, cause, code, detail, timing.Now())
	c.in = assembler{}
}

// fail closes everything after a transport broke: a fault of the harness.
func (s *Shard) fail(err error) {
	for _, c := range s.list() {
		s.mu.Lock()
		s.close(c, result.Harness, 0, err.Error())
		s.mu.Unlock()
	}
}

// received takes bytes of a connection; the caller holds the shard's lock.
func (s *Shard) received(c *Conn, b []byte) {
	s.now = timing.Now()
	if err := c.in.take(b, receiver{s, c}); err != nil {
		s.close(c, result.Broken, 0, err.Error())
	}
}

// receiver ties an assembler's findings to their connection.
type receiver struct {
	s *Shard
	c *Conn
}

func (r receiver) data(binary bool, text []byte) {
	if r.c.closed { // frames after a close frame are to be ignored (RFC 6455, section 5.5.1)
		return
	}
	r.s.frames.Add(1)
	r.s.handler.Message(r.c, text, binary, r.s.now)
}

func (r receiver) control(opcode ws.OpCode, body []byte) {
	if r.c.closed {
		return
	}
	switch opcode {
	case ws.OpPing:
		_ = r.c.writeControl(ws.OpPong, body)
	case ws.OpClose:
		code, reason := 1005, "" // 1005: no code given (RFC 6455, section 7.4.1)
		if len(body) >= 2 {
			code, reason = int(binary.BigEndian.Uint16(body)), string(body[2:])
		}
		detail := fmt.Sprintf("close code %d", code)
		if reason != "" {
			detail += " " + reason
		}
		_ = r.c.writeControl(ws.OpClose, body)
		r.s.close(r.c, result.Peer, code, detail)
	}
}

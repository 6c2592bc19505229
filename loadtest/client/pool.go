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

// Handler receives the events of the connections of one shard, one call at a time. It must not block and must not keep
// the slices. It may write to the connection and must not close it. Times are in microseconds since the Unix epoch.
type Handler interface {
	// Opened is the first call for a connection.
	Opened(c *Conn)
	// Message is called for each text or binary message.
	Message(c *Conn, text []byte, binary bool, at int64)
	// Closed is the last call for a connection. cause is a cause of package result; code is that of the close frame, 0
	// without one.
	Closed(c *Conn, cause uint8, code int, detail string, at int64)
}

// Options configures a Pool.
type Options struct {
	URL            string                  // ws:// or wss://
	Header         http.Header             // of the handshake; may be nil
	Protocols      []string                // sub-protocols to offer
	TLS            *tls.Config             // for wss://; nil: system certificates
	Sources        []netip.Addr            // local addresses, used in rotation; empty: chosen by the kernel
	Shards         int                     // at least 1
	ConnectTimeout time.Duration           // of one attempt, including the handshake; 0: 10 seconds
	SlowRate       int                     // bytes per second that a slow client reads; 0: nothing
	Streams        bool                    // use a goroutine per connection instead of epoll
	Handler        func(shard int) Handler // called once per shard, by NewPool
}

// probeEvery is the interval of the probes that measure the read lag. Each probe wakes every reader, which is the
// largest cost at low message rates.
const probeEvery = 20 * time.Millisecond

// Pool holds connections. It is safe for concurrent use.
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

// Shard is a group of connections with one reader.
type Shard struct {
	pool *Pool
	loop loop

	mu      sync.Mutex // guards the following and serialises the calls of the handler
	handler Handler
	conns   []*Conn // by index; nil if free
	free    []int
	now     int64 // when the current bytes were read
	open    int
	lag     latency.Histogram
	worst   int64

	frames atomic.Int64
}

// loop is the transport of a shard.
type loop interface {
	add(c *Conn, early []byte) error   // starts to read; called with the shard's lock held
	release(c *Conn)                   // sends the backlog, if the peer reads, and closes; called with both locks held
	awaitWritable(c *Conn) error       // called with the connection's lock held
	probe() (write func([]byte) error) // returns the function that writes a probe
	run(ctx context.Context) error     // reads until ctx ends
	free()                             // frees the resources of the transport; called once, after run has returned
}

// NewPool returns a pool without connections. The caller must Close it.
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

// Close closes all connections, with cause Ended, and returns when all goroutines of the pool have ended. Dial must not
// be called meanwhile or afterwards.
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

// Drop sends a close frame, closes the connection, and calls the handler's Closed with the cause. It does nothing if
// the connection is closed already.
func (p *Pool) Drop(c *Conn, cause uint8, detail string) {
	// The lock comes first: otherwise the answering close frame of the peer could be read before, and count as its cause.
	c.shard.mu.Lock()
	defer c.shard.mu.Unlock()
	_ = c.writeControl(ws.OpClose, ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))
	c.shard.close(c, cause, 0, detail)
}

// Shards returns the pool's shards.
func (p *Pool) Shards() []*Shard { return p.shards }

// Do calls f with the shard's handler and open connections, with the shard's lock held. f must not keep conns.
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

// Open returns the number of open connections.
func (p *Pool) Open() (n int) {
	for _, s := range p.shards {
		s.mu.Lock()
		n += s.open
		s.mu.Unlock()
	}
	return n
}

// Frames returns the number of data messages received so far.
func (p *Pool) Frames() (n int64) {
	for _, s := range p.shards {
		n += s.frames.Load()
	}
	return n
}

// TakeLag returns the read lags since its last call.
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

// WorstLag returns the longest read lag since its last call.
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

// sendProbes writes the intended time to every shard, on an absolute schedule, so that its own delays count too.
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
			// If the pipe is full, thousands of probes wait already, and one more is not needed.
			_ = write(b[:])
		}
	}
}

// probed processes probes that were read; the caller holds the lock.
func (s *Shard) probed(b []byte) {
	now := timing.Now()
	for ; len(b) >= 8; b = b[8:] {
		late := now - int64(binary.LittleEndian.Uint64(b))
		s.lag.Add(late)
		s.worst = max(s.worst, late)
	}
}

// place adds a connection to the shard; the caller holds the lock.
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

// close removes and closes a connection; the caller holds the shard's lock.
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

// fail closes all connections with cause Harness, after the transport has failed.
func (s *Shard) fail(err error) {
	for _, c := range s.list() {
		s.mu.Lock()
		s.close(c, result.Harness, 0, err.Error())
		s.mu.Unlock()
	}
}

// received processes bytes of a connection; the caller holds the shard's lock.
func (s *Shard) received(c *Conn, b []byte) {
	s.now = timing.Now()
	if err := c.in.take(b, receiver{s, c}); err != nil {
		s.close(c, result.Broken, 0, err.Error())
	}
}

// receiver passes the events of an assembler to the handler.
type receiver struct {
	s *Shard
	c *Conn
}

func (r receiver) data(binary bool, text []byte) {
	if r.c.closed { // frames after a close frame are ignored (RFC 6455, section 5.5.1)
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

package apigateway

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unique"

	"github.com/gobwas/ws"
)

// Time limits of a connection.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
const (
	idleTimeout = 10 * time.Minute
	maxDuration = 2 * time.Hour
)

// closeGrace limits, in real time, how long a client may take to answer a closing frame and to read pending data. Only
// tests change it.
var closeGrace = time.Second

// Codes and reasons of ended connections. The texts of 1000, 1001 and 1005 are captured from AWS.
const (
	statusGoingAway = uint16(ws.StatusGoingAway)
	statusNormal    = uint16(ws.StatusNormalClosure)
	statusNone      = uint16(ws.StatusNoStatusRcvd)
	statusBroken    = uint16(ws.StatusAbnormalClosure)

	goingAway      = "Going away"
	closedNormally = "Connection Closed Normally"
	noStatus       = "Client-side close frame status not set"
)

// Errors of send.
var (
	errGone = errors.New("connection is gone")
	errFull = errors.New("client's send buffer is full")
)

var errLostDisconnect = errors.New("fault: $disconnect lost")

// connection is a client whose $connect has succeeded, or is still running. One goroutine, serve, reads from the
// socket. Writers never wait: write passes to the socket what it accepts at once and appends the rest to pending. A
// flusher goroutine runs only while pending data exists.
type connection struct {
	server      *Server
	id          string
	conn        net.Conn
	raw         syscall.RawConn // nil if conn has none
	connectedAt int64           // milliseconds, by the server's clock
	lastActive  atomic.Int64    // milliseconds, by the server's clock: the last message in either direction
	userAgent   unique.Handle[string]
	sourceIP    unique.Handle[string]
	domain      unique.Handle[string]
	authorizer  json.RawMessage
	inbox       *inbox // used by the reading goroutine only; nil until the first message

	mu       sync.Mutex
	pending  []byte        // to be written by the flusher
	flushing int           // bytes that the flusher is writing; -1 if there is no flusher
	drained  chan struct{} // closed when the flusher ends; nil without a flusher
	broken   bool          // a write has failed
	closing  bool          // nothing more is sent to the client
	code     uint16        // closing code, valid if closing
	reason   string        // closing reason, valid if closing
	closeBy  time.Time     // the end of closeGrace, valid if closing
}

// start registers the connection, sends the handshake's answer and starts serve. early is the data that the client has
// sent after the handshake. The caller must have called open.add; start takes over the call of open.done.
func (c *connection) start(conn net.Conn, early, answer []byte) {
	s := c.server
	c.conn, c.flushing = conn, -1
	conn.SetDeadline(time.Time{})
	if secure, ok := conn.(*tls.Conn); ok {
		if tcp, ok := acceptedConn(secure).(*net.TCPConn); ok {
			_ = tcp.SetWriteBuffer(kernelBuffer) // as below
		}
	} else if tcp, ok := conn.(*net.TCPConn); ok {
		// Bounds the kernel's part of a slow client's backlog, which otherwise grows to megabytes.
		_ = tcp.SetWriteBuffer(kernelBuffer) // an error leaves the system's size
		if raw, err := tcp.SyscallConn(); err == nil {
			c.raw = raw
		}
	}
	// Holding the lock sends the answer first: once the connection is in the table, posts may arrive.
	c.mu.Lock()
	s.table.put(c)
	c.write(answer)
	c.mu.Unlock()
	c.extend()
	if s.open.isClosed() {
		c.close(statusGoingAway, goingAway)
	}
	go c.serve(early)
}

// kernelBuffer is the requested size of a socket's send buffer, in bytes.
const kernelBuffer = 64 << 10

// serve reads until the connection ends, and then runs $disconnect once. It waits in awaitData nearly all the time. The
// functions on that path are small so that the stack stays at its first 2 KiB.
func (c *connection) serve(early []byte) {
	c.sendClose(c.readMessages(early))
	c.finish()
}

// finish ends a connection that is no longer read.
func (c *connection) finish() {
	s := c.server
	defer s.open.done()
	c.beginClose(statusBroken, "", nil)
	c.conn.Close()
	if c.inbox != nil {
		c.inbox.waitStarted()
	}
	c.mu.Lock()
	code, reason, drained := c.code, c.reason, c.drained
	c.pending = nil
	c.mu.Unlock()
	err := c.runDisconnect(code, reason)
	if drained != nil {
		<-drained
	}
	if c.inbox != nil {
		c.inbox.waitIdle()
	}
	lasted := time.Duration(s.clock.Now().UnixMilli()-c.connectedAt) * time.Millisecond
	s.observe(Event{Kind: Disconnected, Connection: c.id, Code: code, Reason: reason, Duration: lasted, Err: err})
}

// runDisconnect runs $disconnect.
func (c *connection) runDisconnect(code uint16, reason string) error {
	s := c.server
	r := s.routes[disconnectRoute]
	if r == nil || r.target == nil {
		return nil
	}
	if s.faults.Load().skipDisconnect() {
		return errLostDisconnect
	}
	rc := s.newRequestContext(c, disconnectRoute, "DISCONNECT")
	reply, err := r.target.respond(s.base, request{
		event: s.disconnectEvent(rc, code, reason), trace: newTrace(time.Now()),
	})
	if err == nil && reply.status/100 != 2 {
		err = statusError(reply.status)
	}
	if err != nil {
		s.log.Error("$disconnect failed", "connection_id", c.id, "error", err)
	}
	return err
}

// Read reads from the socket until the connection's idle time or duration is over.
func (c *connection) Read(p []byte) (int, error) {
	for {
		n, err := c.conn.Read(p)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) || !c.extend() {
			return n, err
		}
	}
}

// extend sets the next read deadline and closes the connection if it was idle too long or has reached its maximum
// duration. It returns false if the grace time after closing is over too.
func (c *connection) extend() bool {
	now := c.server.clock.Now()
	due := min(c.lastActive.Load()+idleTimeout.Milliseconds(), c.connectedAt+maxDuration.Milliseconds())
	left := time.UnixMilli(due).Sub(now)
	if left <= 0 {
		c.close(statusGoingAway, goingAway)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return time.Now().Before(c.closeBy)
	}
	c.conn.SetReadDeadline(time.Now().Add(c.server.clock.Wall(left)))
	return true
}

// close sends a closing frame, without waiting. It returns false if the connection is closing already.
func (c *connection) close(code uint16, reason string) bool {
	body := ws.NewCloseFrameBody(ws.StatusCode(code), reason)
	return c.beginClose(code, reason, ws.MustCompileFrame(ws.NewCloseFrame(body)))
}

// beginClose sets the code and reason of the end and removes the connection from the table. It does nothing and returns
// false if the connection is closing already. frame is the last that the client gets; nil sends none.
func (c *connection) beginClose(code uint16, reason string, frame []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return false
	}
	c.closing, c.code, c.reason = true, code, reason
	c.closeBy = time.Now().Add(closeGrace)
	c.conn.SetDeadline(c.closeBy)
	if frame != nil {
		c.write(frame)
	}
	c.server.table.remove(c.id)
	return true
}

// send writes a text message to the client or to its send buffer. It returns errGone or errFull if it does neither.
func (c *connection) send(payload []byte) error {
	frames := compileMessage(payload)
	defer frames.release()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return errGone
	}
	waiting := len(c.pending) + max(c.flushing, 0)
	if waiting > 0 && waiting+len(frames.bytes) > c.server.options.SendBuffer {
		return errFull
	}
	if c.write(frames.bytes); c.broken {
		return errGone
	}
	c.lastActive.Store(c.server.clock.Now().UnixMilli())
	return nil
}

// control sends a control frame. It drops the frame if older data is still pending.
func (c *connection) control(frame []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing && c.flushing < 0 {
		c.write(frame)
	}
}

// write passes b to the socket, and what the socket does not accept to the flusher. The caller holds c.mu; write does
// not wait. Errors are not returned: the reading goroutine gets its own.
func (c *connection) write(b []byte) {
	if c.broken {
		return
	}
	if c.flushing < 0 {
		n, err := c.writeNow(b)
		if err != nil {
			c.broken = true
			return
		}
		b = b[n:]
	}
	if len(b) == 0 {
		return
	}
	c.pending = append(c.pending, b...)
	if c.flushing < 0 {
		c.flushing, c.drained = 0, make(chan struct{})
		go c.flush(c.drained)
	}
}

// writeNow writes what the socket accepts without waiting.
func (c *connection) writeNow(b []byte) (n int, err error) {
	if c.raw == nil {
		return 0, nil
	}
	if failed := c.raw.Write(func(fd uintptr) bool {
		for n < len(b) {
			var m int
			if m, err = syscall.Write(int(fd), b[n:]); m > 0 {
				n += m
			}
			if err == nil || err == syscall.EINTR {
				continue
			}
			if err == syscall.EAGAIN {
				err = nil
			}
			break
		}
		return true
	}); failed != nil {
		return n, failed
	}
	return n, err
}

// flush writes pending data, waiting for the client, until there is none. A connection has at most one flusher.
func (c *connection) flush(drained chan struct{}) {
	for {
		c.mu.Lock()
		if len(c.pending) == 0 || c.broken {
			c.pending, c.flushing, c.drained = nil, -1, nil
			close(drained)
			c.mu.Unlock()
			return
		}
		b := c.pending
		c.pending, c.flushing = nil, len(b)
		c.mu.Unlock()
		_, err := c.conn.Write(b)
		c.mu.Lock()
		c.flushing = 0
		c.broken = err != nil
		c.mu.Unlock()
	}
}

// awaitFlush waits until all pending data is written or the closing deadline has passed.
func (c *connection) awaitFlush() {
	c.mu.Lock()
	drained := c.drained
	c.mu.Unlock()
	if drained != nil {
		<-drained
	}
}

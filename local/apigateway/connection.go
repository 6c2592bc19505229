package apigateway

import (
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

// Limits on a connection's time.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
const (
	idleTimeout = 10 * time.Minute
	maxDuration = 2 * time.Hour
)

// closeGrace is how long, of the machine's time, a client that is being disconnected may take to agree and to read
// what is on its way to it.
var closeGrace = time.Second // a variable for tests alone

// Codes and reasons with which connections end. The texts of 1000, 1001 and 1005 are captured from AWS.
const (
	statusGoingAway = uint16(ws.StatusGoingAway)
	statusNormal    = uint16(ws.StatusNormalClosure)
	statusNone      = uint16(ws.StatusNoStatusRcvd)
	statusBroken    = uint16(ws.StatusAbnormalClosure)

	goingAway      = "Going away"
	closedNormally = "Connection Closed Normally"
	noStatus       = "Client-side close frame status not set"
)

// Why a frame is not sent.
var (
	errGone = errors.New("the connection is gone")
	errFull = errors.New("the client's buffer is full")
)

var errLostDisconnect = errors.New("fault: $disconnect is lost")

// connection is a client that $connect has let in, or that is about to be. One goroutine, serve, reads from it; whoever
// has something for the client writes it, without waiting, and what the socket does not take waits in pending for a
// goroutine that lives only as long as the client is behind.
type connection struct {
	server      *Server
	id          string
	conn        net.Conn
	raw         syscall.RawConn // nil if the connection has none
	connectedAt int64           // milliseconds, by the server's clock
	lastActive  atomic.Int64    // the same; of the last message in either direction
	userAgent   unique.Handle[string]
	sourceIP    unique.Handle[string]
	domain      unique.Handle[string]
	authorizer  json.RawMessage
	inbox       *inbox // of the reading goroutine; nil until the first message

	mu       sync.Mutex
	pending  []byte        // waits for the flusher
	flushing int           // bytes that the flusher holds; -1 when there is no flusher
	drained  chan struct{} // closed by the flusher when it ends; nil without one
	broken   bool          // writing has failed
	closing  bool          // nothing more is sent to the client
	code     uint16        // how it ended, once closing
	reason   string
	closeBy  time.Time // the end of closeGrace
}

// start makes the connection known, opens it with the given answer, and serves it. early is what the client has sent
// already. It owns the server's tally for this connection from here on.
func (c *connection) start(conn net.Conn, early, answer []byte) {
	s := c.server
	c.conn, c.flushing = conn, -1
	conn.SetDeadline(time.Time{})
	if tcp, ok := conn.(*net.TCPConn); ok {
		// The kernel's share of a slow client's backlog; left alone it grows to megabytes.
		tcp.SetWriteBuffer(kernelBuffer)
		if raw, err := tcp.SyscallConn(); err == nil {
			c.raw = raw
		}
	}
	// A client that has its answer can be posted to, and nothing is posted before the answer.
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

// kernelBuffer is the size asked for a socket's send buffer, in bytes.
const kernelBuffer = 64 << 10

// serve reads until the connection is over, and then runs $disconnect, once. Nearly all its time it waits for the
// client, in awaitData, on a stack that must not outgrow the 2 KiB it begins with: hence the small functions down there.
func (c *connection) serve(early []byte) {
	c.farewell(c.readMessages(early))
	c.finish()
}

// finish ends a connection that is not read any more.
func (c *connection) finish() {
	s := c.server
	defer s.open.leave()
	c.settle(statusBroken, "", nil)
	c.conn.Close()
	if c.inbox != nil {
		c.inbox.taken()
	}
	c.mu.Lock()
	code, reason, drained := c.code, c.reason, c.drained
	c.pending = nil
	c.mu.Unlock()
	err := c.disconnected(code, reason)
	if drained != nil {
		<-drained
	}
	if c.inbox != nil {
		c.inbox.finished()
	}
	lasted := time.Duration(s.clock.Now().UnixMilli()-c.connectedAt) * time.Millisecond
	s.observe(Event{Kind: Disconnected, Connection: c.id, Code: code, Reason: reason, Duration: lasted, Err: err})
}

// disconnected runs $disconnect.
func (c *connection) disconnected(code uint16, reason string) error {
	s := c.server
	r := s.routes[disconnectRoute]
	if r == nil || r.target == nil {
		return nil
	}
	if s.luck.Load().losesDisconnect() {
		return errLostDisconnect
	}
	rc := s.newRequestContext(c, disconnectRoute, "DISCONNECT")
	_, err := r.target.respond(s.base, request{
		event: s.disconnectEvent(rc, code, reason), trace: newTrace(time.Now()),
	})
	if err != nil {
		s.log.Error("run $disconnect", "connection_id", c.id, "error", err)
	}
	return err
}

// Read reads from the socket for as long as the connection may be idle and may last.
func (c *connection) Read(p []byte) (int, error) {
	for {
		n, err := c.conn.Read(p)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) || !c.extend() {
			return n, err
		}
	}
}

// extend sets the time at which the connection must be looked at again, and closes it when its time is up. It returns
// false when even the grace after closing is over.
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

// close disconnects the client, unless it is being disconnected already, which it reports. It does not wait.
func (c *connection) close(code uint16, reason string) bool {
	body := ws.NewCloseFrameBody(ws.StatusCode(code), reason)
	return c.settle(code, reason, ws.MustCompileFrame(ws.NewCloseFrame(body)))
}

// settle decides how the connection ends, if that is not decided yet. The frame is the last that the client gets; nil
// sends none.
func (c *connection) settle(code uint16, reason string, frame []byte) bool {
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

// send sends a message to the client, or leaves it in the client's buffer. errGone and errFull are its errors.
func (c *connection) send(payload []byte) error {
	frames := compileMessage(payload)
	defer frames.release()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return errGone
	}
	if waiting := len(c.pending) + max(c.flushing, 0); waiting > 0 && waiting+len(frames.bytes) > c.server.options.SendBuffer {
		return errFull
	}
	if c.write(frames.bytes); c.broken {
		return errGone
	}
	c.lastActive.Store(c.server.clock.Now().UnixMilli())
	return nil
}

// control sends a control frame, which a client that is behind does without.
func (c *connection) control(frame []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing && c.flushing < 0 {
		c.write(frame)
	}
}

// write hands bytes to the socket or else to the flusher; c.mu is held, and kept for no longer than a system call
// that does not wait. Errors are left to the reading goroutine, which gets its own.
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

// writeNow writes what the socket takes without waiting.
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

// flush writes what is pending, waiting for the client, and ends when nothing is. It is the connection's only flusher.
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

// awaitFlush waits until the client has been sent all it is due, or closing has taken too long.
func (c *connection) awaitFlush() {
	c.mu.Lock()
	drained := c.drained
	c.mu.Unlock()
	if drained != nil {
		<-drained
	}
}

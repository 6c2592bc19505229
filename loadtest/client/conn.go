package client

import (
	"errors"
	"net"
	"sync"

	"github.com/gobwas/ws"
)

// maxBacklog bounds the unsent bytes of a connection.
const maxBacklog = 1 << 20

var (
	// ErrClosed is returned for a closed connection.
	ErrClosed = errors.New("connection is closed")
	// ErrBacklog is returned if the connection's backlog is full because the system does not read.
	ErrBacklog = errors.New("the system does not read: 1 MiB is unsent")
)

// Conn is one connection. Its methods are safe for concurrent use.
type Conn struct {
	ID   uint32 // number of the connection in the pool, from 0
	Slot uint32 // number of its client
	Slow bool   // reads slowly or not at all
	At   int64  // when it was opened, microseconds since the Unix epoch
	Took int64  // duration of the connect, microseconds

	// The following are for the handler, with the shard's lock held.
	Count  uint32
	Digest uint64
	Whole  bool

	shard *Shard
	index int // in the shard

	in assembler

	// mu guards the following. It is locked after the shard's lock.
	mu     sync.Mutex
	closed bool
	fd     int      // epoll transport
	stream net.Conn // goroutine transport
	out    []byte   // bytes that the kernel has not accepted yet

	// The following are of the goroutine transport.
	wake    chan struct{}
	sending int // number of bytes that its writer is writing
}

// Shard returns the shard that the connection belongs to.
func (c *Conn) Shard() *Shard { return c.shard }

// WriteText sends a text message and does not block. It masks text in place, so text must not be used afterwards. The
// error is ErrClosed, ErrBacklog or that of the network; after a network error the handler's Closed is called.
func (c *Conn) WriteText(text []byte) error {
	return c.write(ws.MustCompileFrame(ws.MaskFrameInPlaceWith(ws.NewTextFrame(text), ws.NewMask())))
}

// writeControl sends a control frame. It does not change body.
func (c *Conn) writeControl(opcode ws.OpCode, body []byte) error {
	copied := append([]byte(nil), body...)
	return c.write(ws.MustCompileFrame(ws.MaskFrameInPlaceWith(ws.NewFrame(opcode, true, copied), ws.NewMask())))
}

// write sends a frame or adds it to the backlog.
func (c *Conn) write(frame []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	if c.sending+len(c.out)+len(frame) > maxBacklog {
		return ErrBacklog
	}
	if len(c.out) > 0 || c.stream != nil {
		c.out = append(c.out, frame...)
		if c.stream != nil {
			c.signal()
		}
		return nil
	}
	n, err := writeSome(c.fd, frame)
	if err != nil {
		return err
	}
	if n < len(frame) {
		c.out = append(c.out, frame[n:]...)
		return c.shard.loop.awaitWritable(c)
	}
	return nil
}

// Backlog returns the number of unsent bytes.
func (c *Conn) Backlog() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sending + len(c.out)
}

package client

import (
	"errors"
	"net"
	"sync"

	"github.com/gobwas/ws"
)

// maxBacklog bounds the bytes that a connection keeps for a system that does not read.
const maxBacklog = 1 << 20

var (
	// ErrClosed is returned for a connection that is closed already.
	ErrClosed = errors.New("connection is closed")
	// ErrBacklog is returned when the system has not read for so long that the connection's backlog is full.
	ErrBacklog = errors.New("the system does not read: 1 MiB waits on this connection")
)

// Conn is one connection.
type Conn struct {
	ID   uint32 // counts the pool's connections from 0
	Slot uint32 // of the client that has it
	Slow bool   // reads slowly or not at all
	At   int64  // when it was opened
	Took int64  // microseconds that opening took

	// For the handler's use, under the shard's lock.
	Count  uint32
	Digest uint64
	Whole  bool

	shard *Shard
	index int // in the shard

	in assembler

	// mu guards what follows against writers; closing takes it after the shard's lock.
	mu     sync.Mutex
	closed bool
	fd     int      // epoll transport
	stream net.Conn // goroutine transport
	out    []byte   // bytes that the kernel has not taken yet

	// Of the goroutine transport.
	wake    chan struct{}
	sending int // bytes that its writer is at
}

// Shard returns the shard that the connection belongs to.
func (c *Conn) Shard() *Shard { return c.shard }

// WriteText sends a text message. The text is masked in place, so it must not be used after. It returns at once; the
// error is ErrClosed, ErrBacklog or that of the network, after which the handler hears that the connection is closed.
func (c *Conn) WriteText(text []byte) error {
	return c.write(ws.MustCompileFrame(ws.MaskFrameInPlaceWith(ws.NewTextFrame(text), ws.NewMask())))
}

func (c *Conn) writeControl(opcode ws.OpCode, body []byte) error {
	copied := append([]byte(nil), body...)
	return c.write(ws.MustCompileFrame(ws.MaskFrameInPlaceWith(ws.NewFrame(opcode, true, copied), ws.NewMask())))
}

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

// Backlog returns how many bytes wait for the system to read.
func (c *Conn) Backlog() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sending + len(c.out)
}

package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"fanfare/loadtest/result"
)

// streams is the transport that reads each connection in a goroutine of its own: for TLS, and on systems without epoll.
type streams struct {
	s          *Shard
	probeRead  *os.File
	probeWrite *os.File
	running    sync.WaitGroup
	stop       context.CancelFunc // of slow readers
	ctx        context.Context
}

func newStreams(s *Shard) (*streams, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("open pipe: %w", err)
	}
	t := &streams{s: s, probeRead: r, probeWrite: w}
	t.ctx, t.stop = context.WithCancel(context.Background())
	return t, nil
}

// streamRead is the size of the read buffer of a connection, in bytes.
const streamRead = 2 << 10

func (t *streams) add(c *Conn, early []byte) error {
	c.wake = make(chan struct{}, 1) // before the early bytes, which may require an answer
	if len(early) > 0 {
		t.s.received(c, early)
	}
	t.running.Go(func() { t.write(c) }) // also if it is closed already: the close frame is not sent yet
	if !c.closed {
		t.running.Go(func() { t.read(c) })
	}
	return nil
}

// read reads a connection until it is closed.
func (t *streams) read(c *Conn) {
	buf := make([]byte, streamRead)
	pace := time.Duration(0)
	if c.Slow {
		rate := t.s.pool.options.SlowRate
		if rate == 0 {
			return // the writer notices when the peer closes
		}
		buf = buf[:min(len(buf), max(rate/10, 1))]
		pace = time.Duration(float64(len(buf)) / float64(rate) * float64(time.Second))
	}
	for {
		n, err := c.stream.Read(buf)
		t.s.mu.Lock()
		if n > 0 && !c.closed {
			t.s.received(c, buf[:n])
		}
		if err != nil {
			cause, detail := result.Broken, networkError(err)
			if errors.Is(err, io.EOF) {
				cause, detail = result.Peer, "EOF without a close frame"
			}
			t.s.close(c, cause, 0, detail)
		}
		over := c.closed
		t.s.mu.Unlock()
		if over {
			return
		}
		if pace > 0 {
			select {
			case <-time.After(pace):
			case <-t.ctx.Done():
				return
			}
		}
	}
}

// write sends the backlog of a connection. It closes the socket when the connection is closed and the backlog is sent.
func (t *streams) write(c *Conn) {
	defer c.stream.Close()
	for more := true; more; {
		_, more = <-c.wake
		c.mu.Lock()
		b := c.out
		c.out, c.sending = nil, len(b)
		c.mu.Unlock()
		if len(b) == 0 {
			continue
		}
		_, err := c.stream.Write(b)
		c.mu.Lock()
		c.sending = 0
		c.mu.Unlock()
		if err != nil {
			t.s.mu.Lock()
			t.s.close(c, result.Broken, 0, networkError(err))
			t.s.mu.Unlock()
			return
		}
	}
}

// signal wakes the writer; the caller holds the connection's lock.
func (c *Conn) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// closeTimeout bounds the time in which the backlog of a closed connection is sent.
const closeTimeout = time.Second

// release ends the reader. The writer sends the backlog, which ends with the close frame, and closes.
func (t *streams) release(c *Conn) {
	now := time.Now()
	c.stream.SetReadDeadline(now)
	c.stream.SetWriteDeadline(now.Add(closeTimeout))
	close(c.wake)
}

func (t *streams) awaitWritable(*Conn) error { return nil }

func (t *streams) probe() func([]byte) error {
	return func(b []byte) error {
		_, err := t.probeWrite.Write(b)
		return err
	}
}

func (t *streams) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		t.stop()
		t.probeRead.Close()
	})
	defer stop()
	buf := make([]byte, 1024)
	for {
		n, err := t.probeRead.Read(buf)
		t.s.mu.Lock()
		t.s.probed(buf[:n])
		t.s.mu.Unlock()
		if err != nil {
			t.running.Wait()
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("read probe: %w", err)
		}
	}
}

func (t *streams) free() {
	t.stop()
	t.probeRead.Close()
	t.probeWrite.Close()
}

// networkError returns the text of an error without addresses, so that equal reasons can be counted.
func networkError(err error) string {
	var op *net.OpError
	for errors.As(err, &op) {
		err = op.Err
	}
	if call, ok := errors.AsType[*os.SyscallError](err); ok {
		err = call.Err
	}
	return err.Error()
}

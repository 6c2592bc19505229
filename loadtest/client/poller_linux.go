package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"fanfare/loadtest/result"
	"fanfare/loadtest/timing"
)

const (
	pollable = true
	// readSize is the size of the read buffer of a shard, in bytes.
	readSize = 64 << 10
	// minInterval is the minimum interval of two calls of epoll_wait. A broadcast reaches the clients one after another; a
	// reader that sleeps and wakes for each spends half of its processor time on this. The first frame after a pause is
	// read at once; later ones wait for at most this interval. So do the probes: the wait is included in the read lag.
	minInterval = 250 * time.Microsecond
	// maxEvents bounds the events of one epoll_wait.
	maxEvents = 512
	// epollRDHUP is reported when the peer has closed its side, also for a connection that is not read.
	epollRDHUP = 0x2000
)

// Indices of the pipes, in place of the index of a connection.
const (
	wakeIndex  = -1
	probeIndex = -2
)

// poller is the transport that reads all connections of a shard with epoll.
type poller struct {
	s            *Shard
	epoll        int
	wake, probes [2]int // pipes: read end, write end
	buf          []byte
}

func newPoller(s *Shard) (*poller, error) {
	p := &poller{s: s, buf: make([]byte, readSize)}
	var err error
	if p.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	for index, pipe := range map[int32]*[2]int{wakeIndex: &p.wake, probeIndex: &p.probes} {
		if err := syscall.Pipe2(pipe[:], syscall.O_NONBLOCK|syscall.O_CLOEXEC); err != nil {
			return nil, fmt.Errorf("open pipe: %w", err)
		}
		event := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: index}
		if err := syscall.EpollCtl(p.epoll, syscall.EPOLL_CTL_ADD, pipe[0], &event); err != nil {
			return nil, fmt.Errorf("add pipe to epoll: %w", err)
		}
	}
	return p, nil
}

// interest returns the events to wait for; the caller holds the connection's lock.
func (p *poller) interest(c *Conn) uint32 {
	events := uint32(epollRDHUP)
	if !c.Slow {
		events |= syscall.EPOLLIN
	}
	if len(c.out) > 0 {
		events |= syscall.EPOLLOUT
	}
	return events
}

func (p *poller) add(c *Conn, early []byte) error {
	if len(early) > 0 {
		p.s.received(c, early)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	// The connection's number identifies late events for an index that has been reused.
	event := syscall.EpollEvent{Events: p.interest(c), Fd: int32(c.index), Pad: int32(c.ID)}
	if err := syscall.EpollCtl(p.epoll, syscall.EPOLL_CTL_ADD, c.fd, &event); err != nil {
		return fmt.Errorf("add connection to epoll: %w", err)
	}
	return nil
}

func (p *poller) release(c *Conn) {
	_ = syscall.Close(c.fd) // this removes it from the epoll set, too
	c.out = nil
}

func (p *poller) awaitWritable(c *Conn) error {
	event := syscall.EpollEvent{Events: p.interest(c), Fd: int32(c.index), Pad: int32(c.ID)}
	if err := syscall.EpollCtl(p.epoll, syscall.EPOLL_CTL_MOD, c.fd, &event); err != nil {
		return fmt.Errorf("change events of epoll: %w", err)
	}
	return nil
}

func (p *poller) probe() func([]byte) error {
	return func(b []byte) error {
		_, err := syscall.Write(p.probes[1], b)
		return err
	}
}

func (p *poller) free() {
	for _, fd := range []int{p.epoll, p.wake[0], p.wake[1], p.probes[0], p.probes[1]} {
		_ = syscall.Close(fd)
	}
}

func (p *poller) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _, _ = syscall.Write(p.wake[1], []byte{1}) })
	defer stop()
	events := make([]syscall.EpollEvent, maxEvents)
	for last := timing.Now(); ; last = pause(last) {
		n, err := syscall.EpollWait(p.epoll, events, -1)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return fmt.Errorf("wait for epoll: %w", err)
		}
		for i := range max(n, 0) {
			switch e := &events[i]; e.Fd {
			case wakeIndex:
				return nil
			case probeIndex:
				p.s.mu.Lock() // also guards buf
				if n, err := syscall.Read(p.probes[0], p.buf); err == nil {
					p.s.probed(p.buf[:n])
				}
				p.s.mu.Unlock()
			default:
				p.serve(e)
			}
		}
	}
}

// pause sleeps until minInterval has passed since a time, and returns the current time. It does not use timers of the
// Go runtime, which have a resolution of a millisecond.
func pause(since int64) int64 {
	now := timing.Now()
	if rest := since + minInterval.Microseconds() - now; rest > 0 {
		t := syscall.NsecToTimespec(rest * 1000)
		_ = syscall.Nanosleep(&t, nil) // a signal may end it early
		now = timing.Now()
	}
	return now
}

// serve handles an event of a connection.
func (p *poller) serve(e *syscall.EpollEvent) {
	s := p.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if int(e.Fd) >= len(s.conns) {
		return
	}
	c := s.conns[e.Fd]
	if c == nil || int32(c.ID) != e.Pad {
		return
	}
	if e.Events&syscall.EPOLLOUT != 0 {
		if err := p.flush(c); err != nil {
			s.close(c, result.Broken, 0, networkError(err))
			return
		}
	}
	if e.Events&(syscall.EPOLLIN|epollRDHUP|syscall.EPOLLHUP|syscall.EPOLLERR) != 0 {
		if c.Slow && e.Events&(epollRDHUP|syscall.EPOLLHUP|syscall.EPOLLERR) == 0 {
			return
		}
		p.read(c, p.buf)
	}
}

// read reads once; epoll reports the connection again if there is more.
func (p *poller) read(c *Conn, buf []byte) {
	n, err := readSome(c.fd, buf)
	switch {
	case n > 0:
		p.s.received(c, buf[:n])
	case err == nil:
		p.s.close(c, result.Peer, 0, io.EOF.Error()+" without a close frame")
	case !errors.Is(err, syscall.EAGAIN):
		p.s.close(c, result.Broken, 0, networkError(err))
	}
}

// flush sends the backlog of a connection.
func (p *poller) flush(c *Conn) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := writeSome(c.fd, c.out)
	if err != nil {
		return err
	}
	if c.out = c.out[n:]; len(c.out) == 0 {
		c.out = nil
		return p.awaitWritable(c)
	}
	return nil
}

// readSome reads the available bytes.
func readSome(fd int, b []byte) (int, error) {
	for {
		n, err := syscall.Read(fd, b)
		if !errors.Is(err, syscall.EINTR) {
			return n, err
		}
	}
}

// writeSome writes the bytes that the kernel accepts at once, which may be none.
func writeSome(fd int, b []byte) (int, error) {
	for {
		n, err := syscall.Write(fd, b)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			return 0, nil
		}
		return max(n, 0), err
	}
}

// readSlow reads at most n bytes of a slow client.
func (p *poller) readSlow(c *Conn, n int) {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	if !c.closed {
		p.read(c, p.buf[:min(n, len(p.buf))])
	}
}

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
	// readSize is the size of a shard's one read buffer.
	readSize = 64 << 10
	// gather is the least distance of two harvests. A broadcast reaches the clients one by one; a reader that sleeps and
	// wakes for each spends half its processor time on that. The first arrival after a quarter of a millisecond of
	// silence is read at once, so only arrivals close to another wait, no longer than this, and the probes with them: it
	// is in the read lag.
	gather = 250 * time.Microsecond
	// harvest is how many ready connections one epoll_wait returns at most.
	harvest = 512
	// epollRDHUP tells that the peer closed its side, even to a client that does not read.
	epollRDHUP = 0x2000
)

// Indices of what is not a connection.
const (
	wakeIndex  = -1
	probeIndex = -2
)

// poller reads the connections of a shard with epoll.
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
		return nil, fmt.Errorf("epoll: %w", err)
	}
	for index, pipe := range map[int32]*[2]int{wakeIndex: &p.wake, probeIndex: &p.probes} {
		if err := syscall.Pipe2(pipe[:], syscall.O_NONBLOCK|syscall.O_CLOEXEC); err != nil {
			return nil, fmt.Errorf("pipe: %w", err)
		}
		event := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: index}
		if err := syscall.EpollCtl(p.epoll, syscall.EPOLL_CTL_ADD, pipe[0], &event); err != nil {
			return nil, fmt.Errorf("epoll: %w", err)
		}
	}
	return p, nil
}

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

func (p *poller) adopt(c *Conn, early []byte) error {
	if len(early) > 0 {
		p.s.received(c, early)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	// The connection's number tells a late event for a place that was given away.
	event := syscall.EpollEvent{Events: p.interest(c), Fd: int32(c.index), Pad: int32(c.ID)}
	if err := syscall.EpollCtl(p.epoll, syscall.EPOLL_CTL_ADD, c.fd, &event); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	return nil
}

func (p *poller) release(c *Conn) {
	syscall.Close(c.fd) // which takes it out of the epoll set, too
	c.out = nil
}

func (p *poller) awaitWritable(c *Conn) error {
	event := syscall.EpollEvent{Events: p.interest(c), Fd: int32(c.index), Pad: int32(c.ID)}
	if err := syscall.EpollCtl(p.epoll, syscall.EPOLL_CTL_MOD, c.fd, &event); err != nil {
		return fmt.Errorf("epoll: %w", err)
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
		syscall.Close(fd)
	}
}

func (p *poller) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { syscall.Write(p.wake[1], []byte{1}) })
	defer stop()
	events := make([]syscall.EpollEvent, harvest)
	for last := timing.Now(); ; last = pause(last) {
		n, err := syscall.EpollWait(p.epoll, events, -1)
		if err != nil && err != syscall.EINTR {
			return fmt.Errorf("epoll wait: %w", err)
		}
		for i := range max(n, 0) {
			switch e := &events[i]; e.Fd {
			case wakeIndex:
				return nil
			case probeIndex:
				p.s.mu.Lock() // which guards buf, too
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

// pause sleeps until gather has passed since a moment, and returns the time. It does not give the processor back to the
// Go scheduler, whose timers have a resolution of a millisecond.
func pause(since int64) int64 {
	now := timing.Now()
	if rest := since + gather.Microseconds() - now; rest > 0 {
		t := syscall.NsecToTimespec(rest * 1000)
		_ = syscall.Nanosleep(&t, nil) // a signal may end it early
		now = timing.Now()
	}
	return now
}

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

// read reads once; what is left makes epoll report the connection again.
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

func readSome(fd int, b []byte) (int, error) {
	for {
		n, err := syscall.Read(fd, b)
		if err != syscall.EINTR {
			return n, err
		}
	}
}

// writeSome writes what the kernel takes at once, which may be nothing.
func writeSome(fd int, b []byte) (int, error) {
	for {
		n, err := syscall.Write(fd, b)
		switch err {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return 0, nil
		}
		return max(n, 0), err
	}
}

// trickle reads at most n bytes of a slow client.
func (p *poller) trickle(c *Conn, n int) {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	if !c.closed {
		p.read(c, p.buf[:min(n, len(p.buf))])
	}
}

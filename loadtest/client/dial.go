package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"

	"fanfare/loadtest/result"
	"fanfare/loadtest/timing"

	"github.com/gobwas/ws"
)

// DialError is the error of a failed connect.
type DialError struct {
	Reason  string // without addresses, so that equal reasons can be counted
	Harness bool   // the cause is a limit of this machine, not the system
	Status  int    // of the HTTP response, 0 if there was none
	err     error
}

func (e *DialError) Error() string { return "connect: " + e.Reason }

func (e *DialError) Unwrap() error { return e.err }

// Dial opens one connection for the client in a slot. On success it has called the handler's Opened. The error is a
// *DialError.
func (p *Pool) Dial(ctx context.Context, slot uint32, slow bool) (*Conn, error) {
	began := timing.Now()
	dialer := ws.Dialer{
		Timeout:   p.options.ConnectTimeout,
		NetDial:   p.dialer(slow).DialContext,
		Protocols: p.options.Protocols,
		TLSConfig: p.options.TLS,
		// The buffers are needed for the handshake only; small ones save memory during the ramp.
		ReadBufferSize: 1024, WriteBufferSize: 1024,
	}
	if len(p.options.Header) > 0 {
		dialer.Header = ws.HandshakeHeaderHTTP(p.options.Header)
	}
	conn, early, _, err := dialer.Dial(ctx, p.options.URL)
	if err != nil {
		return nil, p.dialError(err)
	}
	c := &Conn{ID: p.next.Add(1) - 1, Slot: slot, Slow: slow, shard: p.shards[int(slot)%len(p.shards)]}
	first := readEarly(early)
	if err := c.attach(conn); err != nil {
		conn.Close()
		return nil, p.dialError(err)
	}
	s := c.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	s.place(c)
	c.At = timing.Now()
	c.Took = c.At - began
	s.handler.Opened(c)
	if err := s.loop.add(c, first); err != nil {
		s.close(c, result.Harness, 0, err.Error())
		return nil, p.dialError(err)
	}
	return c, nil
}

func (p *Pool) dialer(slow bool) *net.Dialer {
	d := &net.Dialer{Timeout: p.options.ConnectTimeout, KeepAlive: -1}
	if n := len(p.options.Sources); n > 0 {
		source := p.options.Sources[int(p.source.Add(1)-1)%n]
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
	}
	if slow {
		d.Control = shrinkBuffer
	}
	return d
}

// readEarly returns the bytes that arrived together with the handshake.
func readEarly(r *bufio.Reader) []byte {
	if r == nil {
		return nil
	}
	defer ws.PutReader(r)
	b := make([]byte, r.Buffered())
	n, _ := io.ReadFull(r, b)
	return b[:n]
}

// localLimits are the errors caused by limits of this machine.
var localLimits = []error{syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL, syscall.ENOBUFS, syscall.ENOMEM,
	syscall.EADDRINUSE}

// dialError returns the DialError for a network error.
func (p *Pool) dialError(err error) *DialError {
	e := &DialError{err: err}
	var status ws.StatusError
	var timeout net.Error
	switch {
	case errors.As(err, &status):
		e.Status = int(status)
		e.Reason = fmt.Sprintf("HTTP %d", e.Status)
	case errors.Is(err, context.Canceled):
		e.Reason, e.Harness = "interrupted", true
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		e.Reason = fmt.Sprintf("no answer within %v", p.options.ConnectTimeout)
	case errors.Is(err, io.EOF):
		e.Reason = "closed during the handshake"
	default:
		e.Reason = networkError(err)
		if i := strings.Index(e.Reason, "lookup "); i >= 0 {
			e.Reason = "host name cannot be resolved"
		}
	}
	for _, limit := range localLimits {
		if errors.Is(err, limit) {
			e.Harness = true
		}
	}
	return e
}

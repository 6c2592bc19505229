package client

import (
	"fmt"
	"net"
	"syscall"
)

// attach sets the stream of a connection or, for a shard that uses epoll, a descriptor that the Go runtime does not
// use.
func (c *Conn) attach(conn net.Conn) error {
	tcp, ok := conn.(*net.TCPConn)
	if _, polls := c.shard.loop.(*poller); !polls || !ok {
		c.stream = conn
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return err
	}
	var dupErr syscall.Errno
	err = raw.Control(func(fd uintptr) {
		var n uintptr
		n, _, dupErr = syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_DUPFD_CLOEXEC, 0)
		c.fd = int(n)
	})
	if err != nil {
		return err
	}
	if dupErr != 0 {
		return fmt.Errorf("duplicate descriptor: %w", dupErr)
	}
	// The duplicate keeps the connection open; it shares the non-blocking mode.
	return tcp.Close()
}

// shrinkBuffer sets a small receive buffer, so that the system soon notices that a slow client does not read.
func shrinkBuffer(_, _ string, raw syscall.RawConn) error {
	var err error
	if e := raw.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096)
	}); e != nil {
		return e
	}
	return err
}

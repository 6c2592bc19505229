package client

import (
	"fmt"
	"net"
	"syscall"
)

// attach takes a connection's descriptor out of Go's hands where the shard polls itself.
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
		return fmt.Errorf("dup: %w", dupErr)
	}
	// The connection lives on in the copy, which shares the non-blocking mode.
	return tcp.Close()
}

// shrink makes a slow client's receive buffer small, so that its not reading is felt soon.
func shrink(_, _ string, raw syscall.RawConn) error {
	var err error
	if e := raw.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096)
	}); e != nil {
		return e
	}
	return err
}

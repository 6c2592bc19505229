//go:build unix

package transport

import (
	"errors"
	"syscall"
	"time"
)

// open reports whether an idle connection can carry a request: it is not too old, the server has not closed it, and
// there is nothing to read. Bytes on an idle connection are a TLS close or a response that no request has asked for.
func (c *conn) open() bool {
	if age := time.Since(c.since); age < 0 || age > maxIdle {
		return false
	}
	var err error
	if failed := c.socket.Control(func(fd uintptr) {
		var b [1]byte
		_, _, err = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	}); failed != nil {
		return false
	}
	return errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EWOULDBLOCK)
}

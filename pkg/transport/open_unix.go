//go:build unix

package transport

import (
	"errors"
	"syscall"
)

// open reports whether an idle connection can carry a request: the server has not closed it and there is nothing to read.
// Bytes on an idle connection are a TLS close or a response that no request has asked for.
func (c *conn) open() bool {
	var err error
	if failed := c.socket.Control(func(fd uintptr) {
		var b [1]byte
		_, _, err = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	}); failed != nil {
		return false
	}
	return errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EWOULDBLOCK)
}

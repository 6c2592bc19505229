//go:build unix

package transport

import (
	"errors"
	"syscall"
)

// openCheck returns a function that reports whether an idle connection can carry a request: the server has not closed
// it, and there is nothing to read. Bytes on an idle connection are a TLS close, or a response that no request has
// asked for.
func openCheck(socket syscall.RawConn) func() bool {
	var b [1]byte
	var err error
	peek := func(fd uintptr) {
		_, _, err = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	}
	return func() bool {
		return socket.Control(peek) == nil && (errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EWOULDBLOCK))
	}
}

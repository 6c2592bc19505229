//go:build !linux

package client

import (
	"net"
	"syscall"
)

// attach sets the stream of a connection.
func (c *Conn) attach(conn net.Conn) error {
	c.stream = conn
	return nil
}

// shrinkBuffer does nothing: the buffer of a slow client takes longer to fill on this system.
func shrinkBuffer(_, _ string, _ syscall.RawConn) error { return nil }

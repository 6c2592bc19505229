//go:build !unix

package transport

// open reports whether an idle connection can carry a request. Where there is no way to look at the socket it answers
// no, so that every request has a connection of its own.
func (c *conn) open() bool { return false }

//go:build !unix

package transport

import "syscall"

// openCheck returns a function that reports false: without a way to look at the socket no connection is reused.
func openCheck(syscall.RawConn) func() bool { return func() bool { return false } }

//go:build unix

package engine

import (
	"os/exec"
	"syscall"
)

// isolate puts a worker into a process group of its own, so that the terminal does not interrupt it: the fleet does.
func isolate(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

//go:build unix

package engine

import (
	"os/exec"
	"syscall"
)

// isolate keeps a terminal's interrupt from the workers: the fleet tells them itself, and they finish their files.
func isolate(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

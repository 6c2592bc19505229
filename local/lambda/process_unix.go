//go:build unix && !linux

package lambda

import "syscall"

// childAttributes puts a process in its own process group. These systems cannot kill it when its parent dies.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// peakMemoryMB returns 0: these systems do not report it.
func peakMemoryMB(int) int { return 0 }

//go:build unix && !linux

package lambda

import "syscall"

// childAttributes puts a process in a group of its own. These systems cannot tie its life to its parent's.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// peakMemoryMB is not known on these systems.
func peakMemoryMB(int) int { return 0 }

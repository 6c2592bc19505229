//go:build unix

package vitals

import (
	"runtime/debug"
	"syscall"
	"time"
)

// CPU returns the processor time that this process has used, user and system.
func CPU() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0 // cannot fail for RUSAGE_SELF
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// Pause returns the total time for which garbage collections have stopped the process.
func Pause() time.Duration {
	var s debug.GCStats
	debug.ReadGCStats(&s)
	return s.PauseTotal
}

// RaiseFileLimit raises the limit of open file descriptors to its maximum and returns it, 0 if unknown.
func RaiseFileLimit() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	if limit.Cur < limit.Max {
		raised := limit
		raised.Cur = raised.Max
		if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised) == nil {
			return uint64(raised.Cur)
		}
	}
	return uint64(limit.Cur)
}

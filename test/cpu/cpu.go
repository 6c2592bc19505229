//go:build unix

// Package cpu measures the CPU time of benchmarks. On a machine with other work the wall time says little.
package cpu

import (
	"syscall"
	"testing"
	"time"
)

// Used returns the CPU time that the process has used, including the system's for it.
func Used(tb testing.TB) time.Duration {
	tb.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// Report adds the CPU time since start to the results of b, as cpu-ns/op.
func Report(b *testing.B, start time.Duration) {
	b.Helper()
	b.ReportMetric(float64(Used(b)-start)/float64(b.N), "cpu-ns/op")
}

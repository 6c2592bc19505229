// Package clock tells the one time that a load test measures with: microseconds since the Unix epoch, advanced by the
// machine's monotonic clock, so that a step of the wall clock in mid-run cannot bend a latency.
//
// Processes of one machine that start within one run agree to within the drift of the wall clock between their starts
// (microseconds); clocks of different machines need not agree at all, which reports say as a warning.
package clock

import "time"

var (
	base = time.Now()
	wall = base.UnixMicro()
)

// Now returns the present in microseconds since the Unix epoch. It never goes back.
func Now() int64 { return wall + time.Since(base).Microseconds() }

// Time returns the moment that at, a value of Now, stands for.
func Time(at int64) time.Time { return time.UnixMicro(at) }

// Until returns how long it is until at, negative once at has passed.
func Until(at int64) time.Duration { return time.Duration(at-Now()) * time.Microsecond }

// Stepped returns how far the wall clock has been moved against this one since the process started: positive if it
// was put forward.
func Stepped() time.Duration {
	return time.Duration(time.Now().UnixMicro()-Now()) * time.Microsecond
}

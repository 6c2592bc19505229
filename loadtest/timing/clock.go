// Package timing has the clock of a load test and the schedules of its events.
//
// The clock counts microseconds since the Unix epoch and advances with the machine's monotonic clock, so that a step of
// the wall clock during a run does not change a latency. Processes of one machine agree to within microseconds: the
// drift of the wall clock between their starts. The clocks of several machines need not agree; reports warn about them.
//
// Schedules are pure functions from settings to absolute times (an open model), so that a slow event does not delay the
// next one. A closed model would wait for the system and hide its stalls: the fault known as coordinated omission.
package timing

import "time"

var (
	base = time.Now()
	wall = base.UnixMicro()
)

// Now returns the current time in microseconds since the Unix epoch. It never decreases.
func Now() int64 { return wall + time.Since(base).Microseconds() }

// Time converts at, a value of Now.
func Time(at int64) time.Time { return time.UnixMicro(at) }

// Until returns the duration from now until at. It is negative if at has passed.
func Until(at int64) time.Duration { return time.Duration(at-Now()) * time.Microsecond }

// Stepped returns how far the wall clock has been set against this clock since the process started. It is positive if
// the wall clock was set forward.
func Stepped() time.Duration {
	return time.Duration(time.Now().UnixMicro()-Now()) * time.Microsecond
}

package lambda

import (
	"fmt"
	"strings"
	"time"
)

// Status says how an invocation ended, in the words of Lambda's platform.report event.
type Status string

// Source: docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html, type Status.
const (
	StatusSuccess Status = "success"
	StatusFailure Status = "failure" // the function returned an error
	StatusError   Status = "error"   // the process ended, did not start, or sent too much
	StatusTimeout Status = "timeout"
)

// Report is what became of one invocation, as the START and REPORT lines of a function's log tell it.
type Report struct {
	Function, RequestID string
	// Trace is the tracing header that the function was given.
	Trace string
	// PID is the process, 0 if none started.
	PID int
	// Start is when the event was handed to the process.
	Start time.Time
	// Duration is from Start until the process asked for its next event or ended.
	Duration time.Duration
	// Init is how long the process took to start, if this was its first invocation, else 0.
	Init time.Duration
	// Billed is Init and Duration in whole milliseconds, rounded up. (AWS bills the init phase too, since August 2025.)
	Billed time.Duration
	// MemoryMB is the function's setting, MaxMemoryUsedMB the most the process has used, 0 if that is not known.
	MemoryMB, MaxMemoryUsedMB int
	Status                    Status
	// ErrorType is the type of the failure, "" on success.
	ErrorType string
}

// String returns the report as Lambda logs it.
func (r Report) String() string {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	var b strings.Builder
	fmt.Fprintf(&b, "REPORT RequestId: %s\tDuration: %.2f ms\tBilled Duration: %d ms\tMemory Size: %d MB\tMax Memory Used: %d MB",
		r.RequestID, ms(r.Duration), r.Billed.Milliseconds(), r.MemoryMB, r.MaxMemoryUsedMB)
	if r.Init > 0 {
		fmt.Fprintf(&b, "\tInit Duration: %.2f ms", ms(r.Init))
	}
	if r.Status != StatusSuccess {
		fmt.Fprintf(&b, "\tStatus: %s", r.Status)
	}
	if r.ErrorType != "" {
		fmt.Fprintf(&b, "\tError Type: %s", r.ErrorType)
	}
	return b.String()
}

func billed(d time.Duration) time.Duration {
	return (d + time.Millisecond - 1).Truncate(time.Millisecond)
}

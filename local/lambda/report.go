package lambda

import (
	"fmt"
	"strings"
	"time"
)

// Status is the result of an invocation, named as in Lambda's platform.report event.
type Status string

// Source: docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html, type Status.
const (
	StatusSuccess Status = "success"
	StatusFailure Status = "failure" // the function returned an error
	StatusError   Status = "error"   // the process ended or did not start, or its response was too large
	StatusTimeout Status = "timeout"
)

// Report describes one invocation, as the START and REPORT lines of a function's log do.
type Report struct {
	Function, RequestID string
	// Trace is the tracing header that the function received.
	Trace string
	// PID is the process id, 0 if no process started.
	PID int
	// Start is the time at which the process received the event.
	Start time.Time
	// Duration lasts from Start until the process asked for its next event or ended.
	Duration time.Duration
	// Init is the duration of the process's init phase, if this was its first invocation; otherwise 0.
	Init time.Duration
	// Billed is Init plus Duration, rounded up to milliseconds. (AWS has billed the init phase since August 2025.)
	Billed time.Duration
	// MemoryMB is the function's setting. MaxMemoryUsedMB is the process's peak memory, 0 if unknown.
	MemoryMB, MaxMemoryUsedMB int
	Status                    Status
	// ErrorType is the failure's type, "" on success.
	ErrorType string
}

// String formats the report as Lambda logs it.
func (r Report) String() string {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	var b strings.Builder
	fmt.Fprintf(&b, "REPORT RequestId: %s\tDuration: %.2f ms\tBilled Duration: %d ms\tMemory Size: %d MB\t"+
		"Max Memory Used: %d MB",
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

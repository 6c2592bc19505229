package lambda

import (
	"sync"
	"time"

	"fanfare/local/awsapi"
)

// responseGrace limits how long a caller waits, after the response was posted, until the function is free again.
// Callers of AWS are that far away; without the wait, a caller that invokes again at once would find the function busy.
// Only tests change it.
var responseGrace = 50 * time.Millisecond

// invocation is one event and its result.
type invocation struct {
	f     *function
	id    string
	event []byte
	trace string
	fault fault

	// Set when a process begins the invocation; guarded by the process's mutex.
	start    time.Time
	init     time.Duration // the process's init duration, if this is its first invocation
	deadline time.Time
	timer    *time.Timer // kills the process at the deadline
	grace    *time.Timer // delivers the response if the function keeps running
	kill     *time.Timer // kills the process for faultKill
	answered bool
	status   Status
	kind     string // error type, for the report

	deliverOnce sync.Once
	done        chan struct{} // closed when response and err are set
	response    []byte
	err         error
}

func newInvocation(f *function, event []byte, trace string, fault fault) *invocation {
	return &invocation{f: f, id: awsapi.NewUUID(), event: event, trace: trace, fault: fault, done: make(chan struct{})}
}

// answer stores the function's result; deliver passes it to the caller. The caller holds the process's mutex.
func (inv *invocation) answer(response []byte, failure *FunctionError, status Status) {
	inv.answered = true
	inv.status = status
	inv.response = response
	if failure != nil {
		inv.err, inv.kind = failure, failure.Type
	}
	inv.grace = time.AfterFunc(responseGrace, inv.deliver)
}

// end stores the failure as the result, unless the function has answered: then only the report contains the failure,
// and only if the answer was no failure. The caller holds the process's mutex.
func (inv *invocation) end(failure *FunctionError, status Status) {
	inv.status = status
	if inv.kind == "" {
		inv.kind = failure.Type
	}
	if !inv.answered {
		inv.err = failure
	}
}

func (inv *invocation) deliver() { inv.deliverOnce.Do(func() { close(inv.done) }) }

// stopTimers stops the timers. No process may have the invocation any more.
func (inv *invocation) stopTimers() {
	for _, timer := range []*time.Timer{inv.timer, inv.grace, inv.kill} {
		if timer != nil {
			timer.Stop()
		}
	}
}

// report calls Options.Report. p is nil if no process started.
func (inv *invocation) report(p *process, end time.Time) {
	observe := inv.f.s.o.Report
	if observe == nil {
		return
	}
	r := Report{
		Function: inv.f.Name, RequestID: inv.id, Trace: inv.trace, Start: inv.start, Duration: end.Sub(inv.start),
		Init: inv.init, MemoryMB: inv.f.MemoryMB, Status: inv.status, ErrorType: inv.kind,
	}
	if p != nil {
		r.PID, r.MaxMemoryUsedMB = p.pid, p.peakMemory(end)
	}
	r.Billed = billed(r.Init + r.Duration)
	observe(r)
}

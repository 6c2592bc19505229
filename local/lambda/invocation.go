package lambda

import (
	"sync"
	"time"

	"fanfare/local/awsapi"
)

// responseGrace is how long a caller waits, after the response was posted, for the function to be free again.
// A caller of AWS is that far away; without it one that invokes again at once would find the function busy.
var responseGrace = 50 * time.Millisecond // a variable for tests alone

// invocation is one event on its way through a function.
type invocation struct {
	f     *function
	id    string
	event []byte
	trace string
	fault fault

	// Set when a process begins it; guarded by that process's mutex.
	start    time.Time
	init     time.Duration // of the process, if this is its first invocation
	deadline time.Time
	timer    *time.Timer // ends it at the deadline
	grace    *time.Timer // delivers the response if the function works on
	kill     *time.Timer // a fault's
	answered bool
	status   Status
	kind     string // error type, for the report

	deliverOnce sync.Once
	done        chan struct{} // closed when response and err are there for the caller
	response    []byte
	err         error
}

func newInvocation(f *function, event []byte, trace string, fault fault) *invocation {
	return &invocation{f: f, id: awsapi.NewUUID(), event: event, trace: trace, fault: fault, done: make(chan struct{})}
}

// answer keeps what the function posted; the caller gets it when deliver is called. The process's mutex is held.
func (inv *invocation) answer(response []byte, failure *FunctionError, status Status) {
	inv.answered = true
	inv.status = status
	inv.response = response
	if failure != nil {
		inv.err, inv.kind = failure, failure.Type
	}
	inv.grace = time.AfterFunc(responseGrace, inv.deliver)
}

// end makes the failure the outcome, unless the function has answered: then it is only reported, and that only if the
// answer was none. The process's mutex is held.
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

// stopTimers is called once the process has let go of the invocation.
func (inv *invocation) stopTimers() {
	for _, timer := range []*time.Timer{inv.timer, inv.grace, inv.kill} {
		if timer != nil {
			timer.Stop()
		}
	}
}

// report tells the observer what became of the invocation. p is nil if no process started.
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

package lambda

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// termGrace is the time between SIGTERM and SIGKILL for a process with an internal extension. Only tests change it.
// Source: docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html, Shutdown phase.
var termGrace = 500 * time.Millisecond

// state is a process's state in the Runtime API. The API's errors contain these names.
type state string

const (
	stateStarted   state = "Started"      // in the init phase
	stateInitError state = "InitError"    // reported a failed init phase
	stateReady     state = "Ready"        // waits for an event
	stateRunning   state = "Running"      // has an event
	stateAnswered  state = "ResponseSent" // has posted its response and not yet asked for the next event
	stateEnded     state = "Ended"
)

// process is one execution environment of a function.
type process struct {
	f         *function
	secret    string // in its Runtime API path
	version   version
	cmd       *exec.Cmd
	pid       int
	out       *output
	started   time.Time
	idleSince time.Time // guarded by f.mu

	ready     chan struct{}       // closed at its first request for an event
	initError chan *FunctionError // buffered: the init error that it reported instead
	exited    chan struct{}       // closed when it has ended and state is stateEnded

	mu        sync.Mutex
	state     state
	current   *invocation
	assigned  chan struct{}  // closed when current is set, replaced when the invocation is over
	init      time.Duration  // init duration, until the first invocation takes it
	initFrom  time.Time      // start of a repeated init phase, which counts as time of the first invocation
	killErr   *FunctionError // reason for killing it, nil for none
	status    Status         // the invocation's status if killErr is set
	retired   bool
	extension bool // registered an extension: SIGTERM precedes SIGKILL
	peak      int  // MB
	measured  time.Time
}

// launch starts a process and waits until it asks for an event. limit is the maximum duration of its init phase.
// repeated means that the phase counts as time of the first invocation. The error is a *StartError or ErrShutDown.
func (f *function) launch(limit time.Duration, repeated bool) (*process, error) {
	if f.s.alive.Err() != nil {
		return nil, ErrShutDown
	}
	if f.s.drawInitError(f) {
		return nil, f.startError(TypeExit, exitText("exit status 1"), "injected by Faults.InitError", nil)
	}
	p := &process{
		f: f, secret: rand.Text(), version: f.refreshVersion(), started: time.Now(), state: stateStarted,
		ready: make(chan struct{}), initError: make(chan *FunctionError, 1),
		exited: make(chan struct{}), assigned: make(chan struct{}),
	}
	if repeated {
		p.initFrom = p.started
	}
	if err := p.start(); err != nil {
		return nil, err
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.ready:
		return p, nil
	case failure := <-p.initError:
		select { // usually it exits by itself, and may write more before
		case <-p.exited:
		case <-timer.C:
		case <-f.s.alive.Done():
		}
		return nil, p.failStart(failure.Type, "init error reported: "+failure.Message, "", failure)
	case <-p.exited:
		return nil, p.failStart(TypeExit, exitText(p.cmd.ProcessState.String()),
			"it ended before it asked for its first event (a Go function calls lambda.Start in main)", nil)
	case <-timer.C:
		return nil, p.failStart(TypeTimeout, fmt.Sprintf("Task timed out after %.2f seconds", limit.Seconds()),
			"the process started but did not ask for its first event in time", nil)
	case <-f.s.alive.Done():
		_ = p.failStart("", "", "", nil)
		return nil, ErrShutDown
	}
}

// start runs the executable.
func (p *process) start() error {
	f := p.f
	reader, writer, err := os.Pipe()
	if err != nil {
		return f.startError(TypeEntrypoint, "create output pipe: "+err.Error(), "", err)
	}
	defer writer.Close() // only the process writes
	p.out, err = newOutput(reader, func(requestID string, line []byte) { f.s.o.Output(f.Name, requestID, line) })
	if err == nil {
		f.s.processes.Store(p.secret, p)
		p.cmd, err = f.s.starter.start(func() *exec.Cmd {
			return &exec.Cmd{
				Path: f.path(), Args: []string{f.path()}, Dir: f.Dir, Env: p.environment(),
				Stdout: writer, Stderr: writer, SysProcAttr: childAttributes(),
			}
		})
	}
	if err != nil {
		f.s.processes.Delete(p.secret)
		_ = reader.Close()
		return cannotExecute(f.Name, f.path(), err)
	}
	p.pid = p.cmd.Process.Pid
	f.mu.Lock()
	f.all[p] = struct{}{}
	f.mu.Unlock()
	f.s.running.Go(p.out.run)
	f.s.running.Go(p.wait)
	return nil
}

// environment returns the process's variables.
func (p *process) environment() []string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	env := []string{
		"AWS_LAMBDA_RUNTIME_API=" + p.f.s.address + "/" + p.secret,
		"AWS_LAMBDA_LOG_STREAM_NAME=" + time.Now().UTC().Format("2006/01/02") +
			"/[$LATEST]" + hex.EncodeToString(id[:]),
	}
	for name, value := range p.f.env {
		env = append(env, name+"="+value)
	}
	return env
}

func (f *function) startError(kind, reason, advice string, cause error) *StartError {
	return &StartError{Function: f.Name, Path: f.path(), Type: kind, Reason: reason, Advice: advice, Err: cause}
}

// failStart kills a process whose init phase failed and returns the error.
func (p *process) failStart(kind, reason, advice string, reported *FunctionError) *StartError {
	p.kill()
	<-p.exited
	e := p.f.startError(kind, reason, advice, nil)
	if reported != nil {
		e.Err = reported
	}
	e.Output = p.out.tail
	return e
}

// begin passes an invocation to the process. It returns false if the process has ended.
func (p *process) begin(inv *invocation) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state != stateReady || p.retired {
		return false
	}
	p.state, p.current = stateRunning, inv
	inv.start, inv.init, p.init = time.Now(), p.init, 0
	if !p.initFrom.IsZero() {
		inv.start, inv.init, p.initFrom = p.initFrom, 0, time.Time{}
	}
	inv.deadline = inv.start.Add(p.f.Timeout)
	p.out.begin(inv.id)
	inv.timer = time.AfterFunc(time.Until(inv.deadline), func() {
		p.abort(inv, timeoutError(inv.id, p.f.Timeout), StatusTimeout)
	})
	if inv.fault.kind == faultKill {
		inv.kill = time.AfterFunc(inv.fault.delay, func() { p.abort(inv, nil, StatusError) })
	}
	close(p.assigned)
	return true
}

// abort kills the process if it still runs inv. failure is the reason; nil means the text of its exit status.
func (p *process) abort(inv *invocation, failure *FunctionError, status Status) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current != inv || p.killErr != nil {
		return
	}
	p.killErr, p.status = failure, status
	p.signal(syscall.SIGKILL)
}

// kill kills the process without SIGTERM.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.signal(syscall.SIGKILL)
}

// signal sends a signal to the process and its children. The caller holds p.mu.
func (p *process) signal(sig syscall.Signal) {
	if p.state == stateEnded || p.pid <= 1 { // -0 and -1 would signal our own group and every process
		return
	}
	if err := syscall.Kill(-p.pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		p.f.s.log.Error("cannot signal process",
			"function", p.f.Name, "pid", p.pid, "signal", sig.String(), "error", err)
	}
}

// retire ends the process, by SIGTERM first if it registered an extension, and waits for its end.
func (p *process) retire() {
	p.mu.Lock()
	p.retired = true
	if p.extension {
		p.signal(syscall.SIGTERM)
		p.mu.Unlock()
		timer := time.NewTimer(termGrace)
		defer timer.Stop()
		select {
		case <-p.exited:
			return
		case <-timer.C:
		}
		p.mu.Lock()
	}
	p.signal(syscall.SIGKILL)
	p.mu.Unlock()
	<-p.exited
}

// wait waits for the end of the process and releases its resources.
func (p *process) wait() {
	_ = p.cmd.Wait() // ProcessState has the details
	end := time.Now()
	_ = syscall.Kill(-p.pid, syscall.SIGKILL) // its remaining children; usually there are none
	p.out.close()
	p.f.s.processes.Delete(p.secret)
	p.f.remove(p)
	how := p.cmd.ProcessState.String()

	p.mu.Lock()
	was, inv := p.state, p.current
	p.state, p.current = stateEnded, nil
	expected := p.retired
	if inv != nil {
		failure := p.killErr
		if failure == nil {
			failure = exitError(inv.id, how)
		}
		inv.end(failure, cmp.Or(p.status, StatusError))
	}
	p.mu.Unlock()

	close(p.exited)
	if inv != nil {
		p.complete(inv, end, func() {})
	} else if was == stateReady && !expected {
		p.f.s.log.Warn("process ended between invocations", "function", p.f.Name, "pid", p.pid, "how", how)
	}
}

// complete finishes an invocation that was removed from the process. free makes the process available again; it runs
// before the caller receives the response.
func (p *process) complete(inv *invocation, end time.Time, free func()) {
	inv.stopTimers()
	free()
	p.f.limit.release()
	inv.report(p, end)
	p.f.s.endInvocation()
	inv.deliver()
}

// peakMemory returns the process's peak memory in MB. It measures at most once a second.
func (p *process) peakMemory(now time.Time) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.measured) > time.Second {
		p.measured = now
		p.peak = max(p.peak, peakMemoryMB(p.pid))
	}
	return p.peak
}

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

// termGrace is the time between SIGTERM and SIGKILL for a process with an internal extension.
// Source: docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html, Shutdown phase.
var termGrace = 500 * time.Millisecond // a variable for tests alone

// state is that of a process, as seen through the Runtime API. The names are the ones its errors use.
type state string

const (
	stateStarted   state = "Started"      // has not asked for work yet: the init phase
	stateInitError state = "InitError"    // reported that it cannot
	stateReady     state = "Ready"        // asks for work
	stateRunning   state = "Running"      // has an event
	stateAnswered  state = "ResponseSent" // has posted its response, but works on until it asks again
	stateEnded     state = "Ended"
)

// process is one execution environment of a function.
type process struct {
	f         *function
	secret    string // in its path of the Runtime API
	version   version
	cmd       *exec.Cmd
	pid       int
	out       *output
	began     time.Time
	idleSince time.Time // guarded by f.mu

	asked     chan struct{}       // closed when it first asks for work
	initError chan *FunctionError // holds one: what it reported instead
	exited    chan struct{}       // closed when it has ended and everybody knows

	mu        sync.Mutex
	state     state
	current   *invocation
	given     chan struct{}  // closed when current is set, renewed when it is finished
	init      time.Duration  // told to the first invocation
	spent     time.Time      // since when its init has used the first invocation's time, if it did
	doom      *FunctionError // why it is being killed
	status    Status         // that doom gives to the invocation
	retired   bool
	extension bool // registered an extension, and so gets a SIGTERM
	peak      int
	measured  time.Time
}

// launch starts a process and waits until it asks for work. limit bounds its init phase; repeated says that the phase
// counts to the first invocation's time. The error is a *StartError, or ErrShutDown.
func (f *function) launch(limit time.Duration, repeated bool) (*process, error) {
	if f.s.living.Err() != nil {
		return nil, ErrShutDown
	}
	if f.s.drawInitError(f) {
		return nil, f.startError(TypeExit, exitText("exit status 1"), "this is a fault, see Faults.InitError", nil)
	}
	p := &process{
		f: f, secret: rand.Text(), version: f.current(), began: time.Now(), state: stateStarted,
		asked: make(chan struct{}), initError: make(chan *FunctionError, 1),
		exited: make(chan struct{}), given: make(chan struct{}),
	}
	if repeated {
		p.spent = p.began
	}
	if err := p.start(); err != nil {
		return nil, err
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.asked:
		return p, nil
	case failure := <-p.initError:
		select { // it ends by itself, as a rule, and may have more to say before
		case <-p.exited:
		case <-timer.C:
		case <-f.s.living.Done():
		}
		return nil, p.abandon(failure.Type, "it reported an init error: "+failure.Message, "", failure)
	case <-p.exited:
		return nil, p.abandon(TypeExit, exitText(p.cmd.ProcessState.String()),
			"it ended before it asked for its first event (a Go function calls lambda.Start in main)", nil)
	case <-timer.C:
		return nil, p.abandon(TypeTimeout, fmt.Sprintf("Task timed out after %.2f seconds", limit.Seconds()),
			"it was started, but did not ask for its first event in that time", nil)
	case <-f.s.living.Done():
		_ = p.abandon("", "", "", nil)
		return nil, ErrShutDown
	}
}

// start runs the executable.
func (p *process) start() error {
	f := p.f
	reader, writer, err := os.Pipe()
	if err != nil {
		return f.startError(TypeEntrypoint, "make a pipe for its output: "+err.Error(), "", err)
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

// environment returns the variables of this process.
func (p *process) environment() []string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	env := []string{
		"AWS_LAMBDA_RUNTIME_API=" + p.f.s.address + "/" + p.secret,
		"AWS_LAMBDA_LOG_STREAM_NAME=" + time.Now().UTC().Format("2006/01/02") + "/[$LATEST]" + hex.EncodeToString(id[:]),
	}
	for name, value := range p.f.env {
		env = append(env, name+"="+value)
	}
	return env
}

func (f *function) startError(kind, reason, advice string, cause error) *StartError {
	return &StartError{Function: f.Name, Path: f.path(), Type: kind, Reason: reason, Advice: advice, Err: cause}
}

// abandon ends a process whose init failed and explains it.
func (p *process) abandon(kind, reason, advice string, reported *FunctionError) *StartError {
	p.kill()
	<-p.exited
	e := p.f.startError(kind, reason, advice, nil)
	if reported != nil {
		e.Err = reported
	}
	e.Output = p.out.tail
	return e
}

// begin gives the process an invocation. It reports false if the process has ended.
func (p *process) begin(inv *invocation) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state != stateReady || p.retired {
		return false
	}
	p.state, p.current = stateRunning, inv
	inv.start, inv.init, p.init = time.Now(), p.init, 0
	if !p.spent.IsZero() {
		inv.start, inv.init, p.spent = p.spent, 0, time.Time{}
	}
	inv.deadline = inv.start.Add(p.f.Timeout)
	p.out.begin(inv.id)
	inv.timer = time.AfterFunc(time.Until(inv.deadline), func() {
		p.condemn(inv, timeoutError(inv.id, p.f.Timeout), StatusTimeout)
	})
	if inv.fault.kind == faultKill {
		inv.kill = time.AfterFunc(inv.fault.delay, func() { p.condemn(inv, nil, StatusError) })
	}
	close(p.given)
	return true
}

// condemn kills the process if it still works on inv. failure is the reason; nil means what its exit will say.
func (p *process) condemn(inv *invocation, failure *FunctionError, status Status) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current != inv || p.doom != nil {
		return
	}
	p.doom, p.status = failure, status
	p.signal(syscall.SIGKILL)
}

// kill ends the process without ado.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.signal(syscall.SIGKILL)
}

// signal reaches the process and its children. p.mu is held.
func (p *process) signal(sig syscall.Signal) {
	if p.state == stateEnded || p.pid <= 1 { // never one's own group, nor everybody's
		return
	}
	if err := syscall.Kill(-p.pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		p.f.s.log.Error("cannot signal a process", "function", p.f.Name, "pid", p.pid, "signal", sig.String(), "error", err)
	}
}

// retire ends the process, politely if it asked for that, and waits for it.
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

// wait waits for the process to end, and sees to what it leaves behind.
func (p *process) wait() {
	_ = p.cmd.Wait() // ProcessState says more
	end := time.Now()
	_ = syscall.Kill(-p.pid, syscall.SIGKILL) // children it has left; usually there are none
	p.out.close()
	p.f.s.processes.Delete(p.secret)
	p.f.forget(p)
	how := p.cmd.ProcessState.String()

	p.mu.Lock()
	was, inv := p.state, p.current
	p.state, p.current = stateEnded, nil
	expected := p.retired
	if inv != nil {
		failure := p.doom
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
		p.f.s.log.Warn("a process ended between invocations", "function", p.f.Name, "pid", p.pid, "how", how)
	}
}

// complete is called by whoever took the invocation from the process. free makes the process free again, before
// anybody can want it.
func (p *process) complete(inv *invocation, end time.Time, free func()) {
	inv.stopTimers()
	free()
	p.f.limit.release()
	inv.report(p, end)
	p.f.s.leave()
	inv.deliver()
}

// peakMemory returns the most memory the process has used, measured at most once a second.
func (p *process) peakMemory(now time.Time) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.measured) > time.Second {
		p.measured = now
		p.peak = max(p.peak, peakMemoryMB(p.pid))
	}
	return p.peak
}

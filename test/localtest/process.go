package localtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Options choose what Start runs. The zero value runs Fanfare's stack with open access and keeps the whole log.
type Options struct {
	// Template is the path of the template, relative to the repository's root; "" is Fanfare's.
	Template string
	// Args are further arguments of the program. They may repeat an argument of Start's own: the last one counts.
	Args []string
	// Keep gets each line that the program prints and reports whether Process.Log holds it. It is called from one
	// goroutine. nil keeps every line.
	Keep func(line string) bool
}

// Process is a running local AWS. Its methods are safe for concurrent use.
type Process struct {
	Services

	cmd    *exec.Cmd
	output *lines
	killed atomic.Bool
	ended  chan struct{} // closed when err is set
	err    error         // of the exit code
}

// failureLines is the number of lines of the log that a failed test shows.
const failureLines = 200

// Start runs the local AWS on free ports and waits until everything runs. It stops the process when the test ends,
// and fails the test if the process does not end with exit code 0.
func Start(t testing.TB, o Options) *Process {
	t.Helper()
	program, err := Program("local")
	if err != nil {
		t.Fatal(err)
	}
	if o.Template == "" {
		o.Template = "template.yaml"
	}
	ready := filepath.Join(t.TempDir(), "ready.json")
	p := &Process{output: &lines{keep: o.Keep}, ended: make(chan struct{})}
	p.cmd = exec.Command(program, append([]string{
		"--port", "0", "--aws-port", "0", "--stack-name", "fanfare", "--template", o.Template, "--parameter", "Access=open",
		"--build-dir", BuildDir(), "--ready-file", ready,
	}, o.Args...)...)
	p.cmd.Dir, p.cmd.Env = Root(), Environment()
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	p.cmd.WaitDelay = Deadline // a process that it leaves behind may hold the output open
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		p.output.end()
		close(p.ended)
	}()
	t.Cleanup(func() {
		if err := p.Stop(); err != nil && !p.killed.Load() {
			t.Errorf("the local AWS ended with %v, want exit code 0", err)
		}
		if t.Failed() {
			log := strings.Split(p.Log(), "\n")
			t.Logf("the last lines of the local AWS:\n%s", strings.Join(log[max(0, len(log)-failureLines):], "\n"))
		}
	})
	p.Services = p.await(t, ready)
	return p
}

// await waits for the ready file and returns what it holds.
func (p *Process) await(t testing.TB, path string) Services {
	t.Helper()
	tick, late := time.NewTicker(poll), time.After(startDeadline)
	defer tick.Stop()
	for {
		data, err := os.ReadFile(path)
		if err == nil {
			var ready struct {
				WebSocket, AWS string
				Outputs        map[string]string
			}
			if err := json.Unmarshal(data, &ready); err != nil {
				t.Fatal(err)
			}
			return newServices(ready.WebSocket, ready.AWS, ready.Outputs)
		}
		select {
		case <-tick.C:
		case <-p.ended:
			t.Fatalf("the local AWS did not start: %v", p.err)
		case <-late:
			t.Fatalf("the local AWS did not start within %v", startDeadline)
		}
	}
}

// Run runs the local AWS to its end, with free ports unless args say otherwise, and returns what it printed. The
// error is that of its exit code.
func Run(t testing.TB, args ...string) (output string, err error) {
	t.Helper()
	program, err := Program("local")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, append([]string{"--port", "0", "--aws-port", "0", "--build-dir", BuildDir()}, args...)...)
	cmd.Dir, cmd.Env = Root(), Environment()
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// PID returns the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Log returns what the process has printed so far: all of it once the process has ended.
func (p *Process) Log() string { return p.output.String() }

// Stop interrupts the process as Ctrl-C does, and waits for its end. The error is that of its exit code. It may be
// called again.
func (p *Process) Stop() error {
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("interrupt the local AWS: %w", err)
	}
	return p.Wait()
}

// Kill ends the process at once, as kill -9 does. The end of the test then expects no exit code 0.
func (p *Process) Kill() error {
	p.killed.Store(true)
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill the local AWS: %w", err)
	}
	<-p.ended
	return nil
}

// Wait waits until the process has ended, and returns the error of its exit code. It kills a process that does not
// end within Deadline.
func (p *Process) Wait() error {
	select {
	case <-p.ended:
		return p.err
	case <-time.After(Deadline):
		return errors.Join(fmt.Errorf("the local AWS did not end within %v", Deadline), p.Kill())
	}
}

// functionName finds the end of a function's name in the environment of its process.
var functionName = regexp.MustCompile(`\bAWS_LAMBDA_FUNCTION_NAME=[^\x00]*?([a-z]+)\x00`)

// Functions returns the processes of functions: the function's name without the stack's, by process id. It needs
// /proc and is empty without.
func (p *Process) Functions() map[int]string {
	found := make(map[int]string)
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // fails only for a bad pattern
	for _, path := range stats {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:])) // state, parent, ...
		if len(fields) < 2 || fields[1] != strconv.Itoa(p.PID()) {
			continue
		}
		environment, err := os.ReadFile(filepath.Join(filepath.Dir(path), "environ"))
		if err != nil {
			continue
		}
		name := functionName.FindSubmatch(environment)
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil && name != nil {
			found[pid] = string(name[1])
		}
	}
	return found
}

// Alive reports whether a process exists.
func Alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

// lines is a writer that keeps the lines written to it.
type lines struct {
	keep func(line string) bool

	mu      sync.Mutex
	partial []byte // of the last line
	kept    strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	whole, rest, found := cutLast(p)
	if found {
		for line := range bytes.SplitSeq(append(l.partial, whole...), []byte("\n")) {
			l.add(string(line))
		}
		l.partial = nil
	}
	l.partial = append(l.partial, rest...)
	return len(p), nil
}

// cutLast cuts p at its last line end.
func cutLast(p []byte) (before, after []byte, found bool) {
	i := bytes.LastIndexByte(p, '\n')
	if i < 0 {
		return nil, p, false
	}
	return p[:i], p[i+1:], true
}

// add needs l.mu.
func (l *lines) add(line string) {
	if l.keep == nil || l.keep(line) {
		l.kept.WriteString(line)
		l.kept.WriteByte('\n')
	}
}

// end adds a last line without an end.
func (l *lines) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.partial) > 0 {
		l.add(string(l.partial))
		l.partial = nil
	}
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.kept.String()
}

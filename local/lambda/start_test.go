package lambda_test

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"fanfare/local/clock"
	"fanfare/local/lambda"
)

// elfFor returns the header of an executable for another machine.
func elfFor(machine elf.Machine) string {
	head := make([]byte, 64)
	copy(head, "\x7fELF\x02\x01\x01")
	head[16], head[18], head[20] = byte(elf.ET_EXEC), byte(machine), 1
	head[52] = 64 // size of this header
	return string(head)
}

func foreignMachine() (elf.Machine, string) {
	if runtime.GOARCH == "arm64" {
		return elf.EM_X86_64, "linux/amd64"
	}
	return elf.EM_AARCH64, "linux/arm64"
}

// WarmUp reports a function that cannot start, with the path, the reason and advice. An invocation of it fails with
// AWS's error.
func TestService_StartErrors(t *testing.T) {
	machine, name := foreignMachine()
	for _, test := range []struct {
		name      string
		bootstrap string // content of the file; "" means no file
		mode      os.FileMode
		goInit    string // if not "", the Go function with this INIT is used
		reason    string
		advice    string
		output    string
		kind      string
		message   string // suffix of the invocation's message
	}{
		{name: "missing", reason: "Couldn't find valid bootstrap(s)", advice: "go build -o",
			kind: "Runtime.InvalidEntrypoint", message: "/bootstrap]"},
		{name: "not executable", bootstrap: "#!/bin/sh\n", mode: 0o644, reason: "permission denied", advice: "chmod +x",
			kind: "Runtime.InvalidEntrypoint", message: "permission denied"},
		{name: "for another machine", bootstrap: elfFor(machine), mode: 0o755, reason: "exec format error",
			advice: "built for " + name + "; build it for this machine: GOOS=" + runtime.GOOS + " GOARCH=" + runtime.GOARCH,
			kind:   "Runtime.InvalidEntrypoint", message: "exec format error"},
		{name: "not a program", bootstrap: "echo hello\n", mode: 0o755, reason: "exec format error", advice: "begins with #!",
			kind: "Runtime.InvalidEntrypoint", message: "exec format error"},
		{name: "interpreter missing", bootstrap: "#!/no/such/interpreter\n", mode: 0o755,
			reason: "no such file or directory",
			advice: "interpreter", kind: "Runtime.InvalidEntrypoint", message: "no such file or directory"},
		{name: "exit in init", goInit: "exit:the table is not configured", reason: "exit status 3",
			output: "the table is not configured\n",
			kind:   "Runtime.ExitError", message: "Error: Runtime exited with error: exit status 3"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			if test.bootstrap != "" {
				writeBootstrap(t, dir, test.bootstrap)
				if err := os.Chmod(filepath.Join(dir, "bootstrap"), test.mode); err != nil {
					t.Fatal(err)
				}
			}
			fn := lambda.Function{Name: "f", Dir: dir}
			if test.goInit != "" {
				fn = lambda.Function{Name: "f", Dir: goDir(t), Env: map[string]string{"INIT": test.goInit}}
			}
			s, seen := start(t, lambda.Options{}, fn, lambda.Function{Name: "healthy", Dir: goDir(t)})

			err := s.WarmUp(t.Context())
			failed, ok := errors.AsType[*lambda.StartError](err)
			if !ok {
				t.Fatalf("WarmUp: got error %v, want a *StartError", err)
			}
			if failed.Function != "f" || failed.Path != filepath.Join(fn.Dir, "bootstrap") || failed.Type != test.kind {
				t.Errorf("got start error %+v, want function f and type %s", failed, test.kind)
			}
			if !strings.Contains(failed.Reason, test.reason) || !strings.Contains(failed.Advice, test.advice) {
				t.Errorf("got reason %q and advice %q, want %q and %q",
					failed.Reason, failed.Advice, test.reason, test.advice)
			}
			if !strings.HasSuffix(string(failed.Output), test.output) ||
				!strings.Contains(err.Error(), strings.TrimSpace(test.output)) {
				t.Errorf("got output %q in error %q, want %q", failed.Output, err, test.output)
			}

			failure := invokeError(t, s, "f", order{})
			if failure.Type != test.kind || !strings.HasPrefix(failure.Message, "RequestId: ") ||
				!strings.HasSuffix(failure.Message, test.message) {
				t.Errorf("got failure %s: %q, want %s: ...%q", failure.Type, failure.Message, test.kind, test.message)
			}
			if _, ok := errors.AsType[*lambda.StartError](error(failure)); !ok {
				t.Errorf("got failure %v, want one that wraps a *StartError", failure)
			}
			if r := seen.last(t); r.Status != lambda.StatusError || r.ErrorType != test.kind || r.PID != 0 {
				t.Errorf("got report %+v, want error type %s and no process", r, test.kind)
			}
			invoke[answer](t, s, "healthy", order{})
		})
	}
}

// A hanging init phase is repeated within the invocation and ends at the invocation's timeout.
func TestService_InitHangs(t *testing.T) {
	s, seen := start(t, lambda.Options{}, lambda.Function{
		Name: "f", Dir: goDir(t), Timeout: 150 * time.Millisecond, Env: map[string]string{"INIT": "hang"},
	})
	for limit := 100 * time.Millisecond; ; limit *= 2 {
		defer lambda.SetInitLimit(limit)()
		failed, ok := errors.AsType[*lambda.StartError](s.WarmUp(t.Context()))
		want := fmt.Sprintf("timed out after %.2f seconds", limit.Seconds())
		if !ok || !strings.Contains(failed.Reason, want) {
			t.Fatalf("got start error %+v, want reason %q", failed, want)
		}
		if string(failed.Output) == "about to hang\n" {
			break
		}
		// On a busy machine the process may not have written its line in that time.
		if len(failed.Output) > 0 || limit > testTimeout {
			t.Fatalf("output: got %q, want %q", failed.Output, "about to hang\n")
		}
	}
	failure := invokeError(t, s, "f", order{})
	if failure.Type != "Sandbox.Timedout" ||
		!strings.HasSuffix(failure.Message, "Error: Task timed out after 0.15 seconds") {
		t.Errorf("got failure %+v, want a timeout after 0.15 seconds", failure)
	}
	if r := seen.last(t); r.Status != lambda.StatusTimeout {
		t.Errorf("got report %+v, want status %s", r, lambda.StatusTimeout)
	}
}

// An init phase over its limit is repeated within the invocation's timeout, and the deadline includes its duration.
func TestService_SlowInitRepeated(t *testing.T) {
	defer lambda.SetInitLimit(time.Nanosecond)()
	const slow = 300 * time.Millisecond
	s, _ := start(t, lambda.Options{}, lambda.Function{
		Name: "f", Dir: goDir(t), Timeout: testTimeout, Env: map[string]string{"INIT": "sleep:" + slow.String()},
	})
	a := invoke[answer](t, s, "f", order{})
	if left := time.Until(time.UnixMilli(a.Deadline)); left > testTimeout-slow {
		t.Errorf("time left after an init of %v: got %v, want at most %v", slow, left, testTimeout-slow)
	}
}

// WarmUp starts one process, which the first invocation uses.
func TestService_WarmUp(t *testing.T) {
	s, seen := start(t, lambda.Options{}, lambda.Function{Name: "f", Dir: goDir(t)})
	for range 2 {
		if err := s.WarmUp(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(children()); runtime.GOOS == "linux" && n != 1 {
		t.Errorf("processes after WarmUp: got %d, want 1", n)
	}
	invoke[answer](t, s, "f", order{})
	if r := seen.last(t); r.Init == 0 || r.MaxMemoryUsedMB == 0 && runtime.GOOS == "linux" {
		t.Errorf("got report %+v, want Init and MaxMemoryUsedMB", r)
	}
}

func TestService_WarmUpDeadline(t *testing.T) {
	s, _ := start(t, lambda.Options{}, lambda.Function{Name: "f", Dir: goDir(t), Env: map[string]string{"INIT": "hang"}})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.WarmUp(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("WarmUp: got error %v, want context.DeadlineExceeded", err)
	}
}

// The next invocation uses a rebuilt executable; running invocations of the old one finish.
func TestService_Rebuilt(t *testing.T) {
	dir := t.TempDir()
	binary, err := os.ReadFile(filepath.Join(goDir(t), "bootstrap"))
	if err != nil {
		t.Fatal(err)
	}
	writeBootstrap(t, dir, string(binary))
	s, seen := start(t, lambda.Options{}, lambda.Function{Name: "f", Dir: dir})
	idle := invoke[answer](t, s, "f", order{}).PID
	release := hold(t, s, seen, "f", 1)
	busy := seen.last(t).PID
	if busy != idle {
		t.Fatalf("got process %d, want the idle one, %d", busy, idle)
	}
	writeBootstrap(t, dir, string(binary))
	if next := invoke[answer](t, s, "f", order{}).PID; next == busy {
		t.Errorf("after the rebuild: got the old process %d, want a new one", next)
	}
	release()
	eventually(t, "the end of the old process", func() bool { return !alive(busy) })

	writeBootstrap(t, dir, "#!/bin/sh\necho it does not compile >&2\nexit 1\n")
	failure := invokeError(t, s, "f", order{})
	failed, ok := errors.AsType[*lambda.StartError](error(failure))
	if !ok || !bytes.Contains(failed.Output, []byte("it does not compile")) {
		t.Errorf("got failure %+v, want the output of the new executable", failure)
	}
	writeBootstrap(t, dir, string(binary))
	invoke[answer](t, s, "f", order{})
	if err := os.Remove(filepath.Join(dir, "bootstrap")); err != nil {
		t.Fatal(err)
	}
	invoke[answer](t, s, "f", order{}) // the process outlives its file, because a build may be replacing it
}

// Idle processes end after IdleLifetime by the clock. Busy processes do not.
func TestService_IdleLifetime(t *testing.T) {
	s, seen := start(t, lambda.Options{Clock: clock.New(6000), IdleLifetime: 10 * time.Minute}, // 100 ms
		lambda.Function{Name: "f", Dir: goDir(t)}, lambda.Function{Name: "g", Dir: goDir(t)})
	first := invoke[answer](t, s, "f", order{}).PID
	eventually(t, "the end of an idle process", func() bool { return !alive(first) })
	release := hold(t, s, seen, "f", 1)
	busy := slices.Max(childPIDs(t))
	for range 2 {
		other := invoke[answer](t, s, "g", order{}).PID
		eventually(t, "the end of another's idle process", func() bool { return !alive(other) })
	}
	if !alive(busy) {
		t.Errorf("busy process %d: got ended, want alive", busy)
	}
	release()
}

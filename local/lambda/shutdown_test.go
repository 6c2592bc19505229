package lambda_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"fanfare/local/lambda"
)

// newService returns a service that the test itself shuts down.
func newService(t *testing.T, functions ...lambda.Function) (*lambda.Service, *observer) {
	t.Helper()
	seen := &observer{}
	s, err := lambda.New(lambda.Options{Output: seen.output, Report: seen.report})
	if err != nil {
		t.Fatal(err)
	}
	for _, fn := range functions {
		if err := s.Add(fn); err != nil {
			t.Fatal(err)
		}
	}
	return s, seen
}

// Shutdown refuses new invocations, waits for running ones, and leaves no process.
func TestService_ShutdownDrains(t *testing.T) {
	s, seen := newService(t, lambda.Function{Name: "f", Dir: goDir(t), Timeout: testTimeout})
	release := hold(t, s, seen, "f", 3)
	pids := childPIDs(t)
	ended := make(chan error, 1)
	go func() { ended <- s.Shutdown(context.Background()) }()
	eventually(t, "a refusal", func() bool {
		_, err := s.Invoke(t.Context(), "f", []byte(`{}`), "")
		return errors.Is(err, lambda.ErrShutDown)
	})
	select {
	case err := <-ended:
		t.Fatalf("Shutdown: returned %v while invocations were running", err)
	default:
	}
	release()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, pid := range pids {
		if alive(pid) {
			t.Errorf("process %d: got alive, want ended", pid)
		}
	}
}

// A start that the shutdown stops and for which no caller waits is not logged as an error.
func TestService_ShutdownDuringStart(t *testing.T) {
	var log bytes.Buffer
	seen := &observer{}
	s, err := lambda.New(lambda.Options{Output: seen.output, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	fn := lambda.Function{Name: "f", Dir: goDir(t), Timeout: testTimeout, Env: map[string]string{"INIT": "hang"}}
	if err := s.Add(fn); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() {
		_, err := s.Invoke(ctx, "f", []byte(`{}`), "")
		result <- err
	}()
	eventually(t, "a starting process", func() bool { return seen.count("about to hang") == 1 })
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("Invoke: got error %v, want context.Canceled", err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("log: got an error, want none:\n%s", &log)
	}
}

// When ctx ends, Shutdown stops running invocations and refuses those that wait for a process.
func TestService_ShutdownDeadline(t *testing.T) {
	s, seen := newService(t, lambda.Function{Name: "f", Dir: goDir(t), Timeout: testTimeout},
		lambda.Function{
			Name: "hangs", Dir: goDir(t), Timeout: lambda.MaxTimeout, Env: map[string]string{"INIT": "hang"},
		})
	results := make(chan error, 3)
	for _, name := range []string{"f", "hangs"} {
		go func() {
			_, err := s.Invoke(context.Background(), name, []byte(`{"do":"hold","text":"/no/such/file"}`), "")
			results <- err
		}()
	}
	eventually(t, "both running", func() bool { return seen.count("|holding") == 1 && seen.count("|about to hang") == 1 })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	go func() { results <- s.Shutdown(ctx) }()
	for range 3 {
		var err error
		select {
		case err = <-results:
		case <-time.After(testTimeout):
			t.Fatal("timed out waiting for Shutdown")
		}
		failure, ok := errors.AsType[*lambda.FunctionError](err)
		switch {
		case ok && failure.Type == "Runtime.ExitError" && strings.HasSuffix(failure.Message, "signal: killed"):
		case errors.Is(err, lambda.ErrShutDown), errors.Is(err, context.Canceled):
		default:
			t.Errorf("got error %v, want an exit, ErrShutDown or context.Canceled", err)
		}
	}
}

// A process with an extension receives SIGTERM and has time to handle it.
func TestService_ShutdownSigterm(t *testing.T) {
	defer lambda.SetTermGrace(testTimeout)()
	file := filepath.Join(t.TempDir(), "terminated")
	s, _ := newService(t, lambda.Function{
		Name: "f", Dir: goDir(t), Timeout: testTimeout, Env: map[string]string{"INIT": "sigterm:" + file},
	})
	invoke[answer](t, s, "f", order{})
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(file); string(got) != "terminated" {
		t.Errorf("file of the SIGTERM handler: got %q, error %v, want %q", got, err, "terminated")
	}
}

// A process that ignores SIGTERM is killed.
func TestService_ShutdownSigtermIgnored(t *testing.T) {
	s, _ := newService(t, lambda.Function{Name: "f", Dir: goDir(t), Env: map[string]string{"INIT": "ignore"}})
	if err := s.WarmUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if left := children(); len(left) > 0 {
		t.Errorf("got processes %v, want none", left)
	}
}

// The child processes of a function end with it.
func TestProcess_ChildrenKilled(t *testing.T) {
	s, _ := newService(t, lambda.Function{Name: "f", Dir: goDir(t), Timeout: testTimeout})
	child, err := strconv.Atoi(invoke[answer](t, s, "f", order{"do": "child"}).Text)
	if err != nil {
		t.Fatal(err)
	}
	if !alive(child) {
		t.Fatalf("child %d: got ended, want alive", child)
	}
	if failure := invokeError(t, s, "f", order{"do": "exit"}); failure.Type != lambda.TypeExit {
		t.Errorf("got failure %v, want %s", failure, lambda.TypeExit)
	}
	eventually(t, "the child's end", func() bool { return !alive(child) })
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func childPIDs(t testing.TB) (pids []int) {
	t.Helper()
	for _, text := range children() {
		pid, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	if len(pids) == 0 {
		t.Skip("this system does not list child processes")
	}
	return pids
}

func TestService_ShutdownEmpty(t *testing.T) {
	s, _ := newService(t)
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

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

// closed returns a service that the test shuts down itself.
func closed(t *testing.T, functions ...lambda.Function) (*lambda.Service, *observer) {
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

// Shutdown refuses new invocations, finishes those at work, and leaves no process.
func TestShutdownDrains(t *testing.T) {
	s, seen := closed(t, lambda.Function{Name: "f", Dir: goDir(t), Timeout: patience})
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
		t.Fatalf("shut down (%v) with invocations at work", err)
	default:
	}
	release()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, pid := range pids {
		if alive(pid) {
			t.Errorf("process %d is left", pid)
		}
	}
}

// A start that the shutdown breaks off, when nobody waits for it any more, is no error.
func TestShutdownDuringAStart(t *testing.T) {
	var log bytes.Buffer
	seen := &observer{}
	s, err := lambda.New(lambda.Options{Output: seen.output, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Add(lambda.Function{Name: "f", Dir: goDir(t), Timeout: patience, Env: map[string]string{"INIT": "hang"}}); err != nil {
		t.Fatal(err)
	}
	ctx, giveUp := context.WithCancel(t.Context())
	given := make(chan error, 1)
	go func() {
		_, err := s.Invoke(ctx, "f", []byte(`{}`), "")
		given <- err
	}()
	eventually(t, "a process that starts", func() bool { return seen.count("about to hang") == 1 })
	giveUp()
	if err := <-given; !errors.Is(err, context.Canceled) {
		t.Errorf("the caller gave up and got %v", err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("the log has an error:\n%s", &log)
	}
}

// When ctx ends, invocations are cut short, and those that wait for a process are refused.
func TestShutdownCutsShort(t *testing.T) {
	s, seen := closed(t, lambda.Function{Name: "f", Dir: goDir(t), Timeout: patience},
		lambda.Function{Name: "hangs", Dir: goDir(t), Timeout: lambda.MaxTimeout, Env: map[string]string{"INIT": "hang"}})
	results := make(chan error, 3)
	for _, name := range []string{"f", "hangs"} {
		go func() {
			_, err := s.Invoke(context.Background(), name, []byte(`{"do":"hold","text":"/no/such/file"}`), "")
			results <- err
		}()
	}
	eventually(t, "both at work", func() bool { return seen.count("|holding") == 1 && seen.count("|about to hang") == 1 })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	go func() { results <- s.Shutdown(ctx) }()
	for range 3 {
		var err error
		select {
		case err = <-results:
		case <-time.After(patience):
			t.Fatal("the service does not end")
		}
		failure, ok := errors.AsType[*lambda.FunctionError](err)
		switch {
		case ok && failure.Type == "Runtime.ExitError" && strings.HasSuffix(failure.Message, "signal: killed"):
		case errors.Is(err, lambda.ErrShutDown), errors.Is(err, context.Canceled):
		default:
			t.Errorf("error %v, want an exit or ErrShutDown", err)
		}
	}
}

// A process that registered an extension gets a SIGTERM, and time to act on it.
func TestSigterm(t *testing.T) {
	defer lambda.SetTermGrace(patience)()
	file := filepath.Join(t.TempDir(), "terminated")
	s, _ := closed(t, lambda.Function{Name: "f", Dir: goDir(t), Timeout: patience, Env: map[string]string{"INIT": "sigterm:" + file}})
	invoke[answer](t, s, "f", order{})
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if said, err := os.ReadFile(file); string(said) != "terminated" {
		t.Errorf("the SIGTERM handler left %q (%v)", said, err)
	}
}

// The time is short: a process that has not ended by then is killed.
func TestSigtermIsIgnored(t *testing.T) {
	s, _ := closed(t, lambda.Function{Name: "f", Dir: goDir(t), Env: map[string]string{"INIT": "ignore"}})
	if err := s.WarmUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if left := children(); len(left) > 0 {
		t.Errorf("processes left: %v", left)
	}
}

// What a function starts ends with it.
func TestChildrenOfFunctionsEnd(t *testing.T) {
	s, _ := closed(t, lambda.Function{Name: "f", Dir: goDir(t), Timeout: patience})
	child, err := strconv.Atoi(invoke[answer](t, s, "f", order{"do": "child"}).Text)
	if err != nil {
		t.Fatal(err)
	}
	if !alive(child) {
		t.Fatal("no child")
	}
	if failure := invokeError(t, s, "f", order{"do": "exit"}); failure.Type != lambda.TypeExit {
		t.Error(failure)
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
		t.Skip("no way to list child processes here")
	}
	return pids
}

func TestShutdownOfNothing(t *testing.T) {
	s, _ := closed(t)
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

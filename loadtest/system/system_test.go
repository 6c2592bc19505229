package system_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"fanfare/loadtest/system"

	"go.uber.org/goleak"
)

// The test binary is the system when SYSTEM_TEST_LEFT is set. A shell cannot trap an interrupt that its parent ignores.
func TestMain(m *testing.M) {
	left := os.Getenv("SYSTEM_TEST_LEFT")
	if left == "" {
		goleak.VerifyTestMain(m)
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	fmt.Println("building")
	if len(os.Args) != 3 || os.Args[1] != "--ready-file" {
		fmt.Fprintf(os.Stderr, "got arguments %q, want --ready-file FILE\n", os.Args[1:])
		os.Exit(1)
	}
	ready := `{"webSocket":"ws://127.0.0.1:3001/prod","aws":"http://127.0.0.1:4566",
		"outputs":{"BroadcastQueueUrl":"http://127.0.0.1:4566/000000000000/websocket-broadcast","Other":"x"}}`
	whole := os.Args[2] + ".new"
	if err := errors.Join(os.WriteFile(whole, []byte(ready), 0o600), os.Rename(whole, os.Args[2])); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	<-interrupted
	if err := os.WriteFile(left, []byte("bye"), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func shell(script string) []string { return []string{"/bin/sh", "-c", script} }

func TestStart_Addresses(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(t.TempDir(), "left")
	t.Setenv("SYSTEM_TEST_LEFT", left)
	t.Setenv("GORACE", "atexit_sleep_ms=0")
	s, err := system.Start(t.Context(), t.TempDir(), []string{self})
	if err != nil {
		t.Fatal(err)
	}
	if s.URL != "ws://127.0.0.1:3001/prod" || s.QueueURL != "http://127.0.0.1:4566/000000000000/websocket-broadcast" {
		t.Errorf("got addresses %q and %q, want those of the ready file", s.URL, s.QueueURL)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(left); err != nil {
		t.Errorf("clean-up: got %v, want a file", err)
	}
}

func TestStart_ErrorsQuoteOutput(t *testing.T) {
	if _, err := system.Start(t.Context(), t.TempDir(),
		shell(`echo "template.yaml:12: no such function"; exit 3`)); err == nil ||
		!strings.Contains(err.Error(), "no such function") {
		t.Errorf("got error %v, want one with the output", err)
	}
	if _, err := system.Start(t.Context(), t.TempDir(), []string{"/nonexistent/local"}); err == nil {
		t.Error("missing command: got no error, want one")
	}
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		if _, err := os.ReadFile(fifo); err != nil {
			t.Error(err)
		}
	}()
	if _, err := system.Start(ctx, t.TempDir(), shell(`echo "still building"; : >"`+fifo+
		`"; exec sleep 60`)); err == nil || !strings.Contains(err.Error(), "still building") {
		t.Errorf("got error %v, want one with the output", err)
	}
}

func TestRoot(t *testing.T) {
	dir := t.TempDir()
	deep := filepath.Join(dir, "a", "b")
	for _, d := range []string{deep, filepath.Join(dir, "local")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(deep)
	if _, err := system.Root(); err == nil || !strings.Contains(err.Error(), "--url") {
		t.Errorf("without go.mod: got %v, want an error with --url", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := system.Root(); err != nil || filepath.Base(got) != filepath.Base(dir) {
		t.Errorf("got %q, %v, want %q, nil", got, err, dir)
	}
}

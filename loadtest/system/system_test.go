package system_test

import (
	"context"
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

// The test binary plays the system when it is told where to leave word. A shell would not do: it cannot trap an interrupt
// that whoever started the tests has it ignore.
func TestMain(m *testing.M) {
	left := os.Getenv("SYSTEM_TEST_LEFT")
	if left == "" {
		goleak.VerifyTestMain(m)
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	fmt.Println("building")
	fmt.Println("WebSocket API     ws://127.0.0.1:3001/prod")
	fmt.Fprintln(os.Stderr, "AWS endpoint      http://127.0.0.1:4566")
	fmt.Println("Broadcast queue   http://127.0.0.1:4566/000000000000/websocket-broadcast")
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
		t.Errorf("%q, %q", s.URL, s.QueueURL)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(left); err != nil {
		t.Errorf("it was not given the time to clean up: %v", err)
	}
}

func TestStart_ErrorsQuoteOutput(t *testing.T) {
	if _, err := system.Start(t.Context(), t.TempDir(),
		shell(`echo "template.yaml:12: no such function"; exit 3`)); err == nil ||
		!strings.Contains(err.Error(), "no such function") {
		t.Errorf("%v", err)
	}
	if _, err := system.Start(t.Context(), t.TempDir(), []string{"/nonexistent/local"}); err == nil {
		t.Error("a command that is not there was started")
	}
	said := filepath.Join(t.TempDir(), "said")
	if err := syscall.Mkfifo(said, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		if _, err := os.ReadFile(said); err != nil {
			t.Error(err)
		}
	}()
	if _, err := system.Start(ctx, t.TempDir(), shell(`echo "still building"; : >"`+said+
		`"; exec sleep 60`)); err == nil || !strings.Contains(err.Error(), "still building") {
		t.Errorf("%v", err)
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
		t.Errorf("without go.mod: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := system.Root(); err != nil || filepath.Base(got) != filepath.Base(dir) {
		t.Errorf("%q, %v", got, err)
	}
}

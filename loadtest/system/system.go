// Package system starts the system under test on this machine for the length of a load test: the repository's local/,
// as a program of its own, of which the harness knows only what it prints.
package system

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Command starts local/ on free ports. It is run in the repository's root.
var Command = []string{"go", "run", "./local", "--port", "0", "--aws-port", "0", "--parameter", "Access=open"}

const (
	// startWithin bounds the wait for the system's addresses; the first start builds every function.
	startWithin = 3 * time.Minute
	// stopWithin bounds its shutting down.
	stopWithin = 20 * time.Second
	// tail is how many of its last lines an error shows.
	tail = 15
)

// What local/ prints when it is ready.
var (
	webSocket = regexp.MustCompile(`WebSocket API\s+(wss?://\S+)`)
	broadcast = regexp.MustCompile(`Broadcast queue\s+(https?://\S+)`)
)

// System is a running system. Its addresses do not change.
type System struct {
	URL      string
	QueueURL string

	process *exec.Cmd
	gone    chan struct{}
	mu      sync.Mutex
	lines   []string
}

// Root finds the repository that the working directory is in: the folder with go.mod and local/.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		_, mod := os.Stat(filepath.Join(dir, "go.mod"))
		_, local := os.Stat(filepath.Join(dir, "local"))
		if mod == nil && local == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no --url, and no local system to start: run this in the repository, or say --url ws://… of a system that is running")
		}
		dir = parent
	}
}

// Start starts command in dir and waits until it has printed its addresses. The caller must Stop the system.
func Start(ctx context.Context, dir string, command []string) (*System, error) {
	c := exec.Command(command[0], command[1:]...)
	c.Dir = dir
	// A session of its own: a terminal's interrupt reaches the harness first, Stop reaches what "go run" has started, and
	// the harness's priority is its own.
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, in, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start the local system: %w", err)
	}
	c.Stdout, c.Stderr = in, in
	if err := c.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start the local system: %w", err), in.Close(), out.Close())
	}
	in.Close()
	s := &System{process: c, gone: make(chan struct{})}
	ready := make(chan struct{})
	go s.listen(out, ready)
	select {
	case <-ready:
		return s, nil
	case <-s.gone:
		err = errors.New("the local system ended before it was ready")
	case <-time.After(startWithin):
		err = fmt.Errorf("the local system was not ready within %v", startWithin)
	case <-ctx.Done():
		err = ctx.Err()
	}
	stopped := s.Stop() // after which it has said everything
	return nil, errors.Join(fmt.Errorf("start the local system: %w. Its last words:\n%s", err, s.last()), stopped)
}

func (s *System) listen(r io.ReadCloser, ready chan struct{}) {
	defer close(s.gone)
	defer r.Close()
	for lines := bufio.NewScanner(r); lines.Scan(); {
		line := lines.Text()
		s.mu.Lock()
		if s.lines = append(s.lines, line); len(s.lines) > tail {
			s.lines = s.lines[1:]
		}
		was := s.URL != "" && s.QueueURL != ""
		if !was {
			if m := webSocket.FindStringSubmatch(line); m != nil {
				s.URL = m[1]
			}
			if m := broadcast.FindStringSubmatch(line); m != nil {
				s.QueueURL = m[1]
			}
			if s.URL != "" && s.QueueURL != "" {
				close(ready)
			}
		}
		s.mu.Unlock()
	}
}

func (s *System) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

// Stop ends the system: an interrupt first, so that it can clean up, and a kill if it does not.
func (s *System) Stop() error {
	group := -s.process.Process.Pid
	_ = syscall.Kill(group, syscall.SIGINT) // it may have ended by itself
	kill := time.AfterFunc(stopWithin, func() { _ = syscall.Kill(group, syscall.SIGKILL) })
	defer kill.Stop()
	<-s.gone
	var exit *exec.ExitError
	if err := s.process.Wait(); err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("stop the local system: %w", err)
	}
	return nil
}

// Package system starts the system under test on this machine for the length of a load test: the repository's local/,
// as a program of its own, of which the harness knows only its ready file and what it prints.
package system

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
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

// poll is the interval at which Start looks for the ready file.
const poll = 20 * time.Millisecond

// System is a running system. Its addresses do not change.
type System struct {
	URL      string
	QueueURL string

	process *exec.Cmd
	folder  string // of the ready file
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

// Start starts command in dir, with --ready-file appended to its arguments, and waits until that file exists. The
// caller must Stop the system.
func Start(ctx context.Context, dir string, command []string) (*System, error) {
	folder, err := os.MkdirTemp("", "loadtest-")
	if err != nil {
		return nil, fmt.Errorf("start the local system: %w", err)
	}
	file := filepath.Join(folder, "ready.json")
	c := exec.Command(command[0], append(command[1:len(command):len(command)], "--ready-file", file)...)
	c.Dir = dir
	// A session of its own: a terminal's interrupt reaches the harness first, Stop reaches what "go run" has started, and
	// the harness's priority is its own.
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, in, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the local system: %w", err), os.RemoveAll(folder))
	}
	c.Stdout, c.Stderr = in, in
	if err := c.Start(); err != nil {
		err = fmt.Errorf("start the local system: %w", err)
		return nil, errors.Join(err, in.Close(), out.Close(), os.RemoveAll(folder))
	}
	in.Close()
	s := &System{process: c, folder: folder, gone: make(chan struct{})}
	go s.listen(out)
	if err = s.await(ctx, file); err == nil {
		return s, nil
	}
	stopped := s.Stop() // after which it has said everything
	return nil, errors.Join(fmt.Errorf("start the local system: %w. Its last words:\n%s", err, s.last()), stopped)
}

// await waits for the ready file, which local/ renames into place, and takes the addresses from it.
func (s *System) await(ctx context.Context, file string) error {
	late := fmt.Errorf("the local system was not ready within %v", startWithin)
	ctx, cancel := context.WithTimeoutCause(ctx, startWithin, late)
	defer cancel()
	for tick := time.NewTicker(poll); ; {
		data, err := os.ReadFile(file)
		if err == nil {
			var ready struct {
				WebSocket string `json:"webSocket"`
				Outputs   struct {
					BroadcastQueueURL string `json:"BroadcastQueueUrl"`
				}
			}
			if err := json.Unmarshal(data, &ready); err != nil {
				return fmt.Errorf("read its ready file: %w", err)
			}
			s.URL, s.QueueURL = ready.WebSocket, ready.Outputs.BroadcastQueueURL
			return nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("read its ready file: %w", err)
		}
		select {
		case <-tick.C:
		case <-s.gone:
			return errors.New("the local system ended before it was ready")
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// listen keeps the last lines that the system prints, until it has ended.
func (s *System) listen(r io.ReadCloser) {
	defer close(s.gone)
	defer r.Close()
	for lines := bufio.NewScanner(r); lines.Scan(); {
		s.mu.Lock()
		if s.lines = append(s.lines, lines.Text()); len(s.lines) > tail {
			s.lines = s.lines[1:]
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
	err := s.process.Wait()
	if errors.As(err, &exit) {
		err = nil
	}
	if err = errors.Join(err, os.RemoveAll(s.folder)); err != nil {
		return fmt.Errorf("stop the local system: %w", err)
	}
	return nil
}

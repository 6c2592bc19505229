// Package system starts the repository's local system (local/) on this machine, as the system under test. It is a
// separate program; the harness reads its addresses from its ready file.
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

// Command starts local/ on free ports. Its working directory is the root of the repository.
var Command = []string{"go", "run", "./local", "--port", "0", "--aws-port", "0", "--parameter", "Access=open"}

const (
	// startWithin bounds the wait for the ready file. The first start builds all functions.
	startWithin = 3 * time.Minute
	// stopWithin bounds the shutdown before the system is killed.
	stopWithin = 20 * time.Second
	// tail is the number of lines of output in an error.
	tail = 15
)

// poll is the interval at which Start looks for the ready file.
const poll = 20 * time.Millisecond

// System is a running system. Its addresses do not change.
type System struct {
	URL      string
	QueueURL string

	process *exec.Cmd
	dir     string // of the ready file
	gone    chan struct{}
	mu      sync.Mutex
	lines   []string
}

// Root returns the root of the repository of the working directory: the directory with go.mod and local/.
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
			return "", errors.New("no local system to start: want --url, or a working directory in the repository")
		}
		dir = parent
	}
}

// Start starts command in workDir, with --ready-file appended to its arguments, and waits until that file exists. The
// caller must Stop the system.
func Start(ctx context.Context, workDir string, command []string) (*System, error) {
	dir, err := os.MkdirTemp("", "loadtest-")
	if err != nil {
		return nil, fmt.Errorf("start the local system: %w", err)
	}
	file := filepath.Join(dir, "ready.json")
	c := exec.Command(command[0], append(command[1:len(command):len(command)], "--ready-file", file)...)
	c.Dir = workDir
	// A session of its own: the terminal does not interrupt it, Stop reaches the process that "go run" has started, and
	// --priority does not apply to it.
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, in, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the local system: %w", err), os.RemoveAll(dir))
	}
	c.Stdout, c.Stderr = in, in
	if err := c.Start(); err != nil {
		err = fmt.Errorf("start the local system: %w", err)
		return nil, errors.Join(err, in.Close(), out.Close(), os.RemoveAll(dir))
	}
	in.Close()
	s := &System{process: c, dir: dir, gone: make(chan struct{})}
	go s.listen(out)
	if err = s.await(ctx, file); err == nil {
		return s, nil
	}
	stopped := s.Stop() // after which its output is complete
	return nil, errors.Join(fmt.Errorf("start the local system: %w; its last output:\n%s", err, s.last()), stopped)
}

// await waits for the ready file, which local/ renames into place, and reads the addresses.
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

// listen keeps the last lines of the output until it ends.
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

// last returns the last lines of the output.
func (s *System) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

// Stop interrupts the system, so that it can clean up, and kills it after stopWithin.
func (s *System) Stop() error {
	group := -s.process.Process.Pid
	_ = syscall.Kill(group, syscall.SIGINT) // it may have ended already
	kill := time.AfterFunc(stopWithin, func() { _ = syscall.Kill(group, syscall.SIGKILL) })
	defer kill.Stop()
	<-s.gone
	err := s.process.Wait()
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		err = nil // the exit status after an interrupt does not matter
	}
	if err = errors.Join(err, os.RemoveAll(s.dir)); err != nil {
		return fmt.Errorf("stop the local system: %w", err)
	}
	return nil
}

// Package e2e tests the whole system as its users have it: the function binaries that are deployed, behind AWS's services
// as local/ plays them, with real sockets and the AWS SDK.
package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"fanfare/test/awstest"
	"fanfare/test/e2e/binaries"
)

// patience is how long anything may take before a test gives up. It is no measurement: nothing takes this long.
const patience = 60 * time.Second

const repository = "../.." // where the template is

// program builds the local AWS and returns its path.
func program(t testing.TB) string {
	t.Helper()
	path, err := binaries.Path("local")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// world is a running local AWS with the stack in it.
type world struct {
	webSocket   string // ws://127.0.0.1:.../prod
	aws         string // http://127.0.0.1:...
	cmd         *exec.Cmd
	ended       chan error
	mu          sync.Mutex
	out         bytes.Buffer
	dynamodb    *dynamodb.Client
	sqs         *sqs.Client
	queuePrefix string
}

// start runs the local AWS on free ports until the test ends.
func start(t *testing.T, args ...string) *world {
	t.Helper()
	w := &world{ended: make(chan error, 1)}
	w.cmd = exec.Command(program(t), append([]string{
		"--port", "0", "--aws-port", "0", "--stack-name", "fanfare", "--template", "template.yaml", "--parameter", "Access=open",
		"--build-dir", binaries.Functions(),
	}, args...)...)
	w.cmd.Dir, w.cmd.Env = repository, binaries.Environment()
	stdout, err := w.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	w.cmd.Stderr = w.cmd.Stdout
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	go w.read(stdout, ready)
	t.Cleanup(func() {
		if err := w.stop(); err != nil {
			t.Errorf("the local AWS ended with %v", err)
		}
		if t.Failed() {
			t.Logf("the local AWS printed:\n%s", w.printed())
		}
	})
	select {
	case <-ready:
	case err := <-w.ended:
		w.ended <- nil
		t.Fatalf("the local AWS did not start: %v", err)
	case <-time.After(5 * time.Minute): // it builds the functions
		t.Fatal("the local AWS does not start")
	}
	cfg := awstest.Config(w.aws)
	w.dynamodb, w.sqs, w.queuePrefix = dynamodb.NewFromConfig(cfg), sqs.NewFromConfig(cfg), w.aws+"/000000000000/websocket-"
	return w
}

// read collects what the local AWS prints, and picks the addresses out of it.
func (w *world) read(out io.Reader, ready chan struct{}) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		w.mu.Lock()
		fmt.Fprintln(&w.out, line)
		w.mu.Unlock()
		fields := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "WebSocket API "):
			w.webSocket = fields[2]
		case strings.HasPrefix(line, "AWS endpoint "):
			w.aws = fields[2]
		case line == "Try it:":
			close(ready)
		}
	}
	w.ended <- w.cmd.Wait()
}

func (w *world) printed() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.String()
}

// stop presses Ctrl-C and waits. It may be called twice.
func (w *world) stop() error {
	w.cmd.Process.Signal(os.Interrupt)
	select {
	case err := <-w.ended:
		w.ended <- nil
		return err
	case <-time.After(patience):
		w.cmd.Process.Kill()
		return errors.New("Ctrl-C does not end it")
	}
}

// eventually waits until done reports true.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for tick := time.NewTicker(20 * time.Millisecond); !done(); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("never happened: %s", what)
		}
	}
}

// processes returns the children that run from the local AWS's build folder.
func processes(t *testing.T, parent int) []int {
	t.Helper()
	var found []int
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		t.Skip("this system has no /proc")
	}
	for _, path := range stats {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		var pid, ppid int
		var state string
		after := data[bytes.LastIndexByte(data, ')')+1:]
		if _, err := fmt.Sscan(string(after), &state, &ppid); err != nil {
			t.Fatal(err)
		}
		fmt.Sscan(filepath.Base(filepath.Dir(path)), &pid)
		if ppid == parent {
			found = append(found, pid)
		}
	}
	return found
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

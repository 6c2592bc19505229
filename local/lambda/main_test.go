package lambda_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"fanfare/local/lambda"
)

// testTimeout limits the waits for conditions that a correct package always reaches.
const testTimeout = 30 * time.Second

func TestMain(m *testing.M) {
	if dir := os.Getenv(parentVariable); dir != "" {
		runParent(dir)
	}
	code := m.Run()
	if bin, err := goFunction(); err == nil {
		_ = os.RemoveAll(bin)
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		if left := children(); len(left) > 0 {
			fmt.Fprintln(os.Stderr, "remaining processes:", left)
			code = 1
		}
	}
	os.Exit(code)
}

// goFunction builds testdata/function once and returns its directory.
var goFunction = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "function")
	if err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-trimpath", "-tags", "lambda.norpc",
		"-o", filepath.Join(dir, "bootstrap"), "./testdata/function")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return dir, nil
})

func goDir(t testing.TB) string {
	t.Helper()
	dir, err := goFunction()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// scriptDir returns a directory whose bootstrap is the Python runtime of testdata/script.
func scriptDir(t testing.TB) string {
	t.Helper()
	python, err := exec.Command("python3", "-c", "import sys; print(sys.executable)").Output()
	if err != nil {
		t.Skip("no python3 for the bootstrap that is not Go: ", err)
	}
	source, err := os.ReadFile("testdata/script/bootstrap.py")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	writeBootstrap(t, dir, "#!"+strings.TrimSpace(string(python))+"\n"+string(source))
	return dir
}

// writeBootstrap replaces the executable as a build does: it writes another file and renames it.
func writeBootstrap(t testing.TB, dir, content string) {
	t.Helper()
	next := filepath.Join(dir, "next")
	if err := os.WriteFile(next, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(dir, "bootstrap")); err != nil {
		t.Fatal(err)
	}
}

// observer collects a service's output lines and reports.
type observer struct {
	mu      sync.Mutex
	lines   []string // "request id|line"
	reports []lambda.Report
}

func (o *observer) output(_, requestID string, line []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lines = append(o.lines, requestID+"|"+string(line))
}

func (o *observer) report(r lambda.Report) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.reports = append(o.reports, r)
}

func (o *observer) Lines() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.lines)
}

func (o *observer) Reports() []lambda.Report {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.reports)
}

// last returns the last report.
func (o *observer) last(t testing.TB) lambda.Report {
	t.Helper()
	reports := o.Reports()
	if len(reports) == 0 {
		t.Fatal("no report")
	}
	return reports[len(reports)-1]
}

// start returns a service with these functions and its observer. The service is shut down at the end of the test.
func start(t testing.TB, o lambda.Options, functions ...lambda.Function) (*lambda.Service, *observer) {
	t.Helper()
	seen := &observer{}
	if o.Output == nil {
		o.Output = seen.output
	}
	if o.Report == nil {
		o.Report = seen.report
	}
	s, err := lambda.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	for _, fn := range functions {
		if fn.Timeout == 0 {
			fn.Timeout = testTimeout // a slow machine must not cause timeouts
		}
		if err := s.Add(fn); err != nil {
			t.Fatal(err)
		}
	}
	return s, seen
}

type order map[string]any

type answer struct {
	PID       int               `json:"pid"`
	Text      string            `json:"text"`
	Env       map[string]string `json:"env"`
	Dir       string            `json:"dir"`
	RequestID string            `json:"requestID"`
	ARN       string            `json:"arn"`
	Trace     string            `json:"trace"`
	Deadline  int64             `json:"deadline"`
}

func event(t testing.TB, o any) []byte {
	t.Helper()
	data, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// invoke invokes the function and decodes its response.
func invoke[T any](t testing.TB, s *lambda.Service, name string, o order) T {
	t.Helper()
	var out T
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	response, err := s.Invoke(ctx, name, event(t, o), "")
	if err != nil {
		t.Fatalf("invoke %s with %v: %v", name, o, err)
	}
	if err := json.Unmarshal(response, &out); err != nil {
		t.Fatalf("response %q: %v", response, err)
	}
	return out
}

// invokeError invokes the function and returns its failure.
func invokeError(t testing.TB, s *lambda.Service, name string, o order) *lambda.FunctionError {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	response, err := s.Invoke(ctx, name, event(t, o), "")
	failure, ok := errors.AsType[*lambda.FunctionError](err)
	if !ok {
		t.Fatalf("invoke %s with %v: got response %q and error %v, want a function error", name, o, response, err)
	}
	return failure
}

// hold runs n concurrent invocations and returns when all are running. The returned function ends them and waits for
// their results.
func hold(t testing.TB, s *lambda.Service, seen *observer, name string, n int) (release func()) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "release")
	results := make(chan error, n)
	already := seen.count("|holding")
	for range n {
		go func() {
			_, err := s.Invoke(context.Background(), name, event(t, order{"do": "hold", "text": file}), "")
			results <- err
		}()
	}
	eventually(t, fmt.Sprintf("%d invocations running", n), func() bool { return seen.count("|holding") == already+n })
	return func() {
		t.Helper()
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		for range n {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
	}
}

// count returns the number of lines with this suffix.
func (o *observer) count(suffix string) (n int) {
	for _, line := range o.Lines() {
		if strings.HasSuffix(line, suffix) {
			n++
		}
	}
	return n
}

// eventually waits until the condition is true.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(testTimeout); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("timed out waiting for ", what)
		}
	}
}

// alive reports whether a process exists and is not a zombie.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return runtime.GOOS != "linux"
	}
	_, after, _ := bytes.Cut(stat, []byte(") "))
	return !bytes.HasPrefix(after, []byte("Z"))
}

// children returns the ids of this process's children.
func children() []string {
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	var out []string
	for _, list := range lists {
		data, _ := os.ReadFile(list)
		out = append(out, strings.Fields(string(data))...)
	}
	return out
}

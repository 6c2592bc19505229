package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// result is the outcome of the tests of a mutant.
type result int

const (
	killed   result = iota // a test failed
	timedOut               // a test did not end in time
	lived                  // all tests passed
	invalid                // the mutant does not compile
)

// maxMemory bounds the address space of each test process, in kilobytes: a fault may allocate without end.
const maxMemory = 8 << 20

// checkTimeout is the time limit of a test command without a fault.
const checkTimeout = 10 * time.Minute

// suites are the tests that can find faults.
type suites struct {
	simulated map[string]bool // folders of the packages that the simulation uses
	tested    map[string]bool // folders with tests of their own
	timeout   time.Duration   // of a command whose time without a fault is short

	took map[string]time.Duration // by command, without a fault; see worker.check
}

// readSuites finds out which tests there are.
func readSuites(ctx context.Context, root string, timeout time.Duration) (suites, error) {
	s := suites{
		simulated: make(map[string]bool), tested: make(map[string]bool), timeout: timeout,
		took: make(map[string]time.Duration),
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return s, err
	}
	list := func(into map[string]bool, condition string, packages ...string) error {
		format := "{{with .Module}}{{if and .Main " + condition + "}}{{$.Dir}}{{end}}{{end}}"
		cmd := exec.CommandContext(ctx, "go", slices.Concat([]string{"list", "-f", format}, packages)...)
		cmd.Dir, cmd.Stderr = root, os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("go %s: %w", strings.Join(cmd.Args[1:], " "), err)
		}
		for folder := range strings.Lines(string(out)) {
			relative, err := filepath.Rel(root, strings.TrimSpace(folder))
			if err != nil {
				return err
			}
			into[filepath.ToSlash(relative)] = true
		}
		return nil
	}
	if err := list(s.tested, "(or $.TestGoFiles $.XTestGoFiles)", "./..."); err != nil {
		return s, err
	}
	return s, list(s.simulated, "true", "-deps", "./test/simulation")
}

// commands returns the arguments of "go test" that test a package, the quickest first.
func (s suites) commands(folder string) (commands [][]string) {
	if s.tested[folder] {
		commands = append(commands, []string{"./" + folder})
	}
	if s.simulated[folder] {
		commands = append(commands, []string{"./test/simulation", "-run", "^TestSeeds$"})
	}
	if strings.HasPrefix(folder, "functions/") {
		commands = append(commands, []string{"./test/layout"})
	}
	if folder == "pkg/function" || strings.HasPrefix(folder, "functions/") {
		commands = append(commands, []string{
			"./test/e2e", "./test/e2e/access",
			"-run", "TestBroadcast_(Payloads|Exclude)|TestFunctions|TestDeadLetters|TestParameter|TestAccess_Modes|TestLimits",
		})
	}
	return commands
}

// limit returns the time limit of a command. A busy machine must not make a fault look found.
func (s suites) limit(command []string) time.Duration {
	return max(s.timeout, 5*s.took[strings.Join(command, " ")])
}

// worker tests mutants in a copy of the module.
type worker struct {
	folder string
	suites suites
}

// newWorker copies the files of the module that git knows or does not ignore.
func newWorker(ctx context.Context, root string, s suites) (*worker, error) {
	cmd := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root
	files, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list the files of the module: %w", err)
	}
	folder, err := os.MkdirTemp("", "mutate-")
	if err != nil {
		return nil, err
	}
	w := &worker{folder, s}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(files), "\x00"), "\x00") {
		if err := copyFile(filepath.Join(root, name), filepath.Join(folder, name)); err != nil {
			w.remove()
			return nil, err
		}
	}
	return w, nil
}

func copyFile(from, to string) error {
	info, err := os.Stat(from)
	if errors.Is(err, os.ErrNotExist) { // removed, but not committed
		return nil
	}
	if err != nil {
		return err
	}
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, text, info.Mode())
}

func (w *worker) remove() { _ = os.RemoveAll(w.folder) }

// check runs the tests of the mutants' packages without a fault, and notes their times. It is an error if they fail. It
// must end before other workers use the same suites.
func (w *worker) check(ctx context.Context, mutants []mutant) error {
	for _, m := range mutants {
		for _, command := range w.suites.commands(m.folder()) {
			name := strings.Join(command, " ")
			if _, done := w.suites.took[name]; done {
				continue
			}
			began := time.Now()
			if out, err := w.goTest(ctx, command, checkTimeout); err != nil {
				return fmt.Errorf("without a fault: go test %s: %w\n%s", name, err, out)
			}
			w.suites.took[name] = time.Since(began)
		}
	}
	return nil
}

// test plants a mutant, runs the tests until one fails, and restores the file.
func (w *worker) test(ctx context.Context, m mutant, mutated []byte) (r result, err error) {
	file := filepath.Join(w.folder, filepath.FromSlash(m.file))
	source, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	if err := os.WriteFile(file, mutated, 0o644); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.WriteFile(file, source, 0o644)) }()
	if _, err := w.run(ctx, "build", "-o", os.DevNull, "./"+m.folder()); err != nil {
		return invalid, ctx.Err()
	}
	for _, command := range w.suites.commands(m.folder()) {
		out, err := w.goTest(ctx, command, w.suites.limit(command))
		switch {
		case ctx.Err() != nil:
			return 0, ctx.Err()
		case bytes.Contains(out, []byte("panic: test timed out after")):
			return timedOut, nil
		case err != nil:
			return killed, nil
		}
	}
	return lived, nil
}

func (w *worker) goTest(ctx context.Context, arguments []string, timeout time.Duration) ([]byte, error) {
	fixed := []string{"test", "-short", "-vet=off", "-count=1", "-failfast", "-timeout", timeout.String()}
	return w.run(ctx, slices.Concat(fixed, arguments)...)
}

// run runs the go command in the copy of the module and returns its output.
func (w *worker) run(ctx context.Context, arguments ...string) ([]byte, error) {
	limited := fmt.Sprintf(`ulimit -v %d 2>/dev/null; exec go "$@"`, maxMemory)
	cmd := exec.CommandContext(ctx, "sh", slices.Concat([]string{"-c", limited, "go"}, arguments)...)
	cmd.Dir = w.folder
	cmd.Env = append(os.Environ(), "GOFLAGS=-trimpath", "CGO_ENABLED=0")
	// Ctrl-C also ends the processes that the go command started.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	return cmd.CombinedOutput()
}

package docs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// waitTime bounds each wait for something that happens within seconds on an idle machine. Building takes longest.
const waitTime = 5 * time.Minute

// TestQuickStart runs the blocks of the pages as they are printed, against a stack that the page's own "make run"
// started, in an environment without AWS variables. It checks that every "hello ..." that a block publishes reaches a
// client.
func TestQuickStart(t *testing.T) {
	for _, port := range []string{"3001", "4566"} { // those that the pages print
		listener, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Skipf("NOT RUN: the pages' port %s is in use: %v", port, err)
		}
		listener.Close()
	}
	for _, session := range []struct {
		name  string
		pages []string // the first one says how the stack is started
		want  string   // part of what the stack prints
	}{
		{"readme", []string{"README.md", "examples/publish/README.md", "docs/operate.md"}, "Access is open"},
		{"local", []string{"docs/local.md"}, "ws://127.0.0.1:3001/prod"},
		{"parameters", []string{"docs/parameters.md"}, "ws://127.0.0.1:3001/prod"},
		{"security", []string{"docs/security.md"}, "publisher\n  npx wscat -c ws://127.0.0.1:3001/prod -s fanfare.bearer "},
	} {
		t.Run(session.name, func(t *testing.T) {
			all := blocksFor(t, "TestQuickStart", session.pages...)
			server := slices.IndexFunc(all, func(b block) bool { return strings.HasPrefix(b.text, "make run") })
			if server < 0 {
				t.Fatalf("got no block with make run in %s", session.pages[0])
			}
			env := plainEnvironment(t)
			s := start(t, all[server].text, env, session.want)
			var c *client
			if len(all) > 1 {
				c = connect(t, "ws://127.0.0.1:3001/prod")
			}
			for i, b := range all {
				if i != server {
					t.Run(b.String(), func(t *testing.T) { env = b.run(t, s, c, env) })
				}
			}
		})
	}
}

// TestCommands_Cheap runs blocks that need no stack.
func TestCommands_Cheap(t *testing.T) {
	for _, b := range blocksFor(t, "TestCommands_Cheap", pages(t)...) {
		if out, _, err := shell(t, b.text, root, plainEnvironment(t)); err != nil {
			t.Errorf("%v: %v\n%s", b, err, out)
		}
	}
}

// TestCommands_Ready runs the block that starts a stack with --ready.
func TestCommands_Ready(t *testing.T) {
	for _, b := range blocksFor(t, "TestCommands_Ready", pages(t)...) {
		start(t, b.text, plainEnvironment(t), "\nconnect to ws://127.0.0.1:")
	}
}

// run runs a block and returns the environment that it leaves for the next one.
func (b block) run(t *testing.T, s *stack, c *client, env []string) []string {
	dir := root
	switch b.needs {
	case "aws", "curl":
		need(t, b.needs, env, b.needs, "--version")
	case "boto3":
		need(t, b.needs, env, "python3", "-c", "import boto3")
	case "node":
		dir = nodeFolder(t)
	}
	var out string
	var err error
	switch b.lang {
	case "text": // printed by the stack
		for line := range strings.SplitSeq(strings.TrimSpace(b.text), "\n") {
			if !strings.Contains(s.printed(), line+"\n") {
				t.Errorf("the stack did not print %q:\n%s", line, s.printed())
			}
		}
	case "sh":
		// A report is complete when the broadcast's deliveries are, which may take longer than the page waits.
		for deadline := time.Now().Add(waitTime); ; time.Sleep(time.Second) {
			var after []string
			out, after, err = shell(t, b.text, dir, env)
			incomplete := strings.Contains(b.text, "report") && (err != nil || !delivered.MatchString(out))
			if !incomplete || time.Now().After(deadline) {
				if incomplete && err == nil {
					err = errors.New("no delivery is reported")
				}
				env = after
				break
			}
		}
		if strings.Contains(b.text, "make report") {
			b.sameLines(t, out)
		}
	case "python":
		out, err = pipe(t, b.text, dir, env, "python3", "-")
	case "js":
		err = os.WriteFile(filepath.Join(dir, "readme.mjs"), []byte(b.text), 0o644)
		if err == nil {
			out, err = pipe(t, "", dir, env, "node", "readme.mjs")
		}
	case "go":
		path := filepath.Join(t.TempDir(), "main.go")
		err = os.WriteFile(path, []byte(strings.Replace(goProgram, "SNIPPET", b.text, 1)), 0o644)
		if err == nil {
			out, err = pipe(t, "", dir, env, "go", "run", path)
		}
	default:
		t.Fatalf("%v: got language %s, want one that this test runs", b, b.lang)
	}
	if err != nil {
		t.Fatalf("%v: %v\n%s", b, err, out)
	}
	for _, hello := range regexp.MustCompile(`hello[\w ]*`).FindAllString(b.text, -1) {
		c.await(t, hello)
	}
	return env
}

// delivered matches a report of at least one delivery, as text or JSON.
var delivered = regexp.MustCompile(`(?m)^delivered +[1-9]|"delivered": [1-9]`)

// goProgram surrounds the README's Go lines with what they assume.
const goProgram = `package main

import (
	"context"
	"fmt"
	"os"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"fanfare/publish"
)

func main() {
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		panic(err)
	}
	SNIPPET
	if err != nil {
		panic(err)
	}
	fmt.Println(id)
}
`

// sameLines checks that the page's example of a report has the lines of a real one.
func (b block) sameLines(t *testing.T, out string) {
	t.Helper()
	names := func(text string) []string {
		var all []string
		for _, found := range regexp.MustCompile(`(?m)^([a-z]+) {2,}\S`).FindAllStringSubmatch(text, -1) {
			all = append(all, found[1])
		}
		return all
	}
	for _, example := range blocks(t, b.page) {
		if example.lang == "text" && example.line > b.line {
			if got, want := names(example.text), names(out); !slices.Equal(got, want) {
				t.Errorf("%v: got lines %v, want those of the command, %v", example, got, want)
			}
			return
		}
	}
	t.Errorf("%v: got no example of its output", b)
}

// plainEnvironment returns an environment with paths for programs and Go's caches, and nothing else.
func plainEnvironment(t *testing.T) []string {
	t.Helper()
	path, err := filepath.Abs(root + "build/tools/venv/bin")
	if err != nil {
		t.Fatal(err)
	}
	home, err := os.MkdirTemp("", "fanfare-home-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) }) // not t.TempDir: the go command may still write its telemetry
	env := []string{"PATH=" + path + ":" + os.Getenv("PATH"), "HOME=" + home}
	goEnv := exec.Command("go", "env", "-json", "GOPATH", "GOMODCACHE", "GOCACHE", "GOPROXY", "GOSUMDB", "GOFLAGS")
	out, err := goEnv.Output()
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]string)
	if err := json.Unmarshal(out, &values); err != nil {
		t.Fatal(err)
	}
	if home, err := os.UserHomeDir(); err == nil {
		values["PYENV_ROOT"] = filepath.Join(home, ".pyenv") // where pyenv's python3 finds itself
	}
	for name, value := range values {
		env = append(env, name+"="+value)
	}
	return env
}

// need skips the test if a program of the environment does not run.
func need(t *testing.T, what string, env []string, command ...string) {
	t.Helper()
	cmd := exec.Command("sh", append([]string{"-c", `exec "$@"`, "sh"}, command...)...)
	cmd.Env = env
	if cmd.Run() != nil {
		t.Skipf("NOT RUN: this needs %s (make tools)", what)
	}
}

// nodeFolder returns a folder with the examples and Node's packages of "make tools".
func nodeFolder(t *testing.T) string {
	t.Helper()
	modules, err := filepath.Abs(root + "build/tools/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(modules, "@aws-sdk/client-sqs")); err != nil {
		t.Skip("NOT RUN: this needs the npm package @aws-sdk/client-sqs (make tools)")
	}
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "examples"), os.DirFS(root+"examples")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// shell runs a script and returns its output and the environment at its end.
func shell(t *testing.T, script, dir string, env []string) (string, []string, error) {
	t.Helper()
	after, err := os.Create(filepath.Join(t.TempDir(), "environment"))
	if err != nil {
		t.Fatal(err)
	}
	defer after.Close()
	cmd := exec.CommandContext(t.Context(), "sh", "-euc", script+"\nenv -0 >&3\n")
	cmd.Dir, cmd.Env, cmd.ExtraFiles = dir, env, []*os.File{after}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), env, err
	}
	data, err := os.ReadFile(after.Name())
	return string(out), strings.Split(strings.TrimSuffix(string(data), "\x00"), "\x00"), err
}

// pipe runs a program with input.
func pipe(t *testing.T, input, dir string, env []string, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", append([]string{"-c", `exec "$@"`, "sh", name}, args...)...)
	cmd.Dir, cmd.Env, cmd.Stdin = dir, env, strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// stack is a running command that starts the local stack.
type stack struct {
	mu  sync.Mutex
	out bytes.Buffer
}

// Write keeps what the stack prints.
func (s *stack) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(p)
}

func (s *stack) printed() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.String()
}

// start runs a script until the test ends, and returns when the stack has printed want.
func start(t *testing.T, script string, env []string, want string) *stack {
	t.Helper()
	s := &stack{}
	cmd := exec.Command("sh", "-euc", script)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = root, env, s, s
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt reaches make and the stack, as Ctrl-C does
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
		select {
		case <-ended:
		case <-time.After(waitTime):
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			t.Errorf("%s did not end after an interrupt:\n%s", script, s.printed())
		}
	})
	for deadline := time.Now().Add(waitTime); ; time.Sleep(50 * time.Millisecond) {
		printed := s.printed()
		if strings.Contains(printed, "Try it:\n") && strings.Contains(printed, want) {
			return s
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("%s ended (%v):\n%s", script, err, printed)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s did not print %q:\n%s", script, want, printed)
		}
	}
}

// client is a WebSocket client that keeps the frames that it receives.
type client struct {
	mu     sync.Mutex
	frames []string
}

func connect(t *testing.T, url string) *client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitTime)
	defer cancel()
	conn, buffered, _, err := ws.Dial(ctx, url)
	if err != nil {
		t.Fatalf("connect to %s: %v", url, err)
	}
	t.Cleanup(func() { conn.Close() })
	var reader io.Reader = conn
	if buffered != nil {
		reader = buffered
	}
	c := &client{}
	go func() {
		for {
			frame, err := wsutil.ReadServerText(struct {
				io.Reader
				io.Writer
			}{reader, conn})
			if err != nil {
				return
			}
			c.mu.Lock()
			c.frames = append(c.frames, string(frame))
			c.mu.Unlock()
		}
	}()
	return c
}

// await waits for a frame and takes it.
func (c *client) await(t *testing.T, frame string) {
	t.Helper()
	for deadline := time.Now().Add(waitTime); ; time.Sleep(50 * time.Millisecond) {
		if c.take(frame) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("got no frame %q, want one", frame)
		}
	}
}

// take removes a received frame and reports whether there was one.
func (c *client) take(frame string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.frames, frame)
	if i < 0 {
		return false
	}
	c.frames = slices.Delete(c.frames, i, i+1)
	return true
}

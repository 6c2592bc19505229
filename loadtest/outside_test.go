package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestRun_OtherServers tests broadcast servers written with other libraries, which drop no send or one in seven, and
// compares the report with the counters of the servers. "make tools" installs what they need.
func TestRun_OtherServers(t *testing.T) {
	tools, err := filepath.Abs("../build/tools")
	if err != nil {
		t.Fatal(err)
	}
	for name, command := range map[string]func(t *testing.T, tools string) *exec.Cmd{
		"ws for Node":           nodeServer,
		"websockets for Python": pythonServer,
	} {
		t.Run(name, func(t *testing.T) { testOtherServer(t, command(t, tools), 0, "30s") })
		t.Run(name+", dropping one in seven", func(t *testing.T) {
			testOtherServer(t, command(t, tools), 7, "8s") // the run waits for the dropped messages
		})
	}
}

func nodeServer(t *testing.T, tools string) *exec.Cmd {
	if _, err := os.Stat(filepath.Join(tools, "node_modules", "ws")); err != nil {
		t.Skip("NOT RUN: this needs the npm package ws")
	}
	dir := t.TempDir() // Node looks for packages in the directory of the script
	if err := os.Symlink(filepath.Join(tools, "node_modules"), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("testdata/broadcast.mjs")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "broadcast.mjs")
	if err := os.WriteFile(path, script, 0o644); err != nil {
		t.Fatal(err)
	}
	return exec.Command("node", path)
}

func pythonServer(t *testing.T, tools string) *exec.Cmd {
	python := filepath.Join(tools, "venv", "bin", "python3")
	if exec.Command(python, "-c", "import websockets").Run() != nil {
		t.Skip("NOT RUN: this needs Python with websockets")
	}
	return exec.Command(python, "testdata/broadcast.py")
}

// testOtherServer runs a load test against a server that drops one of drop sends, none if drop is 0.
func testOtherServer(t *testing.T, server *exec.Cmd, drop int, deadline string) {
	server.Env = append(os.Environ(), fmt.Sprint("DROP=", drop))
	server.Stderr = os.Stderr
	stdin, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	output := bufio.NewReader(stdout)
	url := fmt.Sprintf("ws://127.0.0.1:%d", readNumber(t, output, "PORT"))
	code, report, stderr := loadtest(t, quick(url, "--ping", "0", "--deadline", deadline)...)
	if err := stdin.Close(); err != nil {
		t.Error(err)
	}
	dropped := readNumber(t, output, "DROPPED")
	if _, err := io.Copy(io.Discard, output); err != nil {
		t.Error(err)
	}
	if err := server.Wait(); err != nil {
		t.Error(err)
	}
	const owed = 800
	for _, want := range []string{
		fmt.Sprintf("owed %d · delivered %d ", owed, owed-dropped), fmt.Sprintf("missing %d ", dropped),
	} {
		if !strings.Contains(report, want) {
			t.Errorf("%d dropped: got a report without %q:\n%s%s", dropped, want, report, stderr)
		}
	}
	if drop > 0 && dropped != owed/drop {
		t.Errorf("got %d of %d dropped, want %d", dropped, owed, owed/drop)
	}
	// On a busy machine the run may be invalid.
	if want := min(dropped, 1); code != want && code != 3 {
		t.Errorf("got exit code %d, want %d or 3", code, want)
	}
}

// readNumber reads a line of a server's output: a word and a number.
func readNumber(t *testing.T, output *bufio.Reader, word string) (n int) {
	t.Helper()
	line, err := output.ReadString('\n')
	if _, scanErr := fmt.Sscanf(line, word+" %d", &n); err != nil || scanErr != nil {
		t.Fatalf("got output %q, %v, want %s and a number", line, err, word)
	}
	return n
}

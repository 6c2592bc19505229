package main

import (
	"bufio"
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"fanfare/loadtest/echo"
	"fanfare/test/fakeresult"

	"go.uber.org/goleak"
)

// The test binary is the program when LOADTEST_TEST_MAIN is set.
func TestMain(m *testing.M) {
	if os.Getenv("LOADTEST_TEST_MAIN") != "" {
		os.Exit(run(os.Args[1:]))
	}
	goleak.VerifyTestMain(m)
}

func serve(t *testing.T, o echo.Options) string {
	t.Helper()
	_, url := server(t, o)
	return url
}

func server(t *testing.T, o echo.Options) (*echo.Server, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := echo.New(o)
	done := make(chan error)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return s, "ws://" + l.Addr().String()
}

func command(t *testing.T, args ...string) *exec.Cmd {
	c := exec.Command(os.Args[0], args...)
	c.Env = append(os.Environ(), "LOADTEST_TEST_MAIN=1", "AWS_REGION=", "AWS_DEFAULT_REGION=", "AWS_ENDPOINT_URL=",
		"AWS_ENDPOINT_URL_DYNAMODB=", "GORACE=atexit_sleep_ms=0", "TMPDIR="+t.TempDir())
	c.Dir = t.TempDir()
	return c
}

func loadtest(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	c := command(t, args...)
	var out, err bytes.Buffer
	c.Stdout, c.Stderr = &out, &err
	if e := c.Run(); e != nil && c.ProcessState == nil {
		t.Fatal(e)
	}
	return c.ProcessState.ExitCode(), out.String(), err.String()
}

// quick returns the arguments of a run of a second against url. Its deadlines are long, so that a slow machine does not
// decide the test.
func quick(url string, more ...string) []string {
	return append([]string{"run", "--url", url, "-c", "20", "--ramp", "2000", "--connect-timeout", "1m", "-r", "80", "-d",
		"500ms", "--deadline", "30s", "--settle", "50ms", "--quiet"}, more...)
}

func TestExitCodes(t *testing.T) {
	url := serve(t, echo.Options{})
	// The local address of a connection: a port on which no process listens and that the kernel assigns to no other.
	taken, err := net.Dial("tcp", strings.TrimPrefix(url, "ws://"))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, c := range map[string]struct {
		args   []string
		codes  []int
		stdout string
		stderr string
	}{
		// On a busy machine a run may be invalid.
		"passed":           {quick(url), []int{0, 3}, "owed 800 · delivered 800 (100 %)", ""},
		"threshold missed": {quick(url, "--expect", "p50 < 1ns"), []int{1, 3}, "MISSED p50 < 1ns", ""},
		"by processes":     {quick(url, "--processes", "2"), []int{0, 3}, "2 processes", ""},
		"silent system":    {quick(serve(t, echo.Options{Silent: true})), []int{0, 3}, "the system answers nothing", ""},
		"connection refused": {quick("ws://" + taken.LocalAddr().String()), []int{4}, "",
			"0 of 20 clients could connect: connection refused × 60"},
		"too many required": {quick("ws://"+taken.LocalAddr().String(), "--min-connected", "21"), []int{2}, "",
			"--min-connected"},
		"unknown figure":      {quick(url, "--expect", "p98 < 1s"), []int{2}, "", "want one of"},
		"unknown flag":        {quick(url, "--speed", "9"), []int{2}, "", "unknown flag"},
		"no command":          {nil, []int{2}, "", "expected one of"},
		"wrong URL":           {quick("http://127.0.0.1"), []int{2}, "", "want ws://"},
		"size too small":      {quick(url, "--size", "10"), []int{2}, "", "--size: want"},
		"churn of publishers": {quick(url, "--churn", "10%", "--publishers", "20"), []int{2}, "", "--churn: want"},
		"queue without URL":   {quick(url, "--publish", "queue"), []int{2}, "", "--queue-url"},
		"not in a repository": {[]string{"run"}, []int{2}, "", "no local system to start"},
		"report of nothing":   {[]string{"report", os.Args[0]}, []int{2}, "", "not a result file"},
		"wrong sweep":         {[]string{"sweep", "--url", url, "--from", "5", "--to", "1"}, []int{2}, "", "--from"},
		"echo address":        {[]string{"echo", "--addr", "0.0.0.0:0"}, []int{2}, "", "loopback"},
		"figures":             {[]string{"figures"}, []int{0}, "time_to_last", ""},
		"help":                {[]string{"run", "--help"}, []int{0}, "--expect 'p99 < 1.5s'", ""},
		"version":             {[]string{"--version"}, []int{0}, "loadtest ", ""},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := loadtest(t, c.args...)
			if !slices.Contains(c.codes, code) || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) {
				t.Errorf("got exit code %d, want %v with %q and %q\n%s\n%s", code, c.codes, c.stdout, c.stderr, stdout, stderr)
			}
		})
	}
}

// ledger starts a ledger with the same counts for every message and returns its endpoint.
func ledger(t *testing.T, audience, delivered int) string {
	l := &fakeresult.Ledger{Table: "broadcasts", Page: 1, Parts: func(id string, _ int) []fakeresult.Item {
		return []fakeresult.Item{fakeresult.Plan(audience), fakeresult.Batch(0, audience, delivered, 0)}
	}}
	return l.Serve(t)
}

// With --ledger, the system's own report is checked as well.
func TestRun_Ledger(t *testing.T) {
	url := serve(t, echo.Options{})
	denied := &fakeresult.Ledger{Table: "broadcasts", Fault: "AccessDeniedException"}
	for name, c := range map[string]struct {
		endpoint, table string
		more            []string
		codes           []int // 3 is possible on a busy machine
		stdout, stderr  string
	}{
		"agrees":   {ledger(t, 20, 20), "broadcasts", nil, []int{0, 3}, "disagreements 0 · unsettled 0", ""},
		"one more": {ledger(t, 21, 21), "broadcasts", nil, []int{1, 3}, "MISSED ledger_disagreements == 0", ""},
		"one more, allowed": {ledger(t, 21, 21), "broadcasts", []string{"--others", "1"}, []int{0, 3},
			"disagreements 0 · unsettled 0", ""},
		"one less": {ledger(t, 19, 19), "broadcasts", nil, []int{1, 3},
			"delivered 19 by the ledger and 20 by the clients", ""},
		"one outstanding": {ledger(t, 21, 20), "broadcasts", []string{"--ledger-wait", "0s"}, []int{1, 3},
			"MISSED ledger_unsettled == 0", ""},
		"no such table": {ledger(t, 20, 20), "elsewhere", nil, []int{3}, "",
			"ledger elsewhere in us-east-1 at http://127.0.0.1"},
		"access denied":         {denied.Serve(t), "broadcasts", nil, []int{3}, "", "dynamodb:Query"},
		"no endpoint":           {"", "broadcasts", nil, []int{2}, "", "--ledger-endpoint"},
		"no URL":                {"127.0.0.1:4566", "broadcasts", nil, []int{2}, "", "endpoint"},
		"others without ledger": {"", "", []string{"--others", "1"}, []int{2}, "", "--others"},
		"check without ledger":  {"", "", []string{"--expect", "ledger_failed == 0"}, []int{2}, "", "--ledger"},
	} {
		t.Run(name, func(t *testing.T) {
			// One message of each client, so that every id is known.
			args := quick(url, append([]string{"-r", "40"}, c.more...)...)
			if c.table != "" {
				args = append(args, "--ledger", c.table)
			}
			if c.endpoint != "" {
				args = append(args, "--ledger-endpoint", c.endpoint)
			}
			code, stdout, stderr := loadtest(t, args...)
			if !slices.Contains(c.codes, code) || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) ||
				c.stdout == "" && stdout != "" {
				t.Errorf("got exit code %d, want %v with %q and %q\n%s\n%s", code, c.codes, c.stdout, c.stderr, stdout, stderr)
			}
		})
	}
}

// The exit codes of reports do not depend on the load of the machine.
func TestExitCodes_Reports(t *testing.T) {
	good, lost, late, slower := fakeresult.Write(t, fakeresult.Run{}), fakeresult.Write(t, fakeresult.Run{Missing: 1}),
		fakeresult.Write(t, fakeresult.Run{Lag: time.Second}), fakeresult.Write(t, fakeresult.Run{Slower: time.Second})
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"passed":             {[]string{"report", good}, 0, "PASS"},
		"one missing":        {[]string{"report", lost}, 1, "MISSED missing == 0"},
		"threshold missed":   {[]string{"report", good, "--expect", "p99 < 1ms"}, 1, "MISSED p99 < 1ms"},
		"no such figure":     {[]string{"report", good, "--expect", "p98 < 1s"}, 2, ""},
		"no such file":       {[]string{"report", good + ".not"}, 2, ""},
		"invalid":            {[]string{"report", late}, 3, "invalid: the harness published late"},
		"the same":           {[]string{"compare", good, good, "--fail"}, 0, ""},
		"invalid, compared":  {[]string{"compare", good, late, "--fail"}, 3, "is invalid"},
		"worse":              {[]string{"compare", good, slower, "--fail"}, 1, ""},
		"worse, and allowed": {[]string{"compare", good, slower}, 0, ""},
	} {
		if code, stdout, stderr := loadtest(t, c.args...); code != c.code || !strings.Contains(stdout, c.want) {
			t.Errorf("%s: got exit code %d, want %d with %q\n%s\n%s", name, code, c.code, c.want, stdout, stderr)
		}
	}
}

// words removes line breaks.
func words(s string) string { return strings.Join(strings.Fields(s), " ") }

// The help of each command has what the command and each flag do, and does not run the command.
func TestHelp_EveryCommand(t *testing.T) {
	parser, err := newParser()
	if err != nil {
		t.Fatal(err)
	}
	code, overview, _ := loadtest(t, "--help")
	if code != 0 || !strings.Contains(words(overview),
		"Exit codes: 0 passed, 1 a threshold was missed, 2 wrong usage, 3 the run is invalid, 4 clients could not connect.") {
		t.Errorf("got exit code %d, want 0 and the exit codes\n%s", code, overview)
	}
	seen := 0
	for _, command := range parser.Model.Children {
		if command.Hidden {
			continue
		}
		seen++
		if !strings.Contains(words(overview), command.Name+" "+command.Help) {
			t.Errorf("overview: got no command %s", command.Name)
		}
		code, help, stderr := loadtest(t, command.Name, "--help")
		if code != 0 || !strings.HasPrefix(help, "Usage: loadtest "+command.Name) ||
			!strings.Contains(words(help), command.Help) || stderr != "" {
			t.Errorf("%s --help: got exit code %d\n%s\n%s", command.Name, code, help, stderr)
		}
		if len(command.Flags) > 2 && !strings.Contains(command.Detail, "loadtest "+command.Name+" ") &&
			!strings.Contains(command.Detail, "Example") {
			t.Errorf("%s --help: got no example, want one", command.Name)
		}
		for _, flag := range command.Flags {
			if flag.Hidden {
				continue
			}
			if flag.Help == "" || !strings.Contains(help, "--"+flag.Name) {
				t.Errorf("%s --help: got no help of --%s", command.Name, flag.Name)
			}
		}
		if code, _, stderr := loadtest(t, command.Name, "--no-such-flag"); code != 2 ||
			!strings.Contains(stderr, "unknown flag --no-such-flag") {
			t.Errorf("%s --no-such-flag: got exit code %d, %s, want 2", command.Name, code, stderr)
		}
	}
	if seen < 7 {
		t.Errorf("got %d commands, want at least 7", seen)
	}
}

func TestReport_SameAsRun(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	_, first, stderr := loadtest(t, quick(serve(t, echo.Options{}), "--ledger", "broadcasts", "--ledger-endpoint",
		ledger(t, 20, 20), "--others", "1", "--out", file("a.results"), "--html", file("a.html"), "--json", file("a.json"),
		"--csv", file("a.csv"), "--junit", file("a.xml"))...)
	_, again, _ := loadtest(t, "report", file("a.results"), "--html", file("b.html"), "--json", file("b.json"), "--csv",
		file("b.csv"), "--junit", file("b.xml"))
	if first, _, _ = strings.Cut(first, "\nresults:"); first == "" ||
		strings.TrimSpace(first) != strings.TrimSpace(again) {
		t.Errorf("got report of the run\n%s\n%s\nand of the file\n%s", first, stderr, again)
	}
	for _, ending := range []string{"html", "json", "csv", "xml"} {
		a, err := os.ReadFile(file("a." + ending))
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(file("b." + ending))
		if err != nil {
			t.Fatal(err)
		}
		if len(a) < 200 || !bytes.Equal(a, b) {
			t.Errorf("%s: got %d bytes from the run, %d from the file, want the same", ending, len(a), len(b))
		}
	}
	if code, out, _ := loadtest(t, "compare", file("a.results"), file("a.results")); code != 0 ||
		!strings.Contains(out, "the same") {
		t.Errorf("a run compared with itself: got exit code %d, want 0\n%s", code, out)
	}
	if code, out, _ := loadtest(t, "report", file("a.results"), "--series"); code != 0 && code != 3 ||
		!strings.HasPrefix(out, "offset_s,") {
		t.Errorf("series: got exit code %d, want 0 or 3\n%s", code, out)
	}
}

// The first interrupt ends a run early, with a report that the run is invalid. A report of its results says the same.
func TestRun_Interrupt(t *testing.T) {
	for _, c := range []struct {
		processes string
		signal    syscall.Signal
	}{{"1", syscall.SIGINT}, {"1", syscall.SIGTERM}, {"2", syscall.SIGINT}, {"2", syscall.SIGTERM}} {
		processes, results := c.processes, filepath.Join(t.TempDir(), "results")
		var s *echo.Server
		var url string
		begun, ready := make(chan bool, 1000), make(chan bool)
		s, url = server(t, echo.Options{Publish: func(text []byte) { <-ready; s.Broadcast(text); begun <- true }})
		close(ready)
		signal := c.signal
		c := command(t, "run", "--out", results, "--url", url,
			"-c", "10", "--ramp", "1000", "-r", "20", "-d", "10m", "--processes", processes,
			"--settle", "50ms", "--quiet")
		var out bytes.Buffer
		c.Stdout = &out
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			<-begun
		}
		if err := c.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		if err := c.Wait(); err != nil && c.ProcessState == nil {
			t.Fatal(err)
		}
		if s := out.String(); c.ProcessState.ExitCode() != 3 || !strings.Contains(s, "INVALID") ||
			!strings.Contains(s, "invalid: process 0 was interrupted") || !strings.Contains(s, "missing ") ||
			!strings.Contains(s, "publishing stopped early") {
			t.Errorf("%s processes, %v: got exit code %d, want 3 and a report of an interrupted run\n%s", processes, signal,
				c.ProcessState.ExitCode(), s)
		}
		if code, s, _ := loadtest(t, "report", results); code != 3 || !strings.Contains(s, "was interrupted") {
			t.Errorf("%s processes, %v: got exit code %d of the report, want 3\n%s", processes, signal, code, s)
		}
	}
}

// Secrets are sent to the system, and neither written nor printed.
func TestRun_SecretsNotWritten(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	url := serve(t, echo.Options{}) + "/?token=hidden-query"
	_, stdout, stderr := loadtest(t, quick(url, "--token", "hidden-token", "--header", "X-Key: hidden-header", "--out",
		out, "--html", out+".html", "--json", out+".json")...)
	if b, err := os.ReadFile(out); err != nil || !bytes.Contains(b, []byte("X-Key")) {
		t.Errorf("results: got no name of the header, %v, want X-Key", err)
	}
	for _, name := range []string{out, out + ".html", out + ".json"} {
		b, err := os.ReadFile(name)
		if err != nil || bytes.Contains(b, []byte("hidden")) {
			t.Errorf("%s: got a secret or an error: %v", filepath.Base(name), err)
		}
	}
	if strings.Contains(stdout+stderr, "hidden") {
		t.Error("output: got a secret, want none")
	}
}

// All processes of a bare server broadcast to the clients of each.
func TestEcho_ManyProcesses(t *testing.T) {
	c := command(t, "echo", "--addr", "127.0.0.1:0", "--processes", "2")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	url := line[strings.Index(line, "ws://") : len(line)-1]
	code, stdout, stderr := loadtest(t, quick(url, "--publishers", "10")...)
	if code != 0 && code != 3 || !strings.Contains(stdout, "owed 800 · delivered 800 (100 %)") {
		t.Errorf("got exit code %d, want 0 or 3 and 800 delivered\n%s\n%s", code, stdout, stderr)
	}
	if err := c.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("got server error %v, want nil", err)
	}
}

func TestSweep(t *testing.T) {
	code, out, stderr := loadtest(t, "sweep", "--url", serve(t, echo.Options{}), "-c", "5", "--ramp", "1000", "--from",
		"10", "--to", "20", "-d", "500ms", "--warmup", "0s",
		"--rest", "0s", "--settle", "10ms", "--repeats", "1", "--deadline", "30s", "--bound", "p50 < 25s", "--quiet")
	if code != 0 || !strings.Contains(out, "capacity: at least 20 messages/s") {
		t.Errorf("got exit code %d, want 0 and a capacity of at least 20\n%s\n%s", code, out, stderr)
	}
}

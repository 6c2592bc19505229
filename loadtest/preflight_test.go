package main

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"fanfare/loadtest/echo"
	"fanfare/test/fakeresult"

	"github.com/gobwas/ws"
)

// A file that cannot be written is found before a client connects, and no file is changed.
func TestRun_OutputsChecked(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var connects sync.WaitGroup
	connected := make(chan bool, 1000)
	connects.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			connected <- true
			c.Close()
		}
	})
	url := "ws://" + l.Addr().String()
	nowhere := filepath.Join(t.TempDir(), "no", "file")
	for _, flag := range []string{"--out", "--html", "--json", "--csv", "--junit", "--profile"} {
		code, stdout, stderr := loadtest(t, quick(url, flag, nowhere)...)
		if code != 2 || stdout != "" || !strings.Contains(stderr, flag+": ") {
			t.Errorf("%s: got exit code %d, %s%s, want 2 and the flag", flag, code, stdout, stderr)
		}
	}
	same := filepath.Join(t.TempDir(), "same")
	if code, _, stderr := loadtest(t, quick(url, "--out", same, "--html", same)...); code != 2 ||
		!strings.Contains(stderr, "--out "+same+": want another file than that of --html") {
		t.Errorf("the same file: got exit code %d, %s, want 2", code, stderr)
	}
	if _, err := os.Stat(same); err == nil {
		t.Errorf("got file %s, want none", same)
	}
	for _, args := range [][]string{
		quick(url, "--queue-url", "127.0.0.1/queue"), quick(url, "--queue-url", "http://127.0.0.1"),
		// Without --url no local system is started, although the directory has none.
		{"run", "--queue-url", "nonsense"}, {"sweep", "--queue-url", "nonsense"},
	} {
		if code, _, stderr := loadtest(t, args...); code != 2 || !strings.Contains(stderr, "--queue-url") ||
			strings.Contains(stderr, "Starting") {
			t.Errorf("%q: got exit code %d, %s, want 2 and --queue-url", args, code, stderr)
		}
	}
	l.Close()
	connects.Wait()
	if n := len(connected); n != 0 {
		t.Errorf("got %d connects, want none", n)
	}
}

func TestReport_OutputsChecked(t *testing.T) {
	file := fakeresult.Write(t, fakeresult.Run{})
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := loadtest(t, "report", file, "--html", file)
	if after, err := os.ReadFile(file); code != 2 || stdout != "" || err != nil || !slices.Equal(before, after) {
		t.Errorf("got exit code %d, %v, %s, want 2 and the results unchanged", code, err, stderr)
	}
	if code, stdout, _ := loadtest(t, "report", file, "--csv", filepath.Dir(file)); code != 2 || stdout != "" {
		t.Errorf("directory: got exit code %d, want 2 and no report", code)
	}
}

// A full disk is an invalid run, wherever it is noticed.
func TestRun_DiskFull(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("NOT RUN: this needs /dev/full")
	}
	url := serve(t, echo.Options{})
	for _, flag := range []string{"--out", "--html", "--json", "--csv", "--junit"} {
		code, _, stderr := loadtest(t, quick(url, flag, "/dev/full")...)
		if code != 3 || !strings.Contains(stderr, "no space left") {
			t.Errorf("%s: got exit code %d, %s, want 3 and the reason", flag, code, stderr)
		}
	}
}

// A hint names only a command that exists.
func TestHint_NoMistake(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"bogus"}, "Try: loadtest --help\n"},
		{[]string{"--connections", "5"}, "Try: loadtest --help\n"},
		{[]string{"worker", "--bogus"}, "Try: loadtest --help\n"},
		{[]string{"sweep", "--bogus"}, "Try: loadtest sweep --help\n"},
		{nil, "Try: loadtest --help\n"},
	} {
		if code, _, stderr := loadtest(t, c.args...); code != 2 || !strings.HasSuffix(stderr, c.want) {
			t.Errorf("%q: got exit code %d, %q, want 2 and %q", c.args, code, stderr, c.want)
		}
	}
}

// The system receives a token where --token-source says, and never sees it elsewhere.
func TestRun_TokenSource(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]int{}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen[r.Header.Get("Sec-WebSocket-Protocol")+"|"+r.Header.Get("Authorization")+"|"+r.URL.RawQuery]++
		mu.Unlock()
		upgrader := ws.HTTPUpgrader{Protocol: func(p string) bool { return p == "fanfare.bearer" || p == "chat" }}
		conn, _, _, err := upgrader.Upgrade(r, w)
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.Copy(io.Discard, conn) // until the client has closed it
	})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- server.Serve(l) }()
	defer func() { server.Close(); <-done }()
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "fanfare.bearer, a.b.c||"},
		{[]string{"--token-source", "protocol", "--subprotocol", "chat"}, "fanfare.bearer, a.b.c, chat||"},
		{[]string{"--token-source", "header", "--subprotocol", "chat"}, "chat|Bearer a.b.c|"},
		{[]string{"--token-source", "query"}, "||access_token=a.b.c"},
	} {
		mu.Lock()
		clear(seen)
		mu.Unlock()
		args := append([]string{"--token", "a.b.c", "-c", "2", "--deadline", "10ms", "-r", "2"}, c.args...)
		code, stdout, stderr := loadtest(t, quick("ws://"+l.Addr().String(), args...)...)
		mu.Lock()
		if len(seen) != 1 || seen[c.want] != 2 || code == 4 || strings.Contains(stdout+stderr, "a.b.c") {
			t.Errorf("%q: got connects %v, exit code %d, %s, want 2 with %q", c.args, seen, code, stderr, c.want)
		}
		mu.Unlock()
	}
}

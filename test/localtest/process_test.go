package localtest_test

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"fanfare/test/localtest"
)

func TestStart(t *testing.T) {
	p := localtest.Start(t, localtest.Options{Keep: func(line string) bool {
		return strings.HasPrefix(line, "WebSocket API ") || strings.Contains(line, "Stopping")
	}})
	if got, want := p.Outputs["WebSocketUrl"], p.WebSocket; got != want || !strings.HasPrefix(got, "ws://127.0.0.1:") {
		t.Errorf("got the output WebSocketUrl %q and the WebSocket API %q, want one local URL", got, want)
	}
	if got, want := p.Outputs["BroadcastQueueUrl"], p.QueueURL("websocket-broadcast"); got != want {
		t.Errorf("got BroadcastQueueUrl %q, want %q", got, want)
	}
	p.AddGoneConnections(t, 2)
	if got := len(p.ConnectionRows(t)); got != 2 {
		t.Errorf("got %d rows, want 2", got)
	}
	if r := p.Report(t, p.Enqueue(t, "hello")); r.Audience != 2 || r.Gone != 2 {
		t.Errorf("got %+v, want an audience of 2 that is gone", r)
	}
	functions := p.Functions()
	if _, err := os.Stat("/proc/self/stat"); !errors.Is(err, fs.ErrNotExist) && len(functions) == 0 {
		t.Error("got no processes of functions")
	}
	if err := p.Stop(); err != nil {
		t.Errorf("stop: got %v, want no error", err)
	}
	if err := p.Stop(); err != nil {
		t.Errorf("second stop: got %v, want no error", err)
	}
	if got := strings.Count(p.Log(), "\n"); got != 2 {
		t.Errorf("got the log\n%swant the 2 lines that were kept", p.Log())
	}
	for pid, name := range functions {
		if localtest.Alive(pid) {
			t.Errorf("process %d of %s runs after the stop", pid, name)
		}
	}
}

func TestProcess_Kill(t *testing.T) {
	p := localtest.Start(t, localtest.Options{})
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("wait: got %v, want the signal", err)
	}
	if localtest.Alive(p.PID()) {
		t.Errorf("process %d runs after the kill", p.PID())
	}
}

func TestRun_Failure(t *testing.T) {
	output, err := localtest.Run(t, "--parameter", "Nonsense=1")
	if err == nil || !strings.Contains(output, "Nonsense") {
		t.Errorf("got %v and %q, want a failure that names Nonsense", err, output)
	}
}

// Package chaos tests the system's promises under faults, with real processes: the local AWS runs the functions as
// they are deployed, real clients record what they receive, and meanwhile processes are killed, requests fail, queues
// deliver twice, and clients connect, leave and stop reading. docs/chaos.md has the results.
//
//	go test ./test/chaos    the short form, part of make test
//	make chaos              the long form: every fault alone, all at once, overload, stalled readers
package chaos

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fanfare/test/localtest"
)

var long = flag.Bool("long", false, "the long form, of half an hour")

// speed is the speed of AWS's clock with shortTimeouts. A sender sets the visibility of its batch to ten seconds after
// its deadline, of AWS's clock, and claims it until its deadline, of its own clock: with the timeout of 12 s, the batch
// of a dead sender returns after 22 s of AWS, which are 11 s, when the claim of 11 s lapses. At a higher speed it would
// return while the claim is held, and could use up its five receives. Tests with the template's own timeouts use the
// speed 1.
const speed = 2

// system is the system under test: a running local AWS with Fanfare's stack, and what its log and its processes show.
type system struct {
	*localtest.Process

	mu         sync.Mutex
	crashed    map[string]int // invocations that ended with their process, by function
	unrecorded int            // invocations of senders that ended otherwise without recording an outcome
	memory     map[string]int // largest memory of one process in MB, by function; "local" is the local AWS
}

// start runs the local AWS with the template at path until the test ends. "" is Fanfare's own template.
func start(t *testing.T, path string, args ...string) *system {
	t.Helper()
	s := &system{crashed: make(map[string]int), memory: make(map[string]int)}
	s.Process = localtest.Start(t, localtest.Options{
		Template: path, Args: append([]string{"--speed", strconv.Itoa(speed)}, args...), Keep: s.scan,
	})
	stop := make(chan struct{})
	var sampling sync.WaitGroup
	sampling.Go(func() { s.sampleMemory(stop) })
	t.Cleanup(func() {
		close(stop)
		sampling.Wait()
	})
	return s
}

// scan counts crashes in a line of the log, and reports whether the line is kept: those of single clients are not.
func (s *system) scan(line string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	sender := strings.Contains(line, "  sender  ")
	switch {
	case strings.Contains(line, "Error Type: Runtime.ExitError"):
		s.crashed[strings.Fields(line)[1]]++
	case sender && strings.Contains(line, "Error Type: Sandbox.Timedout"),
		sender && strings.Contains(line, "record the outcome of batch"):
		s.unrecorded++
	}
	return !strings.Contains(line, "  client  ")
}

// crashes returns the number of invocations of senders and dispatchers that ended with their process.
func (s *system) crashes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.crashed["sender"] + s.crashed["dispatcher"]
}

// unrecordedSends returns the number of invocations of senders that ended without recording an outcome: killed, timed
// out, or refused by DynamoDB.
func (s *system) unrecordedSends() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.crashed["sender"] + s.unrecorded
}

// sampleMemory keeps the largest memory of each kind of process, until stop is closed.
func (s *system) sampleMemory(stop <-chan struct{}) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		all := s.Functions()
		all[s.PID()] = "local"
		for pid, name := range all {
			peak := peakMemory(pid)
			s.mu.Lock()
			s.memory[name] = max(s.memory[name], peak)
			s.mu.Unlock()
		}
		select {
		case <-tick.C:
		case <-stop:
			return
		}
	}
}

// peakMemories returns the largest memory of one process so far in MB, by kind of process.
func (s *system) peakMemories() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.memory)
}

var highWater = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// peakMemory returns the largest memory of a process so far in MB, or 0 if it is not known.
func peakMemory(pid int) int {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	found := highWater.FindSubmatch(data)
	if found == nil {
		return 0
	}
	kilobytes, err := strconv.Atoi(string(found[1]))
	if err != nil {
		return 0
	}
	return kilobytes >> 10
}

// kill kills, at random, one process of a sender or dispatcher by a signal, or through the control API all processes
// of one of the two functions that have an invocation.
func (s *system) kill(t *testing.T) {
	if rand.N(3) == 0 {
		function := []string{"SenderFunction", "DispatcherFunction"}[rand.N(2)]
		s.control(t, http.MethodPost, "kill", map[string]string{"function": function})
		return
	}
	var pids []int
	for pid, name := range s.Functions() {
		if name == "sender" || name == "dispatcher" {
			pids = append(pids, pid)
		}
	}
	if len(pids) == 0 {
		return
	}
	pid := pids[rand.N(len(pids))]
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Errorf("kill process %d: %v", pid, err)
	}
}

// control makes a request of the local AWS's control API (docs/local.md).
func (s *system) control(t *testing.T, method, path string, settings map[string]string) {
	t.Helper()
	body, err := json.Marshal(settings)
	if err != nil {
		t.Error(err)
		return
	}
	request, err := http.NewRequest(method, s.Endpoint+"/_local/"+path, bytes.NewReader(body))
	if err != nil {
		t.Error(err)
		return
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Error(err)
		return
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("%s %s %v: got %d %s (%v), want 200", method, path, settings, response.StatusCode, answer, err)
	}
}

// The queues of the stack.
const (
	broadcastQueue          = "websocket-broadcast"
	broadcastLetterQueue    = "websocket-broadcast-dead-letter"
	continuationQueue       = "websocket-continuation"
	continuationLetterQueue = "websocket-continuation-dead-letter"
	sendQueue               = "websocket-send"
	sendLetterQueue         = "websocket-send-dead-letter"
)

// shortTimeouts returns the path of a copy of Fanfare's template with shorter timeouts, so that the messages of a
// killed process come back within seconds: a batch comes back after the end of its claim, as with the template's own
// timeouts.
func shortTimeouts(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(localtest.Template())
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for _, change := range []struct {
		old, new string
		times    int
	}{
		// The queues' own visibility timeouts are for a process that died before it could set its own.
		{"VisibilityTimeout: 360", "VisibilityTimeout: 60", 2}, // of the dispatcher's two queues
		{"VisibilityTimeout: 180", "VisibilityTimeout: 60", 1},
		{"      Timeout: 30\n", "      Timeout: 12\n", 1}, // of the sender, which reserves 9 s for its end
		{"      Timeout: 60\n", "      Timeout: 30\n", 1}, // of the dispatcher, which reserves 20 s
	} {
		if got := strings.Count(text, change.old); got != change.times {
			t.Fatalf("the template has %q %d times, want %d", change.old, got, change.times)
		}
		text = strings.ReplaceAll(text, change.old, change.new)
	}
	text = strings.ReplaceAll(text, "CodeUri: functions/", "CodeUri: "+filepath.Join(localtest.Root(), "functions")+"/")
	path := filepath.Join(t.TempDir(), "template.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

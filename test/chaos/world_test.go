// Package chaos proves with real processes what the design promises under faults: the local AWS runs the functions as they
// are deployed, real clients keep an audit of what reaches them, and meanwhile processes are killed, requests fail, queues
// repeat themselves, and clients come, go and stop reading. docs/chaos.md has the outcome.
//
//	go test ./test/chaos              a short form, part of make test
//	make chaos                   the long one: every fault alone, all at once, overload, stalled readers
package chaos

import (
	"bufio"
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
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"fanfare/pkg/ledger"
	"fanfare/test/awstest"
	"fanfare/test/localtest"
)

var long = flag.Bool("long", false, "the long form, of several minutes")

// patience is how long anything may take before a test gives up. It is no measurement: nothing takes this long.
const patience = 3 * time.Minute

// speed is that of AWS's clock. At it, the visibility timeouts (180 and 360 s) end when a sender's claim lapses (30 s, of
// which the senders' own clock decides) or later, as on AWS; were it faster, a batch whose sender has died would come back
// while its claim stands, and could use up its five receives so.
const speed = 6

// world is a running local AWS with the stack in it.
type world struct {
	webSocket, aws string
	cmd            *exec.Cmd
	ended          chan error
	db             *dynamodb.Client
	mq             *sqs.Client
	books          *ledger.Table
	queues         string // the URL of a queue without the end of its name

	mu      sync.Mutex
	tail    []string       // the last lines that it printed
	crashed map[string]int // invocations that ended with their process, by function
	unknown int            // invocations of senders that ended otherwise without having recorded what they did
	memory  map[string]int // the most memory that one process has held, in MB, by function; "local" is the local AWS
	stop    chan struct{}
}

// start runs the local AWS until the test ends.
func start(t *testing.T, template string, args ...string) *world {
	t.Helper()
	path, err := localtest.Program("local")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join("../..", template))
	if filepath.IsAbs(template) {
		text, err = os.ReadFile(template)
	}
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(text, []byte("\n  Access:\n")) { // a parameter without a default
		args = append(args, "--parameter", "Access=open")
	}
	w := &world{ended: make(chan error, 1), crashed: make(map[string]int), memory: make(map[string]int), stop: make(chan struct{})}
	w.cmd = exec.Command(path, append([]string{
		"--port", "0", "--aws-port", "0", "--stack-name", "fanfare", "--template", template,
		"--speed", strconv.Itoa(speed), "--build-dir", localtest.BuildDir(),
	}, args...)...)
	w.cmd.Dir, w.cmd.Env = "../..", localtest.Environment()
	stdout, err := w.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	w.cmd.Stderr = w.cmd.Stdout
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() { w.read(stdout, ready) })
	t.Cleanup(func() {
		close(w.stop)
		w.cmd.Process.Signal(os.Interrupt)
		select {
		case err := <-w.ended:
			if err != nil {
				t.Logf("the local AWS ended with %v", err)
			}
		case <-time.After(patience):
			w.cmd.Process.Kill()
			t.Error("Ctrl-C does not end the local AWS")
		}
		group.Wait()
		if t.Failed() {
			t.Logf("the last that the local AWS printed:\n%s", strings.Join(w.tail, "\n"))
		}
	})
	select {
	case <-ready:
	case <-time.After(5 * time.Minute): // it builds the functions
		t.Fatal("the local AWS does not start")
	}
	if w.aws == "" {
		t.Fatalf("the local AWS did not start:\n%s", strings.Join(w.tail, "\n"))
	}
	group.Go(w.weigh)
	cfg := awstest.Config(w.aws)
	w.db, w.mq, w.queues = dynamodb.NewFromConfig(cfg), sqs.NewFromConfig(cfg), w.aws+"/000000000000/websocket-"
	w.books = &ledger.Table{Client: w.db, Name: "websocket_broadcasts"}
	return w
}

// read counts crashes, and picks the addresses out of what the local AWS prints.
func (w *world) read(out io.Reader, ready chan struct{}) {
	once := sync.OnceFunc(func() { close(ready) })
	defer once()
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		fields := strings.Fields(line)
		w.mu.Lock()
		if !strings.Contains(line, "  client  ") {
			w.tail = append(w.tail[max(0, len(w.tail)-60):], line)
		}
		switch {
		case strings.Contains(line, "Error Type: Runtime.ExitError"):
			w.crashed[fields[1]]++
		case strings.Contains(line, "  sender  ") && (strings.Contains(line, "Error Type: Sandbox.Timedout") || strings.Contains(line, "record the outcome of batch")):
			w.unknown++
		}
		w.mu.Unlock()
		switch {
		case strings.HasPrefix(line, "WebSocket API "):
			w.webSocket = fields[2]
		case strings.HasPrefix(line, "AWS endpoint "):
			w.aws = fields[2]
		case line == "Try it:":
			once()
		}
	}
	w.ended <- w.cmd.Wait()
}

func (w *world) crashes() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.crashed["sender"] + w.crashed["dispatcher"]
}

// unsettled returns how many senders have ended without having recorded what they did: those that were killed, those whose
// time was up, and those that DynamoDB did not let.
func (w *world) unsettled() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.crashed["sender"] + w.unknown
}

// functionName is in the environment of a function's process.
var functionName = regexp.MustCompile(`\bAWS_LAMBDA_FUNCTION_NAME=[^\x00]*?([a-z]+)\x00`)

// processes returns the functions' processes, by id.
func (w *world) processes() map[int]string {
	found := make(map[int]string)
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		var state string
		var parent int
		if _, err := fmt.Sscan(string(data[bytes.LastIndexByte(data, ')')+1:]), &state, &parent); err != nil || parent != w.cmd.Process.Pid {
			continue
		}
		environment, err := os.ReadFile(filepath.Join(filepath.Dir(path), "environ"))
		if err != nil {
			continue
		}
		name := functionName.FindSubmatch(environment)
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil && name != nil {
			found[pid] = string(name[1])
		}
	}
	return found
}

// weigh keeps the most memory that each kind of process has held.
func (w *world) weigh() {
	for tick := time.NewTicker(500 * time.Millisecond); ; {
		all := w.processes()
		all[w.cmd.Process.Pid] = "local"
		for pid, name := range all {
			held := resident(pid)
			w.mu.Lock()
			w.memory[name] = max(w.memory[name], held)
			w.mu.Unlock()
		}
		select {
		case <-tick.C:
		case <-w.stop:
			return
		}
	}
}

// held returns the most memory that each kind of process has held so far, in MB.
func (w *world) held() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.memory)
}

var highWater = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// resident returns the most memory that a process has held so far, in MB.
func resident(pid int) int {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	found := highWater.FindSubmatch(data)
	if found == nil {
		return 0
	}
	kilobytes, _ := strconv.Atoi(string(found[1]))
	return kilobytes >> 10
}

// kill kills, at random, one process of a sender or dispatcher from outside, or all of one of the two that are at work.
func (w *world) kill(t *testing.T) {
	if rand.N(3) == 0 {
		w.control(t, http.MethodPost, "kill", map[string]string{"function": []string{"SenderFunction", "DispatcherFunction"}[rand.N(2)]})
		return
	}
	var victims []int
	for pid, name := range w.processes() {
		if name == "sender" || name == "dispatcher" {
			victims = append(victims, pid)
		}
	}
	if len(victims) == 0 {
		return
	}
	if err := syscall.Kill(victims[rand.N(len(victims))], syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Error(err)
	}
}

// control speaks to the local AWS's own API: see docs/local.md.
func (w *world) control(t *testing.T, method, what string, settings map[string]string) {
	t.Helper()
	body, err := json.Marshal(settings)
	if err != nil {
		t.Error(err)
		return
	}
	request, err := http.NewRequest(method, w.aws+"/_local/"+what, bytes.NewReader(body))
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
	if answer, _ := io.ReadAll(response.Body); response.StatusCode != http.StatusOK {
		t.Errorf("%s %s %v: %s", method, what, settings, answer)
	}
}

// waiting returns how many messages a queue holds: visible, hidden and delayed.
func (w *world) waiting(t *testing.T, queue string) int {
	t.Helper()
	out, err := w.mq.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: aws.String(w.queues + queue), AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll}})
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for _, name := range []string{"", "NotVisible", "Delayed"} {
		n, err := strconv.Atoi(out.Attributes["ApproximateNumberOfMessages"+name])
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return sum
}

// brisk returns a copy of the template with shorter timeouts, so that what a killed process leaves behind is taken up
// within seconds: a batch comes back when its claim has lapsed, as with the template's own.
func brisk(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{
		{"VisibilityTimeout: 360", "VisibilityTimeout: 60"},
		{"VisibilityTimeout: 180", "VisibilityTimeout: 60"},
		{"      Timeout: 30\n", "      Timeout: 10\n"}, // of the sender, which keeps 8 s for its end
		{"      Timeout: 60\n", "      Timeout: 30\n"}, // of the dispatcher, which keeps 20 s
	} {
		if strings.Count(string(text), change[0]) != 1 {
			t.Fatalf("the template does not have %q once", change[0])
		}
		text = []byte(strings.Replace(string(text), change[0], change[1], 1))
	}
	text = bytes.ReplaceAll(text, []byte("CodeUri: functions/"), []byte("CodeUri: "+root+"/functions/"))
	path := filepath.Join(t.TempDir(), "template.yaml")
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

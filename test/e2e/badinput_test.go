package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/gobwas/ws"

	"fanfare/test/e2e/binaries"
)

func stringAttributes(name, value string) map[string]types.MessageAttributeValue {
	return map[string]types.MessageAttributeValue{name: {DataType: aws.String("String"), StringValue: &value}}
}

// Whatever a client sends, it is told what was wrong, and nobody else notices.
func TestBadFrames(t *testing.T) {
	w := start(t)
	other := connect(t, w.webSocket)

	a := connect(t, w.webSocket)
	a.send(t, "")
	if answer := a.await(t); answer["type"] != "error" || answer["code"] != "empty" || answer["message"] == "" {
		t.Errorf("the answer to an empty frame is %v", answer)
	}
	a.publish(t, "still here")
	other.has(t, "still here")

	half := strings.Repeat("x", 32<<10)
	for _, test := range []struct {
		name   string
		frames []ws.Frame
		code   ws.StatusCode
	}{
		{"a binary frame", []ws.Frame{ws.NewBinaryFrame([]byte("x"))}, 1003},
		{"a frame over 32 KB", []ws.Frame{ws.NewTextFrame([]byte(half + "x"))}, 1009},
		{"a message over 128 KB", []ws.Frame{
			ws.NewFrame(ws.OpText, false, []byte(half)), ws.NewFrame(ws.OpContinuation, false, []byte(half)),
			ws.NewFrame(ws.OpContinuation, false, []byte(half)), ws.NewFrame(ws.OpContinuation, false, []byte(half)),
			ws.NewFrame(ws.OpContinuation, true, []byte("x")),
		}, 1009},
		{"text that is not UTF-8", []ws.Frame{ws.NewTextFrame([]byte("\xff"))}, 1007},
	} {
		bad := connect(t, w.webSocket)
		bad.write(t, test.frames...)
		if code := bad.awaitClose(t); code != test.code {
			t.Errorf("%s closes with %d, want %d", test.name, code, test.code)
		}
	}
	eventually(t, "the rows of the closed are deleted", func() bool { return len(w.rows(t)) == 2 })

	// The largest message that is allowed goes through.
	a.write(t, ws.NewFrame(ws.OpText, false, []byte(half)), ws.NewFrame(ws.OpContinuation, false, []byte(half)),
		ws.NewFrame(ws.OpContinuation, false, []byte(half)), ws.NewFrame(ws.OpContinuation, true, []byte(half)))
	other.has(t, strings.Repeat(half, 4))
}

// deadLetters takes everything off a dead-letter queue.
func (w *world) deadLetters(t *testing.T, queue string, n int) []types.Message {
	t.Helper()
	var all []types.Message
	eventually(t, queue+" has its messages", func() bool {
		out, err := w.sqs.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{
			QueueUrl: aws.String(w.queuePrefix + queue), MaxNumberOfMessages: 10, MessageAttributeNames: []string{"All"},
			MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
		})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, out.Messages...)
		return len(all) >= n
	})
	return all
}

func TestBadQueueMessagesEndAsDeadLettersWithTheirReason(t *testing.T) {
	w := start(t)
	a := connect(t, w.webSocket)
	send := func(queue, body string, attributes map[string]types.MessageAttributeValue) {
		t.Helper()
		if _, err := w.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{
			QueueUrl: aws.String(w.queuePrefix + queue), MessageBody: &body, MessageAttributes: attributes,
		}); err != nil {
			t.Fatal(err)
		}
	}
	send("broadcast", strings.Repeat("x", 131_073), nil)
	send("broadcast", "%%%", stringAttributes("encoding", "base64"))
	send("send", "this is not ours", nil)
	w.enqueue(t, "this is")
	a.has(t, "this is")

	reasons := make(map[string]string)
	for _, m := range append(w.deadLetters(t, "broadcast-dead-letter", 2), w.deadLetters(t, "send-dead-letter", 1)...) {
		reasons[(*m.Body)[:3]] = *m.MessageAttributes["reason"].StringValue + ": " + *m.MessageAttributes["detail"].StringValue
		if m.MessageAttributes["original"].StringValue == nil {
			t.Errorf("%.20q has lost its id", *m.Body)
		}
	}
	for body, says := range map[string]string{"xxx": "131073 bytes", "%%%": "base64", "thi": "not a batch"} {
		if !strings.Contains(reasons[body], says) {
			t.Errorf("the reason of %q is %q", body, reasons[body])
		}
	}
	// Once, without retries: each function has spoken of it one time.
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(w.printed(), "dead-lettered"); n != 3 {
		t.Errorf("%d lines tell of 3 dead letters", n)
	}
}

func TestATableThatDoesNotExist(t *testing.T) {
	w := start(t)
	a := connect(t, w.webSocket)
	if _, err := w.dynamodb.DeleteTable(t.Context(), &dynamodb.DeleteTableInput{TableName: aws.String("websocket_connections")}); err != nil {
		t.Fatal(err)
	}
	if _, err := dial(t.Context(), w.webSocket); err == nil {
		t.Error("a connection that could not be registered was accepted")
	}
	a.publish(t, "accepted, and kept until the table is back")
	eventually(t, "the operator learns which table", func() bool {
		out := w.printed()
		return strings.Contains(out, "dispatcher") && strings.Contains(out, "ResourceNotFoundException")
	})
	// The message is not lost: it is in the queue, hidden until it is tried again.
	out, err := w.sqs.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{
		QueueUrl: aws.String(w.queuePrefix + "broadcast"), AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll},
	})
	if err != nil || out.Attributes["ApproximateNumberOfMessagesNotVisible"] != "1" {
		t.Errorf("%v, %v", out, err)
	}
}

func TestMissingEnvironmentVariablesAreNamedAtOnce(t *testing.T) {
	start(t) // builds the functions
	for function, variables := range map[string][]string{
		"Connect":    {"CONNECTIONS_TABLE"},
		"Disconnect": {"CONNECTIONS_TABLE"},
		"Default":    {"BROADCAST_QUEUE_URL"},
		"Dispatcher": {"CONNECTIONS_TABLE", "BROADCASTS_TABLE", "BROADCAST_QUEUE_URL", "BROADCAST_DEAD_LETTER_QUEUE_URL", "SEND_QUEUE_URL", "SCAN_SEGMENTS", "BATCH_CONNECTIONS", "POSTS_PER_SECOND", "SENDER_CONCURRENCY"},
		"Sender":     {"CONNECTIONS_TABLE", "BROADCASTS_TABLE", "SEND_QUEUE_URL", "SEND_DEAD_LETTER_QUEUE_URL", "MANAGEMENT_ENDPOINT", "POSTS_PER_SECOND", "SENDER_CONCURRENCY", "MAX_ATTEMPTS", "FULL_BUFFERS"},
	} {
		cmd := exec.Command(filepath.Join(binaries.Functions(), function+"Function", "bootstrap"))
		cmd.Env = []string{"AWS_REGION=us-east-1"}
		out, err := cmd.CombinedOutput()
		if err == nil {
			t.Errorf("%s starts without its environment", function)
		}
		for _, name := range variables {
			if !strings.Contains(string(out), name) {
				t.Errorf("%s does not name %s:\n%s", function, name, out)
			}
		}
	}
}

// What a newcomer may do wrong at the start.
func TestStartSaysWhatIsWrong(t *testing.T) {
	w := start(t)
	taken := w.aws[strings.LastIndex(w.aws, ":")+1:]
	dir := t.TempDir()
	write := func(name, content string) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	template, err := os.ReadFile(filepath.Join(repository, "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "functions", "connect"), 0o755); err != nil {
		t.Fatal(err)
	}
	write("go.mod", "module broken\n")
	write("functions/connect/main.go", "package main\n\nfunc main() { nonsense }\n")
	for _, test := range []struct {
		name string
		args []string
		says []string
	}{
		{"a busy port", []string{"--aws-port", taken, "--port", "0"}, []string{"127.0.0.1:" + taken, "address already in use", "--aws-port"}},
		{"no template", []string{"--template", filepath.Join(dir, "nowhere.yaml")}, []string{"nowhere.yaml"}},
		{"no YAML", []string{"--template", write("broken.yaml", "Resources: [")}, []string{"broken.yaml:2", "not YAML"}},
		{"an unknown resource", []string{"--template", write("unknown.yaml", "Resources:\n  Cache:\n    Type: AWS::ElastiCache::CacheCluster\n")}, []string{"unknown.yaml:3", "Cache", "AWS::ElastiCache::CacheCluster"}},
		{"a parameter out of bounds", []string{"--parameter", "MaxAttempts=99"}, []string{"MaxAttempts", "12"}},
		{"a parameter that does not exist", []string{"--parameter", "Nonsense=1"}, []string{"Nonsense"}},
		{"a function that does not build", []string{"--template", write("template.yaml", string(template)), "--parameter", "Access=open", "--build-dir", filepath.Join(dir, "build")}, []string{"ConnectFunction does not build", "undefined: nonsense"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := append([]string{"--build-dir", binaries.Functions()}, test.args...)
			if test.name != "a busy port" {
				args = append(args, "--port", "0", "--aws-port", "0")
			}
			cmd := exec.Command(program(t), args...)
			cmd.Dir, cmd.Env = repository, binaries.Environment()
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Error("it started")
			}
			for _, want := range test.says {
				if !strings.Contains(string(out), want) {
					t.Errorf("it does not say %q:\n%s", want, out)
				}
			}
		})
	}
}

func TestCtrlCLeavesNoProcessBehind(t *testing.T) {
	w := start(t)
	a := connect(t, w.webSocket)
	a.publish(t, "hello")
	a.has(t, "hello")
	children := processes(t, w.cmd.Process.Pid)
	if len(children) < 5 {
		t.Errorf("%d processes for five functions", len(children))
	}
	if err := w.stop(); err != nil {
		t.Error(err)
	}
	if code := a.awaitClose(t); code != 1001 {
		t.Errorf("clients are told %d, want 1001", code)
	}
	for _, pid := range children {
		if alive(pid) {
			t.Errorf("process %d is still there", pid)
		}
	}
	if strings.Contains(w.printed(), "level=ERROR") {
		t.Error("the drain logged errors")
	}
}

package e2e

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/gobwas/ws"

	"fanfare/test/localtest"
	"fanfare/test/wsclient"
)

func stringAttributes(name, value string) map[string]types.MessageAttributeValue {
	return map[string]types.MessageAttributeValue{name: {DataType: aws.String("String"), StringValue: &value}}
}

// writeFrames writes frames as they are, which wsclient cannot: its library sends no bad frames and no fragments of a
// chosen size.
func writeFrames(t *testing.T, c *wsclient.Client, frames ...ws.Frame) {
	t.Helper()
	for _, f := range frames {
		err := ws.WriteFrame(c.NetConn(), ws.MaskFrame(f))
		if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
			return // the server has closed the connection after an earlier frame
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A client gets an error or a close code for each bad frame, and other clients are not affected.
func TestClient_BadFrames(t *testing.T) {
	p := start(t)
	other := connect(t, p)

	a := connect(t, p)
	if got := a.MustPublish(t, ""); got.Type != "error" || got.Code != "empty" || got.Message == "" {
		t.Errorf("empty frame: got %+v, want the error empty with a message", got)
	}
	publish(t, a, "still here")
	other.MustAwait(t, "still here")

	half := strings.Repeat("x", 32<<10)
	fragment := func(op ws.OpCode, last bool, text string) ws.Frame { return ws.NewFrame(op, last, []byte(text)) }
	for _, test := range []struct {
		name   string
		frames []ws.Frame
		want   int
	}{
		{"a binary frame", []ws.Frame{ws.NewBinaryFrame([]byte("x"))}, 1003},
		{"a frame over 32 KB", []ws.Frame{ws.NewTextFrame([]byte(half + "x"))}, 1009},
		{"a message over 128 KB", []ws.Frame{
			fragment(ws.OpText, false, half), fragment(ws.OpContinuation, false, half),
			fragment(ws.OpContinuation, false, half), fragment(ws.OpContinuation, false, half),
			fragment(ws.OpContinuation, true, "x"),
		}, 1009},
		{"text that is not UTF-8", []ws.Frame{ws.NewTextFrame([]byte("\xff"))}, 1007},
	} {
		bad := connect(t, p)
		writeFrames(t, bad, test.frames...)
		if got := bad.MustAwaitClose(t); got != test.want {
			t.Errorf("%s: got close code %d, want %d", test.name, got, test.want)
		}
	}
	localtest.Eventually(t, "the rows of closed connections are deleted", func() bool {
		return len(p.ConnectionRows(t)) == 2
	})

	// The largest message that is allowed is broadcast.
	writeFrames(t, a, fragment(ws.OpText, false, half), fragment(ws.OpContinuation, false, half),
		fragment(ws.OpContinuation, false, half), fragment(ws.OpContinuation, true, half))
	other.MustAwait(t, strings.Repeat(half, 4))
}

// receiveLetters receives n messages of a dead-letter queue.
func receiveLetters(t *testing.T, p *localtest.Process, queue string, n int) []types.Message {
	t.Helper()
	var all []types.Message
	localtest.Eventually(t, queue+" has its messages", func() bool {
		out, err := p.SQS.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{
			QueueUrl: aws.String(p.QueueURL(queue)), MaxNumberOfMessages: 10, MessageAttributeNames: []string{"All"},
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

// A malformed queue message becomes a dead letter with its reason, without retries.
func TestDeadLetters_Reasons(t *testing.T) {
	p := start(t)
	a := connect(t, p)
	send := func(queue, body string, attributes map[string]types.MessageAttributeValue) {
		t.Helper()
		if _, err := p.SQS.SendMessage(t.Context(), &sqs.SendMessageInput{
			QueueUrl: aws.String(p.QueueURL(queue)), MessageBody: &body, MessageAttributes: attributes,
		}); err != nil {
			t.Fatal(err)
		}
	}
	send("websocket-broadcast", strings.Repeat("x", 131_073), nil)
	send("websocket-broadcast", "%%%", stringAttributes("encoding", "base64"))
	send("websocket-broadcast", "gqP//g==", stringAttributes("encoding", "base64"))
	send("websocket-send", "this is not a batch", nil)
	p.Enqueue(t, "a good message")
	a.MustAwait(t, "a good message")

	reasons := make(map[string]string) // by the first characters of the body
	letters := append(receiveLetters(t, p, "websocket-broadcast-dead-letter", 3),
		receiveLetters(t, p, "websocket-send-dead-letter", 1)...)
	for _, m := range letters {
		attribute := func(name string) string { return aws.ToString(m.MessageAttributes[name].StringValue) }
		reasons[(*m.Body)[:3]] = attribute("reason") + ": " + attribute("detail")
		if attribute("original") == "" {
			t.Errorf("%.20q: got no attribute original, want the message id", *m.Body)
		}
	}
	for body, want := range map[string]string{
		"xxx": "131073 bytes", "%%%": "base64", "gqP": "not_utf8: the payload is not UTF-8", "thi": "not a batch",
	} {
		if got := reasons[body]; !strings.Contains(got, want) {
			t.Errorf("%q: got the reason %q, want %q in it", body, got, want)
		}
	}
	if err := p.Stop(); err != nil { // completes the log
		t.Fatal(err)
	}
	if got := strings.Count(p.Log(), "dead-lettered"); got != 4 {
		t.Errorf("got %d log lines of dead letters, want 4: one for each message", got)
	}
}

// Without the connections table no client connects, and a message stays in the queue.
func TestStack_MissingTable(t *testing.T) {
	p := start(t)
	a := connect(t, p)
	if _, err := p.DynamoDB.DeleteTable(t.Context(), &dynamodb.DeleteTableInput{
		TableName: aws.String(p.Outputs["ConnectionsTableName"]),
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := wsclient.Dial(localtest.Context(t), p.WebSocket, wsclient.Options{}); wsclient.Refused(err) == 0 {
		t.Errorf("connect: got %v, want a refusal", err)
	}
	publish(t, a, "accepted, and kept until the table is back")
	localtest.Eventually(t, "the log names the failure of the dispatcher", func() bool {
		log := p.Log()
		return strings.Contains(log, "dispatcher") && strings.Contains(log, "ResourceNotFoundException")
	})
	// The message is hidden until its next attempt.
	out, err := p.SQS.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{
		QueueUrl: aws.String(p.Outputs["BroadcastQueueUrl"]), AttributeNames: []types.QueueAttributeName{"All"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := out.Attributes["ApproximateNumberOfMessagesNotVisible"]; got != "1" {
		t.Errorf("got %s hidden messages, want 1", got)
	}
}

// A function without its environment ends at once and names every missing variable.
func TestFunctions_MissingEnvironment(t *testing.T) {
	start(t) // builds the functions
	for function, variables := range map[string][]string{
		"Connect":    {"CONNECTIONS_TABLE"},
		"Disconnect": {"CONNECTIONS_TABLE"},
		"Default":    {"BROADCAST_QUEUE_URL"},
		"Dispatcher": {
			"CONNECTIONS_TABLE", "BROADCASTS_TABLE", "BROADCAST_QUEUE_URL", "BROADCAST_DEAD_LETTER_QUEUE_URL",
			"CONTINUATION_QUEUE_URL", "CONTINUATION_QUEUE_ARN", "CONTINUATION_DEAD_LETTER_QUEUE_URL", "SEND_QUEUE_URL",
			"SCAN_SEGMENTS", "BATCH_CONNECTIONS", "POSTS_PER_SECOND", "SENDER_CONCURRENCY",
		},
		"Sender": {
			"CONNECTIONS_TABLE", "BROADCASTS_TABLE", "SEND_QUEUE_URL", "SEND_DEAD_LETTER_QUEUE_URL",
			"MANAGEMENT_ENDPOINT", "POSTS_PER_SECOND", "SENDER_CONCURRENCY", "MAX_ATTEMPTS", "FULL_BUFFERS",
		},
	} {
		cmd := exec.Command(filepath.Join(localtest.BuildDir(), function+"Function", "bootstrap"))
		cmd.Env = []string{"AWS_REGION=us-east-1"}
		out, err := cmd.CombinedOutput()
		if err == nil {
			t.Errorf("%s: got exit code 0, want a failure", function)
		}
		for _, want := range variables {
			if !strings.Contains(string(out), want) {
				t.Errorf("%s: got\n%s\nwant %s in it", function, out, want)
			}
		}
	}
}

// The program names what is wrong with its arguments, its template or a function.
func TestLocal_StartErrors(t *testing.T) {
	p := start(t)
	taken := p.Endpoint[strings.LastIndex(p.Endpoint, ":")+1:]
	dir := t.TempDir()
	write := func(name, content string) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	template, err := os.ReadFile(localtest.Template())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "functions", "connect"), 0o755); err != nil {
		t.Fatal(err)
	}
	write("go.mod", "module broken\n")
	write("functions/connect/main.go", "package main\n\nfunc main() { nonsense }\n")
	cache := "Resources:\n  Cache:\n    Type: AWS::ElastiCache::CacheCluster\n"
	for _, test := range []struct {
		name string
		args []string
		want []string
	}{
		{
			"a busy port", []string{"--aws-port", taken},
			[]string{"127.0.0.1:" + taken, "address already in use", "--aws-port"},
		},
		{"no template", []string{"--template", filepath.Join(dir, "nowhere.yaml")}, []string{"nowhere.yaml"}},
		{
			"no YAML", []string{"--template", write("broken.yaml", "Resources: [")},
			[]string{"broken.yaml:2", "not YAML"},
		},
		{
			"an unknown resource", []string{"--template", write("unknown.yaml", cache)},
			[]string{"unknown.yaml:3", "Cache", "AWS::ElastiCache::CacheCluster"},
		},
		{"a parameter out of bounds", []string{"--parameter", "MaxAttempts=99"}, []string{"MaxAttempts", "12"}},
		{"a parameter that does not exist", []string{"--parameter", "Nonsense=1"}, []string{"Nonsense"}},
		{
			"a function that does not build",
			[]string{
				"--template", write("template.yaml", string(template)), "--parameter", "Access=open",
				"--build-dir", filepath.Join(dir, "build"),
			},
			[]string{"ConnectFunction does not build", "undefined: nonsense"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			output, err := localtest.Run(t, test.args...)
			if err == nil {
				t.Error("got exit code 0, want a failure")
			}
			for _, want := range test.want {
				if !strings.Contains(output, want) {
					t.Errorf("got\n%s\nwant %q in it", output, want)
				}
			}
		})
	}
}

// Ctrl-C closes the connections and ends the functions' processes.
func TestLocal_Interrupt(t *testing.T) {
	p := start(t)
	a := connect(t, p)
	publish(t, a, "hello")
	a.MustAwait(t, "hello")
	functions := p.Functions()
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("NOT RUN: this system has no /proc")
	}
	if len(functions) < 5 {
		t.Errorf("got %d processes, want at least one for each of five functions", len(functions))
	}
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
	if got := a.MustAwaitClose(t); got != 1001 {
		t.Errorf("got close code %d, want 1001", got)
	}
	for pid, name := range functions {
		if localtest.Alive(pid) {
			t.Errorf("process %d of %s runs after the stop", pid, name)
		}
	}
	if strings.Contains(p.Log(), "level=ERROR") {
		t.Error("got an error in the log, want none while it stops")
	}
}

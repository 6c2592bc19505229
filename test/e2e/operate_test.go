package e2e

import (
	"cmp"
	"errors"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"fanfare/pkg/broadcast"
	"fanfare/pkg/queue"
	"fanfare/test/localtest"
)

// operate runs the operator's command against the local AWS and returns its output.
func operate(t *testing.T, p *localtest.Process, args ...string) (string, error) {
	t.Helper()
	path, err := localtest.Program("cmd/fanfare")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(path, append([]string{"--local", "--endpoint", p.Endpoint}, args...)...).CombinedOutput()
	return string(out), err
}

func TestCommand_Report(t *testing.T) {
	p := start(t)
	a := connect(t, p)
	connect(t, p)
	id := publish(t, a, "hello")
	p.Report(t, id)
	out, err := operate(t, p, "report", id)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"broadcast     " + id, "to everyone", "audience      2", "delivered     2", "outstanding   0",
		"repeated      at most 0", "posts         2, of which 0 were retries", "cost          about $0.0000",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("got the report\n%s\nwant %q in it", out, want)
		}
	}
	out, err = operate(t, p, "report", "unknown")
	if want := `has nothing of broadcast "unknown"`; err == nil || !strings.Contains(out, want) {
		t.Errorf("unknown broadcast: got %v and\n%s\nwant an error with %q", err, out, want)
	}
}

// Each message that can never be sent is dead-lettered, and a report of its id gives the reason: also of a message of
// the largest size, which has no room for it.
func TestCommand_ReportRejected(t *testing.T) {
	p := start(t)
	a := connect(t, p)
	send := func(queue, body string, attributes map[string]string) string {
		t.Helper()
		in := &sqs.SendMessageInput{
			QueueUrl: aws.String(p.QueueURL("websocket-" + queue)), MessageBody: &body,
			MessageAttributes: make(map[string]types.MessageAttributeValue),
		}
		for name, value := range attributes {
			in.MessageAttributes[name] = types.MessageAttributeValue{DataType: aws.String("String"), StringValue: &value}
		}
		out, err := p.SQS.SendMessage(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		return cmp.Or(attributes["broadcastId"], *out.MessageId)
	}
	order := map[string]string{"broadcastId": "order-1"}
	p.Report(t, send("broadcast", "the first payload", order))
	wants := map[string]string{ // by id
		send("broadcast", strings.Repeat("x", 1<<20), nil): "of the broadcast queue: payload_too_large (",
		send("broadcast", "%", map[string]string{"encoding": "base64", "broadcastId": "order-2"}): "malformed (malformed: " +
			"decode the payload as base64",
		send("broadcast", "x", map[string]string{"broadcast_id": "order-3"}): "attribute broadcast_id is unknown",
		send("broadcast", "x", map[string]string{
			"broadcast": "b", "sentAt": "1", "segment": "0/1", "startKey": "k", "stretch": "1", "hop": "1",
		}): "is reserved",
		send("broadcast", "x", map[string]string{"exclude": strings.Repeat("a,", 1001)}):     "at most 1000",
		send("broadcast", "x", map[string]string{"exclude": strings.Repeat("a", 1<<20-100)}): "at most 1000",
		send("broadcast", "another payload", order):                                          "id_reused (",
	}
	send("continuation", "x", map[string]string{"broadcast": "order-4", "sentAt": "yesterday"})
	wants["order-4"] = "of the continuation queue: malformed ("
	localtest.Eventually(t, "all are dead-lettered", func() bool {
		return p.Queued(t, "websocket-broadcast-dead-letter") == len(wants)-1 &&
			p.Queued(t, "websocket-continuation-dead-letter") == 1
	})
	for id, want := range wants {
		out, err := operate(t, p, "report", id)
		if id == "order-1" {
			out, err = operate(t, p, "dead-letters") // all deliveries of the first payload were made
		} else if !strings.HasPrefix(out, "broadcast     "+id+"\ndispatched    no\ndead letter   ") {
			t.Errorf("%s: got\n%s\nwant a report of a broadcast that was not dispatched", id, out)
		}
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("%s: got %v and\n%s\nwant %q", id, err, out, want)
		}
	}
	out, err := operate(t, p, "report", "--json", "order-2")
	if err != nil || !strings.Contains(out, `"reason": "malformed"`) {
		t.Errorf("report as JSON: got %v and\n%s\nwant the reason", err, out)
	}

	out, err = operate(t, p, "dead-letters")
	const want = "cannot be sent back"
	if err != nil || strings.Count(out, want) != 3 || !strings.Contains(out, "8 dead letters") {
		t.Errorf("dead-letters: got %v and\n%s\nwant 8, and 3 with %q", err, out, want)
	}
	if out, err := operate(t, p, "redrive"); err != nil || !strings.Contains(out, "0 sent back, 8 left") {
		t.Errorf("redrive: got %v and\n%s\nwant all left", err, out)
	}
	if out, err := operate(t, p, "redrive", "--all"); err != nil || !strings.Contains(out, "5 sent back, 3 left") {
		t.Errorf("redrive --all: got %v and\n%s\nwant 5 sent back, and the cut ones left", err, out)
	}
	localtest.Eventually(t, "those sent back have failed again", func() bool {
		return p.Queued(t, "websocket-broadcast-dead-letter")+p.Queued(t, "websocket-continuation-dead-letter") == 8
	})
	if got := broadcasts(a); !slices.Equal(got, []string{"the first payload"}) {
		t.Errorf("got frames %.100q, want the first payload only", got)
	}
	if log := p.Log(); strings.Contains(log, `broadcast":"",`) {
		t.Error("got a log line without the broadcast's id, want the id in each")
	}
}

func TestCommand_Redrive(t *testing.T) {
	p := start(t)
	a := connect(t, p)
	ids := slices.Collect(maps.Keys(p.ConnectionRows(t)))
	id := p.Enqueue(t, "hello")
	p.Report(t, id)

	// One more batch of the broadcast, as if its deliveries had been given up: the ledger counts them as failed, the
	// dead-letter queue holds the batch.
	letters := &queue.DeadLetters{Client: p.SQS, URL: p.QueueURL("websocket-send-dead-letter")}
	lost := broadcast.Batch{
		ID: "0/1.0.0~0", Attempt: 8, Reason: broadcast.ReasonThrottled, Connections: ids,
		Messages: []broadcast.Message{{ID: id, Payload: []byte("late, but here")}},
	}
	reason := broadcast.Permanent(broadcast.ReasonThrottled, errors.New("1 delivery"))
	if err := letters.PutBatch(t.Context(), lost, reason); err != nil {
		t.Fatal(err)
	}
	if _, err := p.SQS.SendMessage(t.Context(), &sqs.SendMessageInput{
		QueueUrl: aws.String(p.QueueURL("websocket-send")), MessageBody: aws.String("not a batch"),
	}); err != nil {
		t.Fatal(err)
	}
	localtest.Eventually(t, "both dead letters are listed", func() bool {
		out, err := operate(t, p, "dead-letters")
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return strings.Contains(out, "2 dead letters") && strings.Contains(out, "malformed") &&
			strings.Contains(out, "1 deliveries of broadcast "+id+"; throttled (")
	})
	out, err := operate(t, p, "redrive")
	if want := "1 sent back, 1 left"; err != nil || !strings.Contains(out, want) {
		t.Errorf("redrive: got %v and\n%s\nwant %q", err, out, want)
	}
	a.MustAwait(t, "late, but here")
	localtest.Eventually(t, "the ledger counts 2 deliveries", func() bool {
		r, err := p.Ledger().Report(t.Context(), id)
		return err == nil && r.Delivered == 2
	})
	out, err = operate(t, p, "dead-letters")
	if want := "1 dead letters"; err != nil || !strings.Contains(out, want) {
		t.Errorf("dead-letters after the redrive: got %v and\n%s\nwant %q", err, out, want)
	}
}

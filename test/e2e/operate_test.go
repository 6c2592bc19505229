package e2e

import (
	"errors"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

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
	if want := "has nothing of broadcast unknown"; err == nil || !strings.Contains(out, want) {
		t.Errorf("unknown broadcast: got %v and\n%s\nwant an error with %q", err, out, want)
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

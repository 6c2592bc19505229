package e2e

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"fanfare/pkg/broadcast"
	"fanfare/pkg/ledger"
	"fanfare/pkg/queue"
	"fanfare/test/e2e/binaries"
)

// operate runs the operator's command against the local AWS and returns what it prints.
func (w *world) operate(t *testing.T, args ...string) (string, error) {
	t.Helper()
	path, err := binaries.Path("cmd/fanfare")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(path, append([]string{"--local", "--endpoint", w.aws}, args...)...).CombinedOutput()
	return string(out), err
}

func TestOperatorsSeeWhatBecameOfABroadcast(t *testing.T) {
	w := start(t)
	a := connect(t, w.webSocket)
	connect(t, w.webSocket)
	id := a.publish(t, "hello")
	w.report(t, id)
	out, err := w.operate(t, "report", id)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"broadcast     " + id, "to everyone", "audience      2", "delivered     2", "outstanding   0", "repeated      at most 0", "posts         2, of which 0 were retries", "cost          about $0.0000"} {
		if !strings.Contains(out, want) {
			t.Errorf("the report lacks %q:\n%s", want, out)
		}
	}
	if out, err := w.operate(t, "report", "unknown"); err == nil || !strings.Contains(out, "has nothing of broadcast unknown") {
		t.Errorf("of an unknown broadcast: %v\n%s", err, out)
	}
}

func TestDeadLettersAreListedAndSentBack(t *testing.T) {
	w := start(t)
	a := connect(t, w.webSocket)
	ids := w.rows(t)
	id := w.enqueue(t, "hello")
	w.report(t, id)

	// As if the deliveries of another batch had been given up: the ledger has them as failed, the queue has the rest.
	table := &ledger.Table{Client: w.dynamodb, Name: "websocket_broadcasts"}
	letters := &queue.DeadLetters{Client: w.sqs, URL: w.queuePrefix + "send-dead-letter"}
	lost := broadcast.Batch{ID: "0/1.0.0~0", Attempt: 8, Reason: broadcast.ReasonThrottled, Connections: ids,
		Messages: []broadcast.Message{{ID: id, Payload: []byte("late, but here")}}}
	if err := letters.PutBatch(t.Context(), lost, broadcast.Permanent(broadcast.ReasonThrottled, errors.New("1 delivery"))); err != nil {
		t.Fatal(err)
	}
	if _, err := w.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: aws.String(w.queuePrefix + "send"), MessageBody: aws.String("not ours")}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both letters are listed", func() bool {
		out, err := w.operate(t, "dead-letters")
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return strings.Contains(out, "2 dead letters") && strings.Contains(out, "1 deliveries of broadcast "+id+"; throttled (") && strings.Contains(out, "malformed")
	})
	out, err := w.operate(t, "redrive")
	if err != nil || !strings.Contains(out, "1 sent back, 1 left") {
		t.Errorf("%v\n%s", err, out)
	}
	a.has(t, "late, but here")
	eventually(t, "the ledger counts it as delivered", func() bool {
		r, err := table.Report(t.Context(), id)
		return err == nil && r.Delivered == 2
	})
	if out, err := w.operate(t, "dead-letters"); err != nil || !strings.Contains(out, "1 dead letters") {
		t.Errorf("%v\n%s", err, out)
	}
}

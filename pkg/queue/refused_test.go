package queue_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	sqsclient "github.com/aws/aws-sdk-go-v2/service/sqs"

	"fanfare/local/sqs"
	"fanfare/pkg/broadcast"
	"fanfare/pkg/queue"
	"fanfare/test/awstest"
)

// faulty returns a send queue whose SQS has these faults, the server, and a client.
func faulty(t *testing.T, faults sqs.Faults) (*queue.Batches, *sqs.Server, *sqsclient.Client) {
	t.Helper()
	server := sqs.New(sqs.Options{Faults: faults})
	t.Cleanup(server.Close)
	if _, err := server.CreateQueue(sqs.QueueConfig{Name: "send"}); err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(server)
	t.Cleanup(listener.Close)
	client := sqsclient.NewFromConfig(awstest.Config(listener.URL))
	return &queue.Batches{Client: client, URL: listener.URL + "/000000000000/send"}, server, client
}

// A SendMessageBatch that succeeds may refuse some entries. They are sent again, the others are not.
func TestBatches_EntriesRefused(t *testing.T) {
	q, server, client := faulty(t, sqs.Faults{Seed: 1, EntryRefused: 0.3})
	var batches []broadcast.Batch
	var want []string
	for i := range broadcast.MaxQueueEntries {
		b := batch(fmt.Sprintf("batch-%d", i), 1)
		batches, want = append(batches, b), append(want, b.ID)
	}
	if err := q.Send(t.Context(), batches); err != nil {
		t.Fatal(err)
	}
	if server.Injected()["EntryRefused"] == 0 {
		t.Error("got no refused entry, want some")
	}
	server.SetFaults(sqs.Faults{})
	if err := q.Send(t.Context(), []broadcast.Batch{batch("last", 1)}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range receive(t, client, q.URL, len(want)+1).Records {
		b, err := broadcast.DecodeBatch(m.Body)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, b.ID)
	}
	slices.Sort(got)
	if want := append(want, "last"); !slices.Equal(got, want) {
		t.Errorf("got %v, want each once: %v", got, want)
	}
}

// Entries that SQS refuses four times are an error: the record of the dispatcher or the sender must then fail.
func TestBatches_EntriesAlwaysRefused(t *testing.T) {
	for name, faults := range map[string]sqs.Faults{
		"EntryRefused": {EntryRefused: 1}, "EntryMisjudged": {EntryMisjudged: 1},
	} {
		q, server, _ := faulty(t, faults)
		err := q.Send(t.Context(), []broadcast.Batch{batch("a", 1), batch("b", 1)})
		if err == nil || !strings.Contains(err.Error(), "SQS refused 2 of them: InternalError") {
			t.Errorf("%s: got %v, want an error about 2 refused entries", name, err)
		}
		if got, want := server.Injected()[name], uint64(2*4); got != want {
			t.Errorf("%s: got %d refusals of two entries, want %d", name, got, want)
		}
	}
}

// A message has at most ten attributes. The publisher's own give way to those that a redrive needs.
func TestDeadLetters_PutAttributes(t *testing.T) {
	client, urls := awstest.Queues(t, "dead")
	q := &queue.DeadLetters{Client: client, URL: urls[0]}
	ours := map[string]string{
		"encoding": "base64", "exclude": "a=", "broadcast": "m", "sentAt": "7", "segment": "1/4", "startKey": "k=",
		"stretch": "2",
	} // without "hop": a redrive counts from 0. Put adds "original"
	first := map[string]string{"encoding": "base64", "exclude": "a="} // of a broadcast: Put adds "original"
	for _, attributes := range []map[string]string{ours, first, {"attempts": "3"}} {
		record := broadcast.Record{ID: "id", Body: "eA==", Attributes: map[string]string{}}
		maps.Copy(record.Attributes, attributes)
		if attributes["broadcast"] != "" {
			record.Continuation, record.BroadcastID = true, "m"
			record.Attributes["hop"] = "11"
		}
		for i := range 10 - len(record.Attributes) {
			record.Attributes[fmt.Sprintf("zz-%d", i)] = "x" // the last in the order of names
		}
		if err := q.Put(t.Context(), record, broadcast.Permanent("r", fmt.Errorf("detail"))); err != nil {
			t.Fatal(err)
		}
		stored := receive(t, client, urls[0], 1).Records[0].MessageAttributes
		if len(stored) != 10 {
			t.Errorf("got %d attributes, want 10", len(stored))
		}
		want := map[string]string{"reason": "r", "detail": "r: detail", "original": "id"}
		if record.Continuation {
			want["original"] = "m"
		}
		maps.Copy(want, attributes)
		for name, value := range want {
			if got := stored[name].StringValue; got == nil || *got != value {
				t.Errorf("%s: got %v, want %q", name, got, value)
			}
		}
	}
}

// A letter has the time at which its message was sent first. A redriven broadcast keeps it.
func TestLetter_SentAt(t *testing.T) {
	client, urls := awstest.Queues(t, "continuation", "dead")
	dead := &queue.DeadLetters{Client: client, URL: urls[1]}
	before := time.Now().Add(-time.Second) // SQS's time is in milliseconds
	record := broadcast.Record{ID: "m", Body: "hello", Attributes: map[string]string{}}
	reason := broadcast.Permanent(broadcast.ReasonAudience, errors.New("large"))
	if err := dead.Put(t.Context(), record, reason); err != nil {
		t.Fatal(err)
	}
	l, ok := letters(t, dead)["m"]
	if !ok || l.SentAt.Before(before) || l.SentAt.After(time.Now()) {
		t.Fatalf("got letter %+v, want one sent now", l)
	}
	if err := (&queue.Continuations{Client: client, URL: urls[0]}).Redrive(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	got := queue.ReadBroadcasts(receive(t, client, urls[0], 1), continuationARN, "")[0]
	if got.Unreadable != nil || !got.Message.SentAt.Equal(l.SentAt) {
		t.Errorf("redriven: got %v, %v, want sent at %v", got.Message.SentAt, got.Unreadable, l.SentAt)
	}
}

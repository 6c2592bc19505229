package queue_test

import (
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

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

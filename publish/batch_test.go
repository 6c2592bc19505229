package publish_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/sqs"

	sqsserver "fanfare/local/sqs"
	"fanfare/publish"
	"fanfare/test/awstest"
)

// PublishAll needs as few calls as SQS's limits allow: ten messages and 1,048,576 bytes in each.
func TestQueue_PublishAllCalls(t *testing.T) {
	server := sqsserver.New(sqsserver.Options{})
	defer server.Close()
	if _, err := server.CreateQueue(sqsserver.QueueConfig{Name: "broadcast"}); err != nil {
		t.Fatal(err)
	}
	var calls atomic.Int64
	listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".SendMessageBatch") {
			calls.Add(1)
		}
		server.ServeHTTP(w, r)
	}))
	defer listener.Close()
	q := publish.Queue{
		Client: sqs.NewFromConfig(awstest.Config(listener.URL)), URL: listener.URL + "/000000000000/broadcast",
	}
	const id = len("broadcastId") + len("String") + 26 // the attribute with a random id counts, too
	text := bytes.Repeat([]byte("x"), publish.MaxBytes-id)
	binary := bytes.Repeat([]byte{0}, publish.MaxBytes*3/4) // as base64 131,072 bytes, and the attribute beside it
	for _, test := range []struct {
		name     string
		payload  []byte
		payloads int
		calls    int64
	}{
		{"none", nil, 0, 0},
		{"one", []byte("x"), 1, 1},
		{"ten small ones", []byte("x"), 10, 1},
		{"eleven small ones", []byte("x"), 11, 2},
		{"21 small ones", []byte("x"), 21, 3},
		{"eight large ones", text, 8, 1},
		{"nine large ones", text, 9, 2},
		{"sixteen large ones", text, 16, 2},
		{"seven of base64", binary, 7, 1},
		{"eight of base64, with their attributes", binary, 8, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			calls.Store(0)
			payloads := make([][]byte, test.payloads)
			for i := range payloads {
				payloads[i] = test.payload
			}
			ids, err := q.PublishAll(t.Context(), payloads...)
			if err != nil || len(ids) != test.payloads || calls.Load() != test.calls {
				t.Errorf("got %d ids, %v in %d calls, want %d in %d", len(ids), err, calls.Load(), test.payloads, test.calls)
			}
		})
	}
}

// SQS refuses some entries of a call that succeeds: their ids are empty, the others are stored.
func TestQueue_PublishAllRefused(t *testing.T) {
	server := sqsserver.New(sqsserver.Options{Faults: sqsserver.Faults{Seed: 1, EntryRefused: 0.3}})
	defer server.Close()
	if _, err := server.CreateQueue(sqsserver.QueueConfig{Name: "broadcast"}); err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(server)
	defer listener.Close()
	q := publish.Queue{
		Client: sqs.NewFromConfig(awstest.Config(listener.URL)), URL: listener.URL + "/000000000000/broadcast",
	}
	payloads := bytes.Split([]byte("a b c d e f g h i j"), []byte(" "))
	ids, err := q.PublishAll(t.Context(), payloads...)
	if err == nil || !strings.Contains(err.Error(), "SQS refused") {
		t.Errorf("got %v, want an error about refused messages", err)
	}
	stored := received(t, q)
	if refused := server.Injected()["EntryRefused"]; refused == 0 || len(stored) != len(payloads)-int(refused) {
		t.Errorf("got %d stored and %d refused of %d, want both and all", len(stored), refused, len(payloads))
	}
	for i, id := range ids {
		if id != "" && stored[id] != string(payloads[i]) {
			t.Errorf("id %s: got %q, want %q", id, stored[id], payloads[i])
		}
		if id != "" {
			delete(stored, id)
		}
	}
	if len(stored) > 0 {
		t.Errorf("got %v without ids, want none", stored)
	}
}

package publish_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"fanfare/publish"
	"fanfare/test/awstest"
)

func Example() {
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		panic(err)
	}
	queue := publish.Queue{Client: sqs.NewFromConfig(cfg), URL: os.Getenv("QUEUE_URL")}
	id, err := queue.Publish(ctx, []byte(`{"news":"it works"}`))
	if err != nil {
		panic(err)
	}
	fmt.Println("on its way to every client:", id)
}

// received takes everything off the queue, by id.
func received(t *testing.T, q publish.Queue) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for {
		out, err := q.Client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &q.URL, MaxNumberOfMessages: 10, MessageAttributeNames: []string{"All"}})
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Messages) == 0 {
			return all
		}
		for _, m := range out.Messages {
			payload := aws.ToString(m.Body)
			if encoding := m.MessageAttributes["encoding"].StringValue; encoding != nil {
				data, err := base64.StdEncoding.DecodeString(payload)
				if err != nil || *encoding != "base64" {
					t.Errorf("encoding %s: %v", *encoding, err)
				}
				payload = string(data)
			}
			if exclude := m.MessageAttributes["exclude"].StringValue; exclude != nil {
				payload += " but for " + *exclude
			}
			all[aws.ToString(m.MessageId)] = payload
		}
	}
}

func TestPublish(t *testing.T) {
	client, urls := awstest.Queues(t, "broadcast")
	q := publish.Queue{Client: client, URL: urls[0]}
	want := make(map[string]string)
	for payload, exclude := range map[string][]string{
		"hello": nil, "a\x00b": nil, "\xff": nil, strings.Repeat("x", publish.MaxBytes): nil, "not for two": {"a=", "b="},
	} {
		id, err := q.Publish(t.Context(), []byte(payload), exclude...)
		if err != nil {
			t.Fatal(err)
		}
		want[id] = payload
		if exclude != nil {
			want[id] += " but for " + strings.Join(exclude, ",")
		}
	}
	if got := received(t, q); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%d messages, want %d, the same", len(got), len(want))
	}
}

func TestPublishAll(t *testing.T) {
	client, urls := awstest.Queues(t, "broadcast")
	q := publish.Queue{Client: client, URL: urls[0]}
	var payloads [][]byte
	for i := range 23 {
		payloads = append(payloads, fmt.Appendf(nil, "message %d", i))
	}
	for range 9 { // more than a batch carries, as base64
		payloads = append(payloads, bytes.Repeat([]byte{0}, publish.MaxBytes))
	}
	ids, err := q.PublishAll(t.Context(), payloads...)
	if err != nil {
		t.Fatal(err)
	}
	got := received(t, q)
	if len(got) != len(payloads) {
		t.Errorf("%d messages, want %d", len(got), len(payloads))
	}
	for i, id := range ids {
		if got[id] != string(payloads[i]) {
			t.Errorf("the id of payload %d is that of another", i)
		}
	}
	if ids, err := q.PublishAll(t.Context()); len(ids) != 0 || err != nil {
		t.Errorf("nothing: %v, %v", ids, err)
	}
}

func TestWhatCannotBePublished(t *testing.T) {
	client, urls := awstest.Queues(t, "broadcast")
	q := publish.Queue{Client: client, URL: urls[0]}
	large := make([]byte, publish.MaxBytes+1)
	for _, payload := range [][]byte{nil, {}, large} {
		if _, err := q.Publish(t.Context(), payload); !errors.Is(err, publish.ErrSize) {
			t.Errorf("%d bytes: %v", len(payload), err)
		}
		if _, err := q.PublishAll(t.Context(), []byte("fine"), payload); !errors.Is(err, publish.ErrSize) {
			t.Errorf("%d bytes among others: %v", len(payload), err)
		}
	}
	if got := received(t, q); len(got) != 0 {
		t.Errorf("%d messages were sent all the same", len(got))
	}
	nowhere := publish.Queue{Client: client, URL: urls[0] + "-nowhere"}
	if _, err := nowhere.Publish(t.Context(), []byte("x")); err == nil {
		t.Error("published to no queue")
	}
	if ids, err := nowhere.PublishAll(t.Context(), []byte("x")); err == nil || len(ids) != 1 || ids[0] != "" {
		t.Errorf("published to no queue: %v, %v", ids, err)
	}
}

package publish_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
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
	fmt.Println("broadcast", id)
}

// received takes all messages off the queue and returns them by id.
func received(t *testing.T, q publish.Queue) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for {
		out, err := q.Client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{
			QueueUrl: &q.URL, MaxNumberOfMessages: 10, MessageAttributeNames: []string{"All"},
		})
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
					t.Errorf("got encoding %s, %v, want base64", *encoding, err)
				}
				payload = string(data)
			}
			if exclude := m.MessageAttributes["exclude"].StringValue; exclude != nil {
				payload += " but for " + *exclude
			}
			all[aws.ToString(m.MessageAttributes["broadcastId"].StringValue)] = payload
		}
	}
}

func TestQueue_Publish(t *testing.T) {
	client, urls := awstest.Queues(t, "broadcast")
	q := publish.Queue{Client: client, URL: urls[0]}
	want := make(map[string]string)
	for payload, exclude := range map[string][]string{
		"hello": nil, "a\x00b": nil, "\uffff": nil, strings.Repeat("x", publish.MaxBytes): nil,
		"not for two": {"a=", "b="}, "an empty exclusion": {""},
	} {
		id, err := q.Publish(t.Context(), []byte(payload), exclude...)
		if err != nil {
			t.Fatal(err)
		}
		want[id] = payload
		if len(exclude) > 1 {
			want[id] += " but for " + strings.Join(exclude, ",")
		}
	}
	if got := received(t, q); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %d messages, want %d: %.500v, want %.500v", len(got), len(want), got, want)
	}
}

func TestQueue_PublishAll(t *testing.T) {
	client, urls := awstest.Queues(t, "broadcast")
	q := publish.Queue{Client: client, URL: urls[0]}
	var payloads [][]byte
	for i := range 23 {
		payloads = append(payloads, fmt.Appendf(nil, "message %d", i))
	}
	for range 9 { // as base64, more than one call carries
		payloads = append(payloads, bytes.Repeat([]byte{0}, publish.MaxBytes))
	}
	ids, err := q.PublishAll(t.Context(), payloads...)
	if err != nil {
		t.Fatal(err)
	}
	got := received(t, q)
	if len(got) != len(payloads) {
		t.Errorf("got %d messages, want %d", len(got), len(payloads))
	}
	for i, id := range ids {
		if got[id] != string(payloads[i]) {
			t.Errorf("id of payload %d: got one of %.20q, want of %.20q", i, got[id], payloads[i])
		}
	}
	if ids, err := q.PublishAll(t.Context()); len(ids) != 0 || err != nil {
		t.Errorf("no payloads: got %v, %v, want none", ids, err)
	}
}

func TestQueue_Errors(t *testing.T) {
	client, urls := awstest.Queues(t, "broadcast")
	q := publish.Queue{Client: client, URL: urls[0]}
	for _, test := range []struct {
		payload []byte
		want    error
	}{
		{nil, publish.ErrEmpty},
		{[]byte{}, publish.ErrEmpty},
		{make([]byte, publish.MaxBytes+1), publish.ErrTooLarge},
		{[]byte("\x82\xa3\xff\xfe"), publish.ErrNotUTF8},
	} {
		if _, err := q.Publish(t.Context(), test.payload); !errors.Is(err, test.want) {
			t.Errorf("Publish %d bytes: got %v, want %v", len(test.payload), err, test.want)
		}
		if _, err := q.PublishAll(t.Context(), []byte("fine"), test.payload); !errors.Is(err, test.want) {
			t.Errorf("PublishAll with %d bytes: got %v, want %v", len(test.payload), err, test.want)
		}
	}
	if got := received(t, q); len(got) != 0 {
		t.Errorf("got %d messages on the queue, want none", len(got))
	}
	missing := publish.Queue{Client: client, URL: urls[0] + "-missing"}
	if _, err := missing.Publish(t.Context(), []byte("x")); err == nil {
		t.Error("Publish to a missing queue: got no error, want one")
	}
	if ids, err := missing.PublishAll(t.Context(), []byte("x")); err == nil || len(ids) != 1 || ids[0] != "" {
		t.Errorf("PublishAll to a missing queue: got %v, %v, want one empty id and an error", ids, err)
	}
}

func TestQueue_Send(t *testing.T) {
	client, urls := awstest.Queues(t, "broadcast")
	q := publish.Queue{Client: client, URL: urls[0]}
	one := publish.Message{Payload: []byte("one"), ID: "order-1"}
	if id, err := q.Send(t.Context(), one); id != "order-1" || err != nil {
		t.Errorf("Send: got %q, %v, want order-1", id, err)
	}
	ids, err := q.SendAll(t.Context(),
		publish.Message{Payload: []byte("two"), ID: "order-2"}, publish.Message{Payload: []byte("three")})
	if err != nil || len(ids) != 2 || ids[0] != "order-2" || publish.CheckID(ids[1]) != nil || ids[1] == ids[0] {
		t.Fatalf("SendAll: got %q, %v, want order-2 and a random id", ids, err)
	}
	want := map[string]string{"order-1": "one", "order-2": "two", ids[1]: "three"}
	if got := received(t, q); !maps.Equal(got, want) {
		t.Errorf("got %q on the queue, want %q", got, want)
	}

	for name, test := range map[string]struct {
		message publish.Message
		want    error
	}{
		"a client's id":       {publish.Message{Payload: []byte("x"), ID: "c-1"}, publish.ErrID},
		"a bad id":            {publish.Message{Payload: []byte("x"), ID: "a b"}, publish.ErrID},
		"too many exclusions": {publish.Message{Payload: []byte("x"), Exclude: make1001()}, publish.ErrExclude},
		"no payload":          {publish.Message{ID: "order-3"}, publish.ErrEmpty},
	} {
		if _, err := q.Send(t.Context(), test.message); !errors.Is(err, test.want) {
			t.Errorf("Send %s: got %v, want %v", name, err, test.want)
		}
		valid := publish.Message{Payload: []byte("x")}
		if _, err := q.SendAll(t.Context(), valid, test.message); !errors.Is(err, test.want) {
			t.Errorf("SendAll %s: got %v, want %v", name, err, test.want)
		}
	}
	if got := received(t, q); len(got) != 0 {
		t.Errorf("after invalid messages: got %q on the queue, want none", got)
	}
}

// make1001 returns one more id than a message may exclude.
func make1001() []string { return slices.Repeat([]string{"a="}, publish.MaxExclude+1) }

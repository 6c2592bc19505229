package queue_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"fanfare/pkg/broadcast"
	"fanfare/pkg/queue"
	"fanfare/publish"
	"fanfare/test/awstest"
)

// receive takes n messages off the queue, as an event source mapping would hand them over.
func receive(t *testing.T, client *sqs.Client, url string, n int) events.SQSEvent {
	t.Helper()
	var event events.SQSEvent
	for len(event.Records) < n {
		out, err := client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{
			QueueUrl: &url, MaxNumberOfMessages: 10, WaitTimeSeconds: 5, VisibilityTimeout: 600,
			MessageAttributeNames:       []string{"All"},
			MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Messages) == 0 {
			t.Fatalf("got %d messages, want %d", len(event.Records), n)
		}
		for _, m := range out.Messages {
			record := events.SQSMessage{
				MessageId: *m.MessageId, Body: *m.Body, Attributes: m.Attributes,
				MessageAttributes: map[string]events.SQSMessageAttribute{},
				EventSourceARN:    "arn:aws:sqs:us-east-1:000000000000:" + path.Base(url),
			}
			for name, attr := range m.MessageAttributes {
				record.MessageAttributes[name] = events.SQSMessageAttribute{
					StringValue: attr.StringValue, DataType: *attr.DataType,
				}
			}
			event.Records = append(event.Records, record)
		}
	}
	return event
}

// continuationARN is the ARN of the queue continuation.
const continuationARN = "arn:aws:sqs:us-east-1:000000000000:continuation"

func TestReadBroadcasts_Published(t *testing.T) {
	client, urls := awstest.Queues(t, "broadcast")
	q := publish.Queue{Client: client, URL: urls[0]}
	for _, payload := range []string{
		"hello", "a\x00b", "\uffff", `{"s":"\ud800"}`, " ", strings.Repeat("x", publish.MaxBytes),
	} {
		id, err := q.Publish(t.Context(), []byte(payload))
		if err != nil {
			t.Fatal(err)
		}
		requests := queue.ReadBroadcasts(receive(t, client, urls[0], 1), "", "invocation")
		r := requests[0]
		if r.Unreadable != nil || r.Message.ID != id || string(r.Message.Payload) != payload ||
			r.Cursor != (broadcast.Cursor{}) || r.Hop != 0 {
			t.Errorf("got id %q, payload %.20q, %+v, hop %d, %v, want id %q, payload %.20q",
				r.Message.ID, r.Message.Payload, r.Cursor, r.Hop, r.Unreadable, id, payload)
		}
		if age := time.Since(r.Message.SentAt); age < -time.Second || age > time.Minute {
			t.Errorf("got SentAt %v ago, want about now", age)
		}
		if r.Record.Redelivered || r.Record.Invocation != "invocation" {
			t.Errorf("got record %+v, want one not redelivered, of the invocation", r.Record)
		}
	}
}

// published puts a message on the queue, and returns the request that a dispatcher reads.
func published(t *testing.T, client *sqs.Client, url, body string, attrs map[string]string) broadcast.Request {
	t.Helper()
	put(t, client, url, body, attrs)
	return queue.ReadBroadcasts(receive(t, client, url, 1), continuationARN, "")[0]
}

// put puts a message on the queue as an SDK does. The types of attributes are String, unless the name ends in :Type.
func put(t *testing.T, client *sqs.Client, url, body string, attrs map[string]string) {
	t.Helper()
	in := &sqs.SendMessageInput{
		QueueUrl: &url, MessageBody: &body, MessageAttributes: map[string]types.MessageAttributeValue{},
	}
	for name, value := range attrs {
		name, dataType, typed := strings.Cut(name, ":")
		if !typed {
			dataType = "String"
		}
		attr := types.MessageAttributeValue{DataType: &dataType, StringValue: &value}
		if dataType == "Binary" {
			attr.StringValue, attr.BinaryValue = nil, []byte(value)
		}
		in.MessageAttributes[name] = attr
	}
	if _, err := client.SendMessage(t.Context(), in); err != nil {
		t.Fatal(err)
	}
}

func TestReadBroadcasts_Attributes(t *testing.T) {
	client, urls := awstest.Queues(t, "broadcast")
	send := func(body string, attrs map[string]string) broadcast.Request {
		t.Helper()
		return published(t, client, urls[0], body, attrs)
	}
	if r := send("aGVsbG8=", map[string]string{"encoding": "base64"}); string(r.Message.Payload) != "hello" {
		t.Errorf("base64: got %q, %v, want hello", r.Message.Payload, r.Unreadable)
	}
	got := send("x", map[string]string{"exclude": "b=, a=,,c="}).Message.Exclude
	if want := []string{"a=", "b=", "c="}; !slices.Equal(got, want) {
		t.Errorf("exclude: got %q, want %q", got, want)
	}
	r := send("x", map[string]string{"broadcastId": "order-7", "traceparent": "00-1", "tenant:Number": "7"})
	if r.Unreadable != nil || r.Message.ID != "order-7" || r.Record.BroadcastID != "order-7" {
		t.Errorf("broadcastId and other attributes: got %+v, want broadcast order-7", r)
	}
}

// Each mistake is a permanent error that names the attribute, and the id that leads on is known nevertheless.
func TestReadBroadcasts_Mistakes(t *testing.T) {
	client, urls := awstest.Queues(t, "broadcast")
	for _, test := range []struct {
		name, body string
		attrs      map[string]string
		reason     string
		contains   string
	}{
		{"malformed base64", "%", map[string]string{"encoding": "base64"}, broadcast.ReasonMalformed, "base64"},
		{"unknown encoding", "x", map[string]string{"encoding": "gzip"}, broadcast.ReasonMalformed, "gzip"},
		{"over 131,072 bytes", strings.Repeat("x", publish.MaxBytes+1), nil, broadcast.ReasonTooLarge, "131073"},
		{"not UTF-8", "gqP//g==", map[string]string{"encoding": "base64"}, broadcast.ReasonNotUTF8, "UTF-8"},
		{"a bad id", "x", map[string]string{"broadcastId": "a b"}, broadcast.ReasonMalformed, "broadcastId"},
		{"a number as exclusion", "x", map[string]string{"exclude:Number": "7"}, broadcast.ReasonMalformed, "exclude"},
		{"a binary encoding", "x", map[string]string{"encoding:Binary": "base64"}, broadcast.ReasonMalformed, "encoding"},
		{"another spelling", "x", map[string]string{"excludes": "a="}, broadcast.ReasonMalformed, "excludes"},
		{
			"too many exclusions", "x", map[string]string{"exclude": strings.Repeat("a,", publish.MaxExclude+1)},
			broadcast.ReasonMalformed, "exclude",
		},
		{
			"a continuation", "x", map[string]string{
				"broadcast": "b", "sentAt": "1", "segment": "0/1", "startKey": "k", "stretch": "1", "hop": "1",
			}, broadcast.ReasonMalformed, "broadcast",
		},
		{"a cut letter", "x", map[string]string{"truncated": "2000000"}, broadcast.ReasonMalformed, "truncated"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := published(t, client, urls[0], test.body, test.attrs)
			if r.Unreadable == nil {
				t.Fatalf("got %+v, want an error", r.Message)
			}
			class, reason := broadcast.ClassOf(r.Unreadable)
			if class != broadcast.ClassPermanent || reason != test.reason ||
				!strings.Contains(r.Unreadable.Error(), test.contains) {
				t.Errorf("got %v, %v, want permanent, %q, with %q", class, r.Unreadable, test.reason, test.contains)
			}
			if r.Message.ID == "" || r.Message.ID != r.Record.BroadcastID || r.Message.ID != r.Record.ID {
				t.Errorf("got id %q in %+v, want the MessageId", r.Message.ID, r.Record)
			}
		})
	}
	r := published(t, client, urls[0], "%", map[string]string{"encoding": "base64", "broadcastId": "order-7"})
	if r.Unreadable == nil || r.Message.ID != "order-7" {
		t.Errorf("unreadable with an id: got %q, %v, want order-7 and an error", r.Message.ID, r.Unreadable)
	}
}

func TestReadBroadcasts_Continuation(t *testing.T) {
	client, urls := awstest.Queues(t, "continuation")
	whole := map[string]string{
		"broadcast": "b", "sentAt": "1", "segment": "0/1", "startKey": "k", "stretch": "1", "hop": "1",
	}
	with := func(name, value string) map[string]string {
		attrs := maps.Clone(whole)
		attrs[name] = value
		if value == "" {
			delete(attrs, name)
		}
		return attrs
	}
	r := published(t, client, urls[0], "x", whole)
	want := broadcast.Cursor{Segments: 1, After: "k", Stretch: 1}
	if r.Unreadable != nil || r.Cursor != want || r.Hop != 1 || r.Message.ID != "b" {
		t.Errorf("got %+v, want broadcast b, hop 1, %+v", r, want)
	}
	for name, attrs := range map[string]map[string]string{
		"no broadcast": with("broadcast", ""), "no time": with("sentAt", ""), "segment out of bounds": with("segment", "1/1"),
		"negative stretch": with("stretch", "-1"), "no hop": with("hop", ""), "another spelling": with("Exclude", "a="),
	} {
		r := published(t, client, urls[0], "x", attrs)
		if r.Unreadable == nil {
			t.Errorf("%s: got %+v, want an error", name, r)
			continue
		}
		if class, reason := broadcast.ClassOf(r.Unreadable); class != broadcast.ClassPermanent ||
			reason != broadcast.ReasonMalformed {
			t.Errorf("%s: got %v, want permanent, malformed", name, r.Unreadable)
		}
	}
}

func TestContinuations_Continue(t *testing.T) {
	client, urls := awstest.Queues(t, "continuation")
	q := &queue.Continuations{Client: client, URL: urls[0]}
	want := broadcast.Request{
		Message: broadcast.Message{
			ID: "the first id", Payload: []byte("a\x00b"), SentAt: time.UnixMilli(1_700_000_000_123).UTC(),
			Exclude: []string{"a=", "b="},
		},
		Cursor: broadcast.Cursor{Segment: 2, Segments: 4, After: "k=", Stretch: 3},
		Hop:    5,
	}
	if err := q.Continue(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	got := queue.ReadBroadcasts(receive(t, client, urls[0], 1), continuationARN, "")[0]
	if !got.Record.Continuation || got.Record.BroadcastID != want.Message.ID {
		t.Errorf("got record %+v, want a continuation of %s", got.Record, want.Message.ID)
	}
	got.Record = broadcast.Record{}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
}

func batch(id string, connections int) broadcast.Batch {
	b := broadcast.Batch{ID: id, Messages: []broadcast.Message{{ID: "m", Payload: []byte("x")}}}
	for i := range connections {
		b.Connections = append(b.Connections, fmt.Sprintf("connection-%05d=", i))
	}
	return b
}

func TestBatches_SendLimits(t *testing.T) {
	client, urls := awstest.Queues(t, "send")
	q := &queue.Batches{Client: client, URL: urls[0]}
	var batches []broadcast.Batch
	var want []string
	for i := range 37 {
		size := 1
		if i%3 == 0 {
			size = 20_000 // about 400 KB: one call carries at most two
		}
		b := batch(fmt.Sprintf("batch-%02d", i), size)
		batches, want = append(batches, b), append(want, b.ID)
	}
	if err := q.Send(t.Context(), batches); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range receive(t, client, urls[0], len(want)).Records {
		b, err := broadcast.DecodeBatch(m.Body)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, b.ID)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if err := q.Send(t.Context(), nil); err != nil {
		t.Errorf("no batches: got %v, want no error", err)
	}
	if err := q.Send(t.Context(), []broadcast.Batch{batch("huge", 60_000)}); err == nil {
		t.Error("batch over the limit: got no error, want one")
	}
}

func TestBatches_RetryDelay(t *testing.T) {
	client, urls := awstest.Queues(t, "send")
	q := &queue.Batches{Client: client, URL: urls[0]}
	if err := q.Retry(t.Context(), batch("b", 1), time.Hour); err != nil {
		t.Fatalf("delay over the limit of SQS: got %v, want no error", err)
	}
	if err := q.Retry(t.Context(), batch("b", 1), broadcast.MaxDelay-time.Millisecond); err != nil {
		t.Fatalf("delay rounded up to the limit of SQS: got %v, want no error", err)
	}
	out, err := client.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{
		QueueUrl: &urls[0], AttributeNames: []types.QueueAttributeName{"ApproximateNumberOfMessagesDelayed"},
	})
	if err != nil || out.Attributes["ApproximateNumberOfMessagesDelayed"] != "2" {
		t.Errorf("got %v, %v, want 2 delayed messages", out.Attributes, err)
	}
}

func TestDeadLetters_Put(t *testing.T) {
	client, urls := awstest.Queues(t, "dead")
	q := &queue.DeadLetters{Client: client, URL: urls[0]}
	reason := broadcast.Permanent(broadcast.ReasonMalformed,
		errors.New("not base64\x00, and "+strings.Repeat("very ", 1000)+"long"))

	many := map[string]string{"encoding": "base64", "exclude": "a="}
	for i := range 8 {
		many[fmt.Sprintf("other-%d", i)] = "x"
	}
	if err := q.Put(t.Context(), broadcast.Record{ID: "m-1", Body: "%", Attributes: many}, reason); err != nil {
		t.Fatal(err)
	}
	b := batch("0/1.0.0~1", 3)
	b.Attempt = 8
	throttled := broadcast.Retry(broadcast.ReasonThrottled, errors.New("3 deliveries"))
	if err := q.PutBatch(t.Context(), b, throttled); err != nil {
		t.Fatal(err)
	}
	event := receive(t, client, urls[0], 2)
	slices.SortFunc(event.Records, func(a, b events.SQSMessage) int { return len(a.Body) - len(b.Body) })

	attr := func(i int, name string) string {
		if v := event.Records[i].MessageAttributes[name].StringValue; v != nil {
			return *v
		}
		return ""
	}
	for name, want := range map[string]string{
		"reason": broadcast.ReasonMalformed, "original": "m-1", "encoding": "base64", "exclude": "a=",
	} {
		if got := attr(0, name); got != want {
			t.Errorf("record, %s: got %q, want %q", name, got, want)
		}
	}
	if got := event.Records[0].Body; got != "%" {
		t.Errorf("record, body: got %q, want %%", got)
	}
	const prefix = "malformed: not base64?, and very"
	if got := attr(0, "detail"); !strings.HasPrefix(got, prefix) || len(got) > 1024 {
		t.Errorf("record, detail: got %q of %d bytes, want %q... of at most 1024", got, len(got), prefix)
	}
	left, err := broadcast.DecodeBatch(event.Records[1].Body)
	if err != nil || left.ID != b.ID || len(left.Connections) != 3 || attr(1, "reason") != broadcast.ReasonThrottled ||
		attr(1, "attempts") != "8" {
		t.Errorf("batch: got %+v, %v with %+v, want %+v", left, err, event.Records[1].MessageAttributes, b)
	}
}

func TestQueues_Missing(t *testing.T) {
	client, urls := awstest.Queues(t, "broadcast")
	ctx, url := t.Context(), urls[0]+"-missing"
	continuations, batches := &queue.Continuations{Client: client, URL: url}, &queue.Batches{Client: client, URL: url}
	letters := &queue.DeadLetters{Client: client, URL: url}
	for call, err := range map[string]error{
		"Continue": continuations.Continue(ctx, broadcast.Request{Message: broadcast.Message{ID: "m", Payload: []byte("x")}}),
		"Send":     batches.Send(ctx, []broadcast.Batch{batch("b", 1)}),
		"Put":      letters.Put(ctx, broadcast.Record{ID: "m", Body: "x"}, broadcast.Permanent("r", errors.New("x"))),
	} {
		if _, ok := errors.AsType[*types.QueueDoesNotExist](err); !ok {
			t.Errorf("%s: got %v, want QueueDoesNotExist", call, err)
		}
	}
}

func TestReadRecord(t *testing.T) {
	for _, n := range []int{0, 2} {
		_, err := queue.ReadRecord(events.SQSEvent{Records: make([]events.SQSMessage, n)}, "")
		if err == nil || !strings.Contains(err.Error(), "the batch size must be 1") {
			t.Errorf("%d records: got %v, want an error about the batch size", n, err)
		}
	}
	message := events.SQSMessage{MessageId: "m", Body: "x", Attributes: map[string]string{"ApproximateReceiveCount": "2"}}
	r, err := queue.ReadRecord(events.SQSEvent{Records: []events.SQSMessage{message}}, "i")
	if err != nil || r.ID != "m" || r.Body != "x" || !r.Redelivered || r.Invocation != "i" {
		t.Errorf("got %+v, %v, want the redelivered record m of invocation i", r, err)
	}
}

func TestBatches_SendCanceled(t *testing.T) {
	client, urls := awstest.Queues(t, "send")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := (&queue.Batches{Client: client, URL: urls[0]}).Send(ctx, []broadcast.Batch{batch("b", 1)})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

// letters returns the letters of a queue by their original ids, and leaves them there.
func letters(t *testing.T, q *queue.DeadLetters) map[string]queue.Letter {
	t.Helper()
	all := make(map[string]queue.Letter)
	if err := q.Each(t.Context(), func(l queue.Letter) (bool, error) {
		all[l.Original] = l
		return false, nil
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestContinuations_Redrive(t *testing.T) {
	client, urls := awstest.Queues(t, "continuation", "dead")
	continuations := &queue.Continuations{Client: client, URL: urls[0]}
	dead := &queue.DeadLetters{Client: client, URL: urls[1]}
	audience := broadcast.Permanent(broadcast.ReasonAudience, errors.New("too large"))
	for _, r := range []broadcast.Record{
		{ID: "m-1", Body: "hello", Attributes: map[string]string{"exclude": "a="}},
		{ID: "another", Body: "hello", BroadcastID: "m-2", Continuation: true, Attributes: map[string]string{
			"broadcast": "m-2", "sentAt": "7", "segment": "1/4", "startKey": "k=", "stretch": "2", "hop": "11",
		}},
		{ID: "m-3", Body: "%", Attributes: map[string]string{"encoding": "base64"}},
	} {
		reason := audience
		if r.ID == "m-3" {
			reason = broadcast.Permanent(broadcast.ReasonMalformed, errors.New("not base64"))
		}
		if err := dead.Put(t.Context(), r, reason); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // Each leaves the letters in the queue, so it can be called twice
		got := letters(t, dead)
		if len(got) != 3 || got["m-1"].Reason != broadcast.ReasonAudience || !got["m-3"].Permanent() ||
			got["m-2"].Permanent() {
			t.Errorf("got letters %+v, want m-1, m-2 and m-3, of which m-3 is permanent", got)
		}
	}

	if err := dead.Each(t.Context(), func(l queue.Letter) (bool, error) {
		if l.Permanent() {
			return false, nil
		}
		return true, continuations.Redrive(t.Context(), l)
	}); err != nil {
		t.Fatal(err)
	}
	if got := letters(t, dead); len(got) != 1 || got["m-3"].Body != "%" {
		t.Errorf("after the redrive: got letters %+v, want m-3 unchanged", got)
	}
	back := make(map[string]broadcast.Request)
	for _, r := range queue.ReadBroadcasts(receive(t, client, urls[0], 2), continuationARN, "") {
		if r.Unreadable != nil {
			t.Error(r.Unreadable)
		}
		back[r.Message.ID] = r
	}
	if r := back["m-1"]; r.Cursor != (broadcast.Cursor{}) || !slices.Equal(r.Message.Exclude, []string{"a="}) ||
		r.Message.SentAt.IsZero() {
		t.Errorf("m-1: got %+v, want the whole table, exclude a= and a time", r)
	}
	want := broadcast.Cursor{Segment: 1, Segments: 4, After: "k=", Stretch: 2}
	if r := back["m-2"]; r.Cursor != want || r.Hop != 0 || r.Message.SentAt.UnixMilli() != 7 {
		t.Errorf("m-2: got %+v, want %+v, hop 0, sent at 7", r, want)
	}
}

func TestBatches_Redrive(t *testing.T) {
	client, urls := awstest.Queues(t, "send", "send-dead")
	batches, dead := &queue.Batches{Client: client, URL: urls[0]}, &queue.DeadLetters{Client: client, URL: urls[1]}
	b := batch("0/1.0.0~0", 2)
	b.Attempt, b.Reason = 8, broadcast.ReasonThrottled
	reason := broadcast.Permanent(broadcast.ReasonThrottled, errors.New("2 deliveries"))
	if err := dead.PutBatch(t.Context(), b, reason); err != nil {
		t.Fatal(err)
	}
	if l := letters(t, dead)["0/1.0.0~0"]; l.Attempts != 8 || l.Reason != broadcast.ReasonThrottled {
		t.Errorf("got letter %+v, want 8 attempts, throttled", l)
	}
	if err := dead.Each(t.Context(), func(l queue.Letter) (bool, error) {
		return true, batches.Redrive(t.Context(), l)
	}); err != nil {
		t.Fatal(err)
	}
	got, err := broadcast.DecodeBatch(receive(t, client, urls[0], 1).Records[0].Body)
	if err != nil || got.ID != b.ID || got.Attempt != 0 || !got.Redriven || got.Reason != b.Reason {
		t.Errorf("got %+v, %v, want batch %s redriven, attempt 0", got, err, b.ID)
	}
	if got := letters(t, dead); len(got) != 0 {
		t.Errorf("after the redrive: got letters %+v, want none", got)
	}
}

// The largest messages that SQS takes have no room for a reason. They are cut, and are not sent back.
func TestDeadLetters_PutCuts(t *testing.T) {
	client, urls := awstest.Queues(t, "dead")
	dead := &queue.DeadLetters{Client: client, URL: urls[0], FromPublishers: true}
	detail := broadcast.Permanent(broadcast.ReasonTooLarge, errors.New(strings.Repeat("ü", 5000)))
	tenth := publish.MaxQueueBytes / 10
	tests := map[string]struct {
		record broadcast.Record
		cut    bool
	}{
		"body":       {broadcast.Record{Body: strings.Repeat("x", publish.MaxQueueBytes)}, true},
		"characters": {broadcast.Record{Body: strings.Repeat("🎺", publish.MaxQueueBytes/4)}, true},
		"body and attributes": {broadcast.Record{
			Body:       strings.Repeat("x", publish.MaxQueueBytes-60_100),
			Attributes: map[string]string{"exclude": strings.Repeat("a", 60_000), "broadcastId": "order-1"},
		}, true},
		"attributes": {broadcast.Record{
			Body: "x", Attributes: map[string]string{
				"exclude": strings.Repeat("a", 8*tenth), "encoding": strings.Repeat("b", tenth),
				"hop": strings.Repeat("c", tenth/2),
			},
		}, true},
		"exclusions": {broadcast.Record{
			Body: "x", Attributes: map[string]string{"exclude": strings.Repeat("a", 19*tenth/2)},
		}, true},
		"other attributes": {broadcast.Record{
			Body: "x", Attributes: map[string]string{"baggage": strings.Repeat("a", 9*tenth)},
		}, false},
		"room for the reason": {broadcast.Record{Body: strings.Repeat("x", publish.MaxQueueBytes-2000)}, false},
	}
	for name, test := range tests {
		r := test.record
		r.ID, r.BroadcastID = "record", name
		if err := dead.Put(t.Context(), r, detail); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	all := letters(t, dead)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r, got := test.record, all[name]
			if got.Reason != broadcast.ReasonTooLarge || got.Incomplete != test.cut || got.Size > 0 != test.cut ||
				!strings.HasPrefix(r.Body, got.Body) || !utf8.ValidString(got.Body) {
				t.Errorf("got %d bytes, reason %q, size %d, incomplete %v, want incomplete = %v",
					len(got.Body), got.Reason, got.Size, got.Incomplete, test.cut)
			}
			if test.cut && got.Size < publish.MaxQueueBytes*9/10 {
				t.Errorf("got size %d, want that of the whole message", got.Size)
			}
			if lost := len(r.Body) - len(got.Body); lost > 2000 || lost > 0 && !test.cut {
				t.Errorf("got a body that is %d bytes shorter, want at most 2000", lost)
			}
		})
	}
}

// A batch of the largest size fits on the dead-letter queue with its reason.
func TestDeadLetters_PutLargestBatch(t *testing.T) {
	client, urls := awstest.Queues(t, "dead")
	dead := &queue.DeadLetters{Client: client, URL: urls[0]}
	b := batch(strings.Repeat("9", broadcast.MaxBatchBytes/2), 1)
	body, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	b.Connections = append(b.Connections, strings.Repeat("c", broadcast.MaxBatchBytes-len(body)-len(`,""`)))
	reason := broadcast.Permanent(strings.Repeat("r", 100), errors.New(strings.Repeat("e", 5000)))
	if err := dead.PutBatch(t.Context(), b, reason); err != nil {
		t.Fatal(err)
	}
	b.Connections[1] += "c"
	if _, err := b.Encode(); err == nil {
		t.Error("a larger batch: got no error, want one")
	}
}

// Attributes that steer the dispatcher are not taken from letters that publishers have written.
func TestDeadLetters_FromPublishers(t *testing.T) {
	client, urls := awstest.Queues(t, "dead")
	steered := map[string]string{ // as many attributes as SQS takes
		"encoding": "base64", "exclude": "a=", "broadcastId": "m-1", "broadcast": "another", "sentAt": "1",
		"segment": "1/2", "startKey": "k", "stretch": "1", "hop": "1", "truncated": "1",
	}
	record := broadcast.Record{ID: "m-1", BroadcastID: "m-1", Body: "x", Attributes: steered}
	dead := &queue.DeadLetters{Client: client, URL: urls[0], FromPublishers: true}
	if err := dead.Put(t.Context(), record, broadcast.Permanent(broadcast.ReasonMalformed, errors.New("x"))); err != nil {
		t.Fatal(err)
	}
	put(t, client, urls[0], "moved by SQS", map[string]string{"broadcastId": "m-2", "broadcast": "m-3", "hop": "1"})
	got := letters(t, dead)
	if _, found := got["m-2"]; len(got) != 2 || !found {
		t.Errorf("got letters %+v, want those of m-1 and m-2", got)
	}
	for id, l := range got {
		if !l.Incomplete || !l.Permanent() || l.Attributes["segment"] != "" || l.Attributes["broadcast"] != "" {
			t.Errorf("%s: got letter %+v, want an incomplete one without steering attributes", id, l)
		}
	}
}

// Attributes of a wrong type would be strings after a redrive, so that the broadcast would be valid. Such letters are
// not sent back, whether the dispatcher has stored them or SQS has moved them.
func TestDeadLetters_WrongType(t *testing.T) {
	client, urls := awstest.Queues(t, "broadcast", "dead")
	dead := &queue.DeadLetters{Client: client, URL: urls[1], FromPublishers: true}
	for i, attr := range []string{"exclude:Number", "encoding:Binary", "exclude:String.list", "other:Number"} {
		attrs := map[string]string{attr: "7"}
		r := published(t, client, urls[0], "x", attrs)
		r.Record.BroadcastID = fmt.Sprintf("stored-%d", i)
		reason := broadcast.Permanent(broadcast.ReasonMalformed, errors.New("x"))
		if err := dead.Put(t.Context(), r.Record, reason); err != nil {
			t.Fatal(err)
		}
		attrs["broadcastId"] = fmt.Sprintf("moved-%d", i)
		put(t, client, urls[1], "x", attrs)
		got, want := letters(t, dead), !strings.HasPrefix(attr, "other")
		for _, id := range []string{r.Record.BroadcastID, attrs["broadcastId"]} {
			if l, found := got[id]; !found || l.Incomplete != want || l.Body != "x" {
				t.Errorf("%s, %s: got letter %+v, %v, want incomplete = %v", attr, id, l, found, want)
			}
		}
	}
}

// A message that SQS has moved may have ten attributes of its publisher.
func TestContinuations_RedriveManyAttributes(t *testing.T) {
	client, urls := awstest.Queues(t, "continuation")
	l := queue.Letter{Original: "m-1", Body: "x", Attributes: map[string]string{"exclude": "a="}}
	for i := range 9 {
		l.Attributes[fmt.Sprintf("other-%d", i)] = "x"
	}
	if err := (&queue.Continuations{Client: client, URL: urls[0]}).Redrive(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	r := queue.ReadBroadcasts(receive(t, client, urls[0], 1), continuationARN, "")[0]
	if r.Unreadable != nil || r.Message.ID != "m-1" || !slices.Equal(r.Message.Exclude, []string{"a="}) {
		t.Errorf("got %+v, want broadcast m-1 without a=", r)
	}
}

// The largest message with the longest exclusions fits on every queue.
func TestContinuations_ContinueLargest(t *testing.T) {
	client, urls := awstest.Queues(t, "continuation", "send", "dead")
	excluded := strings.Repeat(`"`, publish.MaxExcludeBytes/publish.MaxExclude-len(","))
	m := broadcast.Message{
		ID: strings.Repeat("i", publish.MaxIDBytes), Payload: make([]byte, publish.MaxBytes),
		Exclude: slices.Repeat([]string{excluded}, publish.MaxExclude),
	}
	r := broadcast.Request{Message: m, Cursor: broadcast.Cursor{Segments: 64, After: strings.Repeat("k", 128)}}
	if err := (&queue.Continuations{Client: client, URL: urls[0]}).Continue(t.Context(), r); err != nil {
		t.Error(err)
	}
	if size := m.WireLen(); size > broadcast.MaxMessageBytes {
		t.Errorf("got %d bytes in a batch, want at most %d", size, broadcast.MaxMessageBytes)
	}
	b := batch("0/1.0.0", 6000)
	b.Messages = []broadcast.Message{m}
	if err := (&queue.Batches{Client: client, URL: urls[1]}).Send(t.Context(), []broadcast.Batch{b}); err != nil {
		t.Error(err)
	}
	dead := &queue.DeadLetters{Client: client, URL: urls[2]}
	if err := dead.PutBatch(t.Context(), b, broadcast.Permanent("r", errors.New("x"))); err != nil {
		t.Error(err)
	}
}

func TestBroadcasts_Publish(t *testing.T) {
	client, urls := awstest.Queues(t, "broadcast")
	q := &queue.Broadcasts{Client: client, URL: urls[0]}
	if err := q.Publish(t.Context(), "c-1", []byte("a\x00b")); err != nil {
		t.Fatal(err)
	}
	r := queue.ReadBroadcasts(receive(t, client, urls[0], 1), continuationARN, "")[0]
	if r.Unreadable != nil || r.Message.ID != "c-1" || string(r.Message.Payload) != "a\x00b" {
		t.Errorf("got %+v, want broadcast c-1 with the payload", r)
	}
}

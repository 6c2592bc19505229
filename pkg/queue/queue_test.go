package queue_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"fanfare/pkg/broadcast"
	"fanfare/pkg/queue"
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
			t.Fatalf("the queue has %d messages, want %d", len(event.Records), n)
		}
		for _, m := range out.Messages {
			record := events.SQSMessage{
				MessageId: *m.MessageId, Body: *m.Body, Attributes: m.Attributes, MessageAttributes: map[string]events.SQSMessageAttribute{},
			}
			for name, attr := range m.MessageAttributes {
				record.MessageAttributes[name] = events.SQSMessageAttribute{StringValue: attr.StringValue, DataType: *attr.DataType}
			}
			event.Records = append(event.Records, record)
		}
	}
	return event
}

func TestWhatIsPublishedIsRead(t *testing.T) {
	client, urls := awstest.Queues(t, "broadcast")
	q := &queue.Broadcasts{Client: client, URL: urls[0]}
	for _, payload := range []string{"hello", "a\x00b", "\uffff", `{"s":"\ud800"}`, " ", strings.Repeat("x", broadcast.MaxPayloadBytes)} {
		id, err := q.Publish(t.Context(), []byte(payload))
		if err != nil {
			t.Fatal(err)
		}
		requests := queue.ReadBroadcasts(receive(t, client, urls[0], 1), "invocation")
		r := requests[0]
		if r.Unreadable != nil || r.Message.ID != id || string(r.Message.Payload) != payload || r.Portion != (broadcast.Portion{}) {
			t.Errorf("%.20q came back as %.20q: %+v", payload, r.Message.Payload, r.Unreadable)
		}
		if age := time.Since(r.Message.SentAt); age < -time.Second || age > time.Minute {
			t.Errorf("sent %v ago", age)
		}
		if r.Record.Redelivered || r.Record.Invocation != "invocation" {
			t.Errorf("record %+v", r.Record)
		}
	}
}

func TestBackendsMayExcludeAndEncode(t *testing.T) {
	client, urls := awstest.Queues(t, "broadcast")
	send := func(body string, attrs map[string]string) broadcast.Request {
		t.Helper()
		in := &sqs.SendMessageInput{QueueUrl: &urls[0], MessageBody: &body, MessageAttributes: map[string]types.MessageAttributeValue{}}
		for name, value := range attrs {
			in.MessageAttributes[name] = types.MessageAttributeValue{DataType: aws.String("String"), StringValue: aws.String(value)}
		}
		if _, err := client.SendMessage(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		return queue.ReadBroadcasts(receive(t, client, urls[0], 1), "")[0]
	}
	if r := send("aGVsbG8=", map[string]string{"encoding": "base64"}); string(r.Message.Payload) != "hello" {
		t.Errorf("base64: %q, %v", r.Message.Payload, r.Unreadable)
	}
	if r := send("x", map[string]string{"exclude": "b=, a=,,c="}); !slices.Equal(r.Message.Exclude, []string{"a=", "b=", "c="}) {
		t.Errorf("exclude: %q", r.Message.Exclude)
	}
	if r := send("x", map[string]string{"theirs": "of no account"}); r.Unreadable != nil {
		t.Errorf("a foreign attribute: %v", r.Unreadable)
	}
	for name, test := range map[string]struct {
		body  string
		attrs map[string]string
	}{
		"malformed base64":       {"%", map[string]string{"encoding": "base64"}},
		"unknown encoding":       {"x", map[string]string{"encoding": "gzip"}},
		"over 131,072 bytes":     {strings.Repeat("x", broadcast.MaxPayloadBytes+1), nil},
		"half a continuation":    {"x", map[string]string{"broadcast": "b"}},
		"a portion out of place": {"x", map[string]string{"broadcast": "b", "sentAt": "1", "segment": "4/4", "stretch": "0", "hop": "1"}},
	} {
		r := send(test.body, test.attrs)
		if r.Unreadable == nil {
			t.Errorf("%s: read", name)
		} else if fate, _ := broadcast.FateOf(r.Unreadable); fate != broadcast.FatePermanent {
			t.Errorf("%s: %v", name, r.Unreadable)
		}
	}
}

func TestAContinuationIsTheSameBroadcast(t *testing.T) {
	client, urls := awstest.Queues(t, "broadcast")
	q := &queue.Broadcasts{Client: client, URL: urls[0]}
	want := broadcast.Request{
		Message: broadcast.Message{ID: "the first id", Payload: []byte("a\x00b"), SentAt: time.UnixMilli(1_700_000_000_123).UTC(), Exclude: []string{"a=", "b="}},
		Portion: broadcast.Portion{Segment: 2, Segments: 4, After: "k=", Stretch: 3, Hop: 5},
	}
	if err := q.Continue(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	got := queue.ReadBroadcasts(receive(t, client, urls[0], 1), "")[0]
	if got.Unreadable != nil || got.Portion != want.Portion || got.Message.ID != want.Message.ID || !got.Message.SentAt.Equal(want.Message.SentAt) ||
		string(got.Message.Payload) != "a\x00b" || !slices.Equal(got.Message.Exclude, want.Message.Exclude) {
		t.Errorf("got %+v, %v", got, got.Unreadable)
	}
}

func batch(id string, connections int) broadcast.Batch {
	b := broadcast.Batch{ID: id, Messages: []broadcast.Message{{ID: "m", Payload: []byte("x")}}}
	for i := range connections {
		b.Connections = append(b.Connections, fmt.Sprintf("connection-%05d=", i))
	}
	return b
}

func TestBatchesFillTheQueueWithinItsLimits(t *testing.T) {
	client, urls := awstest.Queues(t, "send")
	q := &queue.Batches{Client: client, URL: urls[0]}
	var batches []broadcast.Batch
	var want []string
	for i := range 37 {
		size := 1
		if i%3 == 0 {
			size = 20_000 // some 400 KB: no three of them go together
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
		t.Errorf("on the queue are %v", got)
	}
	if err := q.Send(t.Context(), nil); err != nil {
		t.Errorf("sending nothing: %v", err)
	}
	if err := q.Send(t.Context(), []broadcast.Batch{batch("huge", 60_000)}); err == nil {
		t.Error("a batch that no queue can carry was sent")
	}
}

func TestARetryWaits(t *testing.T) {
	client, urls := awstest.Queues(t, "send")
	q := &queue.Batches{Client: client, URL: urls[0]}
	if err := q.Retry(t.Context(), batch("b", 1), time.Hour); err != nil {
		t.Fatalf("a delay beyond what SQS allows: %v", err)
	}
	if err := q.Retry(t.Context(), batch("b", 1), broadcast.MaxDelay-time.Millisecond); err != nil {
		t.Fatalf("a delay that is rounded up to all that SQS allows: %v", err)
	}
	out, err := client.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{
		QueueUrl: &urls[0], AttributeNames: []types.QueueAttributeName{"ApproximateNumberOfMessagesDelayed"},
	})
	if err != nil || out.Attributes["ApproximateNumberOfMessagesDelayed"] != "2" {
		t.Errorf("delayed: %v, %v", out.Attributes, err)
	}
}

func TestDeadLettersTellTheirReason(t *testing.T) {
	client, urls := awstest.Queues(t, "dead")
	q := &queue.DeadLetters{Client: client, URL: urls[0]}
	reason := broadcast.Permanent(broadcast.ReasonMalformed, errors.New("not base64\x00, and "+strings.Repeat("very ", 1000)+"long"))

	many := map[string]string{"encoding": "base64", "exclude": "a="}
	for i := range 8 {
		many[fmt.Sprintf("theirs-%d", i)] = "x"
	}
	if err := q.Bury(t.Context(), broadcast.Record{ID: "m-1", Body: "%", Attributes: many}, reason); err != nil {
		t.Fatal(err)
	}
	b := batch("0/1.0.0~1", 3)
	b.Attempt = 8
	if err := q.BuryBatch(t.Context(), b, broadcast.Retry(broadcast.ReasonThrottled, errors.New("3 deliveries"))); err != nil {
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
	if event.Records[0].Body != "%" || attr(0, "reason") != broadcast.ReasonMalformed || attr(0, "original") != "m-1" || attr(0, "encoding") != "base64" || attr(0, "exclude") != "a=" {
		t.Errorf("the record: %+v", event.Records[0])
	}
	if !strings.HasPrefix(attr(0, "detail"), "malformed: not base64?, and very") || len(attr(0, "detail")) > 1024 {
		t.Errorf("detail %q", attr(0, "detail"))
	}
	left, err := broadcast.DecodeBatch(event.Records[1].Body)
	if err != nil || left.ID != b.ID || len(left.Connections) != 3 || attr(1, "reason") != broadcast.ReasonThrottled || attr(1, "attempts") != "8" {
		t.Errorf("the batch: %+v, %v, %+v", left, err, event.Records[1].MessageAttributes)
	}
}

func TestAQueueThatDoesNotExistIsFatal(t *testing.T) {
	client, urls := awstest.Queues(t, "broadcast")
	url := urls[0] + "-nowhere"
	_, err := (&queue.Broadcasts{Client: client, URL: url}).Publish(t.Context(), []byte("x"))
	for call, err := range map[string]error{
		"Publish": err,
		"Send":    (&queue.Batches{Client: client, URL: url}).Send(t.Context(), []broadcast.Batch{batch("b", 1)}),
		"Bury":    (&queue.DeadLetters{Client: client, URL: url}).Bury(t.Context(), broadcast.Record{ID: "m", Body: "x"}, broadcast.Permanent("r", errors.New("x"))),
	} {
		var missing *types.QueueDoesNotExist
		if !errors.As(err, &missing) {
			t.Errorf("%s: %v", call, err)
		}
	}
}

func TestFailedNamesWhatComesBack(t *testing.T) {
	for want, response := range map[string]events.SQSEventResponse{
		`{"batchItemFailures":[]}`: queue.Failed(),
		`{"batchItemFailures":[{"itemIdentifier":"a"},{"itemIdentifier":"b"}]}`: queue.Failed("a", "b"),
	} {
		if got, err := json.Marshal(response); err != nil || string(got) != want {
			t.Errorf("%s, %v; want %s", got, err, want)
		}
	}
}

func TestReadRecordInsistsOnOne(t *testing.T) {
	for _, n := range []int{0, 2} {
		if _, err := queue.ReadRecord(events.SQSEvent{Records: make([]events.SQSMessage, n)}, ""); err == nil || !strings.Contains(err.Error(), "batch size has to be 1") {
			t.Errorf("%d records: %v", n, err)
		}
	}
	r, err := queue.ReadRecord(events.SQSEvent{Records: []events.SQSMessage{{MessageId: "m", Body: "x", Attributes: map[string]string{"ApproximateReceiveCount": "2"}}}}, "i")
	if err != nil || r.ID != "m" || !r.Redelivered || r.Invocation != "i" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestSendEndsWithItsContext(t *testing.T) {
	client, urls := awstest.Queues(t, "send")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (&queue.Batches{Client: client, URL: urls[0]}).Send(ctx, []broadcast.Batch{batch("b", 1)}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestDeadLettersGoBack(t *testing.T) {
	client, urls := awstest.Queues(t, "broadcast", "broadcast-dead", "send", "send-dead")
	broadcasts, batches := &queue.Broadcasts{Client: client, URL: urls[0]}, &queue.Batches{Client: client, URL: urls[2]}
	deadBroadcasts, deadBatches := &queue.DeadLetters{Client: client, URL: urls[1]}, &queue.DeadLetters{Client: client, URL: urls[3]}
	audience := broadcast.Permanent(broadcast.ReasonAudience, errors.New("too large"))

	for _, r := range []broadcast.Record{
		{ID: "m-1", Body: "hello", Attributes: map[string]string{"exclude": "a="}},
		{ID: "another", Body: "hello", Attributes: map[string]string{"broadcast": "m-2", "sentAt": "7", "segment": "1/4", "startKey": "k=", "stretch": "2", "hop": "11"}},
		{ID: "m-3", Body: "%", Attributes: map[string]string{"encoding": "base64"}},
	} {
		reason := audience
		if r.ID == "m-3" {
			reason = broadcast.Permanent(broadcast.ReasonMalformed, errors.New("not base64"))
		}
		if err := deadBroadcasts.Bury(t.Context(), r, reason); err != nil {
			t.Fatal(err)
		}
	}
	b := batch("0/1.0.0~0", 2)
	b.Attempt, b.Reason = 8, broadcast.ReasonThrottled
	if err := deadBatches.BuryBatch(t.Context(), b, broadcast.Permanent(broadcast.ReasonThrottled, errors.New("2 deliveries"))); err != nil {
		t.Fatal(err)
	}

	list := func(q *queue.DeadLetters) map[string]queue.Letter {
		t.Helper()
		letters := make(map[string]queue.Letter)
		if err := q.Each(t.Context(), func(l queue.Letter) (bool, error) {
			letters[l.Original] = l
			return false, nil
		}); err != nil {
			t.Fatal(err)
		}
		return letters
	}
	// Listing leaves everything where it is, so it can be done twice.
	for range 2 {
		if letters := list(deadBroadcasts); len(letters) != 3 || letters["m-1"].Reason != broadcast.ReasonAudience || !letters["m-3"].Hopeless() || letters["m-2"].Hopeless() {
			t.Errorf("the letters are %+v", letters)
		}
	}
	if l := list(deadBatches)["0/1.0.0~0"]; l.Attempts != 8 || l.Reason != broadcast.ReasonThrottled {
		t.Errorf("the batch's letter is %+v", l)
	}

	if err := deadBroadcasts.Each(t.Context(), func(l queue.Letter) (bool, error) {
		if l.Hopeless() {
			return false, nil
		}
		return true, broadcasts.Redrive(t.Context(), l)
	}); err != nil {
		t.Fatal(err)
	}
	if left := list(deadBroadcasts); len(left) != 1 || left["m-3"].Body != "%" {
		t.Errorf("left are %+v", left)
	}
	back := make(map[string]broadcast.Request)
	for _, r := range queue.ReadBroadcasts(receive(t, client, urls[0], 2), "") {
		if r.Unreadable != nil {
			t.Error(r.Unreadable)
		}
		back[r.Message.ID] = r
	}
	if r := back["m-1"]; r.Portion != (broadcast.Portion{}) || !slices.Equal(r.Message.Exclude, []string{"a="}) || r.Message.SentAt.IsZero() {
		t.Errorf("m-1 is back as %+v", r)
	}
	if r := back["m-2"]; r.Portion != (broadcast.Portion{Segment: 1, Segments: 4, After: "k=", Stretch: 2}) || r.Message.SentAt.UnixMilli() != 7 {
		t.Errorf("m-2 is back as %+v", r)
	}

	if err := deadBatches.Each(t.Context(), func(l queue.Letter) (bool, error) { return true, batches.Redrive(t.Context(), l) }); err != nil {
		t.Fatal(err)
	}
	got, err := broadcast.DecodeBatch(receive(t, client, urls[2], 1).Records[0].Body)
	if err != nil || got.ID != b.ID || got.Attempt != 0 || !got.Redriven || got.Reason != b.Reason {
		t.Errorf("the batch is back as %+v, %v", got, err)
	}
	if left := list(deadBatches); len(left) != 0 {
		t.Errorf("left are %+v", left)
	}
}

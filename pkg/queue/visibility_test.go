package queue_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"fanfare/pkg/queue"
	"fanfare/test/awstest"
)

// received receives n new messages from a queue, hidden for an hour, as an event source mapping hands them over.
func received(t *testing.T, client *sqs.Client, url string, n int) (messages []events.SQSMessage) {
	t.Helper()
	name := url[strings.LastIndexByte(url, '/')+1:]
	for i := range n {
		body := fmt.Sprint(name, i)
		if _, err := client.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: &body}); err != nil {
			t.Fatal(err)
		}
	}
	for len(messages) < n {
		out, err := client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{
			QueueUrl: &url, MaxNumberOfMessages: 10, WaitTimeSeconds: 5, VisibilityTimeout: 3600,
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range out.Messages {
			messages = append(messages, events.SQSMessage{
				MessageId: *m.MessageId, ReceiptHandle: *m.ReceiptHandle, Body: *m.Body,
				EventSourceARN: "arn:aws:sqs:us-east-1:000000000000:" + name,
			})
		}
	}
	return messages
}

// visible returns the bodies of the messages of a queue that can be received now, sorted.
func visible(t *testing.T, client *sqs.Client, url string, want int) (bodies []string) {
	t.Helper()
	for {
		in := &sqs.ReceiveMessageInput{QueueUrl: &url, MaxNumberOfMessages: 10, VisibilityTimeout: 3600}
		if len(bodies) < want {
			in.WaitTimeSeconds = 5 // a queue may take a while to show them
		}
		out, err := client.ReceiveMessage(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Messages) == 0 {
			slices.Sort(bodies)
			return bodies
		}
		for _, m := range out.Messages {
			bodies = append(bodies, *m.Body)
		}
	}
}

func TestVisibility_Change(t *testing.T) {
	client, urls := awstest.Queues(t, "first", "second")
	v := queue.Visibility{Client: client, URLs: urls}
	var changes []queue.VisibilityChange
	for i, m := range append(received(t, client, urls[0], 12), received(t, client, urls[1], 2)...) {
		after := time.Duration(0)
		switch i {
		case 0:
			after = time.Hour // it stays hidden
		case 1:
			after = -time.Hour // a time in the past is now
		}
		changes = append(changes, queue.VisibilityChange{Message: m, After: after})
	}
	if err := v.Change(t.Context(), changes); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{11, 2} {
		if got := visible(t, client, urls[i], want); len(got) != want || slices.Contains(got, changes[0].Message.Body) {
			t.Errorf("queue %d: got %v visible, want %d without %s", i, got, want, changes[0].Message.Body)
		}
	}
}

// Less than a second must not become 0, which would return the message at once.
func TestVisibility_RoundUp(t *testing.T) {
	client, urls := awstest.Queues(t, "q")
	v := queue.Visibility{Client: client, URLs: urls}
	message := received(t, client, urls[0], 1)[0]
	begin := time.Now()
	changes := []queue.VisibilityChange{{Message: message, After: time.Millisecond}}
	if err := v.Change(t.Context(), changes); err != nil {
		t.Fatal(err)
	}
	if got := visible(t, client, urls[0], 1); len(got) != 1 || time.Since(begin) < 900*time.Millisecond {
		t.Errorf("got %v after %v, want the message after 1s", got, time.Since(begin))
	}
}

func TestVisibility_ChangeErrors(t *testing.T) {
	client, urls := awstest.Queues(t, "q")
	v := queue.Visibility{Client: client, URLs: urls}
	known := received(t, client, urls[0], 1)[0]
	other, invalid := known, known
	other.EventSourceARN = "arn:aws:sqs:us-east-1:000000000000:other"
	invalid.ReceiptHandle = "invalid"
	for name, test := range map[string]struct {
		message events.SQSMessage
		want    string
	}{
		"another queue":  {other, `no queue URL for event source "arn:aws:sqs:us-east-1:000000000000:other"`},
		"refused by SQS": {invalid, "SQS refused 1 of them: ReceiptHandleIsInvalid"},
	} {
		changes := []queue.VisibilityChange{{Message: test.message}}
		if err := v.Change(t.Context(), changes); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
	// The other messages are changed.
	changes := []queue.VisibilityChange{{Message: other}, {Message: known}}
	if err := v.Change(t.Context(), changes); err == nil {
		t.Error("one of two unknown: got no error, want one")
	}
	if got := visible(t, client, urls[0], 1); len(got) != 1 {
		t.Errorf("one of two unknown: got %v visible, want the other", got)
	}

	if _, err := client.DeleteQueue(t.Context(), &sqs.DeleteQueueInput{QueueUrl: &urls[0]}); err != nil {
		t.Fatal(err)
	}
	err := v.Change(t.Context(), changes[1:])
	if _, ok := errors.AsType[*types.QueueDoesNotExist](err); !ok {
		t.Errorf("no such queue: got %v, want QueueDoesNotExist", err)
	}
}

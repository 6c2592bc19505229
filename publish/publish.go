// Package publish is for backends that publish from Go: it puts messages on a stack's broadcast queue, from which they
// are sent to every connected client. It also defines the wire form of these messages ([Message]).
//
//	queue := publish.Queue{Client: sqs.NewFromConfig(cfg), URL: os.Getenv("QUEUE_URL")}
//	id, err := queue.Publish(ctx, []byte(`{"news":"it works"}`))
//
// The URL is the stack's output BroadcastQueueUrl. The caller's role needs the policy PublisherPolicyArn. A nil error
// means that SQS has stored the message: every client that was connected before is in its audience. Publishing again
// after an error may broadcast a message twice, under two ids.
//
// A message is the body of a plain SendMessage, so any AWS SDK can publish without this package. The package adds
// base64 for text that SQS refuses, checks of size and encoding, and batches.
//
// A payload is UTF-8 text. Binary data must be encoded as text inside the payload, for example as base64 in a member of
// a JSON object, and decoded by the clients.
package publish

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// Queue is a stack's broadcast queue. It is safe for concurrent use.
type Queue struct {
	Client *sqs.Client
	URL    string
}

// Publish broadcasts a payload to every client except the excluded connections, and returns the broadcast's id. The
// error wraps ErrEmpty, ErrTooLarge or ErrNotUTF8 if no client can receive the payload; then nothing is sent.
func (q Queue) Publish(ctx context.Context, payload []byte, exclude ...string) (id string, err error) {
	if err := check(payload); err != nil {
		return "", fmt.Errorf("publish a message: %w", err)
	}
	body, attributes := encode(Message{Payload: payload, Exclude: exclude})
	out, err := q.Client.SendMessage(ctx, &sqs.SendMessageInput{
		QueueUrl: &q.URL, MessageBody: &body, MessageAttributes: attributes,
	})
	if err != nil {
		return "", fmt.Errorf("send to the broadcast queue: %w", err)
	}
	return aws.ToString(out.MessageId), nil
}

// PublishAll broadcasts payloads, up to ten in one call, and returns their ids in the same order. If some were not
// stored, their ids are empty and the error says why; the others were stored. If no client can
// receive one of the payloads, nothing is sent.
func (q Queue) PublishAll(ctx context.Context, payloads ...[]byte) (ids []string, err error) {
	for i, payload := range payloads {
		if err := check(payload); err != nil {
			return nil, fmt.Errorf("publish message %d of %d: %w", i+1, len(payloads), err)
		}
	}
	ids = make([]string, len(payloads))
	var entries []types.SendMessageBatchRequestEntry
	var errs []error
	size := 0
	flush := func() {
		if len(entries) > 0 {
			errs = append(errs, q.send(ctx, entries, ids))
		}
		entries, size = nil, 0
	}
	for i, payload := range payloads {
		body, attributes := encode(Message{Payload: payload})
		bytes := len(body)
		for name, value := range attributes { // SQS counts the name, the type and the value
			bytes += len(name) + len(*value.DataType) + len(*value.StringValue)
		}
		if len(entries) == MaxQueueEntries || size+bytes > MaxQueueBytes {
			flush()
		}
		entries = append(entries, types.SendMessageBatchRequestEntry{
			Id: aws.String(strconv.Itoa(i)), MessageBody: &body, MessageAttributes: attributes,
		})
		size += bytes
	}
	flush()
	return ids, errors.Join(errs...)
}

// send sends one batch. The ids of its entries are indices of ids.
func (q Queue) send(ctx context.Context, entries []types.SendMessageBatchRequestEntry, ids []string) error {
	out, err := q.Client.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: &q.URL, Entries: entries})
	if err != nil {
		return fmt.Errorf("send %d messages to the broadcast queue: %w", len(entries), err)
	}
	for _, sent := range out.Successful {
		i, err := strconv.Atoi(aws.ToString(sent.Id))
		if err != nil || i < 0 || i >= len(ids) {
			return fmt.Errorf("send to the broadcast queue: SQS answers for unknown entry %q", aws.ToString(sent.Id))
		}
		ids[i] = aws.ToString(sent.MessageId)
	}
	if len(out.Failed) > 0 {
		first := out.Failed[0]
		return fmt.Errorf("send to the broadcast queue: SQS refused %d of %d messages: %s: %s",
			len(out.Failed), len(entries), aws.ToString(first.Code), aws.ToString(first.Message))
	}
	return nil
}

// encode returns the body and the attributes of an SQS message.
func encode(m Message) (body string, attributes map[string]types.MessageAttributeValue) {
	body, values := m.Encode()
	if len(values) > 0 {
		attributes = make(map[string]types.MessageAttributeValue)
	}
	for name, value := range values {
		attributes[name] = types.MessageAttributeValue{DataType: aws.String("String"), StringValue: &value}
	}
	return body, attributes
}

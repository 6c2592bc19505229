// Package publish is for backends that publish from Go: it puts messages on a stack's broadcast queue, from which they
// are sent to every connected client. It also defines the wire form of these messages ([Message]).
//
//	queue := publish.Queue{Client: sqs.NewFromConfig(cfg), URL: os.Getenv("QUEUE_URL")}
//	id, err := queue.Publish(ctx, []byte(`{"news":"it works"}`))
//
// The URL is the stack's output BroadcastQueueUrl. The caller's role needs the policy PublisherPolicyArn. A nil error
// means that SQS has stored the message: every client that was connected before is in its audience. After an error the
// message may be stored as well. To try again, use [Queue.Send] with an id of your own: the same id and payload within
// a day is broadcast once. The SDK's own retries of one call cannot broadcast a message twice.
//
// A message is the body of a plain SendMessage, so any AWS SDK can publish without this package. The package adds
// base64 for text that SQS refuses, ids, checks of size and encoding, and batches.
//
// A payload is UTF-8 text. Binary data must be encoded as text inside the payload, for example as base64 in a member of
// a JSON object, and decoded by the clients.
package publish

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// Queue is a stack's broadcast queue. It is safe for concurrent use.
type Queue struct {
	Client *sqs.Client
	URL    string
}

// Publish broadcasts a payload to every client except the excluded connections, under a random id, and returns the id.
// The errors are those of Send.
func (q Queue) Publish(ctx context.Context, payload []byte, exclude ...string) (id string, err error) {
	return q.Send(ctx, Message{Payload: payload, Exclude: exclude})
}

// Send broadcasts a message and returns the broadcast's id, which is random if the message has none. The error wraps
// ErrEmpty, ErrTooLarge, ErrNotUTF8, ErrID or ErrExclude if the message is not valid.
func (q Queue) Send(ctx context.Context, m Message) (id string, err error) {
	if m, err = prepare(m); err != nil {
		return "", fmt.Errorf("publish a message: %w", err)
	}
	body, attributes := encode(m)
	if _, err := q.Client.SendMessage(ctx, &sqs.SendMessageInput{
		QueueUrl: &q.URL, MessageBody: &body, MessageAttributes: attributes,
	}); err != nil {
		return "", fmt.Errorf("send to the broadcast queue: %w", err)
	}
	return m.ID, nil
}

// PublishAll broadcasts payloads under random ids, as SendAll does.
func (q Queue) PublishAll(ctx context.Context, payloads ...[]byte) (ids []string, err error) {
	messages := make([]Message, len(payloads))
	for i, payload := range payloads {
		messages[i].Payload = payload
	}
	return q.SendAll(ctx, messages...)
}

// SendAll broadcasts messages, up to ten in one call, and returns their ids in the same order. If some were not stored,
// or their answers were lost, their ids are empty and the error says why; the others were stored. If any message is not
// valid, nothing is sent; the errors are then those of Send.
func (q Queue) SendAll(ctx context.Context, messages ...Message) (ids []string, err error) {
	prepared := make([]Message, len(messages))
	for i, m := range messages {
		if prepared[i], err = prepare(m); err != nil {
			return nil, fmt.Errorf("publish message %d of %d: %w", i+1, len(messages), err)
		}
	}
	ids = make([]string, len(messages))
	var entries []types.SendMessageBatchRequestEntry
	var errs []error
	size := 0
	flush := func() {
		if len(entries) > 0 {
			errs = append(errs, q.send(ctx, entries, prepared, ids))
		}
		entries, size = nil, 0
	}
	for i, m := range prepared {
		body, attributes := encode(m)
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

// send sends one batch and sets the ids of the stored messages. The ids of its entries are indices of messages.
func (q Queue) send(ctx context.Context, entries []types.SendMessageBatchRequestEntry, messages []Message,
	ids []string) error {
	out, err := q.Client.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: &q.URL, Entries: entries})
	if err != nil {
		return fmt.Errorf("send %d messages to the broadcast queue: %w", len(entries), err)
	}
	for _, sent := range out.Successful {
		i, err := strconv.Atoi(aws.ToString(sent.Id))
		if err != nil || i < 0 || i >= len(ids) {
			return fmt.Errorf("send to the broadcast queue: SQS answers for unknown entry %q", aws.ToString(sent.Id))
		}
		ids[i] = messages[i].ID
	}
	if len(out.Failed) > 0 {
		first := out.Failed[0]
		return fmt.Errorf("send to the broadcast queue: SQS refused %d of %d messages: %s: %s",
			len(out.Failed), len(entries), aws.ToString(first.Code), aws.ToString(first.Message))
	}
	return nil
}

// prepare checks a message and gives it an id.
func prepare(m Message) (Message, error) {
	if m.ID == "" {
		m.ID = rand.Text()
	}
	if strings.HasPrefix(m.ID, ClientIDPrefix) {
		return m, fmt.Errorf("%w, and not begin with %s: it is %.64q", ErrID, ClientIDPrefix, m.ID)
	}
	if err := CheckID(m.ID); err != nil {
		return m, fmt.Errorf("%w: it is %.64q", err, m.ID)
	}
	if _, err := decodeExclude(strings.Join(m.Exclude, ",")); err != nil {
		return m, err
	}
	return m, check(m.Payload)
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

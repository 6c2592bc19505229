// Package publish is for backends: it puts messages on a stack's broadcast queue, from where they reach every connected
// client.
//
//	queue := publish.Queue{Client: sqs.NewFromConfig(cfg), URL: os.Getenv("QUEUE_URL")}
//	id, err := queue.Publish(ctx, []byte(`{"news":"it works"}`))
//
// The URL is the stack's output BroadcastQueueUrl, and the caller's role needs the policy PublisherPolicyArn. A nil error
// means that SQS has stored the message: every client that was connected before is in its audience. Publishing again after
// an error may broadcast a message twice, under two ids.
//
// Nothing here is hidden: a message is the body of a plain SendMessage, so that any AWS SDK, or none, will do as well. What
// this package adds is base64 for payloads that SQS cannot carry, the limits, and batches.
package publish

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"fanfare/pkg/broadcast"
)

// MaxBytes is the largest payload that can reach a client.
const MaxBytes = broadcast.MaxPayloadBytes

// ErrSize is a payload that no client could receive: it is empty or larger than MaxBytes.
var ErrSize = errors.New("a payload has from 1 to 131072 bytes")

// Attributes of a message on the broadcast queue.
const (
	attrEncoding = "encoding" // "base64" if the body is the base64 of the payload
	attrExclude  = "exclude"  // ids of connections that shall not receive it, comma separated
)

// Queue is a stack's broadcast queue. It is safe for concurrent use.
type Queue struct {
	Client *sqs.Client
	URL    string
}

// Publish broadcasts a payload to every client but the excluded connections, and returns the broadcast's id.
func (q Queue) Publish(ctx context.Context, payload []byte, exclude ...string) (id string, err error) {
	if len(payload) == 0 || len(payload) > MaxBytes {
		return "", fmt.Errorf("publish %d bytes: %w", len(payload), ErrSize)
	}
	text, attributes := encode(payload, exclude)
	out, err := q.Client.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &q.URL, MessageBody: &text, MessageAttributes: attributes})
	if err != nil {
		return "", fmt.Errorf("send to the broadcast queue: %w", err)
	}
	return aws.ToString(out.MessageId), nil
}

// PublishAll broadcasts payloads, ten to a call, and returns their ids in the same order. When some were not stored, their
// ids are empty and the error says why; the others are on their way. No payload of a wrong size lets any be sent.
func (q Queue) PublishAll(ctx context.Context, payloads ...[]byte) (ids []string, err error) {
	for i, payload := range payloads {
		if len(payload) == 0 || len(payload) > MaxBytes {
			return nil, fmt.Errorf("publish %d bytes (payload %d): %w", len(payload), i, ErrSize)
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
		text, attributes := encode(payload, nil)
		// Attributes count: the name, the type and the value of the only one there may be.
		weight := len(text)
		if attributes != nil {
			weight += len(attrEncoding) + len("String") + len(broadcast.EncodingBase64)
		}
		if len(entries) == broadcast.MaxQueueEntries || size+weight > broadcast.MaxQueueBytes {
			flush()
		}
		entries = append(entries, types.SendMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), MessageBody: &text, MessageAttributes: attributes})
		size += weight
	}
	flush()
	return ids, errors.Join(errs...)
}

// send sends one batch, whose entries' ids are indices of ids.
func (q Queue) send(ctx context.Context, entries []types.SendMessageBatchRequestEntry, ids []string) error {
	out, err := q.Client.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: &q.URL, Entries: entries})
	if err != nil {
		return fmt.Errorf("send %d messages to the broadcast queue: %w", len(entries), err)
	}
	for _, sent := range out.Successful {
		i, err := strconv.Atoi(aws.ToString(sent.Id))
		if err != nil || i < 0 || i >= len(ids) {
			return fmt.Errorf("send to the broadcast queue: SQS answers for an entry %q", aws.ToString(sent.Id))
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

func encode(payload []byte, exclude []string) (text string, attributes map[string]types.MessageAttributeValue) {
	text, encoding := broadcast.EncodePayload(payload)
	for name, value := range map[string]string{attrEncoding: encoding, attrExclude: strings.Join(exclude, ",")} {
		if value == "" {
			continue // SQS takes no empty attributes
		}
		if attributes == nil {
			attributes = make(map[string]types.MessageAttributeValue)
		}
		attributes[name] = types.MessageAttributeValue{DataType: aws.String("String"), StringValue: &value}
	}
	return text, attributes
}

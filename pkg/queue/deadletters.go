package queue

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"fanfare/pkg/broadcast"
	"fanfare/publish"
)

// Attributes that a message receives on its way to a dead-letter queue.
const (
	attrReason   = "reason"   // one of the reasons of package broadcast
	attrDetail   = "detail"   // the error's text
	attrOriginal = "original" // the MessageId on the first queue, or the batch's id
	attrAttempts = "attempts" // number of attempts at the batch's deliveries
)

// maxAttributes is the largest number of attributes of a message.
// Source: SQS developer guide, "Amazon SQS message quotas".
const maxAttributes = 10

var ourAttributes = map[string]bool{
	publish.AttributeEncoding: true, publish.AttributeExclude: true,
	attrBroadcast: true, attrSentAt: true, attrSegment: true, attrStartKey: true, attrStretch: true, attrHop: true,
	attrReason: true, attrDetail: true, attrOriginal: true, attrAttempts: true,
}

// maxDetailBytes limits the error's text, so that it leaves room for the message.
const maxDetailBytes = 1024

// DeadLetters is a dead-letter queue. A message whose failure is permanent is sent to it directly: if SQS moved it, it
// would be retried five times before, and its reason would be lost. It is safe for concurrent use.
type DeadLetters struct {
	Client *sqs.Client
	URL    string
}

// Put stores the unchanged record with the reason of its failure.
func (q *DeadLetters) Put(ctx context.Context, r broadcast.Record, reason error) error {
	attrs := make(map[string]string)
	maps.Copy(attrs, r.Attributes)
	if attrs[attrBroadcast] == "" && attrs[attrOriginal] == "" {
		attrs[attrOriginal] = r.ID
	}
	return q.store(ctx, r.Body, attrs, reason)
}

// PutBatch stores the leftovers of a batch after its last attempt.
func (q *DeadLetters) PutBatch(ctx context.Context, b broadcast.Batch, reason error) error {
	body, err := b.Encode()
	if err != nil {
		return err
	}
	return q.store(ctx, body, map[string]string{attrOriginal: b.ID, attrAttempts: strconv.Itoa(b.Attempt)}, reason)
}

func (q *DeadLetters) store(ctx context.Context, body string, attrs map[string]string, reason error) error {
	_, attrs[attrReason] = broadcast.ClassOf(reason)
	attrs[attrDetail] = carriableText(reason.Error())
	for _, name := range slices.Sorted(maps.Keys(attrs)) {
		if len(attrs) > maxAttributes && !ourAttributes[name] {
			delete(attrs, name) // one of the publisher's own: there is no room for all
		}
	}
	if _, err := q.Client.SendMessage(ctx, &sqs.SendMessageInput{
		QueueUrl: &q.URL, MessageBody: &body, MessageAttributes: attributes(attrs),
	}); err != nil {
		return fmt.Errorf("send to the dead-letter queue: %w", err)
	}
	return nil
}

// carriableText returns the text cut to maxDetailBytes, with the characters that SQS refuses replaced.
func carriableText(text string) string {
	text = strings.ToValidUTF8(text[:min(len(text), maxDetailBytes)], "?")
	return strings.Map(func(r rune) rune {
		if !publish.Carriable([]byte(string(r))) {
			return '?'
		}
		return r
	}, text)
}

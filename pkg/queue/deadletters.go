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
)

// Attributes that a message gets on its way to a dead-letter queue.
const (
	attrReason   = "reason"   // one of broadcast's reasons
	attrDetail   = "detail"   // the same for people
	attrOriginal = "original" // the MessageId under which it was on the queue before
	attrAttempts = "attempts" // how often its deliveries were tried
)

// maxAttributes is the most attributes of a message. Source: SQS developer guide, "Amazon SQS message quotas".
const maxAttributes = 10

var ourAttributes = map[string]bool{
	attrEncoding: true, attrExclude: true,
	attrBroadcast: true, attrSentAt: true, attrSegment: true, attrStartKey: true, attrStretch: true, attrHop: true,
	attrReason: true, attrDetail: true, attrOriginal: true, attrAttempts: true,
}

// maxDetailBytes keeps an error's text from taking the message's place.
const maxDetailBytes = 1024

// DeadLetters is a dead-letter queue, for what is known to be hopeless: waiting for SQS to move it would cost five more
// tries and lose the reason. It is safe for concurrent use.
type DeadLetters struct {
	Client *sqs.Client
	URL    string
}

// Bury stores the record as it came, with the reason why it could not be processed.
func (q *DeadLetters) Bury(ctx context.Context, r broadcast.Record, reason error) error {
	attrs := make(map[string]string)
	maps.Copy(attrs, r.Attributes)
	if attrs[attrBroadcast] == "" && attrs[attrOriginal] == "" {
		attrs[attrOriginal] = r.ID
	}
	return q.store(ctx, r.Body, attrs, reason)
}

// BuryBatch stores what is left of a batch after its last attempt.
func (q *DeadLetters) BuryBatch(ctx context.Context, b broadcast.Batch, reason error) error {
	body, err := b.Encode()
	if err != nil {
		return err
	}
	return q.store(ctx, body, map[string]string{attrOriginal: b.ID, attrAttempts: strconv.Itoa(b.Attempt)}, reason)
}

func (q *DeadLetters) store(ctx context.Context, body string, attrs map[string]string, reason error) error {
	_, attrs[attrReason] = broadcast.FateOf(reason)
	attrs[attrDetail] = carriableText(reason.Error())
	for _, name := range slices.Sorted(maps.Keys(attrs)) {
		if len(attrs) > maxAttributes && !ourAttributes[name] {
			delete(attrs, name) // a publisher's own: there is no room for all
		}
	}
	if _, err := q.Client.SendMessage(ctx, &sqs.SendMessageInput{
		QueueUrl: &q.URL, MessageBody: &body, MessageAttributes: attributes(attrs),
	}); err != nil {
		return fmt.Errorf("send to the dead-letter queue: %w", err)
	}
	return nil
}

// carriableText returns text with what SQS refuses replaced, and not too long.
func carriableText(text string) string {
	text = strings.ToValidUTF8(text[:min(len(text), maxDetailBytes)], "?")
	return strings.Map(func(r rune) rune {
		if !broadcast.Carriable([]byte(string(r))) {
			return '?'
		}
		return r
	}, text)
}

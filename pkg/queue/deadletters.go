package queue

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"fanfare/pkg/broadcast"
	"fanfare/publish"
)

// Attributes that a message receives on its way to a dead-letter queue.
const (
	attrReason   = "reason"   // one of the reasons of package broadcast
	attrDetail   = "detail"   // the error's text
	attrOriginal = "original" // the broadcast's id, the MessageId on the send queue, or the batch's id
	attrAttempts = "attempts" // number of attempts at the batch's deliveries
	// attrTruncated is set if a part of the message did not fit: the size of the whole message, in bytes.
	attrTruncated = publish.AttributeTruncated
)

// added holds the names of these attributes.
var added = map[string]bool{
	attrReason: true, attrDetail: true, attrOriginal: true, attrAttempts: true, attrTruncated: true,
}

// publishers holds the names of the attributes that a publisher sets.
var publishers = map[string]bool{
	publish.AttributeEncoding: true, publish.AttributeExclude: true, publish.AttributeID: true,
}

const (
	// maxAttributes is the largest number of attributes of a message.
	// Source: SQS developer guide, "Amazon SQS message quotas".
	maxAttributes = 10
	// maxAttributeBytes is the size up to which an attribute is copied to a dead-letter queue.
	maxAttributeBytes = publish.MaxExcludeBytes
	// maxDetailBytes is the size of the largest detail.
	maxDetailBytes = 1024
)

// DeadLetters is a dead-letter queue. A message whose failure is permanent is sent to it directly: if SQS moved it, it
// would be retried five times before, and its reason would be lost. It is safe for concurrent use.
type DeadLetters struct {
	Client *sqs.Client
	URL    string
	// FromPublishers reports whether the letters were written by publishers: they come from the broadcast queue.
	// Attributes that steer the dispatcher are then not trusted.
	FromPublishers bool
}

// DispatcherDeadLetters stores the dispatcher's dead letters on the dead-letter queue of the queue that they came from.
type DispatcherDeadLetters struct{ Broadcasts, Continuations *DeadLetters }

// Put stores the record with the reason of its failure.
func (q DispatcherDeadLetters) Put(ctx context.Context, r broadcast.Record, reason error) error {
	if r.Continuation {
		return q.Continuations.Put(ctx, r, reason)
	}
	return q.Broadcasts.Put(ctx, r, reason)
}

// Put stores the record with the reason of its failure. Body and attributes are unchanged if they fit. If they do not,
// or if a publisher has set attributes that steer the dispatcher, the rest is stored with the attribute truncated.
func (q *DeadLetters) Put(ctx context.Context, r broadcast.Record, reason error) error {
	attrs, size := make(map[string]string), len(r.Body)+attributesLen(r.Attributes)
	truncated := r.Attributes[attrTruncated] != "" // sent back by SQS's own redrive
	for name, value := range r.Attributes {
		switch {
		case steering[name] && !r.Continuation:
			truncated = true
		case len(name)+len(value) <= maxAttributeBytes:
			attrs[name] = value
		case publishers[name] || steering[name]:
			truncated = true
		}
	}
	delete(attrs, attrHop) // a redrive starts from 0
	attrs[attrOriginal] = r.BroadcastID
	if r.BroadcastID == "" {
		attrs[attrOriginal] = r.ID
	}
	addReason(attrs, reason)
	dropForeign(attrs, maxAttributes)
	// The largest attributes are a few times maxAttributeBytes, so there is room for most of any body.
	if rest := broadcast.MaxQueueBytes - attributesLen(attrs); len(r.Body) > rest || truncated {
		attrs[attrTruncated] = cmp.Or(attrs[attrTruncated], strconv.Itoa(size))
		for _, name := range []string{attrSegment, attrStartKey, attrStretch, attrSentAt} {
			delete(attrs, name)
		}
		dropForeign(attrs, 0)
		r.Body = cut(r.Body, broadcast.MaxQueueBytes-attributesLen(attrs))
	}
	return q.store(ctx, r.Body, attrs)
}

// PutBatch stores the leftovers of a batch after its last attempt. They fit, because batches leave room for the
// attributes: see broadcast.MaxBatchBytes.
func (q *DeadLetters) PutBatch(ctx context.Context, b broadcast.Batch, reason error) error {
	body, err := b.Encode()
	if err != nil {
		return err
	}
	attrs := map[string]string{attrOriginal: cut(b.ID, maxDetailBytes), attrAttempts: strconv.Itoa(b.Attempt)}
	addReason(attrs, reason)
	return q.store(ctx, body, attrs)
}

func (q *DeadLetters) store(ctx context.Context, body string, attrs map[string]string) error {
	if _, err := q.Client.SendMessage(ctx, &sqs.SendMessageInput{
		QueueUrl: &q.URL, MessageBody: &body, MessageAttributes: attributes(attrs),
	}); err != nil {
		return fmt.Errorf("send to the dead-letter queue: %w", err)
	}
	return nil
}

func addReason(attrs map[string]string, reason error) {
	_, attrs[attrReason] = broadcast.ClassOf(reason)
	attrs[attrDetail] = carriableText(reason.Error())
}

// dropForeign deletes attributes that are not Fanfare's until at most limit attributes are left, or no foreign one.
func dropForeign(attrs map[string]string, limit int) {
	for _, name := range slices.Sorted(maps.Keys(attrs)) {
		if len(attrs) > limit && !publishers[name] && !steering[name] && !added[name] {
			delete(attrs, name)
		}
	}
}

// attributesLen returns the size of string attributes as SQS counts it: names, types and values.
func attributesLen(attrs map[string]string) int {
	size := 0
	for name, value := range attrs {
		size += len(name) + len("String") + len(value)
	}
	return size
}

// cut returns the longest beginning of the text that has at most limit bytes and ends at a character boundary.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}

// carriableText returns the text cut to maxDetailBytes, with the characters that SQS refuses replaced.
func carriableText(text string) string {
	return strings.Map(func(r rune) rune {
		if !publish.Carriable([]byte(string(r))) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(cut(text, maxDetailBytes), "?"))
}

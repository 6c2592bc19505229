package queue

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"fanfare/pkg/broadcast"
)

// Letter is a message on a dead-letter queue.
type Letter struct {
	// Original is the id under which it was known before: a broadcast's id, or a batch's.
	Original string
	// Reason is why it was given up, one of broadcast's reasons; empty if SQS moved it after too many failed tries.
	Reason string
	// Detail says the same for people.
	Detail string
	// Attempts is how often a batch's deliveries were tried.
	Attempts int
	// SentAt is when the message was put on its first queue.
	SentAt time.Time
	// Body and Attributes are the message's.
	Body       string
	Attributes map[string]string
}

// walkTimeout hides a letter from others while Each is at it. When Each is interrupted, the letters come back after it.
const walkTimeout = 60 * time.Second

// Each calls do with each letter of the queue, once. Letters of which do reports that they are done with are deleted,
// the others are left in the queue. It ends at the first error, or when no letter is visible any more.
func (q *DeadLetters) Each(ctx context.Context, do func(Letter) (done bool, err error)) error {
	var kept []string // receipt handles; made visible again at the end, so that no letter is met twice
	defer func() {
		for _, handle := range kept {
			// A letter that stays hidden comes back by itself.
			_, _ = q.Client.ChangeMessageVisibility(context.WithoutCancel(ctx), &sqs.ChangeMessageVisibilityInput{QueueUrl: &q.URL, ReceiptHandle: &handle})
		}
	}()
	for {
		out, err := q.Client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
			QueueUrl: &q.URL, MaxNumberOfMessages: broadcast.MaxQueueEntries, WaitTimeSeconds: 1, VisibilityTimeout: int32(walkTimeout.Seconds()),
			MessageAttributeNames:       []string{"All"},
			MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameSentTimestamp},
		})
		if err != nil {
			return fmt.Errorf("receive from the dead-letter queue: %w", err)
		}
		if len(out.Messages) == 0 {
			return nil
		}
		for _, m := range out.Messages {
			done, err := do(readLetter(m))
			if !done {
				kept = append(kept, aws.ToString(m.ReceiptHandle))
			}
			if err != nil {
				return err
			}
			if !done {
				continue
			}
			if _, err := q.Client.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &q.URL, ReceiptHandle: m.ReceiptHandle}); err != nil {
				return fmt.Errorf("delete from the dead-letter queue: %w", err)
			}
		}
	}
}

func readLetter(m types.Message) Letter {
	l := Letter{Body: aws.ToString(m.Body), Attributes: make(map[string]string)}
	for name, attr := range m.MessageAttributes {
		if attr.StringValue != nil {
			l.Attributes[name] = *attr.StringValue
		}
	}
	l.Reason, l.Detail, l.Original = l.Attributes[attrReason], l.Attributes[attrDetail], l.Attributes[attrOriginal]
	if broadcastID := l.Attributes[attrBroadcast]; broadcastID != "" {
		l.Original = broadcastID
	}
	if l.Original == "" {
		l.Original = aws.ToString(m.MessageId)
	}
	l.Attempts, _ = strconv.Atoi(l.Attributes[attrAttempts]) // 0 where there is none
	millis, _ := strconv.ParseInt(m.Attributes[string(types.MessageSystemAttributeNameSentTimestamp)], 10, 64)
	l.SentAt = time.UnixMilli(millis).UTC()
	return l
}

// Hopeless tells whether sending the letter back would only bring it here again.
func (l Letter) Hopeless() bool {
	return l.Reason == broadcast.ReasonMalformed || l.Reason == broadcast.ReasonTooLarge
}

// Redrive puts a letter back on the broadcast queue, under its broadcast's id: what was dispatched before is not
// dispatched again.
func (q *Broadcasts) Redrive(ctx context.Context, l Letter) error {
	attrs := maps.Clone(l.Attributes)
	for _, name := range []string{attrReason, attrDetail, attrOriginal, attrAttempts} {
		delete(attrs, name)
	}
	if attrs[attrBroadcast] == "" {
		attrs[attrBroadcast], attrs[attrSentAt] = l.Original, strconv.FormatInt(l.SentAt.UnixMilli(), 10)
	}
	delete(attrs, attrHop) // it has as many as a new one
	if attrs[attrSegment] != "" {
		attrs[attrHop] = "0"
	}
	if _, err := q.Client.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &q.URL, MessageBody: &l.Body, MessageAttributes: attributes(attrs)}); err != nil {
		return fmt.Errorf("put broadcast %s back on its queue: %w", l.Original, err)
	}
	return nil
}

// Redrive puts a letter back on the send queue. What had been given up is tried as often as a new batch.
func (q *Batches) Redrive(ctx context.Context, l Letter) error {
	b, err := broadcast.DecodeBatch(l.Body)
	if err != nil {
		return fmt.Errorf("put batch %s back on its queue: %w", l.Original, err)
	}
	if l.Reason != "" { // else SQS moved it, and its deliveries have never been counted
		b.Attempt, b.Redriven = 0, true
	}
	return q.Send(ctx, []broadcast.Batch{b})
}

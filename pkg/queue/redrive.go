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
	// Original is its earlier id: a broadcast's id, or a batch's.
	Original string
	// Reason is one of the reasons of package broadcast; empty if SQS moved the message after too many failed receives.
	Reason string
	// Detail is the text of the error.
	Detail string
	// Attempts is the number of attempts at a batch's deliveries.
	Attempts int
	// SentAt is the time at which the message was sent to its first queue.
	SentAt time.Time
	// Body and Attributes are the message's.
	Body       string
	Attributes map[string]string
}

// eachVisibility is the time for which Each hides letters from other receivers. If Each is interrupted, they are
// visible again after it.
const eachVisibility = 60 * time.Second

// Each calls do once with each letter of the queue. It deletes a letter if do returns done, and leaves the others in
// the queue. It ends at the first error, or when no letter is visible any more.
func (q *DeadLetters) Each(ctx context.Context, do func(Letter) (done bool, err error)) error {
	var kept []string // receipt handles; made visible again at the end, so that no letter is received twice
	defer func() {
		for _, handle := range kept {
			// If this fails, the letter becomes visible after eachVisibility.
			_, _ = q.Client.ChangeMessageVisibility(context.WithoutCancel(ctx),
				&sqs.ChangeMessageVisibilityInput{QueueUrl: &q.URL, ReceiptHandle: &handle})
		}
	}()
	for {
		out, err := q.Client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
			QueueUrl: &q.URL, MaxNumberOfMessages: broadcast.MaxQueueEntries, WaitTimeSeconds: 1,
			VisibilityTimeout:           int32(eachVisibility.Seconds()),
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
			in := &sqs.DeleteMessageInput{QueueUrl: &q.URL, ReceiptHandle: m.ReceiptHandle}
			if _, err := q.Client.DeleteMessage(ctx, in); err != nil {
				return fmt.Errorf("delete message %s from the dead-letter queue: %w", aws.ToString(m.MessageId), err)
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
	l.Attempts, _ = strconv.Atoi(l.Attributes[attrAttempts]) // 0 if there is none
	millis, _ := strconv.ParseInt(m.Attributes[string(types.MessageSystemAttributeNameSentTimestamp)], 10, 64)
	l.SentAt = time.UnixMilli(millis).UTC()
	return l
}

// Permanent reports whether the letter's failure is permanent: after a redrive it would only fail again.
func (l Letter) Permanent() bool {
	switch l.Reason {
	case broadcast.ReasonMalformed, broadcast.ReasonTooLarge, broadcast.ReasonNotUTF8:
		return true
	}
	return false
}

// Redrive sends a letter to the broadcast queue again, with its broadcast's id. Segments that were dispatched before
// are not dispatched again.
func (q *Broadcasts) Redrive(ctx context.Context, l Letter) error {
	attrs := maps.Clone(l.Attributes)
	for _, name := range []string{attrReason, attrDetail, attrOriginal, attrAttempts} {
		delete(attrs, name)
	}
	if attrs[attrBroadcast] == "" {
		attrs[attrBroadcast], attrs[attrSentAt] = l.Original, strconv.FormatInt(l.SentAt.UnixMilli(), 10)
	}
	delete(attrs, attrHop) // hops count from 0 again
	if attrs[attrSegment] != "" {
		attrs[attrHop] = "0"
	}
	if _, err := q.Client.SendMessage(ctx, &sqs.SendMessageInput{
		QueueUrl: &q.URL, MessageBody: &l.Body, MessageAttributes: attributes(attrs),
	}); err != nil {
		return fmt.Errorf("redrive broadcast %s: %w", l.Original, err)
	}
	return nil
}

// Redrive sends a letter to the send queue again. Deliveries that had failed have all their attempts again.
func (q *Batches) Redrive(ctx context.Context, l Letter) error {
	b, err := broadcast.DecodeBatch(l.Body)
	if err != nil {
		return fmt.Errorf("redrive batch %s: %w", l.Original, err)
	}
	if l.Reason != "" { // else SQS moved it, and its deliveries were never counted as failed
		b.Attempt, b.Confirmations, b.Redriven = 0, 0, true
	}
	return q.Send(ctx, []broadcast.Batch{b})
}

package queue

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"golang.org/x/sync/errgroup"

	"fanfare/pkg/broadcast"
	"fanfare/publish"
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
	// Size is the size of the whole message in bytes if a part of it did not fit on the dead-letter queue, else 0.
	Size int
	// Incomplete reports whether a part of the message is missing, or was written by a publisher and steers the
	// dispatcher. Such a letter cannot be sent back.
	Incomplete bool
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
	var kept []string                                           // receipt handles
	defer func() { q.show(context.WithoutCancel(ctx), kept) }() // at the end, so that no letter is received twice
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
			done, err := do(q.readLetter(m))
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

// show makes received letters visible again. If a call fails, its letters become visible after eachVisibility.
func (q *DeadLetters) show(ctx context.Context, handles []string) {
	var group errgroup.Group
	group.SetLimit(sendWorkers)
	for _, handle := range handles {
		group.Go(func() error {
			_, _ = q.Client.ChangeMessageVisibility(ctx,
				&sqs.ChangeMessageVisibilityInput{QueueUrl: &q.URL, ReceiptHandle: &handle})
			return nil
		})
	}
	_ = group.Wait()
}

func (q *DeadLetters) readLetter(m types.Message) Letter {
	l := Letter{Body: aws.ToString(m.Body), Attributes: make(map[string]string)}
	for name, attr := range m.MessageAttributes {
		switch {
		case q.FromPublishers && steering[name]:
			l.Incomplete = true
		case attr.StringValue != nil:
			l.Attributes[name] = *attr.StringValue
		}
	}
	l.Reason, l.Detail = l.Attributes[attrReason], l.Attributes[attrDetail]
	l.Original = cmp.Or(l.Attributes[attrBroadcast], l.Attributes[attrOriginal])
	if id := l.Attributes[publish.AttributeID]; l.Original == "" && publish.CheckID(id) == nil {
		l.Original = id
	}
	if l.Original == "" {
		l.Original = aws.ToString(m.MessageId)
	}
	if l.Size, _ = strconv.Atoi(l.Attributes[attrTruncated]); l.Attributes[attrTruncated] != "" {
		l.Incomplete = true
	}
	l.Attempts, _ = strconv.Atoi(l.Attributes[attrAttempts]) // 0 if there is none
	millis, _ := strconv.ParseInt(m.Attributes[string(types.MessageSystemAttributeNameSentTimestamp)], 10, 64)
	l.SentAt = time.UnixMilli(millis).UTC()
	return l
}

// Permanent reports whether the letter's failure is permanent: after a redrive it would only fail again.
func (l Letter) Permanent() bool {
	switch l.Reason {
	case broadcast.ReasonMalformed, broadcast.ReasonTooLarge, broadcast.ReasonNotUTF8, broadcast.ReasonIDReused:
		return true
	}
	return l.Incomplete
}

// Broadcasts returns the ids of the broadcasts that the letter belongs to: its own, or those of its batch.
func (l Letter) Broadcasts() []string {
	b, err := broadcast.DecodeBatch(l.Body)
	if err != nil {
		return []string{l.Original}
	}
	ids := make([]string, len(b.Messages))
	for i, m := range b.Messages {
		ids[i] = m.ID
	}
	return ids
}

// Find returns the letters of a broadcast. It leaves all letters in the queue and visible. It ends with ctx: the
// letters that it has found until then are valid, and the error is that of ctx.
func (q *DeadLetters) Find(ctx context.Context, broadcastID string) (found []Letter, err error) {
	err = q.Each(ctx, func(l Letter) (bool, error) {
		if slices.Contains(l.Broadcasts(), broadcastID) {
			found = append(found, l)
		}
		return false, ctx.Err()
	})
	return found, err
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

package queue

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"golang.org/x/sync/errgroup"

	"fanfare/pkg/broadcast"
)

// Visibility sets the visibility timeout of messages that an event source mapping has received. It is safe for
// concurrent use.
type Visibility struct {
	Client *sqs.Client
	// URLs are those of the queues that are mapped to the function.
	URLs []string
}

// VisibilityChange makes a received message visible again after a time, counted from the change. The time is rounded
// up to seconds.
type VisibilityChange struct {
	Message events.SQSMessage
	After   time.Duration
}

// Change makes the changes, with one request for each ten messages of a queue. After an error some of them may have
// been made.
//
// It may change a message that is in flight for an event source mapping, because it uses the receipt handle of the
// event. The new timeout begins with the change and replaces the earlier one.
// Source: Amazon SQS API reference, ChangeMessageVisibility.
func (q *Visibility) Change(ctx context.Context, changes []VisibilityChange) error {
	byQueue := make(map[string][]types.ChangeMessageVisibilityBatchRequestEntry)
	var errs []error
	for i, c := range changes {
		url, err := q.url(c.Message.EventSourceARN)
		if err != nil {
			errs = append(errs, fmt.Errorf("change the visibility of message %s: %w", c.Message.MessageId, err))
			continue
		}
		byQueue[url] = append(byQueue[url], types.ChangeMessageVisibilityBatchRequestEntry{
			Id:                aws.String(strconv.Itoa(i)),
			ReceiptHandle:     aws.String(c.Message.ReceiptHandle),
			VisibilityTimeout: int32((max(0, c.After) + time.Second - 1) / time.Second),
		})
	}
	var group errgroup.Group
	for url, entries := range byQueue {
		for part := range slices.Chunk(entries, broadcast.MaxQueueEntries) {
			group.Go(func() error { return q.change(ctx, url, part) })
		}
	}
	return errors.Join(append(errs, group.Wait())...)
}

func (q *Visibility) change(ctx context.Context, url string,
	entries []types.ChangeMessageVisibilityBatchRequestEntry) error {
	out, err := q.Client.ChangeMessageVisibilityBatch(ctx, &sqs.ChangeMessageVisibilityBatchInput{
		QueueUrl: &url, Entries: entries,
	})
	if err != nil {
		return fmt.Errorf("change the visibility of %d messages: %w", len(entries), err)
	}
	if len(out.Failed) > 0 {
		first := out.Failed[0]
		return fmt.Errorf("change the visibility of %d messages: SQS refused %d of them: %s: %s",
			len(entries), len(out.Failed), aws.ToString(first.Code), aws.ToString(first.Message))
	}
	return nil
}

// url returns the URL of the queue with this ARN. Both end with the queue's name.
func (q *Visibility) url(arn string) (string, error) {
	name := arn[strings.LastIndexByte(arn, ':')+1:]
	for _, url := range q.URLs {
		if path.Base(url) == name {
			return url, nil
		}
	}
	return "", fmt.Errorf("no queue URL for event source %q", arn)
}

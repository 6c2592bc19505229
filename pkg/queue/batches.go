package queue

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"golang.org/x/sync/errgroup"

	"fanfare/pkg/broadcast"
)

const (
	// sendWorkers bounds the concurrent SendMessageBatch calls of one Send.
	sendWorkers = 8
	// sendTries is the number of attempts to send entries that SQS refuses. The SDK retries whole calls by itself.
	sendTries = 4
)

// Batches is the send queue. It is safe for concurrent use.
type Batches struct {
	Client *sqs.Client
	URL    string
}

// Send puts batches on the queue. After an error some of them may be there; sending them again is harmless, because
// senders recognise a repeated batch by its id.
func (q *Batches) Send(ctx context.Context, batches []broadcast.Batch) error {
	return q.send(ctx, batches, 0)
}

// Retry puts the leftovers of a batch on the queue. They become visible after delay, which is rounded up to seconds and
// at most broadcast.MaxDelay.
func (q *Batches) Retry(ctx context.Context, b broadcast.Batch, delay time.Duration) error {
	return q.send(ctx, []broadcast.Batch{b}, min(delay, broadcast.MaxDelay))
}

func (q *Batches) send(ctx context.Context, batches []broadcast.Batch, delay time.Duration) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(sendWorkers)
	var entries []types.SendMessageBatchRequestEntry
	size := 0
	flush := func() {
		if len(entries) > 0 {
			full := entries
			group.Go(func() error { return q.sendEntries(ctx, full) })
		}
		entries, size = nil, 0
	}
	for _, b := range batches {
		body, err := b.Encode()
		if err != nil {
			group.Go(func() error { return err })
			break
		}
		if len(entries) == broadcast.MaxQueueEntries || size+len(body) > broadcast.MaxQueueBytes {
			flush()
		}
		entries = append(entries, types.SendMessageBatchRequestEntry{
			Id:           aws.String(strconv.Itoa(len(entries))),
			MessageBody:  &body,
			DelaySeconds: int32((delay + time.Second - 1) / time.Second),
		})
		size += len(body)
	}
	flush()
	return group.Wait()
}

// sendEntries sends the entries until all are stored, because a SendMessageBatch that succeeds may still refuse some
// entries. After sendTries attempts, or a sender fault, it returns an error.
func (q *Batches) sendEntries(ctx context.Context, entries []types.SendMessageBatchRequestEntry) error {
	for try := 1; ; try++ {
		out, err := q.Client.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: &q.URL, Entries: entries})
		if err != nil {
			return fmt.Errorf("send %d batches: %w", len(entries), err)
		}
		if len(out.Failed) == 0 {
			return nil
		}
		first := out.Failed[0]
		if try == sendTries || first.SenderFault {
			return fmt.Errorf("send %d batches: SQS refused %d of them: %s: %s",
				len(entries), len(out.Failed), aws.ToString(first.Code), aws.ToString(first.Message))
		}
		refused := make(map[string]bool)
		for _, f := range out.Failed {
			refused[aws.ToString(f.Id)] = true
		}
		var again []types.SendMessageBatchRequestEntry
		for _, e := range entries {
			if refused[*e.Id] {
				again = append(again, e)
			}
		}
		entries = again
		select {
		case <-time.After(time.Duration(try) * 50 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

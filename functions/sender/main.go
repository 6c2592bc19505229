// Sender is invoked with one batch of the send queue: it posts the batch's messages to each of its connections.
package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"golang.org/x/time/rate"

	"fanfare/pkg/delivery"
	"fanfare/pkg/function"
	"fanfare/pkg/ledger"
	"fanfare/pkg/push"
	"fanfare/pkg/queue"
	"fanfare/pkg/registry"
	"fanfare/pkg/telemetry"
)

const (
	// workers is how many posts a sender has under way.
	workers = 64
	// reserve is what a sender keeps of its time for the posts under way, which may take five seconds, and for settling.
	reserve = 8 * time.Second
	// burst is how much of its share a sender may post at once.
	burst = 20 * time.Millisecond
)

func main() { function.Run(setup) }

func setup(env *function.Environment, cfg aws.Config) (any, error) {
	db, mq := dynamodb.NewFromConfig(cfg), sqs.NewFromConfig(cfg)
	share := float64(env.Int("POSTS_PER_SECOND", 1, 1_000_000)) / float64(env.Int("SENDER_CONCURRENCY", 1, 1000))
	poster, posterErr := push.New(cfg, env.String("MANAGEMENT_ENDPOINT"), workers)
	s := &delivery.Sender{
		Poster:         poster,
		Ledger:         &ledger.Table{Client: db, Name: env.String("BROADCASTS_TABLE")},
		Queue:          &queue.Batches{Client: mq, URL: env.String("SEND_QUEUE_URL")},
		DeadLetters:    &queue.DeadLetters{Client: mq, URL: env.String("SEND_DEAD_LETTER_QUEUE_URL")},
		Registry:       &registry.Table{Client: db, Name: env.String("CONNECTIONS_TABLE")},
		Pace:           rate.NewLimiter(rate.Limit(share), max(1, int(share*burst.Seconds()))),
		Workers:        workers,
		MaxAttempts:    env.Int("MAX_ATTEMPTS", 1, 12),
		DisconnectFull: env.OneOf("FULL_BUFFERS", "keep", "disconnect") == "disconnect",
		Reserve:        reserve,
	}
	if posterErr != nil {
		return nil, posterErr // here, so that all settings have been read
	}
	return func(ctx context.Context, event events.SQSEvent) (events.SQSEventResponse, error) {
		record, err := queue.ReadRecord(event, function.Invocation(ctx))
		if err != nil {
			return events.SQSEventResponse{}, err
		}
		var result delivery.Result
		err = telemetry.Subsegment(ctx, "post batch", func(ctx context.Context) (map[string]any, error) {
			result, err = s.Send(ctx, record)
			return annotations(result), err
		})
		report(ctx, result)
		measure(ctx, result)
		switch {
		case errors.Is(err, delivery.ErrBusy):
			slog.InfoContext(ctx, "left in the queue", "batch", result.Batch.ID, "reason", err)
			return queue.Failed(record.ID), nil
		case err != nil:
			return events.SQSEventResponse{}, SendError{err}
		}
		return queue.Failed(), nil
	}, nil
}

// SendError fails an invocation whose batch comes back. Lambda shows its name as the error's type.
type SendError struct{ error }

// Unwrap returns the cause.
func (e SendError) Unwrap() error { return e.error }

// report logs what became of the batch's deliveries, a line per broadcast.
func report(ctx context.Context, r delivery.Result) {
	if r.Buried != nil {
		slog.ErrorContext(ctx, "dead-lettered", "error", r.Buried)
	}
	for _, o := range r.Outcomes {
		log := slog.With("broadcast", o.BroadcastID, "batch", r.Batch.ID)
		log.InfoContext(ctx, "delivered", "delivered", o.Delivered, "gone", o.Gone, "left", o.Left)
		for reason, n := range o.Failed {
			log.ErrorContext(ctx, "failed", "deliveries", n, "reason", reason, "attempts", r.Batch.Attempt+1)
		}
	}
}

// measure writes the figures by which operators are woken: see the alarms in the template.
func measure(ctx context.Context, r delivery.Result) {
	var m telemetry.Metrics
	delivered, failed, posts := 0, 0, 0
	var age time.Duration // of the oldest broadcast at its last delivery here
	for _, o := range r.Outcomes {
		delivered, posts = delivered+o.Delivered, posts+o.Posts
		for _, n := range o.Failed {
			failed += n
		}
		for _, message := range r.Batch.Messages {
			if message.ID == o.BroadcastID && !o.Last.IsZero() {
				age = max(age, o.Last.Sub(message.SentAt))
			}
		}
	}
	if posts > 0 {
		m.Count("Posts", posts)
		m.Count("Delivered", delivered)
		m.Count("Gone", r.Gone)
		m.Count("Throttled", r.Throttled)
		m.Count("Failed", failed)
		m.Percentiles("PostLatency", r.Latencies)
	}
	if delivered > 0 {
		m.Duration("DeliveryAge", age)
	}
	m.Count("Requeued", r.Requeued)
	buried := r.DeadLettered
	if r.Buried != nil {
		buried++
	}
	m.Count("DeadLettered", buried)
	function.Measure(ctx, &m)
}

func annotations(r delivery.Result) map[string]any {
	sum := map[string]any{"batch": r.Batch.ID, "connections": len(r.Batch.Connections) + len(r.Batch.Settling), "gone": r.Gone}
	delivered := 0
	for _, o := range r.Outcomes {
		delivered += o.Delivered
	}
	sum["delivered"], sum["requeued"], sum["dead_lettered"] = delivered, r.Requeued, r.DeadLettered
	return sum
}

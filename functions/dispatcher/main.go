// Dispatcher is invoked with up to ten messages of the broadcast queue: it reads the connections table once for all of
// them and puts batches for the senders on the send queue.
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

	"fanfare/pkg/fanout"
	"fanfare/pkg/function"
	"fanfare/pkg/ledger"
	"fanfare/pkg/queue"
	"fanfare/pkg/registry"
	"fanfare/pkg/telemetry"
)

// batchTime is how long a sender may take to post a batch at its pace: a third of its timeout.
const batchTime = 10 * time.Second

// reserve is what a dispatcher keeps of its time for emitting what it has read and handing on the rest.
const reserve = 20 * time.Second

func main() { function.Run(setup) }

func setup(env *function.Environment, cfg aws.Config) (any, error) {
	db, mq := dynamodb.NewFromConfig(cfg), sqs.NewFromConfig(cfg)
	senders := env.Int("SENDER_CONCURRENCY", 1, 1000)
	d := &fanout.Dispatcher{
		Registry:         &registry.Table{Client: db, Name: env.String("CONNECTIONS_TABLE")},
		Ledger:           &ledger.Table{Client: db, Name: env.String("BROADCASTS_TABLE")},
		DeadLetters:      &queue.DeadLetters{Client: mq, URL: env.String("BROADCAST_DEAD_LETTER_QUEUE_URL")},
		Segments:         env.Int("SCAN_SEGMENTS", 1, 64),
		BatchConnections: env.Int("BATCH_CONNECTIONS", 1, 5000),
		BatchPosts:       max(1, env.Int("POSTS_PER_SECOND", 1, 1_000_000)*int(batchTime/time.Second)/senders),
		Senders:          senders,
		Reserve:          reserve,
		Queue: struct {
			*queue.Batches
			*queue.Broadcasts
		}{
			&queue.Batches{Client: mq, URL: env.String("SEND_QUEUE_URL")},
			&queue.Broadcasts{Client: mq, URL: env.String("BROADCAST_QUEUE_URL")},
		},
	}
	return func(ctx context.Context, event events.SQSEvent) (events.SQSEventResponse, error) {
		results := d.Dispatch(ctx, queue.ReadBroadcasts(event, function.Invocation(ctx)))
		return report(ctx, results)
	}, nil
}

// DispatchError fails an invocation of which every message comes back. Lambda shows its name as the error's type.
type DispatchError struct{ error }

// Unwrap returns the cause.
func (e DispatchError) Unwrap() error { return e.error }

// report logs what became of each request and tells the event source mapping which messages come back. When all of them
// do, it is the invocation that has failed.
func report(ctx context.Context, results []fanout.Result) (events.SQSEventResponse, error) {
	var failed []string
	var errs []error
	sum := struct{ dispatched, targeted, batches, continued, buried int }{}
	for _, r := range results {
		log := slog.With("broadcast", r.Request.Message.ID, "record", r.Request.Record.ID)
		switch {
		case r.Err != nil:
			failed, errs = append(failed, r.Request.Record.ID), append(errs, r.Err)
			if len(results) > 1 {
				log.ErrorContext(ctx, "not dispatched", "error", r.Err)
			}
		case r.Buried != nil:
			sum.buried++
			log.ErrorContext(ctx, "dead-lettered", "error", r.Buried)
		default:
			sum.dispatched, sum.targeted, sum.batches, sum.continued = sum.dispatched+1, sum.targeted+r.Connections, sum.batches+r.Batches, sum.continued+r.Continued
			log.InfoContext(ctx, "dispatched", "connections", r.Connections, "batches", r.Batches, "continued", r.Continued)
		}
	}
	var m telemetry.Metrics
	m.Count("Dispatched", sum.dispatched)
	m.Count("Targeted", sum.targeted)
	m.Count("Batches", sum.batches)
	m.Count("Continued", sum.continued)
	m.Count("DeadLettered", sum.buried)
	m.Count("DispatchErrors", len(failed))
	function.Measure(ctx, &m)
	if len(failed) == len(results) {
		return events.SQSEventResponse{}, DispatchError{errors.Join(errs...)}
	}
	return queue.Failed(failed...), nil
}

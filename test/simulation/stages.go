package simulation

import (
	"context"
	"hash/fnv"
	"io"
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"fanfare/pkg/broadcast"
	"fanfare/pkg/delivery"
	"fanfare/pkg/fanout"
	"fanfare/pkg/handler"
	"fanfare/pkg/queue"
	"fanfare/pkg/telemetry"
)

// output discards logs and metrics.
var output = telemetry.Output{Log: slog.New(slog.DiscardHandler), Metrics: io.Discard}

// lambdaFunction returns the function that runs a handler of pkg/handler.
func lambdaFunction(handle func(context.Context, events.SQSEvent) (events.SQSEventResponse, error)) function {
	return func(ctx context.Context, inv *invocation, event events.SQSEvent) (events.SQSEventResponse, error) {
		return handle(lambdacontext.NewContext(ctx, &lambdacontext.LambdaContext{AwsRequestID: inv.id}), event)
	}
}

// dispatcher starts a dispatcher process, wired as functions/dispatcher is.
func (w *world) dispatcher() function {
	s := &w.settings
	mq := w.sqsClient(3)
	d := &fanout.Dispatcher{
		Registry:      registryClient{w},
		Ledger:        ledgerClient{w, w.skew()},
		Batches:       &queue.Batches{Client: mq, URL: "send"},
		Continuations: &queue.Continuations{Client: mq, URL: "continuation"},
		DeadLetters: queue.DispatcherDeadLetters{
			Broadcasts:    &queue.DeadLetters{Client: mq, URL: "broadcast-dead"},
			Continuations: &queue.DeadLetters{Client: mq, URL: "continuation-dead"},
		},
		Segments:           s.Segments,
		BatchConnections:   s.BatchConnections,
		BatchPosts:         s.BatchPosts,
		Senders:            s.SenderConcurrency,
		Reserve:            handler.DispatcherReserve,
		StretchConnections: s.StretchConnections,
	}
	return lambdaFunction(handler.Dispatcher{
		ContinuationARN: "continuation", Stage: recorder{w, d},
		Visibility: w.visibility(mq, "broadcast", "continuation"), Output: output,
	}.Handle)
}

// recorder records in the audit trail which broadcasts are dispatched together, and dispatches them.
type recorder struct {
	world *world
	*fanout.Dispatcher
}

func (r recorder) Dispatch(ctx context.Context, requests []broadcast.Request) []fanout.Result {
	r.world.pass(requests)
	return r.Dispatcher.Dispatch(ctx, requests)
}

// pass records which broadcasts are dispatched together: those that fit into one batch must arrive in order.
func (w *world) pass(requests []broadcast.Request) {
	var ids []string
	size := 0
	for _, r := range requests {
		if r.Unreadable == nil && r.Cursor == (broadcast.Cursor{}) {
			ids = append(ids, r.Message.ID)
			size += r.Message.WireLen()
		}
	}
	if size <= broadcast.MaxMessageBytes {
		w.trail.Pass(ids...)
		return
	}
	for _, id := range ids {
		w.trail.Pass(id)
	}
}

// sender starts a sender process, wired as functions/sender is.
func (w *world) sender() function {
	s := &w.settings
	mq := w.sqsClient(3)
	w.gateway.log = append(w.gateway.log, spending{at: time.Now(), burst: true})
	return lambdaFunction(handler.Sender{Visibility: w.visibility(mq, "send"), Output: output, Stage: &delivery.Sender{
		Poster:         gatewayClient{w},
		Ledger:         ledgerClient{w, w.skew()},
		Queue:          retryQueue{w, &queue.Batches{Client: mq, URL: "send"}},
		DeadLetters:    &queue.DeadLetters{Client: mq, URL: "send-dead"},
		Registry:       w.table,
		Pace:           handler.Pace(s.PostsPerSecond, s.SenderConcurrency),
		Workers:        s.Workers,
		MaxAttempts:    s.MaxAttempts,
		DisconnectFull: s.DisconnectFull,
		Reserve:        handler.SenderReserve,
	}}.Handle)
}

// visibility returns what sets the visibility timeouts of the queues' messages, or what a test plants instead.
func (w *world) visibility(mq *sqs.Client, urls ...string) handler.Visibility {
	v := &queue.Visibility{Client: mq, URLs: urls}
	if w.settings.plantVisibility != nil {
		return w.settings.plantVisibility(v)
	}
	return v
}

// skew returns a random error of a process's clock.
func (w *world) skew() time.Duration {
	return w.between(-w.settings.Skew, w.settings.Skew)
}

// confirmDelay is the delay of a batch that confirms a 410.
const confirmDelay = 12 * time.Second

// retryQueue checks the delay of leftovers, which the stage draws from its own random source, and replaces it by one
// that follows from the batch, so that the run is repeatable.
type retryQueue struct {
	world *world
	*queue.Batches
}

func (q retryQueue) Retry(ctx context.Context, b broadcast.Batch, delay time.Duration) error {
	if delay == confirmDelay && b.Confirmations > 0 {
		return q.Batches.Retry(ctx, b, delay)
	}
	ceiling := min(time.Duration(1<<b.Attempt)*time.Second, broadcast.MaxDelay)
	if delay < ceiling/2 || delay > ceiling {
		panic("batch " + b.ID + " has the delay " + delay.String())
	}
	h := fnv.New64a()
	h.Write([]byte(b.ID + b.Messages[0].ID))
	return q.Batches.Retry(ctx, b, ceiling/2+time.Duration(h.Sum64()%uint64(ceiling/2)))
}

package simulation

import (
	"context"
	"errors"
	"hash/fnv"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"golang.org/x/time/rate"

	"fanfare/pkg/broadcast"
	"fanfare/pkg/delivery"
	"fanfare/pkg/fanout"
	"fanfare/pkg/queue"
)

// reserve of the dispatcher and of the sender, and their time-outs, are those of the template and of functions/.
const (
	dispatcherTimeout = 60 * time.Second
	dispatcherReserve = 20 * time.Second
	senderTimeout     = 30 * time.Second
	senderReserve     = 8 * time.Second
	burst             = 20 * time.Millisecond
)

// dispatcher wires a dispatcher process, as functions/dispatcher does.
func (w *world) dispatcher() handler {
	s := &w.settings
	mq := w.sqsClient(3)
	d := &fanout.Dispatcher{
		Registry:         registryClient{w},
		Ledger:           ledgerClient{w, w.skew()},
		DeadLetters:      &queue.DeadLetters{Client: mq, URL: "broadcast-dead"},
		Segments:         s.Segments,
		BatchConnections: s.BatchConnections,
		BatchPosts:       s.BatchPosts,
		Senders:          s.SenderConcurrency,
		Reserve:          dispatcherReserve,
		Queue: struct {
			*queue.Batches
			*queue.Broadcasts
		}{
			&queue.Batches{Client: mq, URL: "send"},
			&queue.Broadcasts{Client: mq, URL: "broadcast"},
		},
		StretchConnections: s.StretchConnections,
	}
	return func(ctx context.Context, inv *invocation, event events.SQSEvent) (events.SQSEventResponse, error) {
		requests := queue.ReadBroadcasts(event, inv.id)
		w.pass(requests)
		results := d.Dispatch(ctx, requests)
		var failed []string
		var errs []error
		for _, r := range results {
			if r.Err != nil {
				failed, errs = append(failed, r.Request.Record.ID), append(errs, r.Err)
			}
		}
		if len(failed) == len(results) {
			return events.SQSEventResponse{}, errors.Join(errs...)
		}
		return queue.Failed(failed...), nil
	}
}

// pass tells the trail which broadcasts are dispatched together: those of one batch have to arrive in order. What is too
// large for one batch is not told.
func (w *world) pass(requests []broadcast.Request) {
	var ids []string
	size := 0
	for _, r := range requests {
		if r.Unreadable == nil && r.Portion == (broadcast.Portion{}) {
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

// sender wires a sender process, as functions/sender does.
func (w *world) sender() handler {
	s := &w.settings
	mq := w.sqsClient(3)
	share := s.PostsPerSecond / float64(s.SenderConcurrency)
	w.gateway.log = append(w.gateway.log, spending{at: time.Now(), burst: true})
	sender := &delivery.Sender{
		Poster:         gatewayClient{w},
		Ledger:         ledgerClient{w, w.skew()},
		Queue:          retryQueue{w, &queue.Batches{Client: mq, URL: "send"}},
		DeadLetters:    &queue.DeadLetters{Client: mq, URL: "send-dead"},
		Registry:       registryClient{w},
		Pace:           rate.NewLimiter(rate.Limit(share), w.burst()),
		Workers:        s.Workers,
		MaxAttempts:    s.MaxAttempts,
		DisconnectFull: s.DisconnectFull,
		Reserve:        senderReserve,
	}
	return func(ctx context.Context, inv *invocation, event events.SQSEvent) (events.SQSEventResponse, error) {
		record, err := queue.ReadRecord(event, inv.id)
		if err != nil {
			return events.SQSEventResponse{}, err
		}
		_, err = sender.Send(ctx, record)
		switch {
		case errors.Is(err, delivery.ErrBusy):
			return queue.Failed(record.ID), nil
		case err != nil:
			return events.SQSEventResponse{}, err
		}
		return queue.Failed(), nil
	}
}

// burst is how many posts a sender may make at once.
func (w *world) burst() int {
	return max(1, int(w.settings.PostsPerSecond/float64(w.settings.SenderConcurrency)*burst.Seconds()))
}

// skew is how far a process's clock is off.
func (w *world) skew() time.Duration {
	return w.between(-w.settings.Skew, w.settings.Skew)
}

// retryQueue takes back what is left of batches. The delay is drawn from the stage's own randomness: it is checked, and
// another one takes its place, so that the run can be repeated.
type retryQueue struct {
	world *world
	*queue.Batches
}

func (q retryQueue) Retry(ctx context.Context, b broadcast.Batch, delay time.Duration) error {
	ceiling := min(time.Duration(1<<b.Attempt)*time.Second, broadcast.MaxDelay)
	if delay < ceiling/2 || delay > ceiling {
		panic("the delay before attempt " + b.ID + " is " + delay.String())
	}
	h := fnv.New64a()
	h.Write([]byte(b.ID + b.Messages[0].ID))
	return q.Batches.Retry(ctx, b, ceiling/2+time.Duration(h.Sum64()%uint64(ceiling/2)))
}

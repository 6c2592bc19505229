package simulation

import (
	"context"
	"slices"
	"time"

	"fanfare/pkg/queue"
)

// operatorReturns is how long an operator waits before the dead-letter queues are sent back once more: what an attempt that
// broke off had received is visible again by then.
const operatorReturns = 2 * time.Minute

// redrive has an operator send back what the dead-letter queues hold, as "fanfare redrive" does it.
func (w *world) redrive() {
	w.after(operatorReturns, "redrive", func() {
		w.spawn("operator", horizon, func(ctx context.Context) {
			invoked(ctx).operator = true
			client := w.sqsClient(3)
			w.sendBack(ctx, &queue.DeadLetters{Client: client, URL: "broadcast-dead"}, (&queue.Broadcasts{Client: client, URL: "broadcast"}).Redrive)
			w.sendBack(ctx, &queue.DeadLetters{Client: client, URL: "send-dead"}, (&queue.Batches{Client: client, URL: "send"}).Redrive)
		})
	})
	w.run()
}

// sendBack sends a queue's letters back until something fails. Letters that would only come back are left.
func (w *world) sendBack(ctx context.Context, letters *queue.DeadLetters, redrive func(context.Context, queue.Letter) error) {
	err := letters.Each(ctx, func(l queue.Letter) (bool, error) {
		if l.Permanent() {
			return false, nil
		}
		return true, redrive(ctx, l)
	})
	if err != nil && w.settings.calm {
		w.do(ctx, "~fails", instantly, nil, func() error { w.fail("redrive: %v", err); return nil })
	}
}

// deadLetters tells whether there is anything on the dead-letter queues that is worth sending back.
func (w *world) deadLetters() bool {
	return slices.ContainsFunc(slices.Concat(w.queues["broadcast-dead"].messages, w.queues["send-dead"].messages), func(m *message) bool {
		return !queue.Letter{Reason: m.attributes["reason"]}.Permanent()
	})
}

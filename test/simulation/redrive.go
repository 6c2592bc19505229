package simulation

import (
	"context"
	"slices"
	"time"

	"fanfare/pkg/queue"
)

// operatorReturns is the time between two redrives. Letters that an interrupted redrive had received are visible again
// by then.
const operatorReturns = 2 * time.Minute

// redrive sends the dead letters back, as the command "fanfare redrive" does.
func (w *world) redrive() {
	w.after(operatorReturns, "redrive", func() {
		w.spawn("operator", horizon, func(ctx context.Context) {
			invoked(ctx).operator = true
			client := w.sqsClient(3)
			continuations := &queue.Continuations{Client: client, URL: "continuation"}
			published := &queue.DeadLetters{Client: client, URL: "broadcast-dead", FromPublishers: true}
			w.sendBack(ctx, published, continuations.Redrive)
			w.sendBack(ctx, &queue.DeadLetters{Client: client, URL: "continuation-dead"}, continuations.Redrive)
			batches := &queue.Batches{Client: client, URL: "send"}
			w.sendBack(ctx, &queue.DeadLetters{Client: client, URL: "send-dead"}, batches.Redrive)
		})
	})
	w.run()
}

// sendBack sends a queue's letters back until the first error. Permanent failures stay.
func (w *world) sendBack(ctx context.Context, letters *queue.DeadLetters,
	redrive func(context.Context, queue.Letter) error) {
	err := letters.Each(ctx, func(l queue.Letter) (bool, error) {
		if l.Permanent() {
			return false, nil
		}
		return true, redrive(ctx, l)
	})
	if err != nil && w.settings.calm {
		_ = w.do(ctx, "~fails", instantly, nil, func() error { w.fail("redrive: %v", err); return nil })
	}
}

// deadLetters reports whether there are dead letters that can be sent back.
func (w *world) deadLetters() bool {
	all := slices.Concat(w.queues["broadcast-dead"].messages, w.queues["continuation-dead"].messages,
		w.queues["send-dead"].messages)
	return slices.ContainsFunc(all, func(m *message) bool {
		// SQS may have moved a message of a publisher that steers the dispatcher, which never goes back.
		_, steers := m.attributes["hop"]
		steers = steers && slices.Contains(w.queues["broadcast-dead"].messages, m)
		return !queue.Letter{Reason: m.attributes["reason"], Incomplete: steers}.Permanent()
	})
}

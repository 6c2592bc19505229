package handler

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"fanfare/pkg/queue"
	"fanfare/pkg/telemetry"
)

// Visibility sets the visibility timeouts of the messages of an event: a *queue.Visibility.
type Visibility interface {
	Change(ctx context.Context, changes []queue.VisibilityChange) error
}

const (
	// RecoveryMargin is the time between an invocation's deadline and the return of its messages to the queue, if the
	// invocation has died. It allows for a difference between the clocks of senders: a claim lapses before its batch
	// returns.
	RecoveryMargin = 10 * time.Second
	// changeReserve is the end of an invocation's time, for setting the visibility of failed messages. The stage's
	// deadline is so much earlier than the invocation's.
	changeReserve = time.Second
	// maxHold is the longest time of the change at the start of an invocation, with retries.
	maxHold = 5 * time.Second
	// minBusyDelay is the shortest time for which a batch with a busy claim is left in the queue.
	minBusyDelay = time.Second
)

// retryDelays are the times until a failed message returns to the queue, by its receive count from 1. Their sum, 1,050
// seconds, is the time from the first to the fifth receive, so that an outage of 15 minutes moves no message to the
// dead-letter queue. A message that has failed at its fifth receive returns after the first of them, and SQS moves it.
var retryDelays = [...]time.Duration{30 * time.Second, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute}

// MaxReceives is the number of receives of a message before SQS moves it to the dead-letter queue.
const MaxReceives = len(retryDelays) + 1

// retryDelay returns the time until a failed message returns to the queue.
func retryDelay(m events.SQSMessage) time.Duration {
	receives, err := strconv.Atoi(m.Attributes["ApproximateReceiveCount"])
	if err != nil || receives < 1 || receives > len(retryDelays) {
		return retryDelays[0]
	}
	return retryDelays[receives-1]
}

// invocationMessages sets the visibility of the messages of one invocation. If that fails, they return after the time
// set before, at the latest after the visibility timeout of their queue: it is logged and not an error.
type invocationMessages struct {
	event      events.SQSEvent
	visibility Visibility
	output     telemetry.Output

	stop context.CancelFunc // cancels hold
	held chan struct{}      // closed when hold has ended
}

// run runs a stage within the invocation, and meanwhile sets the visibility of the messages to RecoveryMargin after the
// invocation's deadline, so that they return soon if the process dies. Without a deadline it only runs the stage. The
// caller must call end before the invocation ends.
func (m *invocationMessages) run(ctx context.Context, stage func(ctx context.Context)) {
	m.held, m.stop = make(chan struct{}), func() {}
	deadline, ok := ctx.Deadline()
	if !ok {
		close(m.held)
		stage(ctx)
		return
	}
	var holding context.Context
	holding, m.stop = context.WithTimeout(ctx, maxHold)
	go func() {
		defer close(m.held)
		m.hold(holding, deadline)
	}()
	staging, cancel := context.WithDeadline(ctx, deadline.Add(-changeReserve))
	defer cancel()
	stage(staging)
}

// end cancels the change that run has started, because messages that have not failed are deleted, and waits for its
// goroutine.
func (m *invocationMessages) end() {
	m.stop()
	<-m.held
}

// hold returns the messages to the queue RecoveryMargin after the deadline.
func (m *invocationMessages) hold(ctx context.Context, deadline time.Time) {
	after := time.Until(deadline) + RecoveryMargin
	m.change(ctx, func(events.SQSMessage) (time.Duration, bool) { return after, true })
}

// retry returns the failed messages to the queue, each after the delay for its receive count. It first waits for hold,
// because a request that arrives late, even a canceled one, would replace the delay.
func (m *invocationMessages) retry(ctx context.Context, ids ...string) {
	if len(ids) == 0 {
		return
	}
	failed := make(map[string]bool)
	for _, id := range ids {
		failed[id] = true
	}
	<-m.held
	m.change(ctx, func(message events.SQSMessage) (time.Duration, bool) {
		return retryDelay(message), failed[message.MessageId]
	})
}

// returnAt returns all messages to the queue at a time. It waits for hold as retry does.
func (m *invocationMessages) returnAt(ctx context.Context, at time.Time) {
	<-m.held
	after := max(time.Until(at), minBusyDelay)
	m.change(ctx, func(events.SQSMessage) (time.Duration, bool) { return after, true })
}

// change changes the visibility of the messages for which after returns true.
func (m *invocationMessages) change(ctx context.Context, after func(events.SQSMessage) (time.Duration, bool)) {
	var changes []queue.VisibilityChange
	for _, message := range m.event.Records {
		if d, ok := after(message); ok {
			changes = append(changes, queue.VisibilityChange{Message: message, After: d})
		}
	}
	if err := m.visibility.Change(ctx, changes); err != nil && !errors.Is(ctx.Err(), context.Canceled) {
		m.output.Logger().WarnContext(ctx, "visibility unchanged", "messages", len(changes), "error", err)
	}
}

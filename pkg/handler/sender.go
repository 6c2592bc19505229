package handler

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"fanfare/pkg/broadcast"
	"fanfare/pkg/delivery"
	"fanfare/pkg/queue"
	"fanfare/pkg/telemetry"
)

// Sender handles the events of the send queue, which have one record each.
type Sender struct {
	// Stage sends the batch of a record: a *delivery.Sender.
	Stage interface {
		Send(ctx context.Context, r broadcast.Record) (delivery.Result, error)
	}
	Visibility Visibility
	Output     telemetry.Output
}

// SendError fails an invocation whose batch must be delivered again. Lambda shows the type's name as the error type.
type SendError struct{ error }

// Unwrap returns the cause.
func (e SendError) Unwrap() error { return e.error }

// Handle sends the batch of the event. A batch that another sender is posting is a failed record, not an error, and
// returns to the queue when the other sender's claim lapses. Any other failure is a SendError, and the batch returns
// after a delay for its receive count.
func (h Sender) Handle(ctx context.Context, event events.SQSEvent) (events.SQSEventResponse, error) {
	record, err := queue.ReadRecord(event, invocation(ctx))
	if err != nil {
		return events.SQSEventResponse{}, err
	}
	messages := &invocationMessages{event: event, visibility: h.Visibility, output: h.Output}
	var result delivery.Result
	messages.run(ctx, func(ctx context.Context) {
		err = telemetry.Subsegment(ctx, "post batch", func(ctx context.Context) (map[string]any, error) {
			result, err = h.Stage.Send(ctx, record)
			return annotations(result), err
		})
	})
	defer messages.end()
	h.report(ctx, record.ID, result)
	h.measure(ctx, result)
	switch {
	case errors.Is(err, delivery.ErrBusy):
		messages.returnAt(ctx, result.BusyUntil())
		return failed(record.ID), nil
	case err != nil:
		messages.retry(ctx, record.ID)
		return events.SQSEventResponse{}, SendError{err}
	}
	return failed(), nil
}

// report logs the outcomes: one line for each broadcast, and one for each reason of retries and of failures. It logs
// the claims of other senders too, which may have died.
func (h Sender) report(ctx context.Context, recordID string, r delivery.Result) {
	for broadcastID, until := range r.Busy {
		h.Output.Logger().WarnContext(ctx, "left in the queue", "broadcast", broadcastID, "batch", r.Batch.ID,
			"reason", delivery.ErrBusy, "returns", until)
	}
	for broadcastID, until := range r.TakenOver {
		h.Output.Logger().WarnContext(ctx, "taken over", "broadcast", broadcastID, "batch", r.Batch.ID, "lapsed", until)
	}
	if r.Rejected != nil {
		h.Output.Logger().ErrorContext(ctx, "dead-lettered", "record", recordID, "error", r.Rejected)
	}
	for _, o := range r.Outcomes {
		log := h.Output.Logger().With("broadcast", o.BroadcastID, "batch", r.Batch.ID)
		log.InfoContext(ctx, "delivered", "delivered", o.Delivered, "gone", o.Gone, "left", o.Left)
		for reason, n := range o.Retries {
			log.WarnContext(ctx, "retry", "deliveries", n, "reason", reason, "attempts", r.Batch.Attempt+1)
		}
		for reason, n := range o.Failed {
			log.ErrorContext(ctx, "failed", "deliveries", n, "reason", reason, "attempts", r.Batch.Attempt+1)
		}
	}
}

// measure writes the metrics that the template's alarms and dashboard use.
func (h Sender) measure(ctx context.Context, r delivery.Result) {
	var m telemetry.Metrics
	delivered, failed, posts := 0, 0, 0
	var age time.Duration // largest time from acceptance to the last delivery here
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
		m.Count("PostErrors", r.PostErrors)
		m.Count("Failed", failed)
		m.Percentiles("PostLatency", r.Latencies)
	}
	if delivered > 0 {
		m.Duration("DeliveryAge", age)
	}
	m.Count("Requeued", r.Requeued)
	deadLettered := r.DeadLettered
	if r.Rejected != nil {
		deadLettered++
	}
	m.Count("DeadLettered", deadLettered)
	h.Output.Measure(ctx, &m)
}

// annotations returns the values by which X-Ray indexes the trace.
func annotations(r delivery.Result) map[string]any {
	delivered := 0
	for _, o := range r.Outcomes {
		delivered += o.Delivered
	}
	return map[string]any{
		"batch": r.Batch.ID, "connections": len(r.Batch.Connections) + len(r.Batch.Settling), "gone": r.Gone,
		"delivered": delivered, "requeued": r.Requeued, "dead_lettered": r.DeadLettered,
	}
}

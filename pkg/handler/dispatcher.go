package handler

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-lambda-go/events"

	"fanfare/pkg/broadcast"
	"fanfare/pkg/fanout"
	"fanfare/pkg/queue"
	"fanfare/pkg/telemetry"
)

// Dispatcher handles the events of the broadcast queue and the continuation queue.
type Dispatcher struct {
	// ContinuationARN is the ARN of the continuation queue.
	ContinuationARN string
	// Stage dispatches the requests of an event: a *fanout.Dispatcher.
	Stage interface {
		Dispatch(ctx context.Context, requests []broadcast.Request) []fanout.Result
	}
	Visibility Visibility
	Output     telemetry.Output
}

// DispatchError fails an invocation in which every record failed. Lambda shows the type's name as the error type.
type DispatchError struct{ error }

// Unwrap returns the cause.
func (e DispatchError) Unwrap() error { return e.error }

// Handle dispatches the records of the event. The response names those that failed; if all failed, it returns a
// DispatchError. The messages of the records that failed return to the queue after a delay for their receive count.
func (h Dispatcher) Handle(ctx context.Context, event events.SQSEvent) (events.SQSEventResponse, error) {
	messages := &invocationMessages{event: event, visibility: h.Visibility, output: h.Output}
	var results []fanout.Result
	messages.run(ctx, func(ctx context.Context) {
		results = h.Stage.Dispatch(ctx, queue.ReadBroadcasts(event, h.ContinuationARN, invocation(ctx)))
	})
	defer messages.end()
	var ids []string
	var errs []error
	dispatched, targeted, batches, continued, rejected := 0, 0, 0, 0, 0
	for _, r := range results {
		log := h.Output.Logger().With("broadcast", r.Request.Message.ID, "record", r.Request.Record.ID)
		switch {
		case r.Err != nil:
			ids = append(ids, r.Request.Record.ID)
			errs = append(errs, fmt.Errorf("dispatch broadcast %s: %w", r.Request.Message.ID, r.Err))
			if len(results) > 1 { // else it is the error of the invocation
				log.ErrorContext(ctx, "not dispatched", "error", r.Err)
			}
		case r.Rejected != nil:
			rejected++
			log.ErrorContext(ctx, "dead-lettered", "error", r.Rejected)
		default:
			dispatched++
			targeted += r.Connections
			batches += r.Batches
			continued += r.Continued
			log.InfoContext(ctx, "dispatched",
				"connections", r.Connections, "batches", r.Batches, "continued", r.Continued)
		}
	}
	var m telemetry.Metrics
	m.Count("Dispatched", dispatched)
	m.Count("Targeted", targeted)
	m.Count("Batches", batches)
	m.Count("Continued", continued)
	m.Count("DeadLettered", rejected)
	m.Count("DispatchErrors", len(ids))
	h.Output.Measure(ctx, &m)
	messages.retry(ctx, ids...)
	if len(ids) == len(results) {
		return events.SQSEventResponse{}, DispatchError{errors.Join(errs...)}
	}
	return failed(ids...), nil
}

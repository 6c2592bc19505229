package handler

import (
	"context"
	"errors"

	"github.com/aws/aws-lambda-go/events"

	"fanfare/pkg/broadcast"
	"fanfare/pkg/fanout"
	"fanfare/pkg/queue"
	"fanfare/pkg/telemetry"
)

// Dispatcher handles the events of the broadcast queue.
type Dispatcher struct {
	// Stage dispatches the requests of an event: a *fanout.Dispatcher.
	Stage interface {
		Dispatch(ctx context.Context, requests []broadcast.Request) []fanout.Result
	}
	Output telemetry.Output
}

// DispatchError fails an invocation in which every record failed. Lambda shows the type's name as the error type.
type DispatchError struct{ error }

// Unwrap returns the cause.
func (e DispatchError) Unwrap() error { return e.error }

// Handle dispatches the records of the event. The response names those that failed; if all failed, it returns a
// DispatchError.
func (h Dispatcher) Handle(ctx context.Context, event events.SQSEvent) (events.SQSEventResponse, error) {
	results := h.Stage.Dispatch(ctx, queue.ReadBroadcasts(event, invocation(ctx)))
	var ids []string
	var errs []error
	dispatched, targeted, batches, continued, rejected := 0, 0, 0, 0, 0
	for _, r := range results {
		log := h.Output.Logger().With("broadcast", r.Request.Message.ID, "record", r.Request.Record.ID)
		switch {
		case r.Err != nil:
			ids, errs = append(ids, r.Request.Record.ID), append(errs, r.Err)
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
	if len(ids) == len(results) {
		return events.SQSEventResponse{}, DispatchError{errors.Join(errs...)}
	}
	return failed(ids...), nil
}

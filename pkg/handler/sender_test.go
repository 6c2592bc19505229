package handler_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"fanfare/pkg/broadcast"
	"fanfare/pkg/delivery"
	"fanfare/pkg/handler"
)

// sends returns a prepared result.
type sends struct {
	t      *testing.T
	result delivery.Result
	err    error
}

func (s sends) Send(_ context.Context, r broadcast.Record) (delivery.Result, error) {
	if r.Invocation != "invocation" || r.Body != "hello" {
		s.t.Errorf("got record %+v, want body hello of the invocation", r)
	}
	return s.result, s.err
}

func TestSender_Handle(t *testing.T) {
	sent := time.UnixMilli(1_700_000_000_000)
	batch := broadcast.Batch{
		ID: "b", Attempt: 2, Messages: []broadcast.Message{{ID: "m", SentAt: sent}, {ID: "n", SentAt: sent.Add(time.Second)}},
	}
	posted := delivery.Result{
		Batch: batch,
		Outcomes: []broadcast.Outcome{
			{BroadcastID: "m", Delivered: 3, Gone: 1, Left: 2, Posts: 6, Last: sent.Add(1500 * time.Millisecond)},
			{
				BroadcastID: "n", Delivered: 2, Failed: map[string]int{"network": 1, "throttled": 2}, Posts: 5,
				Last: sent.Add(2 * time.Second),
			},
		},
		Gone: 1, Throttled: 4, Requeued: 2, DeadLettered: 3,
		Latencies: []time.Duration{30 * time.Millisecond, 10 * time.Millisecond},
	}
	log := []string{
		"level=ERROR msg=failed broadcast=n batch=b deliveries=1 reason=network attempts=3",
		"level=ERROR msg=failed broadcast=n batch=b deliveries=2 reason=throttled attempts=3",
		"level=INFO msg=delivered broadcast=m batch=b delivered=3 gone=1 left=2",
		"level=INFO msg=delivered broadcast=n batch=b delivered=2 gone=0 left=0",
	}
	metrics := map[string]float64{
		"Posts": 11, "Delivered": 5, "Gone": 1, "Throttled": 4, "Failed": 3, "PostLatencyP50": 10, "PostLatencyP99": 10,
		"DeliveryAge": 1500, "Requeued": 2, "DeadLettered": 3,
	}
	idle := map[string]float64{"Requeued": 0, "DeadLettered": 0}
	for _, test := range []struct {
		name    string
		result  delivery.Result
		err     error
		failed  []string // records in the response
		cause   error    // of a failed invocation
		log     []string
		metrics map[string]float64
	}{
		{name: "posted", result: posted, log: log, metrics: metrics},
		{name: "a copy of a settled batch", result: delivery.Result{Batch: batch}, metrics: idle},
		{
			name: "all posts failed",
			result: delivery.Result{
				Batch: batch, Outcomes: []broadcast.Outcome{{BroadcastID: "m", Left: 1, Posts: 1}}, Requeued: 1,
				Latencies: []time.Duration{time.Second},
			},
			log: []string{"level=INFO msg=delivered broadcast=m batch=b delivered=0 gone=0 left=1"},
			metrics: map[string]float64{
				"Posts": 1, "Delivered": 0, "Gone": 0, "Throttled": 0, "Failed": 0,
				"PostLatencyP50": 1000, "PostLatencyP99": 1000, "Requeued": 1, "DeadLettered": 0,
			},
		},
		{
			name: "busy", result: delivery.Result{Batch: batch}, err: fmt.Errorf("claim: %w", delivery.ErrBusy),
			failed:  []string{"record"},
			log:     []string{`level=INFO msg="left in the queue" batch=b reason="claim: another sender is posting this batch"`},
			metrics: idle,
		},
		{
			name: "permanent", result: delivery.Result{Rejected: errPermanent},
			log:     []string{`level=ERROR msg=dead-lettered error="malformed: not base64"`},
			metrics: map[string]float64{"Requeued": 0, "DeadLettered": 1},
		},
		{name: "retry", result: delivery.Result{Batch: batch}, err: errRetry, cause: errRetry, metrics: idle},
		{name: "fatal, after posts", result: posted, err: errFatal, cause: errFatal, log: log, metrics: metrics},
	} {
		t.Run(test.name, func(t *testing.T) {
			var o output
			h := handler.Sender{Stage: sends{t, test.result, test.err}, Output: o.Output()}
			response, err := h.Handle(invocation(t), event("record"))
			if got := ids(response); !slices.Equal(got, test.failed) {
				t.Errorf("got failed records %v, want %v", got, test.failed)
			}
			var failed handler.SendError
			if !errors.Is(err, test.cause) || errors.As(err, &failed) != (test.cause != nil) {
				t.Errorf("got %T %v, want a SendError of %v", err, err, test.cause)
			}
			o.check(t, test.log, test.metrics)
		})
	}
}

func TestSender_HandleBatchSize(t *testing.T) {
	h := handler.Sender{Stage: sends{t: t}}
	if _, err := h.Handle(invocation(t), event("a", "b")); err == nil {
		t.Error("got no error for two records, want one")
	}
}

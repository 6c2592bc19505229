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
			{
				BroadcastID: "m", Delivered: 3, Gone: 1, Left: 3, Retries: map[string]int{"network": 1, "server_error": 2},
				Posts: 7, Last: sent.Add(1500 * time.Millisecond),
			},
			{
				BroadcastID: "n", Delivered: 2, Failed: map[string]int{"network": 1, "throttled": 2}, Posts: 5,
				Last: sent.Add(2 * time.Second),
			},
		},
		Gone: 1, Throttled: 4, PostErrors: 3, Requeued: 3, DeadLettered: 3,
		Latencies: []time.Duration{30 * time.Millisecond, 10 * time.Millisecond},
	}
	log := []string{
		"level=ERROR msg=failed broadcast=n batch=b deliveries=1 reason=network attempts=3",
		"level=ERROR msg=failed broadcast=n batch=b deliveries=2 reason=throttled attempts=3",
		"level=INFO msg=delivered broadcast=m batch=b delivered=3 gone=1 left=3",
		"level=INFO msg=delivered broadcast=n batch=b delivered=2 gone=0 left=0",
		"level=WARN msg=retry broadcast=m batch=b deliveries=1 reason=network attempts=3",
		"level=WARN msg=retry broadcast=m batch=b deliveries=2 reason=server_error attempts=3",
	}
	metrics := map[string]float64{
		"Posts": 12, "Delivered": 5, "Gone": 1, "Throttled": 4, "PostErrors": 3, "Failed": 3,
		"PostLatencyP50": 10, "PostLatencyP99": 10, "DeliveryAge": 1500, "Requeued": 3, "DeadLettered": 3,
	}
	lapses := time.Now().Add(time.Hour).UTC()
	idle := map[string]float64{"Requeued": 0, "DeadLettered": 0}
	for _, test := range []struct {
		name    string
		result  delivery.Result
		err     error
		failed  []string // records in the response
		returns []string // changes of visibility
		cause   error    // of a failed invocation
		log     []string
		metrics map[string]float64
	}{
		{name: "posted", result: posted, log: log, metrics: metrics},
		{name: "a copy of a settled batch", result: delivery.Result{Batch: batch}, metrics: idle},
		{
			name: "all posts failed",
			result: delivery.Result{
				Batch: batch, Outcomes: []broadcast.Outcome{
					{BroadcastID: "m", Left: 1, Retries: map[string]int{"deadline": 1}, Posts: 1},
				},
				Requeued: 1, Latencies: []time.Duration{time.Second},
			},
			log: []string{
				"level=INFO msg=delivered broadcast=m batch=b delivered=0 gone=0 left=1",
				"level=WARN msg=retry broadcast=m batch=b deliveries=1 reason=deadline attempts=3",
			},
			metrics: map[string]float64{
				"Posts": 1, "Delivered": 0, "Gone": 0, "Throttled": 0, "PostErrors": 0, "Failed": 0,
				"PostLatencyP50": 1000, "PostLatencyP99": 1000, "Requeued": 1, "DeadLettered": 0,
			},
		},
		{
			name: "busy", result: delivery.Result{Batch: batch, Busy: map[string]time.Time{"m": lapses}},
			err:    fmt.Errorf("claim: %w", delivery.ErrBusy),
			failed: []string{"record"}, returns: []string{"record 1h0m0s"},
			log: []string{`level=WARN msg="left in the queue" broadcast=m batch=b ` +
				`reason="another sender is posting this batch" returns=` + lapses.Format(logTime)},
			metrics: idle,
		},
		{
			name: "busy until now", result: delivery.Result{Batch: batch, Busy: map[string]time.Time{"m": sent.UTC()}},
			err: delivery.ErrBusy, failed: []string{"record"}, returns: []string{"record 1s"},
			log: []string{`level=WARN msg="left in the queue" broadcast=m batch=b ` +
				`reason="another sender is posting this batch" returns=2023-11-14T22:13:20.000Z`},
			metrics: idle,
		},
		{
			name: "taken over",
			result: delivery.Result{
				Batch: batch, Outcomes: []broadcast.Outcome{{BroadcastID: "m", Delivered: 1, Posts: 1}},
				TakenOver: map[string]time.Time{"m": sent.UTC()}, Latencies: []time.Duration{time.Second},
			},
			log: []string{
				"level=INFO msg=delivered broadcast=m batch=b delivered=1 gone=0 left=0",
				`level=WARN msg="taken over" broadcast=m batch=b lapsed=2023-11-14T22:13:20.000Z`,
			},
			metrics: map[string]float64{
				"Posts": 1, "Delivered": 1, "Gone": 0, "Throttled": 0, "PostErrors": 0, "Failed": 0, "PostLatencyP50": 1000,
				"PostLatencyP99": 1000, "DeliveryAge": 0, "Requeued": 0, "DeadLettered": 0,
			},
		},
		{
			name: "permanent", result: delivery.Result{Rejected: errPermanent},
			log:     []string{`level=ERROR msg=dead-lettered record=record error="malformed: not base64"`},
			metrics: map[string]float64{"Requeued": 0, "DeadLettered": 1},
		},
		{
			name: "retry", result: delivery.Result{Batch: batch}, err: errRetry, cause: errRetry,
			returns: []string{"record 30s"}, metrics: idle,
		},
		{
			name: "fatal, after posts", result: posted, err: errFatal, cause: errFatal, returns: []string{"record 30s"},
			log: log, metrics: metrics,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var o output
			var v visibility
			h := handler.Sender{Stage: sends{t, test.result, test.err}, Visibility: &v, Output: o.Output()}
			response, err := h.Handle(invocation(t), event("record"))
			if got := ids(response); !slices.Equal(got, test.failed) {
				t.Errorf("got failed records %v, want %v", got, test.failed)
			}
			var failed handler.SendError
			if !errors.Is(err, test.cause) || errors.As(err, &failed) != (test.cause != nil) {
				t.Errorf("got %T %v, want a SendError of %v", err, err, test.cause)
			}
			if want := test.returns; !slices.Equal(v.changes, want) {
				t.Errorf("got visibility changes %q, want %q", v.changes, want)
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

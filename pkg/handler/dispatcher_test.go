package handler_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"fanfare/pkg/broadcast"
	"fanfare/pkg/fanout"
	"fanfare/pkg/handler"
	"fanfare/pkg/telemetry"
)

// output records the logs and the metrics of a handler.
type output struct{ log, metrics bytes.Buffer }

func (o *output) Output() telemetry.Output {
	options := &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}
	return telemetry.Output{Log: slog.New(slog.NewTextHandler(&o.log, options)), Metrics: &o.metrics}
}

// check compares the lines of the log, in any order, and the metrics.
func (o *output) check(t *testing.T, log []string, metrics map[string]float64) {
	t.Helper()
	got := strings.Split(strings.TrimSpace(o.log.String()), "\n")
	if o.log.Len() == 0 {
		got = nil
	}
	slices.Sort(got)
	if !slices.Equal(got, log) {
		t.Errorf("log:\n got %s\nwant %s", strings.Join(got, "\n     "), strings.Join(log, "\n     "))
	}
	var line map[string]any
	if err := json.Unmarshal(o.metrics.Bytes(), &line); err != nil {
		t.Fatalf("metrics: %v", err)
	}
	delete(line, "_aws")
	delete(line, "Function")
	values := make(map[string]float64)
	for name, value := range line {
		values[name] = value.(float64)
	}
	if !reflect.DeepEqual(values, metrics) {
		t.Errorf("metrics:\n got %v\nwant %v", values, metrics)
	}
}

// ids returns the ids of the failed records.
func ids(r events.SQSEventResponse) []string {
	var ids []string
	for _, f := range r.BatchItemFailures {
		ids = append(ids, f.ItemIdentifier)
	}
	return ids
}

// event returns an event of messages that are received for the first time.
func event(ids ...string) events.SQSEvent {
	var e events.SQSEvent
	for _, id := range ids {
		e.Records = append(e.Records, events.SQSMessage{
			MessageId: id, Body: "hello", Attributes: map[string]string{"ApproximateReceiveCount": "1"},
		})
	}
	return e
}

func invocation(t *testing.T) context.Context {
	return lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: "invocation"})
}

// dispatches returns prepared results, one for each request.
type dispatches struct {
	t       *testing.T
	results []fanout.Result
}

func (d dispatches) Dispatch(_ context.Context, requests []broadcast.Request) []fanout.Result {
	for i, r := range requests {
		if r.Record.Invocation != "invocation" || string(r.Message.Payload) != "hello" {
			d.t.Errorf("got request %+v, want payload hello of the invocation", r)
		}
		d.results[i].Request = r
	}
	return d.results
}

var (
	errRetry     = broadcast.Retry(broadcast.ReasonServer, errors.New("500"))
	errFatal     = errors.New("403")
	errPermanent = broadcast.Permanent(broadcast.ReasonMalformed, errors.New("not base64"))
)

func TestDispatcher_Handle(t *testing.T) {
	done := fanout.Result{Connections: 7, Batches: 2, Continued: 1}
	for _, test := range []struct {
		name    string
		results []fanout.Result
		failed  []string // records in the response
		returns []string // changes of visibility
		cause   error    // of a failed invocation
		log     []string
		metrics map[string]float64
	}{
		{
			name:    "all dispatched",
			results: []fanout.Result{done, {Connections: 3, Batches: 1}},
			log: []string{
				"level=INFO msg=dispatched broadcast=m0 record=m0 connections=7 batches=2 continued=1",
				"level=INFO msg=dispatched broadcast=m1 record=m1 connections=3 batches=1 continued=0",
			},
			metrics: map[string]float64{
				"Dispatched": 2, "Targeted": 10, "Batches": 3, "Continued": 1, "DeadLettered": 0, "DispatchErrors": 0,
			},
		},
		{
			name:    "a retry, a fatal and a permanent failure among others",
			results: []fanout.Result{{Err: errRetry}, done, {Rejected: errPermanent}, {Err: errFatal}},
			failed:  []string{"m0", "m3"},
			returns: []string{"m0 30s, m3 30s"},
			log: []string{
				`level=ERROR msg="not dispatched" broadcast=m0 record=m0 error="server_error: 500"`,
				`level=ERROR msg="not dispatched" broadcast=m3 record=m3 error=403`,
				`level=ERROR msg=dead-lettered broadcast=m2 record=m2 error="malformed: not base64"`,
				"level=INFO msg=dispatched broadcast=m1 record=m1 connections=7 batches=2 continued=1",
			},
			metrics: map[string]float64{
				"Dispatched": 1, "Targeted": 7, "Batches": 2, "Continued": 1, "DeadLettered": 1, "DispatchErrors": 2,
			},
		},
		{
			name:    "only permanent failures",
			results: []fanout.Result{{Rejected: errPermanent}},
			log:     []string{`level=ERROR msg=dead-lettered broadcast=m0 record=m0 error="malformed: not base64"`},
			metrics: map[string]float64{
				"Dispatched": 0, "Targeted": 0, "Batches": 0, "Continued": 0, "DeadLettered": 1, "DispatchErrors": 0,
			},
		},
		{
			name:    "all failed",
			results: []fanout.Result{{Err: errFatal}, {Err: errRetry}},
			cause:   errFatal,
			returns: []string{"m0 30s, m1 30s"},
			log: []string{
				`level=ERROR msg="not dispatched" broadcast=m0 record=m0 error=403`,
				`level=ERROR msg="not dispatched" broadcast=m1 record=m1 error="server_error: 500"`,
			},
			metrics: map[string]float64{
				"Dispatched": 0, "Targeted": 0, "Batches": 0, "Continued": 0, "DeadLettered": 0, "DispatchErrors": 2,
			},
		},
		{
			name:    "the only one failed", // Lambda logs the error of the invocation
			results: []fanout.Result{{Err: errRetry}},
			cause:   errRetry,
			returns: []string{"m0 30s"},
			metrics: map[string]float64{
				"Dispatched": 0, "Targeted": 0, "Batches": 0, "Continued": 0, "DeadLettered": 0, "DispatchErrors": 1,
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var o output
			var v visibility
			h := handler.Dispatcher{Stage: dispatches{t, test.results}, Visibility: &v, Output: o.Output()}
			response, err := h.Handle(invocation(t), event([]string{"m0", "m1", "m2", "m3"}[:len(test.results)]...))
			if got := ids(response); !slices.Equal(got, test.failed) {
				t.Errorf("got failed records %v, want %v", got, test.failed)
			}
			var failed handler.DispatchError
			if !errors.Is(err, test.cause) || errors.As(err, &failed) != (test.cause != nil) {
				t.Errorf("got %T %v, want a DispatchError of %v", err, err, test.cause)
			}
			if want := test.returns; !slices.Equal(v.changes, want) {
				t.Errorf("got visibility changes %q, want %q", v.changes, want)
			}
			if err != nil && !strings.Contains(err.Error(), "dispatch broadcast m0: ") {
				t.Errorf("got %v, want an error with the broadcast's id", err)
			}
			o.check(t, test.log, test.metrics)
		})
	}
}

// Lambda takes a null list for success as well, but other readers of the answer may not.
func TestDispatcher_HandleResponse(t *testing.T) {
	for want, results := range map[string][]fanout.Result{
		`{"batchItemFailures":[]}`:                        {{}, {}},
		`{"batchItemFailures":[{"itemIdentifier":"m1"}]}`: {{}, {Err: errRetry}},
	} {
		var o output
		h := handler.Dispatcher{Stage: dispatches{t, results}, Visibility: &visibility{}, Output: o.Output()}
		response, err := h.Handle(invocation(t), event("m0", "m1"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := json.Marshal(response); err != nil || string(got) != want {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
}

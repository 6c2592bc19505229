package handler_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"fanfare/pkg/broadcast"
	"fanfare/pkg/delivery"
	"fanfare/pkg/fanout"
	"fanfare/pkg/handler"
	"fanfare/pkg/queue"
)

// logTime is the format of times in the log of a test.
const logTime = "2006-01-02T15:04:05.000Z07:00"

// visibility records changes of visibility, one text for each call. Times are rounded to seconds.
type visibility struct {
	mu      sync.Mutex
	changes []string
	running int           // calls in progress
	overlap bool          // two calls were in progress at once
	takes   time.Duration // duration of a call, unless its context ends before
	err     error
}

func (v *visibility) Change(ctx context.Context, changes []queue.VisibilityChange) error {
	var parts []string
	for _, c := range changes {
		parts = append(parts, fmt.Sprintf("%s %v", c.Message.MessageId, c.After.Round(time.Second)))
	}
	v.mu.Lock()
	v.changes = append(v.changes, strings.Join(parts, ", "))
	v.overlap = v.overlap || v.running > 0
	v.running++
	v.mu.Unlock()
	defer func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.running--
	}()
	select {
	case <-time.After(v.takes):
		return v.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// handle is a Lambda handler.
type handle func(context.Context, events.SQSEvent) (events.SQSEventResponse, error)

// works is a stage that takes a time, or until its context ends.
type works struct {
	takes    time.Duration
	err      error
	deadline *time.Time // receives the stage's deadline
}

func (w works) work(ctx context.Context) error {
	*w.deadline, _ = ctx.Deadline()
	select {
	case <-time.After(w.takes):
		return w.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w works) Send(ctx context.Context, _ broadcast.Record) (delivery.Result, error) {
	return delivery.Result{}, w.work(ctx)
}

func (w works) Dispatch(ctx context.Context, requests []broadcast.Request) []fanout.Result {
	err := w.work(ctx)
	results := make([]fanout.Result, len(requests))
	for i := range results {
		results[i] = fanout.Result{Request: requests[i], Err: err}
	}
	return results
}

// TestHandlers_Visibility checks when the messages return to the queue: ten seconds after the invocation's deadline,
// and after a failure by their receive count. A stage that uses all its time leaves a second for the second change.
func TestHandlers_Visibility(t *testing.T) {
	fails := works{err: errors.New("failure"), takes: time.Second}
	for _, test := range []struct {
		name     string
		stage    works
		receives string
		slow     time.Duration // time of a change
		err      error
		want     []string
		log      int // warnings
	}{
		{name: "success", stage: works{takes: time.Second}, receives: "1", want: []string{"m 40s"}},
		{name: "first failure", stage: fails, receives: "1", want: []string{"m 40s", "m 30s"}},
		{name: "second failure", stage: fails, receives: "2", want: []string{"m 40s", "m 2m0s"}},
		{name: "third failure", stage: fails, receives: "3", want: []string{"m 40s", "m 5m0s"}},
		{name: "fourth failure", stage: fails, receives: "4", want: []string{"m 40s", "m 10m0s"}},
		{name: "last failure", stage: fails, receives: "5", want: []string{"m 40s", "m 30s"}},
		{name: "no count", stage: fails, want: []string{"m 40s", "m 30s"}},
		{name: "out of time", stage: works{takes: time.Hour}, receives: "2", want: []string{"m 40s", "m 2m0s"}},
		{
			name: "a slow change", stage: works{takes: time.Second}, receives: "1", slow: 20 * time.Second,
			want: []string{"m 40s"},
		},
		{name: "failure, slow changes", stage: fails, receives: "1", slow: 3 * time.Second, want: []string{"m 40s", "m 30s"}},
		{
			name: "changes fail", stage: fails, receives: "1", err: errors.New("denied"),
			want: []string{"m 40s", "m 30s"}, log: 2,
		},
		{
			name: "a change fails", stage: works{takes: time.Second}, receives: "1", err: errors.New("denied"),
			want: []string{"m 40s"}, log: 1,
		},
	} {
		for name, start := range map[string]func(works, *visibility, *output) handle{
			"sender": func(w works, v *visibility, o *output) handle {
				return handler.Sender{Stage: w, Visibility: v, Output: o.Output()}.Handle
			},
			"dispatcher": func(w works, v *visibility, o *output) handle {
				return handler.Dispatcher{Stage: w, Visibility: v, Output: o.Output()}.Handle
			},
		} {
			t.Run(test.name+", "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var v visibility
					var o output
					var deadline time.Time
					v.err = test.err
					v.takes = test.slow
					test.stage.deadline = &deadline
					ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
					defer cancel()
					begin := time.Now()
					e := event("m")
					e.Records[0].Attributes["ApproximateReceiveCount"] = test.receives
					_, err := start(test.stage, &v, &o)(ctx, e)
					if (err != nil) != (len(test.want) > 1) {
						t.Errorf("got error %v, want %v", err, len(test.want) > 1)
					}
					if !slices.Equal(v.changes, test.want) {
						t.Errorf("got changes %q, want %q", v.changes, test.want)
					}
					if got, want := deadline.Sub(begin), 29*time.Second; got != want {
						t.Errorf("got a stage deadline after %v, want %v", got, want)
					}
					if v.overlap {
						t.Error("got two changes at once, want the second after the first has taken effect")
					}
					if got := time.Since(begin); got > 29*time.Second || len(test.want) == 1 && got > time.Second {
						t.Errorf("got an answer after %v, want it without waiting for a needless change", got)
					}
					warning := `level=WARN msg="visibility unchanged" messages=1 error=denied`
					if got := strings.Count(o.log.String(), warning); got != test.log {
						t.Errorf("got %d warnings, want %d:\n%s", got, test.log, o.log.String())
					}
				})
			})
		}
	}
}

// The five receives of a message span an outage of 15 minutes, a failed message returns after its own sender's claim
// has lapsed, and so does the batch of a dead sender.
func TestMaxReceives_Outage(t *testing.T) {
	var v visibility
	h := handler.Sender{Stage: sends{t: t, err: errRetry}, Visibility: &v, Output: new(output).Output()}
	sum := time.Duration(0)
	for receives := 1; receives < handler.MaxReceives; receives++ {
		e := event("record")
		e.Records[0].Attributes["ApproximateReceiveCount"] = fmt.Sprint(receives)
		if _, err := h.Handle(invocation(t), e); err == nil {
			t.Fatal("got no error, want the stage's")
		}
		_, text, _ := strings.Cut(v.changes[receives-1], " ")
		delay, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		if delay < handler.SenderTimeout {
			t.Errorf("receive %d: got a delay of %v, want at least the sender's timeout", receives, delay)
		}
		sum += delay
	}
	if want := 15 * time.Minute; sum <= want || handler.MaxReceives != 5 {
		t.Errorf("got %v from the first to receive %d, want more than %v to receive 5", sum, handler.MaxReceives, want)
	}
	if got := handler.RecoveryMargin; got < 10*time.Second {
		t.Errorf("RecoveryMargin: got %v, want 10s or more", got)
	}
}

package lambda_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fanfare/local/lambda"
)

func TestInvoke(t *testing.T) {
	s, seen := start(t, lambda.Options{}, lambda.Function{Name: "f", Dir: goDir(t)})
	before := time.Now()
	a := invoke[answer](t, s, "f", order{"text": "hello"})
	if a.Text != "hello" {
		t.Errorf("answer %+v", a)
	}
	if want := "arn:aws:lambda:us-east-1:000000000000:function:f"; a.ARN != want {
		t.Errorf("ARN %q, want %q", a.ARN, want)
	}
	first := seen.last(t)
	if first.RequestID != a.RequestID || first.PID != a.PID || first.Function != "f" || first.Trace != a.Trace {
		t.Errorf("report %+v of answer %+v", first, a)
	}
	if first.Status != lambda.StatusSuccess || first.Init <= 0 || first.Billed < first.Init+first.Duration {
		t.Errorf("report of a cold start: %+v", first)
	}
	if deadline := time.UnixMilli(a.Deadline); deadline.Before(before.Add(patience-time.Second)) || deadline.After(time.Now().Add(patience)) {
		t.Errorf("deadline %v is not %v away", deadline, patience)
	}

	b := invoke[answer](t, s, "f", order{})
	if b.PID != a.PID || b.RequestID == a.RequestID {
		t.Errorf("second answer %+v: want the process of the first, %d, and an id of its own", b, a.PID)
	}
	if r := seen.last(t); r.Init != 0 {
		t.Errorf("report of a warm start: %+v", r)
	}
}

func TestFunctionErrors(t *testing.T) {
	for _, test := range []struct {
		name    string
		order   order
		timeout time.Duration
		kind    string
		message string // with the request id as ID
		payload string // the same; "" = errorType and errorMessage as above
		status  lambda.Status
		dies    bool
	}{
		{name: "returned error", order: order{"do": "error", "text": "no luck"},
			kind: "refusal", message: "no luck", status: lambda.StatusFailure},
		{name: "exit", order: order{"do": "exit", "n": 5}, dies: true,
			kind: "Runtime.ExitError", message: "RequestId: ID Error: Runtime exited with error: exit status 5", status: lambda.StatusError},
		{name: "exit without a reason", order: order{"do": "exit"}, dies: true,
			kind: "Runtime.ExitError", message: "RequestId: ID Error: Runtime exited without providing a reason", status: lambda.StatusError},
		{name: "time-out", order: order{"sleep": 60_000}, timeout: 250 * time.Millisecond, dies: true,
			kind: "Sandbox.Timedout", message: "RequestId: ID Error: Task timed out after 0.25 seconds", status: lambda.StatusTimeout},
		{name: "response too large", order: order{"do": "big", "n": lambda.MaxResponseBytes + 1}, dies: true, // as aws-lambda-go does on a 413
			kind: "Function.ResponseSizeTooLarge", status: lambda.StatusError,
			message: "Response payload size exceeded maximum allowed payload size (6291556 bytes)."},
		{name: "response that breaks off", order: order{"do": "broken"},
			kind: "errorString", message: "the stream broke", status: lambda.StatusFailure},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, seen := start(t, lambda.Options{}, lambda.Function{Name: "f", Dir: goDir(t), Timeout: test.timeout})
			failure := invokeError(t, s, "f", test.order)
			r := seen.last(t)
			message := strings.ReplaceAll(test.message, "ID", r.RequestID)
			message = strings.Replace(message, "Request"+r.RequestID, "RequestId", 1)
			if failure.Type != test.kind || failure.Message != message {
				t.Errorf("failure %q: %q, want %q: %q", failure.Type, failure.Message, test.kind, message)
			}
			var payload struct{ ErrorType, ErrorMessage string }
			if err := json.Unmarshal(failure.Payload, &payload); err != nil || payload.ErrorType != test.kind || payload.ErrorMessage != message {
				t.Errorf("payload %s, error %v", failure.Payload, err)
			}
			if r.ErrorType != test.kind {
				t.Errorf("report %+v: want error type %s", r, test.kind)
			}
			if !test.dies && r.Status != test.status {
				t.Errorf("report %+v: want status %s", r, test.status)
			}
			if test.dies {
				eventually(t, "the end of the process", func() bool { return !alive(r.PID) })
			}
			if test.timeout == 0 {
				invoke[answer](t, s, "f", order{})
			} else {
				invokeError(t, s, "f", test.order) // only luck would have another order done in that time
			}
			if next := seen.last(t).PID; (next != r.PID) != test.dies {
				t.Errorf("then process %d, before %d: it should have been replaced: %v", next, r.PID, test.dies)
			}
		})
	}
}

// A Go panic is reported, and then the process exits: the caller gets the report, the next invocation a new process.
func TestPanic(t *testing.T) {
	s, seen := start(t, lambda.Options{}, lambda.Function{Name: "f", Dir: goDir(t)})
	failure := invokeError(t, s, "f", order{"do": "panic", "text": "at the disco"})
	if failure.Type != "string" || failure.Message != "at the disco" || !bytes.Contains(failure.Payload, []byte(`"stackTrace":[`)) {
		t.Errorf("failure %+v with payload %s", failure, failure.Payload)
	}
	invoke[answer](t, s, "f", order{})
	eventually(t, "reports of both", func() bool { return len(seen.Reports()) == 2 })
	for _, r := range seen.Reports() {
		if r.Init == 0 {
			t.Errorf("report %+v: want a new process for each", r)
		}
	}
}

func TestLargestResponseAndEvent(t *testing.T) {
	s, _ := start(t, lambda.Options{}, lambda.Function{Name: "f", Dir: goDir(t)})
	response, err := s.Invoke(t.Context(), "f", event(t, order{"do": "big", "n": lambda.MaxResponseBytes}), "")
	if err != nil || len(response) != lambda.MaxResponseBytes {
		t.Errorf("%d bytes and error %v, want %d bytes", len(response), err, lambda.MaxResponseBytes)
	}
	padding := lambda.MaxEventBytes - len(event(t, order{"do": ""}))
	large := event(t, order{"do": "", "text": ""})
	large = bytes.Replace(large, []byte(`"text":""`), []byte(`"text":""`+strings.Repeat(" ", padding)), 1)
	large = large[:lambda.MaxEventBytes-2]
	large = append(large, '}')
	if _, err := s.Invoke(t.Context(), "f", large, ""); err != nil {
		t.Errorf("an event of %d bytes: %v", len(large), err)
	}
	if _, err := s.Invoke(t.Context(), "f", append(large, ' '), ""); !errors.Is(err, lambda.ErrEventTooLarge) {
		t.Errorf("an event of %d bytes: %v, want ErrEventTooLarge", len(large)+1, err)
	}
	if _, err := s.Invoke(t.Context(), "g", nil, ""); !errors.Is(err, lambda.ErrNotFound) {
		t.Errorf("unknown function: %v, want ErrNotFound", err)
	}
}

// A caller that gives up does not stop the function: it keeps its process busy and is reported.
func TestCallerGivesUp(t *testing.T) {
	s, seen := start(t, lambda.Options{}, lambda.Function{Name: "f", Dir: goDir(t)})
	warm := invoke[answer](t, s, "f", order{})
	ctx, giveUp := context.WithCancel(t.Context())
	release, given := filepath.Join(t.TempDir(), "release"), make(chan error, 1)
	go func() {
		_, err := s.Invoke(ctx, "f", event(t, order{"do": "hold", "text": release}), "")
		given <- err
	}()
	eventually(t, "an invocation at work", func() bool { return seen.count("|holding") == 1 })
	giveUp()
	if err := <-given; !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want the context's", err)
	}
	if other := invoke[answer](t, s, "f", order{}); other.PID == warm.PID {
		t.Error("a process got a second invocation before it had finished the first")
	}
	if err := os.WriteFile(release, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of what was given up", func() bool { return len(seen.Reports()) == 3 })
	if r := seen.last(t); r.PID != warm.PID || r.Status != lambda.StatusSuccess {
		t.Errorf("report %+v, want success in process %d", r, warm.PID)
	}
}

func TestThrottle(t *testing.T) {
	const n = 3
	s, seen := start(t, lambda.Options{AccountConcurrency: 105},
		lambda.Function{Name: "reserved", Dir: goDir(t), ReservedConcurrency: n},
		lambda.Function{Name: "none", Dir: goDir(t), ReservedConcurrency: lambda.NoConcurrency},
		lambda.Function{Name: "other", Dir: goDir(t)})
	release := hold(t, s, seen, "reserved", n)
	for _, name := range []string{"reserved", "none"} {
		if _, err := s.Invoke(t.Context(), name, []byte(`{}`), ""); !errors.Is(err, lambda.ErrThrottled) {
			t.Errorf("%s: %v, want ErrThrottled", name, err)
		}
	}
	invoke[answer](t, s, "other", order{})
	release()
	invoke[answer](t, s, "reserved", order{})
	if err := s.Add(lambda.Function{Name: "greedy", Dir: goDir(t), ReservedConcurrency: 3}); err == nil ||
		!strings.Contains(err.Error(), "below its minimum value of [100]") {
		t.Errorf("a reservation of what must stay unreserved: %v", err)
	}
}

// A caller that invokes again as soon as it has its answer is never throttled by its own previous invocation.
func TestSequentialCallerNeedsOneProcess(t *testing.T) {
	s, seen := start(t, lambda.Options{}, lambda.Function{Name: "f", Dir: goDir(t), ReservedConcurrency: 1})
	for range 200 {
		invoke[answer](t, s, "f", order{})
	}
	for _, r := range seen.Reports() {
		if r.PID != seen.Reports()[0].PID {
			t.Fatal("more than one process")
		}
	}
}

func TestConcurrentInvocationsHaveProcessesOfTheirOwn(t *testing.T) {
	s, seen := start(t, lambda.Options{}, lambda.Function{Name: "f", Dir: goDir(t)})
	const n = 6
	hold(t, s, seen, "f", n)()
	if pids := len(pidSet(seen.Reports())); pids != n {
		t.Errorf("%d processes for %d concurrent invocations", pids, n)
	}
}

// All who wait get a process of their own, even if one starts at a time.
func TestStartsOneAtATime(t *testing.T) {
	s, seen := start(t, lambda.Options{StartConcurrency: 1}, lambda.Function{Name: "f", Dir: goDir(t)})
	hold(t, s, seen, "f", 4)()
	if pids := len(pidSet(seen.Reports())); pids != 4 {
		t.Errorf("%d processes for 4 concurrent invocations", pids)
	}
}

// However much too large a response is, the function learns why it was refused.
func TestResponseFarTooLarge(t *testing.T) {
	s, seen := start(t, lambda.Options{}, lambda.Function{Name: "f", Dir: goDir(t)})
	if failure := invokeError(t, s, "f", order{"do": "big", "n": 8 * lambda.MaxResponseBytes}); failure.Type != lambda.TypeResponseTooLarge {
		t.Errorf("failure %+v", failure)
	}
	if n := seen.count("unexpected status code: 413"); n != 1 {
		t.Errorf("the function said %q", seen.Lines())
	}
}

func pidSet(reports []lambda.Report) map[int]bool {
	set := map[int]bool{}
	for _, r := range reports {
		set[r.PID] = true
	}
	return set
}

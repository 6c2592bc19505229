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

func TestService_Invoke(t *testing.T) {
	s, seen := start(t, lambda.Options{}, lambda.Function{Name: "f", Dir: goDir(t)})
	before := time.Now()
	a := invoke[answer](t, s, "f", order{"text": "hello"})
	if a.Text != "hello" {
		t.Errorf("text: got %q, want %q", a.Text, "hello")
	}
	if want := "arn:aws:lambda:us-east-1:000000000000:function:f"; a.ARN != want {
		t.Errorf("ARN: got %q, want %q", a.ARN, want)
	}
	first := seen.last(t)
	if first.RequestID != a.RequestID || first.PID != a.PID || first.Function != "f" || first.Trace != a.Trace {
		t.Errorf("got report %+v, want that of answer %+v", first, a)
	}
	if first.Status != lambda.StatusSuccess || first.Init <= 0 || first.Billed < first.Init+first.Duration {
		t.Errorf("cold start: got report %+v, want success with Init and Billed", first)
	}
	earliest := before.Add(testTimeout - time.Second)
	if deadline := time.UnixMilli(a.Deadline); deadline.Before(earliest) || deadline.After(time.Now().Add(testTimeout)) {
		t.Errorf("deadline: got %v, want %v after the start", deadline, testTimeout)
	}

	b := invoke[answer](t, s, "f", order{})
	if b.PID != a.PID || b.RequestID == a.RequestID {
		t.Errorf("second answer: got %+v, want process %d and a new request id", b, a.PID)
	}
	if r := seen.last(t); r.Init != 0 {
		t.Errorf("warm start: got report %+v, want no Init", r)
	}
}

func TestService_FunctionErrors(t *testing.T) {
	for _, test := range []struct {
		name    string
		order   order
		timeout time.Duration
		kind    string
		message string // ID stands for the request id
		payload string // the same; "" = errorType and errorMessage as above
		status  lambda.Status
		exits   bool
	}{
		{name: "returned error", order: order{"do": "error", "text": "no luck"},
			kind: "refusal", message: "no luck", status: lambda.StatusFailure},
		{name: "exit", order: order{"do": "exit", "n": 5}, exits: true,
			kind: "Runtime.ExitError", status: lambda.StatusError,
			message: "RequestId: ID Error: Runtime exited with error: exit status 5"},
		{name: "exit without a reason", order: order{"do": "exit"}, exits: true,
			kind: "Runtime.ExitError", status: lambda.StatusError,
			message: "RequestId: ID Error: Runtime exited without providing a reason"},
		{name: "timeout", order: order{"sleep": 60_000}, timeout: 250 * time.Millisecond, exits: true,
			kind: "Sandbox.Timedout", status: lambda.StatusTimeout,
			message: "RequestId: ID Error: Task timed out after 0.25 seconds"},
		// aws-lambda-go exits after a 413.
		{name: "response too large", order: order{"do": "big", "n": lambda.MaxResponseBytes + 1}, exits: true,
			kind: "Function.ResponseSizeTooLarge", status: lambda.StatusError,
			message: "Response payload size exceeded maximum allowed payload size (6291556 bytes)."},
		{name: "broken response", order: order{"do": "broken"},
			kind: "errorString", message: "the stream broke", status: lambda.StatusFailure},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, seen := start(t, lambda.Options{}, lambda.Function{Name: "f", Dir: goDir(t), Timeout: test.timeout})
			failure := invokeError(t, s, "f", test.order)
			r := seen.last(t)
			message := strings.ReplaceAll(test.message, "ID", r.RequestID)
			message = strings.Replace(message, "Request"+r.RequestID, "RequestId", 1)
			if failure.Type != test.kind || failure.Message != message {
				t.Errorf("got failure %q: %q, want %q: %q", failure.Type, failure.Message, test.kind, message)
			}
			var payload struct{ ErrorType, ErrorMessage string }
			err := json.Unmarshal(failure.Payload, &payload)
			if err != nil || payload.ErrorType != test.kind || payload.ErrorMessage != message {
				t.Errorf("payload: got %s, error %v, want type %q and message %q",
					failure.Payload, err, test.kind, message)
			}
			if r.ErrorType != test.kind {
				t.Errorf("got report %+v, want error type %s", r, test.kind)
			}
			if !test.exits && r.Status != test.status {
				t.Errorf("got report %+v, want status %s", r, test.status)
			}
			if test.exits {
				eventually(t, "the end of the process", func() bool { return !alive(r.PID) })
			}
			if test.timeout == 0 {
				invoke[answer](t, s, "f", order{})
			} else {
				invokeError(t, s, "f", test.order) // another order might not finish within the timeout
			}
			if next := seen.last(t).PID; (next != r.PID) != test.exits {
				t.Errorf("next process: got %d after %d, want a new one: %v", next, r.PID, test.exits)
			}
		})
	}
}

// A Go panic is reported, and then the process exits. The caller gets the report, the next invocation a new process.
func TestService_Panic(t *testing.T) {
	s, seen := start(t, lambda.Options{}, lambda.Function{Name: "f", Dir: goDir(t)})
	failure := invokeError(t, s, "f", order{"do": "panic", "text": "at the disco"})
	if failure.Type != "string" || failure.Message != "at the disco" ||
		!bytes.Contains(failure.Payload, []byte(`"stackTrace":[`)) {
		t.Errorf("got failure %+v with payload %s, want the panic with its stack", failure, failure.Payload)
	}
	invoke[answer](t, s, "f", order{})
	eventually(t, "reports of both", func() bool { return len(seen.Reports()) == 2 })
	for _, r := range seen.Reports() {
		if r.Init == 0 {
			t.Errorf("got report %+v, want a new process for each", r)
		}
	}
}

func TestService_SizeLimits(t *testing.T) {
	s, _ := start(t, lambda.Options{}, lambda.Function{Name: "f", Dir: goDir(t)})
	response, err := s.Invoke(t.Context(), "f", event(t, order{"do": "big", "n": lambda.MaxResponseBytes}), "")
	if err != nil || len(response) != lambda.MaxResponseBytes {
		t.Errorf("largest response: got %d bytes and error %v, want %d bytes", len(response), err, lambda.MaxResponseBytes)
	}
	padding := lambda.MaxEventBytes - len(event(t, order{"do": ""}))
	large := event(t, order{"do": "", "text": ""})
	large = bytes.Replace(large, []byte(`"text":""`), []byte(`"text":""`+strings.Repeat(" ", padding)), 1)
	large = large[:lambda.MaxEventBytes-2]
	large = append(large, '}')
	if _, err := s.Invoke(t.Context(), "f", large, ""); err != nil {
		t.Errorf("event of %d bytes: got error %v, want none", len(large), err)
	}
	if _, err := s.Invoke(t.Context(), "f", append(large, ' '), ""); !errors.Is(err, lambda.ErrEventTooLarge) {
		t.Errorf("event of %d bytes: got error %v, want ErrEventTooLarge", len(large)+1, err)
	}
	if _, err := s.Invoke(t.Context(), "g", nil, ""); !errors.Is(err, lambda.ErrNotFound) {
		t.Errorf("unknown function: got error %v, want ErrNotFound", err)
	}
}

// A cancelled caller does not stop the function, which keeps its process busy and is reported.
func TestService_InvokeCanceled(t *testing.T) {
	s, seen := start(t, lambda.Options{}, lambda.Function{Name: "f", Dir: goDir(t)})
	warm := invoke[answer](t, s, "f", order{})
	ctx, cancel := context.WithCancel(t.Context())
	release, result := filepath.Join(t.TempDir(), "release"), make(chan error, 1)
	go func() {
		_, err := s.Invoke(ctx, "f", event(t, order{"do": "hold", "text": release}), "")
		result <- err
	}()
	eventually(t, "a running invocation", func() bool { return seen.count("|holding") == 1 })
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Fatalf("Invoke: got error %v, want context.Canceled", err)
	}
	if other := invoke[answer](t, s, "f", order{}); other.PID == warm.PID {
		t.Errorf("got busy process %d for a second invocation, want another", other.PID)
	}
	if err := os.WriteFile(release, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the cancelled invocation's report", func() bool { return len(seen.Reports()) == 3 })
	if r := seen.last(t); r.PID != warm.PID || r.Status != lambda.StatusSuccess {
		t.Errorf("got report %+v, want success in process %d", r, warm.PID)
	}
}

func TestService_Throttle(t *testing.T) {
	const n = 3
	s, seen := start(t, lambda.Options{AccountConcurrency: 105},
		lambda.Function{Name: "reserved", Dir: goDir(t), ReservedConcurrency: n},
		lambda.Function{Name: "none", Dir: goDir(t), ReservedConcurrency: lambda.NoConcurrency},
		lambda.Function{Name: "other", Dir: goDir(t)})
	release := hold(t, s, seen, "reserved", n)
	for _, name := range []string{"reserved", "none"} {
		if _, err := s.Invoke(t.Context(), name, []byte(`{}`), ""); !errors.Is(err, lambda.ErrThrottled) {
			t.Errorf("%s: got error %v, want ErrThrottled", name, err)
		}
	}
	invoke[answer](t, s, "other", order{})
	release()
	invoke[answer](t, s, "reserved", order{})
	if err := s.Add(lambda.Function{Name: "second", Dir: goDir(t), ReservedConcurrency: 3}); err == nil ||
		!strings.Contains(err.Error(), "below its minimum value of [100]") {
		t.Errorf("reservation of unreserved concurrency: got error %v, want one", err)
	}
}

// The previous invocation of a sequential caller never throttles its next one.
func TestService_SequentialCaller(t *testing.T) {
	s, seen := start(t, lambda.Options{}, lambda.Function{Name: "f", Dir: goDir(t), ReservedConcurrency: 1})
	for range 200 {
		invoke[answer](t, s, "f", order{})
	}
	for _, r := range seen.Reports() {
		if r.PID != seen.Reports()[0].PID {
			t.Fatalf("got process %d, want %d for every invocation", r.PID, seen.Reports()[0].PID)
		}
	}
}

func TestService_ConcurrentProcesses(t *testing.T) {
	s, seen := start(t, lambda.Options{}, lambda.Function{Name: "f", Dir: goDir(t)})
	const n = 6
	hold(t, s, seen, "f", n)()
	if pids := len(pidSet(seen.Reports())); pids != n {
		t.Errorf("got %d processes for %d concurrent invocations, want one each", pids, n)
	}
}

// Every waiting invocation gets its own process, even if only one starts at a time.
func TestService_StartConcurrency(t *testing.T) {
	s, seen := start(t, lambda.Options{StartConcurrency: 1}, lambda.Function{Name: "f", Dir: goDir(t)})
	hold(t, s, seen, "f", 4)()
	if pids := len(pidSet(seen.Reports())); pids != 4 {
		t.Errorf("got %d processes for 4 concurrent invocations, want 4", pids)
	}
}

// The function receives the refusal of a response that exceeds the limit by far.
func TestService_ResponseFarTooLarge(t *testing.T) {
	s, seen := start(t, lambda.Options{}, lambda.Function{Name: "f", Dir: goDir(t)})
	failure := invokeError(t, s, "f", order{"do": "big", "n": 8 * lambda.MaxResponseBytes})
	if failure.Type != lambda.TypeResponseTooLarge {
		t.Errorf("got failure %+v, want %s", failure, lambda.TypeResponseTooLarge)
	}
	if n := seen.count("unexpected status code: 413"); n != 1 {
		t.Errorf("lines: got %q, want one with status 413", seen.Lines())
	}
}

func pidSet(reports []lambda.Report) map[int]bool {
	set := map[int]bool{}
	for _, r := range reports {
		set[r.PID] = true
	}
	return set
}

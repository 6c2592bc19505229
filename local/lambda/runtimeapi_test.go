package lambda_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"fanfare/local/lambda"
)

// refusal is an error response of the Runtime API, sent by the script as a pair of status and document.
type refusal struct {
	status int
	kind   string
}

func (r *refusal) UnmarshalJSON(data []byte) error {
	var document struct{ ErrorType, ErrorMessage string }
	pair := []any{&r.status, &document}
	if err := json.Unmarshal(data, &pair); err != nil {
		return err
	}
	if r.kind = document.ErrorType; document.ErrorMessage == "" {
		return errors.New("no errorMessage")
	}
	return nil
}

// A runtime in another language, written from the API's documentation, works.
func TestRuntimeAPI_PythonRuntime(t *testing.T) {
	s, seen := start(t, lambda.Options{}, lambda.Function{Name: "f", Dir: scriptDir(t)})
	const trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
	before := time.Now()
	response, err := s.Invoke(t.Context(), "f", []byte(`{"do": "echo", "ümlaut": "✓"}`), trace)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Headers map[string]string
		Event   map[string]string
	}
	if err := json.Unmarshal(response, &got); err != nil {
		t.Fatal(err)
	}
	if want := map[string]string{"do": "echo", "ümlaut": "✓"}; !reflect.DeepEqual(got.Event, want) {
		t.Errorf("event: got %v, want %v", got.Event, want)
	}
	r := seen.last(t)
	for name, want := range map[string]string{
		"Lambda-Runtime-Aws-Request-Id":       r.RequestID,
		"Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:000000000000:function:f",
		"Lambda-Runtime-Trace-Id":             r.Trace,
		"Content-Type":                        "application/json",
	} {
		if got.Headers[name] != want {
			t.Errorf("header %s: got %q, want %q", name, got.Headers[name], want)
		}
	}
	if !strings.HasPrefix(r.Trace, trace+";Lineage=1:") {
		t.Errorf("trace: got %q, want %q with a lineage", r.Trace, trace)
	}
	deadline := json.Number(got.Headers["Lambda-Runtime-Deadline-Ms"])
	ms, err := deadline.Int64()
	if err != nil || ms < before.Add(testTimeout).UnixMilli() || ms > time.Now().Add(testTimeout).UnixMilli() {
		t.Errorf("deadline: got %q, error %v, want %v after the start", deadline, err, testTimeout)
	}
	for _, absent := range []string{
		"Lambda-Runtime-Client-Context", "Lambda-Runtime-Cognito-Identity", "Lambda-Runtime-Aws-Tenant-Id",
	} {
		if value, ok := got.Headers[absent]; ok {
			t.Errorf("header %s: got %q, want none", absent, value)
		}
	}
}

func TestRuntimeAPI_Refusals(t *testing.T) {
	s, seen := start(t, lambda.Options{}, lambda.Function{Name: "f", Dir: scriptDir(t)})

	if got := invoke[refusal](t, s, "f", order{"do": "wrong id"}); got != (refusal{400, "InvalidRequestID"}) {
		t.Errorf("response to another invocation: got %+v, want 400 InvalidRequestID", got)
	}
	if got := invoke[map[string]bool](t, s, "f", order{"do": "twice"}); !got["first"] {
		t.Errorf("two responses: the caller got %v, want the first", got)
	}
	if !slices.Contains(seen.Lines(), seen.last(t).RequestID+"|second 403 InvalidStateTransition") {
		t.Errorf("second response: got lines %q, want 403 InvalidStateTransition", seen.Lines())
	}
	if got := invoke[refusal](t, s, "f", order{"do": "foreign"}); got != (refusal{403, "Forbidden"}) {
		t.Errorf("path of another process: got %+v, want 403 Forbidden", got)
	}
	for mode, want := range map[string]refusal{
		"streaming": {501, "NotEmulated"},
		"backwards": {400, "InvalidFunctionResponseMode"},
	} {
		got := invoke[map[string]refusal](t, s, "f", order{
			"do": "headers", "headers": map[string]string{"Lambda-Runtime-Function-Response-Mode": mode},
		})
		if got["refused"] != want {
			t.Errorf("response mode %s: got %+v, want %+v", mode, got["refused"], want)
		}
	}
	calls := map[string]refusal{
		"POST /2018-06-01/runtime/init/error":         {403, "InvalidStateTransition"},
		"GET /2018-06-01/runtime/restore/next":        {501, "NotEmulated"},
		"POST /2018-06-01/runtime/restore/error":      {501, "NotEmulated"},
		"PUT /2022-07-01/telemetry":                   {501, "NotEmulated"},
		"PUT /2020-08-15/logs":                        {501, "NotEmulated"},
		"POST /2020-01-01/extension/init/error":       {501, "NotEmulated"},
		"POST /2020-01-01/extension/register":         {403, "Extension.InvalidExtensionName"},
		"GET /2018-06-01/runtime/invocation/previous": {404, "NotFound"},
		"POST /2018-06-01/runtime/invocation/next":    {404, "NotFound"},
		"GET /": {404, "NotFound"},
	}
	var paths [][]string
	for call := range calls {
		paths = append(paths, strings.Fields(call))
	}
	got := invoke[map[string]refusal](t, s, "f", order{"do": "paths", "paths": paths})
	for call, want := range calls {
		if got[call] != want {
			t.Errorf("%s: got %+v, want %+v", call, got[call], want)
		}
	}
}

func TestRuntimeAPI_UntypedErrors(t *testing.T) {
	s, _ := start(t, lambda.Options{}, lambda.Function{Name: "f", Dir: scriptDir(t)})
	failure := invokeError(t, s, "f", order{"do": "error without type"})
	if failure.Type != "Runtime.Unknown" || string(failure.Payload) != "not JSON" {
		t.Errorf("got failure %+v with payload %s, want Runtime.Unknown with not JSON", failure, failure.Payload)
	}
	failure = invokeError(t, s, "f", order{"do": "typed by header"})
	if failure.Type != "Function.ByHeader" || failure.Message != "m" {
		t.Errorf("got failure %+v, want Function.ByHeader: m", failure)
	}
}

func TestRuntimeAPI_InitError(t *testing.T) {
	s, seen := start(t, lambda.Options{},
		lambda.Function{Name: "f", Dir: scriptDir(t), Env: map[string]string{"INIT": "error"}})
	failure := invokeError(t, s, "f", order{"do": "echo"})
	if failure.Type != "Extension.Broken" || failure.Message != "no database" {
		t.Errorf("got failure %+v, want Extension.Broken: no database", failure)
	}
	failed, ok := errors.AsType[*lambda.StartError](error(failure))
	if !ok || !strings.Contains(failed.Reason, "init error reported: no database") {
		t.Errorf("got start error %+v, want one with the reported message", failed)
	}
	for _, line := range []string{"|answers 403 InvalidStateTransition 202", "|again InvalidStateTransition 403"} {
		if n := seen.count(line); n != 2 { // once in the init phase and once in the invocation
			t.Errorf("line %q: got %d, want 2", line, n)
		}
	}
}

// A runtime that repeats next without having answered receives the same event again.
func TestRuntimeAPI_NextRepeated(t *testing.T) {
	s, _ := start(t, lambda.Options{}, lambda.Function{Name: "f", Dir: scriptDir(t)})
	got := invoke[struct {
		Same  bool
		Event order
	}](t, s, "f", order{"do": "next again"})
	if !got.Same || got.Event["do"] != "next again" {
		t.Errorf("second next: got %+v, want the same event", got)
	}
}

// A function that runs on after its response delays neither its caller nor others. It is busy until the next request.
func TestService_WorkAfterResponse(t *testing.T) {
	defer lambda.SetResponseGrace(time.Millisecond)()
	s, seen := start(t, lambda.Options{}, lambda.Function{Name: "f", Dir: scriptDir(t), ReservedConcurrency: 1})
	until := filepath.Join(t.TempDir(), "done")
	if got := invoke[string](t, s, "f", order{"do": "work on", "until": until}); got != "answered" {
		t.Errorf("response: got %q, want %q", got, "answered")
	}
	if _, err := s.Invoke(t.Context(), "f", []byte(`{"do":"echo"}`), ""); !errors.Is(err, lambda.ErrThrottled) {
		t.Errorf("while it runs: got error %v, want ErrThrottled", err)
	}
	if n := len(seen.Reports()); n != 0 {
		t.Errorf("reports before the function has finished: got %d, want 0", n)
	}
	if err := os.WriteFile(until, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the report", func() bool { return len(seen.Reports()) == 1 })
	invoke[any](t, s, "f", order{"do": "echo"})
	first := seen.Reports()[0]
	if line := first.RequestID + "|worked on"; !slices.Contains(seen.Lines(), line) {
		t.Errorf("lines: got %q, want one to be %q", seen.Lines(), line)
	}
}

// The response of a process that exits after it is delivered.
func TestService_ExitAfterResponse(t *testing.T) {
	s, seen := start(t, lambda.Options{}, lambda.Function{Name: "f", Dir: scriptDir(t)})
	if got := invoke[string](t, s, "f", order{"do": "die after"}); got != "answered" {
		t.Errorf("response: got %q, want %q", got, "answered")
	}
	eventually(t, "a report", func() bool { return len(seen.Reports()) == 1 })
	if r := seen.last(t); r.Status != lambda.StatusError || r.ErrorType != lambda.TypeExit {
		t.Errorf("got report %+v, want error type %s", r, lambda.TypeExit)
	}
}

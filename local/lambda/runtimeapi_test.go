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

// refusal is how the Runtime API refuses a call: a status and a document.
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

// A runtime that was written from the documents, in another language, is served too.
func TestRuntimeInAnotherLanguage(t *testing.T) {
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
		t.Errorf("event %v", got.Event)
	}
	r := seen.last(t)
	for name, want := range map[string]string{
		"Lambda-Runtime-Aws-Request-Id":       r.RequestID,
		"Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:000000000000:function:f",
		"Lambda-Runtime-Trace-Id":             r.Trace,
		"Content-Type":                        "application/json",
	} {
		if got.Headers[name] != want {
			t.Errorf("%s: %q, want %q", name, got.Headers[name], want)
		}
	}
	if !strings.HasPrefix(r.Trace, trace+";Lineage=1:") {
		t.Errorf("trace %q, want %q with a lineage", r.Trace, trace)
	}
	var deadline json.Number = json.Number(got.Headers["Lambda-Runtime-Deadline-Ms"])
	if ms, err := deadline.Int64(); err != nil || ms < before.Add(patience).UnixMilli() || ms > time.Now().Add(patience).UnixMilli() {
		t.Errorf("deadline %q: %v", deadline, err)
	}
	for _, absent := range []string{"Lambda-Runtime-Client-Context", "Lambda-Runtime-Cognito-Identity", "Lambda-Runtime-Aws-Tenant-Id"} {
		if value, ok := got.Headers[absent]; ok {
			t.Errorf("%s: %q", absent, value)
		}
	}
}

func TestRuntimeAPIRefuses(t *testing.T) {
	s, seen := start(t, lambda.Options{}, lambda.Function{Name: "f", Dir: scriptDir(t)})

	if got := invoke[refusal](t, s, "f", order{"do": "wrong id"}); got != (refusal{400, "InvalidRequestID"}) {
		t.Errorf("a response to another invocation: %+v", got)
	}
	if got := invoke[map[string]bool](t, s, "f", order{"do": "twice"}); !got["first"] {
		t.Errorf("two responses: the caller got %v", got)
	}
	if !slices.Contains(seen.Lines(), seen.last(t).RequestID+"|second 403 InvalidStateTransition") {
		t.Errorf("the second response: %q", seen.Lines())
	}
	if got := invoke[refusal](t, s, "f", order{"do": "foreign"}); got != (refusal{403, "Forbidden"}) {
		t.Errorf("another's path: %+v", got)
	}
	for header, want := range map[string]refusal{
		"streaming": {501, "NotEmulated"},
		"backwards": {400, "InvalidFunctionResponseMode"},
	} {
		got := invoke[map[string]refusal](t, s, "f", order{"do": "headers", "headers": map[string]string{"Lambda-Runtime-Function-Response-Mode": header}})
		if got["refused"] != want {
			t.Errorf("response mode %s: %+v, want %+v", header, got, want)
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
			t.Errorf("%s: %+v, want %+v", call, got[call], want)
		}
	}
}

func TestErrorsOfOtherRuntimes(t *testing.T) {
	s, _ := start(t, lambda.Options{}, lambda.Function{Name: "f", Dir: scriptDir(t)})
	failure := invokeError(t, s, "f", order{"do": "error without type"})
	if failure.Type != "Runtime.Unknown" || string(failure.Payload) != "not JSON" {
		t.Errorf("failure %+v with payload %s", failure, failure.Payload)
	}
	if failure := invokeError(t, s, "f", order{"do": "typed by header"}); failure.Type != "Function.ByHeader" || failure.Message != "m" {
		t.Errorf("failure %+v", failure)
	}
}

func TestInitError(t *testing.T) {
	s, seen := start(t, lambda.Options{}, lambda.Function{Name: "f", Dir: scriptDir(t), Env: map[string]string{"INIT": "error"}})
	failure := invokeError(t, s, "f", order{"do": "echo"})
	if failure.Type != "Extension.Broken" || failure.Message != "no database" {
		t.Errorf("failure %+v", failure)
	}
	failed, ok := errors.AsType[*lambda.StartError](error(failure))
	if !ok || !strings.Contains(failed.Reason, "init error: no database") {
		t.Errorf("start error %+v", failed)
	}
	for _, line := range []string{"|answers 403 InvalidStateTransition 202", "|again InvalidStateTransition 403"} {
		if n := seen.count(line); n != 2 { // the init phase, and again in the invocation
			t.Errorf("%d times %q", n, line)
		}
	}
}

// A runtime that asks again without having answered gets the same event again.
func TestNextIsRepeated(t *testing.T) {
	s, _ := start(t, lambda.Options{}, lambda.Function{Name: "f", Dir: scriptDir(t)})
	got := invoke[struct {
		Same  bool
		Event order
	}](t, s, "f", order{"do": "next again"})
	if !got.Same || got.Event["do"] != "next again" {
		t.Errorf("the second next: %+v", got)
	}
}

// A function that works on after its response delays neither its caller nor others, but is busy until it asks for more.
func TestWorkAfterTheResponse(t *testing.T) {
	defer lambda.SetResponseGrace(time.Millisecond)()
	s, seen := start(t, lambda.Options{}, lambda.Function{Name: "f", Dir: scriptDir(t), ReservedConcurrency: 1})
	until := filepath.Join(t.TempDir(), "done")
	if got := invoke[string](t, s, "f", order{"do": "work on", "until": until}); got != "answered" {
		t.Errorf("response %q", got)
	}
	if _, err := s.Invoke(t.Context(), "f", []byte(`{"do":"echo"}`), ""); !errors.Is(err, lambda.ErrThrottled) {
		t.Errorf("while it works: %v, want ErrThrottled", err)
	}
	if n := len(seen.Reports()); n != 0 {
		t.Errorf("%d reports before the function has finished", n)
	}
	if err := os.WriteFile(until, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its end", func() bool { return len(seen.Reports()) == 1 })
	invoke[any](t, s, "f", order{"do": "echo"})
	first := seen.Reports()[0]
	if line := first.RequestID + "|worked on"; !slices.Contains(seen.Lines(), line) {
		t.Errorf("lines %q, want %q", seen.Lines(), line)
	}
}

// A process that dies after its response has answered all the same.
func TestDeathAfterTheResponse(t *testing.T) {
	s, seen := start(t, lambda.Options{}, lambda.Function{Name: "f", Dir: scriptDir(t)})
	if got := invoke[string](t, s, "f", order{"do": "die after"}); got != "answered" {
		t.Errorf("response %q", got)
	}
	eventually(t, "a report", func() bool { return len(seen.Reports()) == 1 })
	if r := seen.last(t); r.Status != lambda.StatusError || r.ErrorType != lambda.TypeExit {
		t.Errorf("report %+v, want %s", r, lambda.TypeExit)
	}
}

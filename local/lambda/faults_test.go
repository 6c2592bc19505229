package lambda_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"fanfare/local/lambda"
)

func TestService_RecursiveLoop(t *testing.T) {
	s, _ := start(t, lambda.Options{}, lambda.Function{Name: "f", Dir: goDir(t)},
		lambda.Function{Name: "allowed", Dir: goDir(t), AllowRecursion: true})
	loop := func(name string) (turns int, err error) {
		trace := ""
		for turns < 20 {
			response, err := s.Invoke(t.Context(), name, []byte(`{}`), trace)
			if err != nil {
				return turns, err
			}
			var a answer
			if err := json.Unmarshal(response, &a); err != nil {
				return turns, err
			}
			trace = a.Trace
			turns++
		}
		return turns, nil
	}
	if turns, err := loop("f"); turns != 16 || !errors.Is(err, lambda.ErrRecursiveLoop) {
		t.Errorf("got %d turns and error %v, want 16 and ErrRecursiveLoop", turns, err)
	}
	if turns, err := loop("allowed"); turns != 20 || err != nil {
		t.Errorf("with AllowRecursion: got %d turns and error %v, want 20 and none", turns, err)
	}
}

// outcome returns a name for the result of an invocation.
func outcome(err error) string {
	failure, ok := errors.AsType[*lambda.FunctionError](err)
	switch {
	case err == nil:
		return "success"
	case ok:
		return failure.Type
	case errors.Is(err, lambda.ErrThrottled):
		return "throttled"
	case errors.Is(err, lambda.ErrService):
		return "service"
	}
	return err.Error()
}

func TestService_Faults(t *testing.T) {
	s, seen := start(t, lambda.Options{Faults: lambda.Faults{Throttle: 1}},
		lambda.Function{Name: "f", Dir: goDir(t)}, lambda.Function{Name: "other", Dir: goDir(t)})
	call := func(name string, o order) string {
		_, err := s.Invoke(t.Context(), name, event(t, o), "")
		return outcome(err)
	}
	set := func(faults lambda.Faults) {
		t.Helper()
		if err := s.SetFaults(faults); err != nil {
			t.Fatal(err)
		}
	}
	if got := call("f", nil); got != "throttled" {
		t.Errorf("Throttle: got %s, want throttled", got)
	}
	if err := s.SetFaults(lambda.Faults{Kill: -1}); err == nil {
		t.Error("SetFaults with a rate of -1: got no error, want one")
	}
	if got := call("f", nil); got != "throttled" {
		t.Errorf("after refused faults: got %s, want throttled", got)
	}
	only := []string{"f"}
	say := order{"do": "print", "n": 1, "text": "ran"}
	for _, test := range []struct {
		name   string
		faults lambda.Faults
		want   string
		ran    bool
	}{
		{"none", lambda.Faults{}, "success", true},
		{"throttle", lambda.Faults{Throttle: 1}, "throttled", false},
		{"error before", lambda.Faults{ErrorBefore: 1}, "service", false},
		{"error after", lambda.Faults{ErrorAfter: 1}, "service", true},
		{"timeout", lambda.Faults{Timeout: 1}, "Sandbox.Timedout", true},
		{"another function", lambda.Faults{Timeout: 1, Functions: []string{"other"}}, "success", true},
	} {
		set(test.faults)
		before := seen.count("|ran 0")
		if got := call("f", say); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
		if ran := seen.count("|ran 0") > before; ran != test.ran {
			t.Errorf("%s: function ran: got %v, want %v", test.name, ran, test.ran)
		}
	}
	set(lambda.Faults{Kill: 1, Functions: only})
	if got := call("f", order{"do": "hold", "text": "/no/such/file"}); got != "Runtime.ExitError" {
		t.Errorf("Kill: got %s, want Runtime.ExitError", got)
	}
	if r := seen.last(t); alive(r.PID) {
		t.Errorf("Kill: process %d: got alive, want ended", r.PID)
	}
	set(lambda.Faults{Kill: 1, KillWithin: 20 * time.Millisecond, Functions: only})
	if got := call("f", order{"sleep": 60_000}); got != "Runtime.ExitError" {
		t.Errorf("Kill within 20ms: got %s, want Runtime.ExitError", got)
	}
	set(lambda.Faults{InitError: 1, Functions: only})
	if got := call("f", nil); got != "Runtime.ExitError" {
		t.Errorf("InitError: got %s, want Runtime.ExitError", got)
	}
	if got := call("other", nil); got != "success" {
		t.Errorf("function not in Functions: got %s, want success", got)
	}
}

// Kill ends the processes that run an invocation, and no others.
func TestService_Kill(t *testing.T) {
	s, seen := start(t, lambda.Options{}, lambda.Function{Name: "f", Dir: goDir(t)})
	results := make(chan error)
	for range 2 {
		go func() {
			_, err := s.Invoke(t.Context(), "f", []byte(`{"do":"hold","text":"/no/such/file"}`), "")
			results <- err
		}()
	}
	eventually(t, "two running", func() bool { return seen.count("|holding") == 2 })
	idle := invoke[answer](t, s, "f", order{}).PID
	if n, err := s.Kill("f"); n != 2 || err != nil {
		t.Errorf("Kill: got %d and error %v, want 2 and none", n, err)
	}
	for range 2 {
		if got := outcome(<-results); got != lambda.TypeExit {
			t.Errorf("killed invocation: got %s, want %s", got, lambda.TypeExit)
		}
	}
	if next := invoke[answer](t, s, "f", order{}).PID; next != idle {
		t.Errorf("got process %d, want the idle one, %d", next, idle)
	}
	if n, err := s.Kill("f"); n != 0 || err != nil {
		t.Errorf("Kill without running invocations: got %d and error %v, want 0 and none", n, err)
	}
	if _, err := s.Kill("g"); !errors.Is(err, lambda.ErrNotFound) {
		t.Errorf("Kill of an unknown function: got error %v, want ErrNotFound", err)
	}
}

// Equal seeds inject equal faults at about the given rates; different seeds inject different ones.
func TestFaults_Seed(t *testing.T) {
	run := func(seed uint64) (out []string) {
		s, _ := start(t, lambda.Options{Faults: lambda.Faults{Seed: seed, Throttle: 0.2, ErrorBefore: 0.3}},
			lambda.Function{Name: "f", Dir: goDir(t)})
		for range 200 {
			_, err := s.Invoke(t.Context(), "f", []byte(`{}`), "")
			out = append(out, outcome(err))
		}
		return out
	}
	first, again, other := run(1), run(1), run(2)
	if !slices.Equal(first, again) {
		t.Error("equal seeds: got different faults, want equal ones")
	}
	if slices.Equal(first, other) {
		t.Error("different seeds: got equal faults, want different ones")
	}
	count := map[string]int{}
	for _, o := range first {
		count[o]++
	}
	throttled, service, text := count["throttled"], count["service"], fmt.Sprint(count)
	if throttled < 20 || throttled > 60 || service < 30 || service > 90 || strings.Contains(text, "Exception") {
		t.Errorf("outcomes of 200: got %s, want about 40 throttled and 60 service errors", text)
	}
}

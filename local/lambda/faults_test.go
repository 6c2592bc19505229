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

func TestRecursiveLoop(t *testing.T) {
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
		t.Errorf("ended after %d turns with %v, want ErrRecursiveLoop after 16", turns, err)
	}
	if turns, err := loop("allowed"); turns != 20 || err != nil {
		t.Errorf("ended after %d turns with %v though it is allowed", turns, err)
	}
}

// outcome names what became of an invocation.
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

func TestFaults(t *testing.T) {
	s, seen := start(t, lambda.Options{Faults: lambda.Faults{Throttle: 1}},
		lambda.Function{Name: "f", Dir: goDir(t)}, lambda.Function{Name: "spared", Dir: goDir(t)})
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
		t.Errorf("with Throttle: %s", got)
	}
	if err := s.SetFaults(lambda.Faults{Kill: -1}); err == nil {
		t.Error("a rate of -1 is accepted")
	}
	if got := call("f", nil); got != "throttled" {
		t.Errorf("after refused faults: %s", got)
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
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
		if ran := seen.count("|ran 0") > before; ran != test.ran {
			t.Errorf("%s: the function ran: %v, want %v", test.name, ran, test.ran)
		}
	}
	set(lambda.Faults{Kill: 1, Functions: only})
	if got := call("f", order{"do": "hold", "text": "/no/such/file"}); got != "Runtime.ExitError" {
		t.Errorf("kill: %s", got)
	}
	if r := seen.last(t); alive(r.PID) {
		t.Error("kill: the process lives")
	}
	set(lambda.Faults{Kill: 1, KillWithin: 20 * time.Millisecond, Functions: only})
	if got := call("f", order{"sleep": 60_000}); got != "Runtime.ExitError" {
		t.Errorf("kill within 20ms: %s", got)
	}
	set(lambda.Faults{InitError: 1, Functions: only})
	if got := call("f", nil); got != "Runtime.ExitError" {
		t.Errorf("init error: %s", got)
	}
	if got := call("spared", nil); got != "success" {
		t.Errorf("a function that is not named: %s", got)
	}
}

// Kill ends the processes at work, and no others.
func TestKill(t *testing.T) {
	s, seen := start(t, lambda.Options{}, lambda.Function{Name: "f", Dir: goDir(t)})
	results := make(chan error)
	for range 2 {
		go func() {
			_, err := s.Invoke(t.Context(), "f", []byte(`{"do":"hold","text":"/no/such/file"}`), "")
			results <- err
		}()
	}
	eventually(t, "two at work", func() bool { return seen.count("|holding") == 2 })
	idle := invoke[answer](t, s, "f", order{}).PID
	if n, err := s.Kill("f"); n != 2 || err != nil {
		t.Errorf("%d killed, error %v", n, err)
	}
	for range 2 {
		if got := outcome(<-results); got != lambda.TypeExit {
			t.Errorf("an invocation that was killed: %s", got)
		}
	}
	if next := invoke[answer](t, s, "f", order{}).PID; next != idle {
		t.Errorf("process %d, want the idle one, %d", next, idle)
	}
	if n, err := s.Kill("f"); n != 0 || err != nil {
		t.Errorf("%d killed, error %v with none at work", n, err)
	}
	if _, err := s.Kill("g"); !errors.Is(err, lambda.ErrNotFound) {
		t.Errorf("unknown function: %v", err)
	}
}

// The same seed hits the same invocations at about the rate, another seed hits others.
func TestFaultsAreRepeatable(t *testing.T) {
	run := func(seed uint64) (out []string) {
		s, _ := start(t, lambda.Options{Faults: lambda.Faults{Seed: seed, Throttle: 0.2, ErrorBefore: 0.3}}, lambda.Function{Name: "f", Dir: goDir(t)})
		for range 200 {
			_, err := s.Invoke(t.Context(), "f", []byte(`{}`), "")
			out = append(out, outcome(err))
		}
		return out
	}
	first, again, other := run(1), run(1), run(2)
	if !slices.Equal(first, again) {
		t.Error("a seed does not repeat itself")
	}
	if slices.Equal(first, other) {
		t.Error("two seeds are alike")
	}
	count := map[string]int{}
	for _, o := range first {
		count[o]++
	}
	if text := fmt.Sprint(count); count["throttled"] < 20 || count["throttled"] > 60 || count["service"] < 30 || count["service"] > 90 || strings.Contains(text, "Exception") {
		t.Errorf("of 200: %s, want about 40 throttled and 60 service errors", text)
	}
}

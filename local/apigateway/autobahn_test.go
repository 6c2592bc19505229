package apigateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"fanfare/local/apigateway"
)

// autobahnLeftOut lists the cases of the Autobahn test suite that API Gateway does not support, with the reasons.
var autobahnLeftOut = []struct{ cases, why string }{
	{"1.2.*", "binary messages are refused with 1003"},
	{"1.1.1", "an empty reply is not sent"},
	{"1.1.8", "a frame of 65,536 bytes is over the limit"},
	{"1.1.7", "a frame of 65,535 bytes is over the limit"},
	{"1.1.6", "a frame of 65,535 bytes is over the limit"},
	{"6.1.1", "an empty reply is not sent"},
	{"6.1.2", "an empty reply is not sent"},
	{"9.*", "messages of up to 16 MiB are over the limit"},
	{"10.*", "a frame of 65,536 bytes is over the limit"},
	{"12.*", "permessage-deflate is not negotiated"},
	{"13.*", "permessage-deflate is not negotiated"},
}

// TestAutobahn runs the fuzzing client of the Autobahn test suite against an echo route. The environment variable
// WSTEST is the path of its command (PyPI: autobahntestsuite 0.8.2, which needs Python 2.7); without it the test is
// skipped.
func TestAutobahn(t *testing.T) {
	wstest := os.Getenv("WSTEST")
	if wstest == "" {
		t.Skip("WSTEST is not set")
	}
	g := start(t, newAPI(), apigateway.Options{MessagesInFlight: 1}, map[string]handler{
		"default": func(_ context.Context, event []byte) (string, error) {
			body, err := json.Marshal(bodyOf(event))
			return fmt.Sprintf(`{"statusCode":200,"body":%s}`, body), err
		},
	})
	var leftOut []string
	for _, out := range autobahnLeftOut {
		leftOut = append(leftOut, out.cases)
	}
	dir := t.TempDir()
	spec, err := json.Marshal(map[string]any{
		"outdir": dir, "servers": []any{map[string]any{"agent": "gateway", "url": "ws://" + g.address + "/prod"}},
		"cases": []string{"*"}, "exclude-cases": leftOut, "exclude-agent-cases": map[string]any{},
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "spec.json")
	if err := os.WriteFile(file, spec, 0o666); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), wstest, "-m", "fuzzingclient", "-s", file)
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	report, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var index map[string]map[string]struct{ Behavior, BehaviorClose string }
	if err := json.Unmarshal(report, &index); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for id, result := range index["gateway"] {
		seen[result.Behavior]++
		for _, behavior := range []string{result.Behavior, result.BehaviorClose} {
			if !strings.Contains("OK, NON-STRICT, INFORMATIONAL", behavior) {
				t.Errorf("case %s: got %s, closing %s, want OK", id, result.Behavior, result.BehaviorClose)
			}
		}
	}
	t.Logf("%d cases: %v", len(index["gateway"]), seen)
	if len(index["gateway"]) < 200 {
		t.Errorf("got %d cases, want at least 200", len(index["gateway"]))
	}
}

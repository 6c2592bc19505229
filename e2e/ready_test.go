package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A command that waits for the stack finds its way to it, and its failure is the run's.
func TestACommandRunsWhenEverythingDoes(t *testing.T) {
	w := start(t, "--ready", `echo "found $OUTPUT_WebSocketUrl and $AWS_ENDPOINT_URL for $AWS_ACCESS_KEY_ID"`)
	want := "found " + w.webSocket + " and " + w.aws + " for local"
	eventually(t, "the command has run", func() bool { return strings.Contains(w.printed(), want) })

	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--port", "0", "--aws-port", "0", "--parameter", "Access=open", "--ready", "exit 3",
		"--build-dir", filepath.Join(filepath.Dir(path), "functions"))
	cmd.Dir = repository
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), `--ready "exit 3": exit status 3`) {
		t.Errorf("a command that fails: %v\n%s", err, out)
	}
}

package e2e

import (
	"os/exec"
	"strings"
	"testing"

	"fanfare/test/e2e/binaries"
)

// A command that waits for the stack finds its way to it, and its failure is the run's.
func TestACommandRunsWhenEverythingDoes(t *testing.T) {
	w := start(t, "--ready", `echo "found $OUTPUT_WebSocketUrl and $AWS_ENDPOINT_URL for $AWS_ACCESS_KEY_ID"`)
	want := "found " + w.webSocket + " and " + w.aws + " for local"
	eventually(t, "the command has run", func() bool { return strings.Contains(w.printed(), want) })

	cmd := exec.Command(program(t), "--port", "0", "--aws-port", "0", "--parameter", "Access=open", "--ready", "exit 3",
		"--build-dir", binaries.Functions())
	cmd.Dir, cmd.Env = repository, binaries.Environment()
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), `--ready "exit 3": exit status 3`) {
		t.Errorf("a command that fails: %v\n%s", err, out)
	}
}

package e2e

import (
	"strings"
	"testing"

	"fanfare/test/localtest"
)

// The command of --ready gets the addresses in its environment, and its failure ends the program.
func TestLocal_ReadyCommand(t *testing.T) {
	p := start(t, "--ready", `echo "found $OUTPUT_WebSocketUrl and $AWS_ENDPOINT_URL for $AWS_ACCESS_KEY_ID"`)
	want := "found " + p.WebSocket + " and " + p.Endpoint + " for local"
	localtest.Eventually(t, "the log has the output of the command", func() bool {
		return strings.Contains(p.Log(), want)
	})

	output, err := localtest.Run(t, "--parameter", "Access=open", "--ready", "exit 3")
	if err == nil || !strings.Contains(output, `--ready "exit 3": exit status 3`) {
		t.Errorf("a command that fails: got %v and\n%s\nwant an error with its exit code", err, output)
	}
}

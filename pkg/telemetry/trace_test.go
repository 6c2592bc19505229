package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-xray-sdk-go/v2/xray"

	"fanfare/pkg/telemetry"
)

const daemonAddress = "AWS_XRAY_DAEMON_ADDRESS"

// TestTrace runs itself in a process that has the address of an X-Ray daemon, which the package reads once.
func TestTrace(t *testing.T) {
	if os.Getenv(daemonAddress) != "" {
		traced(t)
		return
	}
	daemon, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer daemon.Close()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestTrace$", "-test.v")
	child.Env = append(os.Environ(), daemonAddress+"="+daemon.LocalAddr().String())
	if out, err := child.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestTrace") {
		t.Fatalf("with a daemon: %v\n%s", err, out)
	}
	if err := daemon.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	var sent strings.Builder // the child has ended, so that everything is in the socket's buffer
	for buffer := make([]byte, 64<<10); !strings.Contains(sent.String(), `"name":"function"`); {
		n, _, err := daemon.ReadFrom(buffer)
		if err != nil {
			t.Fatalf("got %s, %v, want a segment", &sent, err)
		}
		sent.Write(buffer[:n])
	}
	for _, want := range []string{`"name":"post batch"`, `"annotations":{"batch":"b-1"}`, `"fault":true`, "no route"} {
		if !strings.Contains(sent.String(), want) {
			t.Errorf("got %s, want %s", &sent, want)
		}
	}
}

// traced checks the package in a process with a daemon.
func traced(t *testing.T) {
	var cfg aws.Config
	if telemetry.Trace(&cfg); len(cfg.APIOptions) == 0 {
		t.Error("Trace: got no API options, want those that trace calls")
	}
	ctx, segment := xray.BeginSegment(t.Context(), "function")
	subsegments(ctx, t)
	segment.Close(nil)
}

// subsegments checks that Subsegment calls its function and returns the error.
func subsegments(ctx context.Context, t *testing.T) {
	t.Helper()
	cause := errors.New("no route")
	calls := 0
	err := telemetry.Subsegment(ctx, "post batch", func(context.Context) (map[string]any, error) {
		calls++
		return map[string]any{"batch": "b-1"}, fmt.Errorf("post: %w", cause)
	})
	if !errors.Is(err, cause) || calls != 1 {
		t.Errorf("got %v after %d calls, want %v after one", err, calls, cause)
	}
}

// Without a daemon nothing is traced.
func TestTrace_NoDaemon(t *testing.T) {
	if os.Getenv(daemonAddress) != "" {
		t.Skip("NOT RUN: there is an X-Ray daemon")
	}
	var cfg aws.Config
	if telemetry.Trace(&cfg); len(cfg.APIOptions) != 0 {
		t.Errorf("Trace: got %d API options, want none", len(cfg.APIOptions))
	}
	subsegments(t.Context(), t)
}

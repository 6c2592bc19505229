package telemetry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"fanfare/pkg/telemetry"
)

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("broken") }

func count() *telemetry.Metrics {
	var m telemetry.Metrics
	m.Count("Delivered", 1)
	return &m
}

func TestOutput_Measure(t *testing.T) {
	var log, metrics bytes.Buffer
	o := telemetry.Output{Log: slog.New(slog.NewTextHandler(&log, nil)), Metrics: &metrics}
	o.Measure(t.Context(), count())
	var line map[string]any
	if err := json.Unmarshal(metrics.Bytes(), &line); err != nil || line["Delivered"] != 1.0 || line["Function"] !=
		lambdacontext.FunctionName {
		t.Errorf("got metrics %s, %v, want Delivered 1 of the function", &metrics, err)
	}
	if log.Len() > 0 {
		t.Errorf("got the log %s, want none", &log)
	}
	o.Metrics = brokenWriter{}
	o.Measure(t.Context(), count())
	const want = `level=ERROR msg="cannot write metrics" error="write metrics: broken"`
	if got := log.String(); !strings.Contains(got, want) {
		t.Errorf("got the log %q, want %q", got, want)
	}
}

// The zero value writes to the standard output and to the default logger, which Lambda reads.
func TestOutput_Default(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout := os.Stdout
	os.Stdout = write
	telemetry.Output{}.Measure(t.Context(), count())
	os.Stdout = stdout
	write.Close()
	if line, err := io.ReadAll(read); err != nil || !strings.Contains(string(line), `"Delivered":1`) {
		t.Errorf("got %q, %v, want the metrics on the standard output", line, err)
	}
	if got := (telemetry.Output{}).Logger(); got != slog.Default() {
		t.Errorf("got logger %v, want the default", got)
	}
}

func TestMetrics_Percentiles(t *testing.T) {
	for _, test := range []struct{ number, p50, p99 int }{
		{1, 1, 1}, {2, 1, 1}, {3, 2, 2}, {101, 51, 100}, {102, 51, 100}, {1001, 501, 991},
	} {
		var durations []time.Duration
		for i := test.number; i > 0; i-- {
			durations = append(durations, time.Duration(i)*time.Millisecond)
		}
		var m telemetry.Metrics
		var out bytes.Buffer
		m.Percentiles("Latency", durations)
		if err := m.Write(&out, "f", time.Now()); err != nil {
			t.Fatal(err)
		}
		var line struct{ LatencyP50, LatencyP99 int }
		if err := json.Unmarshal(out.Bytes(), &line); err != nil || line.LatencyP50 != test.p50 ||
			line.LatencyP99 != test.p99 {
			t.Errorf("1 to %d ms: got %+v, %v, want P50 %d, P99 %d", test.number, line, err, test.p50, test.p99)
		}
	}
}

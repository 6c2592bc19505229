package telemetry_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"fanfare/pkg/telemetry"
)

func TestMetrics_Write(t *testing.T) {
	var m telemetry.Metrics
	m.Count("Delivered", 7)
	m.Duration("DeliveryAge", 1500*time.Microsecond)
	var latencies []time.Duration
	for i := 100; i > 0; i-- {
		latencies = append(latencies, time.Duration(i)*time.Millisecond)
	}
	m.Percentiles("PostLatency", latencies)
	m.Percentiles("Nothing", nil)
	var out bytes.Buffer
	if err := m.Write(&out, "stack-sender", time.UnixMilli(1_700_000_000_000)); err != nil {
		t.Fatal(err)
	}
	const want = `{"Delivered":7,"DeliveryAge":1.5,"Function":"stack-sender","PostLatencyP50":50,"PostLatencyP99":99,` +
		`"_aws":{"CloudWatchMetrics":[{"Namespace":"Fanfare","Dimensions":[["Function"]],"Metrics":[` +
		`{"Name":"Delivered","Unit":"Count"},{"Name":"DeliveryAge","Unit":"Milliseconds"},` +
		`{"Name":"PostLatencyP50","Unit":"Milliseconds"},{"Name":"PostLatencyP99","Unit":"Milliseconds"}]}],` +
		`"Timestamp":1700000000000}}` + "\n"
	if out.String() != want {
		t.Errorf("\n got %s\nwant %s", out.String(), want)
	}
	if !json.Valid(out.Bytes()) {
		t.Errorf("got %s, want valid JSON", out.String())
	}
}

func TestMetrics_WriteEmpty(t *testing.T) {
	var out bytes.Buffer
	if err := new(telemetry.Metrics).Write(&out, "f", time.Now()); err != nil || out.Len() > 0 {
		t.Errorf("got %q, %v, want nothing", out.String(), err)
	}
}

package telemetry

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"
)

// Namespace is the CloudWatch namespace of the functions' metrics.
const Namespace = "Fanfare"

// Metrics are the metrics of one invocation. They are written as one line in CloudWatch's embedded metric format, which
// needs no call of CloudWatch. They have a single dimension, Function, because CloudWatch charges for each metric and
// value of each further dimension. The zero value is ready to use; it is not safe for concurrent use.
// Source: CloudWatch user guide, "Specification: Embedded metric format".
type Metrics struct {
	definitions []definition
	values      map[string]any
}

type definition struct {
	Name string `json:"Name"`
	Unit string `json:"Unit"`
}

// Count adds a count.
func (m *Metrics) Count(name string, n int) { m.put(name, "Count", n) }

// Duration adds a duration, in milliseconds.
func (m *Metrics) Duration(name string, d time.Duration) {
	m.put(name, "Milliseconds", float64(d.Microseconds())/1000)
}

// Percentiles adds the median and the 99th percentile of durations, as name + "P50" and name + "P99". It sorts them in
// place. If there are none, it adds nothing.
func (m *Metrics) Percentiles(name string, durations []time.Duration) {
	if len(durations) == 0 {
		return
	}
	slices.Sort(durations)
	m.Duration(name+"P50", durations[(len(durations)-1)*50/100])
	m.Duration(name+"P99", durations[(len(durations)-1)*99/100])
}

func (m *Metrics) put(name, unit string, value any) {
	if m.values == nil {
		m.values = make(map[string]any)
	}
	m.definitions = append(m.definitions, definition{name, unit})
	m.values[name] = value
}

// Write writes the line for the function to out. On Lambda that is the standard output, which goes to CloudWatch Logs.
// If no metric was added, it writes nothing.
func (m *Metrics) Write(out io.Writer, function string, now time.Time) error {
	if len(m.values) == 0 {
		return nil
	}
	type directive struct {
		Namespace  string       `json:"Namespace"`
		Dimensions [][]string   `json:"Dimensions"`
		Metrics    []definition `json:"Metrics"`
	}
	line := map[string]any{
		"Function": function,
		"_aws": map[string]any{
			"Timestamp":         now.UnixMilli(),
			"CloudWatchMetrics": []directive{{Namespace, [][]string{{"Function"}}, m.definitions}},
		},
	}
	maps.Copy(line, m.values)
	data, err := json.Marshal(line)
	if err != nil {
		return fmt.Errorf("encode metrics: %w", err)
	}
	if _, err := out.Write(append(data, '\n')); err != nil {
		return fmt.Errorf("write metrics: %w", err)
	}
	return nil
}

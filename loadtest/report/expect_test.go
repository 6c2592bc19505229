package report_test

import (
	"strings"
	"testing"
	"time"

	"fanfare/loadtest/report"
)

var known = map[string]report.Unit{"missing": report.Count, "p99": report.Time, "p99.9": report.Time,
	"delivery_ratio": report.Ratio, "delivered_per_second": report.Rate}

func TestThreshold_Holds(t *testing.T) {
	for _, c := range []struct {
		text  string
		value float64
		holds bool
	}{
		{"missing == 0", 0, true},
		{"missing==0", 1, false},
		{"missing != 0", 1, true},
		{"p99 < 600ms", 0.5999, true},
		{"p99 < 600ms", 0.6, false},
		{"p99 <= 600ms", 0.6, true},
		{"p99.9 < 1.5s", 1.4, true},
		{"p99 < 900us", 0.001, false},
		{"p99 < 2m", 119, true},
		{"p99 == 0", 0, true},
		{"delivery_ratio >= 99.99%", 0.9999, true},
		{"delivery_ratio >= 99.99%", 0.99989, false},
		{"delivery_ratio == 1", 1, true},
		{"delivered_per_second > 10_000", 10_001, true},
		{"delivered_per_second > 1e4", 10_000, false},
	} {
		th, err := report.ParseThreshold(c.text, known)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if got := th.Holds(report.Figure{Value: c.value}); got != c.holds {
			t.Errorf("%s with %v: got %v, want %v", c.text, c.value, got, c.holds)
		}
		again, err := report.ParseThreshold(th.Text, known)
		if err != nil || again != th {
			t.Errorf("%q, formatted as %q: got %+v, %v, want %+v, nil", c.text, th.Text, again, err, th)
		}
	}
}

func TestParseThreshold_Errors(t *testing.T) {
	for text, want := range map[string]string{
		"":                 "for example 'missing == 0'",
		"p99":              "for example 'missing == 0'",
		"p99 = 5ms":        "for example 'missing == 0'",
		"p99 < fast":       "for example 'missing == 0'",
		"p98 < 5ms":        "no figure \"p98\"; want one of delivered_per_second, delivery_ratio, missing, p99, p99.9",
		"misssing == 0":    "want one of",
		"p99 < 600":        "needs a unit",
		"missing == 5ms":   "cannot have the unit",
		"p99 < 6 parsecs":  "cannot have the unit",
		"p99 < 1.2.3ms":    "is not a number",
		"missing == 0 now": "cannot have the unit",
	} {
		if _, err := report.ParseThreshold(text, known); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got error %v, want one with %q", text, err, want)
		}
	}
}

func TestDuration_Precision(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 45_600 * time.Nanosecond: "46µs", 1_234_567: "1.23ms", 98_765_432: "98.8ms", 1_234_567_890: "1.235s",
		125_400_000_000: "2m5s",
	} {
		if got := report.Duration(d); got != want {
			t.Errorf("%d ns: got %q, want %q", d, got, want)
		}
	}
}

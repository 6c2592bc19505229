package report

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Unit is the unit of a figure.
type Unit string

// The units of figures.
const (
	Count Unit = "count"
	Time  Unit = "time"  // seconds
	Ratio Unit = "ratio" // 1 is 100 %
	Rate  Unit = "rate"  // per second
	Bytes Unit = "bytes"
)

// Figure is a measured value with its unit.
type Figure struct {
	Value float64 `json:"value"`
	Unit  Unit    `json:"unit"`
}

// String formats the figure with its unit.
func (f Figure) String() string {
	switch f.Unit {
	case Time:
		return Duration(time.Duration(f.Value * float64(time.Second)))
	case Ratio:
		return strconv.FormatFloat(f.Value*100, 'f', 4, 64) + " %"
	case Rate:
		return strconv.FormatFloat(f.Value, 'f', 1, 64) + "/s"
	case Bytes:
		return strconv.FormatFloat(f.Value, 'f', 0, 64) + " B"
	}
	return strconv.FormatFloat(f.Value, 'f', -1, 64)
}

// Duration formats a time with about three digits: 1.234s, 12.3ms, 45µs.
func Duration(d time.Duration) string {
	switch abs := d.Abs(); {
	case abs >= 100*time.Second:
		return d.Round(time.Second).String()
	case abs >= time.Second:
		return d.Round(time.Millisecond).String()
	case abs >= 10*time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	case abs >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}

// Threshold is a bound on one figure.
type Threshold struct {
	Metric string
	Op     string // < <= > >= == !=
	Bound  Figure
	Text   string // can be parsed again
}

var (
	form = regexp.MustCompile(
		`^\s*([a-z][a-z0-9_.]*)\s*(<=|>=|==|!=|<|>)\s*([0-9][0-9_.]*(?:e[0-9]+)?)\s*([a-zµ%]*)\s*$`)
	units = map[string]struct {
		unit  Unit
		scale float64
	}{
		"ns": {Time, 1e-9}, "us": {Time, 1e-6}, "µs": {Time, 1e-6}, "ms": {Time, 1e-3}, "s": {Time, 1}, "m": {Time, 60},
		"%": {Ratio, 0.01},
	}
)

// ParseThreshold parses a threshold: the name of a figure, an operator, and a number with a unit. The unit is ns, us,
// ms, s or m for times, % or none for ratios, and none for others. known has the unit of every figure.
func ParseThreshold(text string, known map[string]Unit) (Threshold, error) {
	parts := form.FindStringSubmatch(text)
	if parts == nil {
		return Threshold{}, fmt.Errorf(
			"expectation %q: want a figure, a comparison and a value, for example 'missing == 0' or 'p99 < 600ms'", text)
	}
	t := Threshold{Metric: parts[1], Op: parts[2], Text: strings.Join(parts[1:3], " ") + " " + parts[3] + parts[4]}
	want, ok := known[t.Metric]
	if !ok {
		return t, fmt.Errorf("expectation %q: no figure %q; want one of %s", text, t.Metric,
			strings.Join(slices.Sorted(maps.Keys(known)), ", "))
	}
	v, err := strconv.ParseFloat(strings.ReplaceAll(parts[3], "_", ""), 64)
	if err != nil {
		return t, fmt.Errorf("expectation %q: %q is not a number", text, parts[3])
	}
	t.Bound = Figure{Value: v, Unit: want}
	if parts[4] == "" {
		if want == Time && v != 0 {
			return t, fmt.Errorf("expectation %q: %s is a time and needs a unit, for example %s%sms", text, t.Metric, t.Op,
				parts[3])
		}
		return t, nil
	}
	unit, ok := units[parts[4]]
	if !ok || unit.unit != want {
		return t, fmt.Errorf("expectation %q: %s is a %s and cannot have the unit %q", text, t.Metric, want, parts[4])
	}
	t.Bound.Value *= unit.scale
	return t, nil
}

// Holds reports whether a figure is within the threshold. Equality has a tolerance for binary fractions.
func (t Threshold) Holds(f Figure) bool {
	a, b := f.Value, t.Bound.Value
	equal := a == b || math.Abs(a-b) <= 1e-9*max(math.Abs(a), math.Abs(b))
	switch t.Op {
	case "<":
		return a < b && !equal
	case "<=":
		return a < b || equal
	case ">":
		return a > b && !equal
	case ">=":
		return a > b || equal
	case "==":
		return equal
	}
	return !equal
}

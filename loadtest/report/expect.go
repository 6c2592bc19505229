package report

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Unit is what a figure counts.
type Unit string

// The units of figures.
const (
	Count Unit = "count"
	Time  Unit = "time"  // seconds
	Ratio Unit = "ratio" // 1 is 100 %
	Rate  Unit = "rate"  // per second
	Bytes Unit = "bytes"
)

// Figure is one measured value.
type Figure struct {
	Value float64 `json:"value"`
	Unit  Unit    `json:"unit"`
}

// String writes the figure for people.
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

// Duration writes a time with three digits or so: 1.234s, 12.3ms, 45µs.
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
	Text   string // as it can be parsed again
}

var (
	form  = regexp.MustCompile(`^\s*([a-z][a-z0-9_.]*)\s*(<=|>=|==|!=|<|>)\s*([0-9][0-9_.]*(?:e[0-9]+)?)\s*([a-zµ%]*)\s*$`)
	units = map[string]struct {
		unit  Unit
		scale float64
	}{
		"ns": {Time, 1e-9}, "us": {Time, 1e-6}, "µs": {Time, 1e-6}, "ms": {Time, 1e-3}, "s": {Time, 1}, "m": {Time, 60},
		"%": {Ratio, 0.01},
	}
)

// ParseThreshold reads one threshold: a metric's name, an operator, and a number with its unit: ns, us, ms, s or m for times, %
// or none for ratios, none for the others. known tells the unit of every metric there is.
func ParseThreshold(text string, known map[string]Unit) (Threshold, error) {
	parts := form.FindStringSubmatch(text)
	if parts == nil {
		return Threshold{}, fmt.Errorf("expectation %q: want a metric, a comparison and a value, as in 'missing == 0' or 'p99 < 600ms'", text)
	}
	t := Threshold{Metric: parts[1], Op: parts[2], Text: strings.Join(parts[1:3], " ") + " " + parts[3] + parts[4]}
	want, ok := known[t.Metric]
	if !ok {
		return t, fmt.Errorf("expectation %q: there is no metric %q; %s", text, t.Metric, suggest(t.Metric, known))
	}
	v, err := strconv.ParseFloat(strings.ReplaceAll(parts[3], "_", ""), 64)
	if err != nil {
		return t, fmt.Errorf("expectation %q: %q is no number", text, parts[3])
	}
	t.Bound = Figure{Value: v, Unit: want}
	if parts[4] == "" {
		if want == Time && v != 0 {
			return t, fmt.Errorf("expectation %q: %s is a time, so say its unit, as in %s%sms", text, t.Metric, t.Op, parts[3])
		}
		return t, nil
	}
	unit, ok := units[parts[4]]
	if !ok || unit.unit != want {
		return t, fmt.Errorf("expectation %q: %s is a %s and cannot be given in %q", text, t.Metric, want, parts[4])
	}
	t.Bound.Value *= unit.scale
	return t, nil
}

// Holds tells whether a figure keeps to the threshold. Equality allows for binary fractions.
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

// suggest names the metrics that look most like a name.
func suggest(name string, known map[string]Unit) string {
	names := make([]string, 0, len(known))
	for k := range known {
		names = append(names, k)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(distance(name, a), distance(name, b)), cmp.Compare(a, b))
	})
	return "the nearest are " + strings.Join(names[:min(4, len(names))], ", ")
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

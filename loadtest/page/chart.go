package page

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"fanfare/loadtest/report"
)

// The coordinates of a drawing are 0 to chartWidth and 0 to chartHeight; the browser scales it. The labels are text of
// the page, so that they stay readable on a phone.
const (
	chartWidth  = 1000.0
	chartHeight = 300.0
)

// chart is one drawing with its title and labels.
type chart struct {
	Title   string
	Note    string
	Summary string // for screen readers
	Lines   []line
	Cells   []cells
	X, Y    []tick
	Log     bool // logarithmic scale
}

// line is a path with its legend.
type line struct {
	Class string // a colour of the style sheet
	Name  string
	Path  string
	Area  bool
}

// cells are the cells of a heat map with one intensity.
type cells struct {
	Level int
	Path  string
}

// tick is a label on an axis.
type tick struct {
	At    float64 // percent
	Label string
}

// Left and Bottom return the position of the label as CSS.
func (t tick) Left() template.CSS {
	return template.CSS("left:" + strconv.FormatFloat(t.At, 'f', 2, 64) + "%")
}

func (t tick) Bottom() template.CSS {
	return template.CSS("bottom:" + strconv.FormatFloat(t.At, 'f', 2, 64) + "%")
}

// Line returns the y coordinate of the tick.
func (t tick) Line() string { return coordinate(chartHeight * (1 - t.At/100)) }

func coordinate(v float64) string {
	return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64)
}

// axis is a linear scale from 0.
type axis struct {
	top   float64
	ticks []tick
}

// newAxis returns an axis for values up to highest, with three to six round ticks.
func newAxis(highest float64, label func(float64) string) axis {
	if highest <= 0 {
		highest = 1
	}
	step := math.Pow(10, math.Floor(math.Log10(highest)))
	for _, f := range []float64{0.2, 0.5, 1, 2} {
		if highest/(step*f) <= 5 {
			step *= f
			break
		}
	}
	a := axis{top: math.Ceil(highest/step*1.0001) * step}
	for v := 0.0; v <= a.top*1.0001; v += step {
		a.ticks = append(a.ticks, tick{v / a.top * 100, label(v)})
	}
	return a
}

func (a axis) y(v float64) float64 { return chartHeight * (1 - min(max(v/a.top, 0), 1)) }

func durationLabel(seconds float64) string {
	return report.Duration(time.Duration(seconds * float64(time.Second)))
}

func countLabel(v float64) string {
	switch {
	case v >= 1e6:
		return strconv.FormatFloat(v/1e6, 'g', 4, 64) + " M"
	case v >= 1e4:
		return strconv.FormatFloat(v/1e3, 'g', 4, 64) + " k"
	case v >= 10 || v == math.Trunc(v):
		return report.Grouped(v)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// point is a point of a drawing.
type point struct{ x, y float64 }

func path(points []point) string {
	var b strings.Builder
	for i, p := range points {
		letter := "L"
		if i == 0 {
			letter = "M"
		}
		b.WriteString(letter + coordinate(p.x) + " " + coordinate(p.y))
	}
	if len(points) == 1 { // draw a dot
		b.WriteString("h.1")
	}
	return b.String()
}

// band returns the area between two curves with the same x.
func band(upper, lower []point) string {
	if len(upper) == 0 {
		return ""
	}
	both := append([]point{}, upper...)
	for _, l := range slices.Backward(lower) {
		both = append(both, l)
	}
	return path(both) + "Z"
}

// timeTicks returns ticks at round times of a run.
func timeTicks(length float64) []tick {
	a := newAxis(length, func(v float64) string { return durationLabel(v) })
	var ticks []tick
	for _, t := range a.ticks {
		if at := t.At / 100 * a.top / length * 100; at <= 100.01 {
			ticks = append(ticks, tick{at, t.Label})
		}
	}
	return ticks
}

// curve draws the latencies by percentile, on a logarithmic scale toward 100 %.
func curve(r *report.Report) *chart {
	if r.Figures["max"].Value == 0 {
		return nil
	}
	nines := func(q float64) float64 { return -math.Log10(max(1-q, 1e-12)) }
	right := 1.0
	highest := 0.0
	for _, p := range r.Percentiles {
		if p.Quantile < 1 {
			right = max(right, nines(p.Quantile))
		}
		for _, us := range p.Micros {
			highest = max(highest, float64(us)/1e6)
		}
	}
	a := newAxis(highest, durationLabel)
	c := &chart{Title: "Latency by percentile",
		Note: "From the intended time of publishing, by percentile, on a logarithmic scale toward 100 %.",
		Y:    a.ticks,
		Summary: fmt.Sprintf("Percentile curve: half of the deliveries within %s, 99 %% within %s, all within %s.",
			r.Figures["p50"], r.Figures["p99"], r.Figures["max"])}
	names := map[string][2]string{"delivery": {"one", "each delivery"}, "acknowledged": {"two", "acknowledged"},
		"last": {"three", "last client"}}
	for _, name := range report.Curves {
		var points []point
		for _, p := range r.Percentiles {
			if us, ok := p.Micros[name]; ok {
				points = append(points, point{min(nines(p.Quantile), right) / right * chartWidth, a.y(float64(us) / 1e6)})
			}
		}
		if len(points) > 0 {
			c.Lines = append(c.Lines, line{Class: names[name][0], Name: names[name][1], Path: path(points)})
		}
	}
	for i, label := range []string{"0", "90", "99", "99.9", "99.99", "99.999", "99.9999"} {
		if float64(i) <= right {
			c.X = append(c.X, tick{float64(i) / right * 100, label})
		}
	}
	return c
}

// overTime returns a chart of series over the run, nil if all are 0.
func overTime(r *report.Report, title, note string, label func(float64) string, series []struct {
	class, name string
	of          func(report.Point) float64
}) *chart {
	highest := 0.0
	for _, p := range r.Series {
		for _, s := range series {
			highest = max(highest, s.of(p))
		}
	}
	if highest == 0 {
		return nil
	}
	length := float64(len(r.Series)) * r.Width.Seconds()
	a := newAxis(highest, label)
	c := &chart{Title: title, Note: note, Y: a.ticks, X: timeTicks(length), Summary: fmt.Sprintf("%s over %s, at most %s.",
		title, durationLabel(length), label(highest))}
	for _, s := range series {
		var points []point
		for _, p := range r.Series {
			// A period is drawn as a step.
			x, y := p.Offset/length*chartWidth, a.y(s.of(p))
			points = append(points, point{x, y}, point{x + r.Width.Seconds()/length*chartWidth, y})
		}
		c.Lines = append(c.Lines, line{Class: s.class, Name: s.name, Path: path(points)})
	}
	return c
}

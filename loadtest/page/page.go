// Package page writes a report as one self-contained HTML page, without scripts or network. It has a light and a dark
// colour scheme and fits phones.
package page

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"fanfare/loadtest/report"
)

// MaxSize is the maximum size of a page in bytes. Long series are drawn with fewer points.
const MaxSize = 300_000

//go:embed page.html
var source string

var layout = template.Must(template.New("page").Parse(source))

// Limits of the drawings.
const (
	maxColumns  = 150 // of the heat map; half of the messages drawn
	heatLevels  = 7
	maxFindings = 30 // of each kind
)

// view is the data of the template.
type view struct {
	*report.Report
	Word     string
	When     string
	Tiles    []tile
	Charts   []*chart
	Rows     []row
	Found    []report.Group
	Facts    [][2]string
	Reasons  []string
	Problems []report.Doubt
}

// tile is one of the main figures at the top.
type tile struct{ Name, Value, Note string }

// row is a row of the table of latencies.
type row struct {
	Name   string
	Values []string
}

// Write writes a report as a page.
func Write(w io.Writer, r *report.Report) error {
	v := &view{Report: r, Word: strings.ToUpper(string(r.Verdict)),
		When: time.UnixMicro(r.Conditions.Start).Format("2 January 2006, 15:04:05 MST"), Problems: r.Doubts}
	v.tiles()
	v.table()
	v.facts()
	for _, c := range []*chart{curve(r), spread(r), latencies(r), deliveries(r), heat(r), harness(r)} {
		if c != nil {
			v.Charts = append(v.Charts, c)
		}
	}
	v.Found = r.Grouped(maxFindings)
	if err := layout.Execute(w, v); err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	return nil
}

// tiles sets the main figures.
func (v *view) tiles() {
	f := v.Figures
	count := func(name string) string { return report.Grouped(f[name].Value) }
	ratio := "–"
	if f["owed"].Value > 0 {
		ratio = report.Percent(f["delivered"].Value, f["owed"].Value-f["excused"].Value)
	}
	of := count("delivered") + " of " + count("owed") + " owed"
	if f["excused"].Value > 0 {
		of += ", " + count("excused") + " excused"
	}
	v.Tiles = []tile{
		{"delivered", ratio, of},
		{"missing", count("missing"), "duplicates " + count("duplicates") + ", reordered " + count("reordered")},
		{"p99 per delivery", f["p99"].String(), "half within " + f["p50"].String()},
		{"to the last client", f["time_to_last_p50"].String(), "slowest message " + f["time_to_last"].String()},
		{"delivered per second", report.Grouped(f["delivered_per_second"].Value), "peak " +
			report.Grouped(f["delivered_peak"].Value)},
	}
	if l := v.Ledger; l != nil && l.Error == "" {
		word := "agrees"
		if l.Disagreements > 0 {
			word = report.Grouped(float64(l.Disagreements)) + " disagree"
		}
		v.Tiles = append(v.Tiles, tile{"the system's ledger", word, "delivered " + count("ledger_delivered") +
			", clients received " + count("ledger_received") + v.Unsure()})
	}
	if f["quota_floor"].Value > 0 {
		v.Tiles = append(v.Tiles, tile{"quota floor reached", fmt.Sprintf("%.0f %%", f["quota_share"].Value*100),
			"a broadcast takes at least " +
				f["quota_floor"].String()})
	}
}

// table sets the table of latencies.
func (v *view) table() {
	for _, d := range []struct{ prefix, name string }{
		{"", "each delivery"}, {"ack_", "acknowledged"}, {"first_", "first client"}, {"median_", "half the clients"},
		{"tail_", "99 % of the clients"}, {"time_to_last_", "last client"},
	} {
		if v.Figures[d.prefix+"max"].Value == 0 {
			continue
		}
		r := row{Name: d.name}
		for _, q := range []string{"p50", "p90", "p99", "p99.9", "max"} {
			r.Values = append(r.Values, v.Figures[d.prefix+q].String())
		}
		v.Rows = append(v.Rows, r)
	}
}

// facts sets the list of conditions.
func (v *view) facts() {
	c := &v.Conditions
	count := func(name string) string { return report.Grouped(v.Figures[name].Value) }
	fact := func(name, format string, args ...any) {
		v.Facts = append(v.Facts, [2]string{name, fmt.Sprintf(format, args...)})
	}
	fact("run", "%s", strings.TrimPrefix(v.Name(), "run "))
	if c.Local {
		fact("system", "%s (the local system, started for the run)", c.Target)
	} else {
		fact("system", "%s", c.Target)
	}
	if c.Queue != "" {
		fact("queue", "%s", c.Queue)
	}
	fact("load", "%s", v.Describe())
	fact("ramp", "%g connects/s; connected in p50 %s, p99 %s", c.Ramp, v.Figures["connect_p50"], v.Figures["connect_p99"])
	fact("limits", "deadline %s, seed %d", report.Duration(c.Deadline), c.Seed)
	fact("published", "%s sent, %s acknowledged, %s refused, %s unanswered", count("sent"), count("acknowledged"),
		count("refused"), count("unanswered"))
	if l := v.Ledger; l != nil && l.Error == "" {
		fact("ledger", "%s: %s messages compared, %s disagreements, %s unsettled; audience %s, delivered %s, gone %s, "+
			"failed %s, outstanding %s, repeated at most %s", l.Table,
			count("ledger_compared"), count("ledger_disagreements"), count("ledger_unsettled"), count("ledger_audience"),
			count("ledger_delivered"), count("ledger_gone"), count("ledger_failed"), count("ledger_outstanding"),
			count("ledger_repeatable"))
	}
	fact("connections", "%s opened, %s failed attempts, %s lost", count("connections"), count("failed_connects"),
		count("lost_connections"))
	fact("harness", "%s, %s/%s, %d cores, %s; %s per frame, %.0f MiB; schedule lag p99 %s, read lag p99 %s",
		report.Processes(len(v.Account.Processes)), c.Host.OS, c.Host.Arch, c.Host.Cores, c.Host.Go,
		v.Figures["cpu_per_frame"], v.Figures["resident"].Value/(1<<20), v.Figures["schedule_lag_p99"],
		v.Figures["read_lag_p99"])
	if c.PostRate > 0 {
		fact("quota", "%s posts/s, burst %s", report.Grouped(c.PostRate), report.Grouped(c.PostBurst))
	}
	if c.Note != "" {
		fact("note", "%s", c.Note)
	}
	v.Reasons = v.Report.Reasons.Lines()
}

// seriesOf are lines over the run.
type seriesOf = []struct {
	class, name string
	of          func(report.Point) float64
}

func seconds(us int64) float64 { return float64(us) / 1e6 }

func latencies(r *report.Report) *chart {
	return overTime(r, "Latency over the run", "Of deliveries, by the intended time of their messages.", durationLabel,
		seriesOf{
			{"three", "longest", func(p report.Point) float64 { return seconds(p.Max) }},
			{"two", "p99", func(p report.Point) float64 { return seconds(p.P99) }},
			{"one", "p50", func(p report.Point) float64 { return seconds(p.P50) }},
		})
}

func deliveries(r *report.Report) *chart {
	clients := float64(r.Conditions.Connections)
	c := overTime(r, "Deliveries per second",
		"Deliveries that arrived, and those that were published.", countLabel, seriesOf{
			{"two", "published × clients", func(p report.Point) float64 { return p.Published * clients }},
			{"one", "delivered", func(p report.Point) float64 { return p.Delivered }},
		})
	if c != nil { // as an area, since the other line covers it in a good run
		c.Lines[0].Area = true
		c.Lines[0].Path += fmt.Sprintf("V%gH0Z", chartHeight)
	}
	return c
}

func harness(r *report.Report) *chart {
	return overTime(r, "The harness itself",
		"Largest lags. The figures are of the system if the lags are small compared with the latencies.", durationLabel,
		seriesOf{
			{"two", "read lag", func(p report.Point) float64 { return seconds(p.ReadLag) }},
			{"one", "schedule lag", func(p report.Point) float64 { return seconds(p.ScheduleLag) }},
		})
}

// spread draws the times until the first, the median and the last client received each message.
func spread(r *report.Report) *chart {
	type span struct{ at, first, median, last float64 }
	var spans []span
	highest, length := 0.0, 0.0
	for _, b := range r.Broadcasts {
		length = max(length, r.Account.Offset(&b).Seconds())
		if b.Delivered == 0 {
			continue
		}
		s := span{r.Account.Offset(&b).Seconds(), b.First.Seconds(), b.Median.Seconds(), b.Last.Seconds()}
		highest = max(highest, s.last)
		spans = append(spans, s)
	}
	if len(spans) == 0 {
		return nil
	}
	// Many messages are merged into columns: the earliest first, the middle median and the latest last of each column.
	if size := (len(spans) + 2*maxColumns - 1) / (2 * maxColumns); size > 1 {
		var fewer []span
		for part := range slices.Chunk(spans, size) {
			s := span{at: part[0].at, first: math.Inf(1), median: part[len(part)/2].median}
			for _, p := range part {
				s.first, s.last = min(s.first, p.first), max(s.last, p.last)
			}
			fewer = append(fewer, s)
		}
		spans = fewer
	}
	length = max(length, 1e-3)
	a := newAxis(highest, durationLabel)
	c := &chart{Title: "Time to last, by message", Note: "The area is between the first client and the last.", Y: a.ticks,
		X: timeTicks(length),
		Summary: fmt.Sprintf("Time until the last client received a message: median %s, slowest %s.",
			r.Figures["time_to_last_p50"], r.Figures["time_to_last"])}
	var first, median, last []point
	for _, s := range spans {
		x := s.at / length * chartWidth
		first, median, last = append(first, point{x, a.y(s.first)}), append(median, point{x, a.y(s.median)}),
			append(last, point{x, a.y(s.last)})
	}
	c.Lines = []line{{"one", "first to last", band(last, first), true}, {"three", "last client", path(last), false},
		{"one", "half the clients", path(median), false}}
	return c
}

// heat draws the number of deliveries by time and latency. The latency axis is logarithmic, with eight rows per decade.
func heat(r *report.Report) *chart {
	const rowsPerDecade = 8
	bins := r.Account.Series.Bins
	if len(bins) == 0 || r.Figures["max"].Value == 0 {
		return nil
	}
	size := (len(bins) + maxColumns - 1) / maxColumns
	columns := (len(bins) + size - 1) / size
	rowOf := func(d time.Duration) int {
		return int(math.Floor(math.Log10(max(d.Seconds(), 1e-6)) * rowsPerDecade))
	}
	counts := map[[2]int]int64{}
	low, high := math.MaxInt, math.MinInt
	var most int64
	for i, b := range bins {
		if b.Latency == nil {
			continue
		}
		b.Latency.Each(func(upTo time.Duration, n int64) {
			row := rowOf(upTo)
			low, high = min(low, row), max(high, row)
			cell := [2]int{i / size, row}
			counts[cell] += n
			most = max(most, counts[cell])
		})
	}
	if most == 0 {
		return nil
	}
	// At least one decade is needed for the labels.
	low, high = min(low, high-rowsPerDecade), high+1
	height := chartHeight / float64(high-low)
	width := chartWidth / float64(columns)
	paths := make([]strings.Builder, heatLevels)
	for column := range columns {
		for row := low; row < high; row++ {
			n := counts[[2]int{column, row}]
			if n == 0 {
				continue
			}
			// The shade is logarithmic, so that few deliveries are visible beside many.
			level := int(math.Log(float64(n)) / math.Log(float64(most)+1e-9) * (heatLevels - 1))
			level = min(max(level, 0), heatLevels-1)
			fmt.Fprintf(&paths[level], "M%s %sh%sv%sh-%sz", coordinate(float64(column)*width),
				coordinate(chartHeight-float64(row-low+1)*height),
				coordinate(width), coordinate(height), coordinate(width))
		}
	}
	c := &chart{Title: "Delivery heat map",
		Note: "Number of deliveries by time and latency; darker is more, on a logarithmic scale.", Log: true,
		X:       timeTicks(float64(len(bins)) * r.Width.Seconds()),
		Summary: fmt.Sprintf("Heat map of latencies over time, up to %s.", r.Figures["max"])}
	for level := range paths {
		if paths[level].Len() > 0 {
			c.Cells = append(c.Cells, cells{level + 1, paths[level].String()})
		}
	}
	for row := low; row <= high; row++ {
		if row%rowsPerDecade == 0 || (high-low <= rowsPerDecade+2 && row%4 == 0) {
			c.Y = append(c.Y, tick{float64(row-low) / float64(high-low) * 100,
				durationLabel(math.Pow(10, float64(row)/rowsPerDecade))})
		}
	}
	return c
}

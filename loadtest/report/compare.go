package report

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"fanfare/loadtest/latency"
)

// periods is the number of periods of a single run that count as repeats. Their spread is smaller than that of whole
// runs.
const periods = 5

// Row compares one figure of both sides.
type Row struct {
	Name          string
	Before, After Figure // medians
	Spread        Figure // the larger of both
	// Unknown reports whether the spread is unknown, without repeats.
	Unknown bool
	// Beyond reports whether the difference is larger than the spread. If that is unknown, it is true for counts only.
	Beyond bool
	// Worse reports whether the figure has become worse, by any amount.
	Worse bool
}

// compared are the figures of a comparison; more reports whether a higher value is better.
var compared = []struct {
	name string
	more bool
}{
	{"p50", false}, {"p90", false}, {"p99", false}, {"max", false},
	{"time_to_last_p50", false}, {"time_to_last", false}, {"first_p50", false}, {"ack_p50", false}, {"ack_p99", false},
	{"delivered_per_second", true}, {"delivery_ratio", true},
	{"missing", false}, {"duplicates", false}, {"reordered", false}, {"late", false}, {"corrupt", false}, {"cut", false},
	{"refused", false}, {"unanswered", false},
	{"cpu_per_frame", false},
}

// Compare compares two sides of at least one report each. A difference is significant (Beyond) if it is larger than the
// larger spread of both sides: the spread of the runs of a side, or of five periods of its only run.
func Compare(before, after []*Report) []Row {
	var rows []Row
	for _, f := range compared {
		a, b := values(before, f.name), values(after, f.name)
		unit := before[0].Figures[f.name].Unit
		row := Row{Name: f.name, Before: Figure{Value: middle(before, f.name), Unit: unit},
			After: Figure{Value: middle(after, f.name), Unit: unit}}
		row.Spread = Figure{Value: max(spread(a), spread(b)), Unit: unit}
		change := row.After.Value - row.Before.Value
		row.Unknown = len(a) == 0 || len(b) == 0
		row.Beyond = math.Abs(change) > row.Spread.Value*(1+1e-9) && (!row.Unknown || unit == Count)
		row.Worse = change != 0 && (change < 0) == f.more
		rows = append(rows, row)
	}
	return rows
}

// middle returns the median of a figure.
func middle(side []*Report, name string) float64 {
	var v []float64
	for _, r := range side {
		v = append(v, r.Figures[name].Value)
	}
	slices.Sort(v)
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

// values returns the values of a figure in all repeats.
func values(side []*Report, name string) []float64 {
	if len(side) == 1 {
		return parts(side[0])[name]
	}
	var v []float64
	for _, r := range side {
		v = append(v, r.Figures[name].Value)
	}
	return v
}

// spread returns the difference of the largest and the smallest value.
func spread(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	return slices.Max(v) - slices.Min(v)
}

// parts returns the figures of each period of a run, as far as they can be computed.
func parts(r *Report) map[string][]float64 {
	all := map[string][]float64{}
	add := func(name string, v time.Duration) { all[name] = append(all[name], v.Seconds()) }
	for _, bins := range cut(r.Account.Series.Bins) {
		h := latency.NewCoarse()
		var delivered int64
		for _, b := range bins {
			if b.Latency != nil {
				h.Merge(b.Latency)
			}
			delivered += b.Delivered
		}
		if h.Count() > 0 {
			add("p50", h.Quantile(0.5))
			add("p90", h.Quantile(0.9))
			add("p99", h.Quantile(0.99))
			add("max", h.Max())
		}
		all["delivered_per_second"] = append(all["delivered_per_second"],
			float64(delivered)/(float64(len(bins))*r.Width.Seconds()))
	}
	for _, broadcasts := range cut(r.Broadcasts) {
		var last, first, ack latency.Histogram
		for _, b := range broadcasts {
			if b.Warm || b.Delivered == 0 {
				continue
			}
			last.Add(b.Last.Microseconds())
			first.Add(b.First.Microseconds())
			if b.Acknowledged != 0 {
				ack.Add(b.Acknowledged - b.Intended)
			}
		}
		if last.Count() > 0 {
			add("time_to_last_p50", last.Quantile(0.5))
			add("time_to_last", last.Max())
			add("first_p50", first.Quantile(0.5))
		}
		if ack.Count() > 0 {
			add("ack_p50", ack.Quantile(0.5))
			add("ack_p99", ack.Quantile(0.99))
		}
	}
	return all
}

// cut divides s into periods of nearly equal length.
func cut[T any](s []T) [][]T {
	var all [][]T
	for i := range periods {
		if part := s[i*len(s)/periods : (i+1)*len(s)/periods]; len(part) > 0 {
			all = append(all, part)
		}
	}
	return all
}

// WriteComparison writes a comparison as text.
func WriteComparison(w io.Writer, before, after []*Report) error {
	repeats := "the spread of five periods of each run; repeated runs are more precise"
	if len(before) > 1 && len(after) > 1 {
		repeats = fmt.Sprintf("the spread of %d and %d runs", len(before), len(after))
	}
	fmt.Fprintf(w, "before  %s\nafter   %s\n\n", names(before), names(after))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "figure\tbefore\tafter\tchange\tspread\t\t")
	for _, r := range Compare(before, after) {
		if r.Before.Value == 0 && r.After.Value == 0 {
			continue
		}
		change := "–"
		if r.Before.Value != 0 {
			change = fmt.Sprintf("%+.1f %%", (r.After.Value/r.Before.Value-1)*100)
		}
		word := "within the spread"
		if r.Before.Value == r.After.Value {
			word = "the same"
		} else if r.Unknown && !r.Beyond {
			word = "no repeats"
		} else if r.Beyond {
			word = "BETTER"
			if r.Worse {
				word = "WORSE"
			}
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t\n", r.Name, r.Before, r.After, change, r.Spread, word)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if d := Differences(&before[0].Conditions, &after[0].Conditions); len(d) > 0 {
		fmt.Fprintf(w, "\nThe conditions differ, which may explain a difference: %s.\n",
			strings.Join(d, "; "))
	}
	warnInvalid(w, "before", before)
	warnInvalid(w, "after", after)
	_, err := fmt.Fprintf(w, "\nA difference counts if it is larger than %s.\n", repeats)
	return err
}

// warnInvalid writes a line for each invalid run of a side.
func warnInvalid(w io.Writer, name string, side []*Report) {
	for _, r := range side {
		if r.Verdict == Invalid {
			fmt.Fprintf(w, "Run %s (%s) is invalid: see its report.\n", r.Conditions.Run, name)
		}
	}
}

// names returns the names of the runs of a side and the load of the first.
func names(side []*Report) string {
	var all []string
	for _, r := range side {
		all = append(all, r.Conditions.Run)
	}
	return strings.Join(all, ", ") + "  " + side[0].Describe()
}

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

// stretches is how many parts of a single run stand for repeats.
const stretches = 5

// Row is one figure of both sides.
type Row struct {
	Name          string
	Before, After Figure // medians
	Spread        Figure // the larger of both
	// Unknown tells that there are no repeats to take a spread from.
	Unknown bool
	// Beyond tells that the difference is larger than the spread. Where that is unknown, only a count can be.
	Beyond bool
	// Worse tells that the change is for the worse, whatever its size.
	Worse bool
}

// compared are those that are compared; better says whether more or less is better.
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

// Compare compares two sides, each at least one report.
func Compare(before, after []*Report) []Row {
	var rows []Row
	for _, f := range compared {
		a, b := values(before, f.name), values(after, f.name)
		unit := before[0].Figures[f.name].Unit
		row := Row{Name: f.name, Before: Figure{Value: middle(before, f.name), Unit: unit},
			After: Figure{Value: middle(after, f.name), Unit: unit}}
		row.Spread = Figure{Value: max(reach(a), reach(b)), Unit: unit}
		change := row.After.Value - row.Before.Value
		row.Unknown = len(a) == 0 || len(b) == 0
		row.Beyond = math.Abs(change) > row.Spread.Value*(1+1e-9) && (!row.Unknown || unit == Count)
		row.Worse = change != 0 && (change < 0) == f.more
		rows = append(rows, row)
	}
	return rows
}

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

// values are the repeats of a figure.
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

// reach is the distance of the largest from the smallest.
func reach(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	return slices.Max(v) - slices.Min(v)
}

// parts takes the compared of stretches of one run, as far as a stretch has them.
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

// cut cuts s into stretches of nearly equal length.
func cut[T any](s []T) [][]T {
	var all [][]T
	for i := range stretches {
		if part := s[i*len(s)/stretches : (i+1)*len(s)/stretches]; len(part) > 0 {
			all = append(all, part)
		}
	}
	return all
}

// WriteComparison writes the comparison for people.
func WriteComparison(w io.Writer, before, after []*Report) error {
	repeats := "the spread of five stretches of each run; repeats of whole runs would say more"
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
			word = "no repeats to tell"
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
		fmt.Fprintf(w, "\nThe conditions differ, so the system need not be what made the difference: %s.\n",
			strings.Join(d, "; "))
	}
	for i, side := range [][]*Report{before, after} {
		for _, r := range side {
			if r.Verdict == Invalid {
				fmt.Fprintf(w, "Run %s (%s) is invalid: see its report.\n", r.Conditions.Run, []string{"before", "after"}[i])
			}
		}
	}
	_, err := fmt.Fprintf(w, "\nA difference counts if it exceeds %s.\n", repeats)
	return err
}

func names(side []*Report) string {
	var all []string
	for _, r := range side {
		all = append(all, r.Conditions.Run)
	}
	return strings.Join(all, ", ") + "  " + side[0].Describe()
}

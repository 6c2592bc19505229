package account

import (
	"errors"
	"slices"
	"time"
)

// Start locates a run in the time of a merged account, in which the runs follow one another.
type Start struct {
	Run    string
	At     int64         // start of the run, microseconds since the Unix epoch
	Offset time.Duration // from the start of the account
	Length time.Duration
}

// Merge returns the account of several runs. Counts are added, distributions merged exactly, and series appended in the
// order of the runs. The conditions are those of the first run.
func Merge(runs []*Account) (*Account, error) {
	if len(runs) == 0 {
		return nil, errors.New("no results")
	}
	sum := &Account{
		Conditions:  runs[0].Conditions,
		Connections: Connections{Unopened: map[string]int{}, Causes: map[string]int{}},
		Publishing:  Publishing{Unpublished: map[string]int{}, Refused: map[string]int{}, Silent: true},
	}
	width := time.Duration(0)
	for _, a := range runs {
		width = max(width, a.Series.Width)
	}
	sum.Series = Series{Start: runs[0].Series.Start, Width: width}
	kept := map[string]int{}
	for i, a := range runs {
		sum.Processes = append(sum.Processes, a.Processes...)
		sum.Connections.add(&a.Connections)
		sum.Publishing.add(&a.Publishing)
		sum.Deliveries.add(&a.Deliveries)
		sum.Slow.add(&a.Slow)
		sum.Latency.merge(&a.Latency)
		if a.Ledger != nil {
			if sum.Ledger == nil {
				sum.Ledger = &Ledger{Table: a.Ledger.Table, Reasons: map[string]int{}}
			}
			sum.Ledger.add(a.Ledger)
		}
		for _, b := range a.Broadcasts {
			b.Run = i
			sum.Broadcasts = append(sum.Broadcasts, b)
		}
		for _, f := range a.Findings {
			if kept[f.Kind]++; kept[f.Kind] <= FindingsKept {
				f.Run = i
				sum.Findings = append(sum.Findings, f)
			}
		}
		// Widths differ by powers of two, so halving makes them equal.
		series := Series{Start: a.Series.Start, Width: a.Series.Width, Bins: slices.Clone(a.Series.Bins)}
		for series.Width < width {
			series.halve()
		}
		sum.Starts = append(sum.Starts, Start{Run: a.Conditions.Run, At: a.Conditions.Start,
			Offset: time.Duration(len(sum.Series.Bins)) * width, Length: time.Duration(len(series.Bins)) * width})
		sum.Series.Bins = append(sum.Series.Bins, series.Bins...)
	}
	slices.SortStableFunc(sum.Findings, func(x, y Finding) int { return severity[x.Kind] - severity[y.Kind] })
	return sum, nil
}

// Offset returns the intended time of a message from the start of the account.
func (a *Account) Offset(b *Broadcast) time.Duration {
	s := a.Starts[b.Run]
	return s.Offset + microseconds(b.Intended-s.At)
}

func addCounts(sum, other map[string]int) {
	for k, n := range other {
		sum[k] += n
	}
}

func (c *Connections) add(o *Connections) {
	c.Wanted = max(c.Wanted, o.Wanted)
	c.Required += o.Required
	c.Started += o.Started
	c.Opened += o.Opened
	c.Unmade += o.Unmade
	c.Moved += o.Moved
	c.Lost += o.Lost
	c.Broken += o.Broken
	c.Dropped += o.Dropped
	c.Slow += o.Slow
	addCounts(c.Unopened, o.Unopened)
	addCounts(c.Causes, o.Causes)
	c.Took.Merge(&o.Took)
}

func (p *Publishing) add(o *Publishing) {
	p.Scheduled += o.Scheduled
	p.Sent += o.Sent
	p.ByQueue += o.ByQueue
	p.Acknowledged += o.Acknowledged
	p.Unanswered += o.Unanswered
	p.Guessed += o.Guessed
	p.Silent = p.Silent && o.Silent
	addCounts(p.Unpublished, o.Unpublished)
	addCounts(p.Refused, o.Refused)
}

func (d *Deliveries) add(o *Deliveries) {
	for _, f := range [...]struct {
		sum   *int64
		other int64
	}{
		{&d.Owed, o.Owed}, {&d.Delivered, o.Delivered}, {&d.Missing, o.Missing}, {&d.Corrupt, o.Corrupt}, {&d.Cut, o.Cut},
		{&d.Excused, o.Excused}, {&d.Harness, o.Harness}, {&d.Unowed, o.Unowed}, {&d.Duplicates, o.Duplicates},
		{&d.Reordered, o.Reordered}, {&d.OutOfTurn, o.OutOfTurn}, {&d.Late, o.Late}, {&d.Misdelivered, o.Misdelivered},
		{&d.CorruptTexts, o.CorruptTexts}, {&d.ForeignTexts, o.ForeignTexts}, {&d.StrayAnswers, o.StrayAnswers},
		{&d.Unknown, o.Unknown}, {&d.Stale, o.Stale},
	} {
		*f.sum += f.other
	}
}

func (l *Latency) merge(o *Latency) {
	l.Delivery.Merge(&o.Delivery)
	l.Acknowledged.Merge(&o.Acknowledged)
	l.First.Merge(&o.First)
	l.Median.Merge(&o.Median)
	l.P99.Merge(&o.P99)
	l.Last.Merge(&o.Last)
}

// Package report computes the figures, checks and verdict of a run from its account, and writes them as text, JSON, CSV
// and JUnit XML. It also compares runs.
package report

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"fanfare/loadtest/account"
	"fanfare/loadtest/latency"
	"fanfare/loadtest/result"
)

// Verdict is the result of a run.
type Verdict string

// The verdicts. An invalid run shows nothing about the system, even if all checks hold.
const (
	Pass    Verdict = "pass"
	Fail    Verdict = "fail"
	Invalid Verdict = "invalid"
)

// Exit codes of the commands.
const (
	ExitPass        = 0
	ExitFail        = 1 // a threshold was missed
	ExitUsage       = 2 // wrong flags or arguments
	ExitInvalid     = 3 // the harness may have caused the figures
	ExitUnconnected = 4 // clients could not connect
)

// ExitCode returns the exit code for the verdict.
func (v Verdict) ExitCode() int {
	switch v {
	case Pass:
		return ExitPass
	case Fail:
		return ExitFail
	}
	return ExitInvalid
}

// Defaults are the thresholds of every run; one is dropped if the user names a threshold on the same figure. Duplicates
// and reordering are reported only, as not every system promises anything about them.
var Defaults = []string{"missing == 0", "corrupt == 0", "cut == 0", "unknown == 0", "refused == 0", "unanswered == 0",
	"late == 0"}

// LedgerDefaults are further thresholds of runs that read the system's ledger.
var LedgerDefaults = []string{"ledger_disagreements == 0", "ledger_unsettled == 0"}

// Report is a run with its checks and verdict. It is the content of the JSON output.
type Report struct {
	Verdict     Verdict             `json:"verdict"`
	Checks      []Check             `json:"checks"`
	Doubts      []Doubt             `json:"doubts"`
	Conditions  result.Conditions   `json:"conditions"`
	Figures     map[string]Figure   `json:"figures"`
	Reasons     Reasons             `json:"reasons"`
	SlowClients *account.Deliveries `json:"slowClients,omitempty"`
	Ledger      *account.Ledger     `json:"ledger,omitempty"`
	Percentiles []Percentile        `json:"percentiles"`
	Width       time.Duration       `json:"seriesWidth"`
	Series      []Point             `json:"series"`
	Broadcasts  []account.Broadcast `json:"broadcasts"`
	Findings    []account.Finding   `json:"findings"`

	// Account is the source of the report.
	Account *account.Account `json:"-"`
}

// Check is one threshold and its result.
type Check struct {
	Expectation string `json:"expectation"`
	Value       string `json:"value"`
	Holds       bool   `json:"holds"`
}

// Reasons counts failures by reason.
type Reasons struct {
	Unopened    map[string]int `json:"unopened,omitempty"`
	Lost        map[string]int `json:"lost,omitempty"`
	Unpublished map[string]int `json:"unpublished,omitempty"`
	Refused     map[string]int `json:"refused,omitempty"`
	Failed      map[string]int `json:"failed,omitempty"` // deliveries, by the system's ledger
}

// Lines returns one line for each reason.
func (r *Reasons) Lines() []string {
	var lines []string
	for _, kind := range []struct {
		what   string
		counts map[string]int
	}{
		{"not connected", r.Unopened}, {"lost", r.Lost}, {"not published", r.Unpublished}, {"refused", r.Refused},
		{"failed by the ledger", r.Failed},
	} {
		for _, reason := range slices.Sorted(maps.Keys(kind.counts)) {
			lines = append(lines, fmt.Sprintf("%s: %s × %s", kind.what, reason, Grouped(float64(kind.counts[reason]))))
		}
	}
	return lines
}

// Percentile is one point of the latency curves.
type Percentile struct {
	Quantile float64          `json:"quantile"`
	Micros   map[string]int64 `json:"micros"` // by distribution, microseconds; without those that are empty
}

// Point is one period of the time series. Rates are per second, latencies in microseconds.
type Point struct {
	Offset       float64 `json:"offset"` // seconds from the start of the run
	Published    float64 `json:"published"`
	Acknowledged float64 `json:"acknowledged"`
	Delivered    float64 `json:"delivered"`
	P50          int64   `json:"p50"`
	P99          int64   `json:"p99"`
	Max          int64   `json:"max"`
	CPU          float64 `json:"cpu"`
	Machine      float64 `json:"machine"`
	ScheduleLag  int64   `json:"scheduleLag"`
	ReadLag      int64   `json:"readLag"`
	Open         int     `json:"open"`
}

// Curves are the distributions that have latency curves.
var Curves = []string{"delivery", "acknowledged", "last"}

// Of returns the report of an account, checked against the given expectations and against the defaults on other
// figures. It returns an error for an invalid expectation and for lags that cannot be decoded.
func Of(a *account.Account, expectations []string) (*Report, error) {
	s := &summary{Account: a, scheduleLag: &latency.Histogram{}, readLag: &latency.Histogram{}}
	for _, p := range a.Processes {
		if p.End == nil {
			continue
		}
		for _, lag := range []struct {
			into *latency.Histogram
			from []byte
		}{{s.scheduleLag, p.End.Usage.ScheduleLag}, {s.readLag, p.End.Usage.ReadLag}} {
			h, err := latency.Decode(lag.from)
			if err != nil {
				return nil, fmt.Errorf("lag of process %d: %w", p.Conditions.Process, err)
			}
			lag.into.Merge(h)
		}
	}
	s.span = span(a)
	r := &Report{
		Conditions: a.Conditions, Figures: map[string]Figure{}, Findings: a.Findings, Broadcasts: a.Broadcasts, Account: a,
		Ledger:  a.Ledger,
		Reasons: Reasons{a.Connections.Unopened, a.Connections.Causes, a.Publishing.Unpublished, a.Publishing.Refused, nil},
	}
	if a.Ledger != nil {
		r.Reasons.Failed = a.Ledger.Reasons
	}
	if a.Slow.Owed > 0 {
		r.SlowClients = &a.Slow
	}
	for _, f := range figures {
		r.Figures[f.name] = Figure{Value: f.of(s), Unit: f.unit}
	}
	r.Doubts = doubts(s)
	if err := r.check(expectations); err != nil {
		return nil, err
	}
	r.curves(a)
	r.series(a)
	return r, nil
}

// Expectations parses thresholds and adds the defaults on figures that they do not name. A threshold on a figure of the
// ledger is an error without a ledger, as it would hold without any comparison.
func Expectations(texts []string, ledger bool) ([]Threshold, error) {
	known := Known()
	var all []Threshold
	named := map[string]bool{}
	for _, text := range texts {
		t, err := ParseThreshold(text, known)
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(t.Metric, ledgerPrefix) && !ledger {
			return nil, fmt.Errorf("--expect %q: the run does not read the system's ledger; want a table of --ledger", text)
		}
		all, named[t.Metric] = append(all, t), true
	}
	defaults := Defaults
	if ledger {
		defaults = slices.Concat(Defaults, LedgerDefaults)
	}
	var kept []Threshold
	for _, text := range defaults {
		t, err := ParseThreshold(text, known)
		if err != nil {
			return nil, err
		}
		if !named[t.Metric] {
			kept = append(kept, t)
		}
	}
	return append(kept, all...), nil
}

// check sets the checks and the verdict.
func (r *Report) check(texts []string) error {
	thresholds, err := Expectations(texts, r.Ledger != nil)
	if err != nil {
		return err
	}
	r.Verdict = Pass
	for _, t := range thresholds {
		figure := r.Figures[t.Metric]
		c := Check{Expectation: t.Text, Value: figure.String(), Holds: t.Holds(figure)}
		r.Checks = append(r.Checks, c)
		if !c.Holds {
			r.Verdict = Fail
		}
	}
	if r.Figures["owed"].Value == 0 {
		r.Doubts = append(r.Doubts, Doubt{Invalid: true, Text: "no delivery was owed, so nothing was tested"})
	}
	for _, d := range r.Doubts {
		if d.Invalid {
			r.Verdict = Invalid
		}
	}
	return nil
}

// span returns the time from the first message's intended time to the last arrival, or the length of the schedule if
// that is longer. For several runs it is the sum.
func span(a *account.Account) time.Duration {
	last := make([]int64, len(a.Starts))
	messages := make([]int, len(a.Starts))
	for i := range a.Broadcasts {
		b := &a.Broadcasts[i]
		last[b.Run] = max(last[b.Run], b.Intended+b.Last.Microseconds(), b.Sent)
		messages[b.Run]++
	}
	var sum time.Duration
	for run, s := range a.Starts {
		if messages[run] == 0 {
			continue
		}
		measured := max(time.Duration(last[run]-s.At)*time.Microsecond, 0)
		if a.Conditions.Rate > 0 {
			measured = max(measured, time.Duration(float64(messages[run])/a.Conditions.Rate*float64(time.Second)))
		}
		sum += measured
	}
	return sum
}

// curves adds percentiles in ever finer steps toward 1, as far as the number of values allows.
func (r *Report) curves(a *account.Account) {
	all := map[string]*latency.Histogram{"delivery": &a.Latency.Delivery, "acknowledged": &a.Latency.Acknowledged,
		"last": &a.Latency.Last}
	add := func(q float64) {
		p := Percentile{Quantile: q, Micros: map[string]int64{}}
		for name, h := range all {
			if h.Count() > 0 {
				p.Micros[name] = h.Quantile(q).Microseconds()
			}
		}
		r.Percentiles = append(r.Percentiles, p)
	}
	n := float64(a.Latency.Delivery.Count())
	for rest := 1.0; rest*n >= 1; rest /= 10 {
		for _, step := range []float64{0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85} {
			add(1 - rest*(1-step))
		}
	}
	add(1)
}

// series adds the time series.
func (r *Report) series(a *account.Account) {
	r.Width = a.Series.Width
	width := a.Series.Width.Seconds()
	for i, b := range a.Series.Bins {
		p := Point{
			Offset: float64(i) * width, Published: float64(b.Published) / width, Acknowledged: float64(b.Acknowledged) / width,
			Delivered: float64(b.Delivered) / width, CPU: b.CPU, Machine: b.Machine,
			ScheduleLag: b.ScheduleLag.Microseconds(), ReadLag: b.ReadLag.Microseconds(), Open: b.Open,
		}
		if b.Latency != nil {
			p.P50, p.P99, p.Max = b.Latency.Quantile(0.5).Microseconds(), b.Latency.Quantile(0.99).Microseconds(),
				b.Latency.Max().Microseconds()
		}
		r.Series = append(r.Series, p)
	}
}

// Load returns the report of the result files of one or more runs. It adds the expectations of the runs to those given.
// Runs are in the order of their start times, or of the files if these are equal.
func Load(names []string, expectations []string) (r *Report, err error) {
	var files []*result.File
	defer func() {
		for _, f := range files {
			err = errors.Join(err, f.Close())
		}
	}()
	var doubts doubtList
	for _, name := range names {
		f, err := result.Open(name)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
		if f.Cut {
			doubts.invalid("%s is truncated: the harness was killed", name)
		}
	}
	accounts, err := accountsOf(files)
	if err != nil {
		return nil, err
	}
	a := accounts[0]
	if len(accounts) > 1 {
		if a, err = account.Merge(accounts); err != nil {
			return nil, err
		}
	}
	var all []string
	for _, run := range accounts {
		for _, text := range run.Conditions.Expect {
			if !slices.Contains(all, text) {
				all = append(all, text)
			}
		}
		if d := Differences(&a.Conditions, &run.Conditions); len(d) > 0 {
			doubts.warn("runs %s and %s differ in %s", a.Conditions.Run, run.Conditions.Run, strings.Join(d, "; "))
		}
	}
	if r, err = Of(a, append(all, expectations...)); err != nil {
		return nil, err
	}
	for _, d := range doubts {
		r.Doubts = append(r.Doubts, d)
		if d.Invalid {
			r.Verdict = Invalid
		}
	}
	return r, nil
}

// accountsOf returns the account of each run in the files, in the order of the start times.
func accountsOf(files []*result.File) ([]*account.Account, error) {
	runs := map[string][]*result.Segment{}
	var order []string // names of the runs, as in the files
	for _, f := range files {
		for _, s := range f.Segments {
			run := s.Conditions.Run
			if runs[run] == nil {
				order = append(order, run)
			}
			runs[run] = append(runs[run], s)
		}
	}
	var accounts []*account.Account
	for _, run := range order {
		a, err := account.Of(runs[run])
		if err != nil {
			return nil, err
		}
		accounts = append(accounts, a)
	}
	slices.SortStableFunc(accounts, func(a, b *account.Account) int {
		return cmp.Compare(a.Conditions.Start, b.Conditions.Start)
	})
	return accounts, nil
}

// Differences lists the conditions in which two runs differ.
func Differences(a, b *result.Conditions) []string {
	var all []string
	for _, c := range []struct {
		name string
		a, b any
	}{
		{"target", a.Target, b.Target}, {"connections", a.Connections, b.Connections}, {"rate", a.Rate, b.Rate},
		{"messages", a.Count, b.Count}, {"size", a.Size, b.Size}, {"publishers", a.Publishers, b.Publishers},
		{"published", a.Via, b.Via}, {"churn", a.Churn, b.Churn}, {"slow clients", a.Slow, b.Slow},
		{"processes", a.Processes, b.Processes}, {"warm-up", a.Warmup, b.Warmup}, {"deadline", a.Deadline, b.Deadline},
		{"machine", a.Host.Name, b.Host.Name}, {"cores", a.Host.Cores, b.Host.Cores},
		{"ledger", a.Ledger, b.Ledger}, {"other clients", a.Others, b.Others},
	} {
		if c.a != c.b {
			all = append(all, fmt.Sprintf("%s: %v and %v", c.name, c.a, c.b))
		}
	}
	return all
}

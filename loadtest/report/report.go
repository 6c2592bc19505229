// Package report turns the account of a run into a verdict and into texts: for people, programs, spreadsheets and CI.
package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"fanfare/loadtest/account"
	"fanfare/loadtest/latency"
	"fanfare/loadtest/result"
)

// Verdict is what a run came to.
type Verdict string

// The verdicts. An invalid run proves nothing, whatever its checks say.
const (
	Pass    Verdict = "pass"
	Fail    Verdict = "fail"
	Invalid Verdict = "invalid"
)

// Exit codes of the commands.
const (
	ExitPass        = 0
	ExitFail        = 1 // a threshold was missed
	ExitUsage       = 2 // the command cannot be carried out as it was given
	ExitInvalid     = 3 // the harness may have made the figures
	ExitUnconnected = 4 // clients could not connect
)

// ExitCode returns the verdict's.
func (v Verdict) ExitCode() int {
	return map[Verdict]int{Pass: ExitPass, Fail: ExitFail, Invalid: ExitInvalid}[v]
}

// Defaults are the expectations of a run that names none on the same figure: what no system may do unnoticed.
// Duplicates and another order are for the system to promise, so they are reported and not judged.
var Defaults = []string{"missing == 0", "corrupt == 0", "cut == 0", "unknown == 0", "refused == 0", "unanswered == 0",
	"late == 0"}

// LedgerDefaults come on top if the run read the system's ledger.
var LedgerDefaults = []string{"ledger_disagreements == 0", "ledger_unsettled == 0"}

// Report is a run, judged. It is what the JSON output holds.
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

	// Account is what the report was made of.
	Account *account.Account `json:"-"`
}

// Check is one expectation and what became of it.
type Check struct {
	Expectation string `json:"expectation"`
	Value       string `json:"value"`
	Holds       bool   `json:"holds"`
}

// Reasons counts what went wrong by its reason.
type Reasons struct {
	Unopened    map[string]int `json:"unopened,omitempty"`
	Lost        map[string]int `json:"lost,omitempty"`
	Unpublished map[string]int `json:"unpublished,omitempty"`
	Refused     map[string]int `json:"refused,omitempty"`
	Failed      map[string]int `json:"failed,omitempty"` // deliveries, as the system's ledger says
}

// Lines says them in words, one a line.
func (r *Reasons) Lines() []string {
	var lines []string
	for _, kind := range []struct {
		what   string
		counts map[string]int
	}{{"not connected", r.Unopened}, {"lost", r.Lost}, {"not published", r.Unpublished}, {"refused", r.Refused},
		{"failed by the ledger", r.Failed}} {
		for _, reason := range slices.Sorted(maps.Keys(kind.counts)) {
			lines = append(lines, fmt.Sprintf("%s: %s × %s", kind.what, reason, Grouped(float64(kind.counts[reason]))))
		}
	}
	return lines
}

// Percentile is one point of the curves, in microseconds; 0 where there is none.
type Percentile struct {
	Quantile float64          `json:"quantile"`
	Micros   map[string]int64 `json:"micros"` // by distribution
}

// Point is one stretch of the series. Rates are per second, latencies in microseconds.
type Point struct {
	Offset       float64 `json:"offset"` // seconds from the run's start
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

// Curves are the distributions whose percentile curves a report holds.
var Curves = []string{"delivery", "acknowledged", "last"}

// Of judges an account by the expectations given and by those defaults that name other figures. Lags of the harness
// that cannot be read are an error.
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
				return nil, fmt.Errorf("process %d: %w", p.Conditions.Process, err)
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
	if err := r.judge(expectations); err != nil {
		return nil, err
	}
	r.curves(a)
	r.series(a)
	return r, nil
}

// Expectations reads expectations and adds the defaults on figures that they do not name. Without a ledger, one on what
// it says is an error: it would hold for want of anything to compare.
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
			return nil, fmt.Errorf("--expect %q: the run does not read the system's ledger; say which table it is with --ledger",
				text)
		}
		all, named[t.Metric] = append(all, t), true
	}
	standing := Defaults
	if ledger {
		standing = slices.Concat(Defaults, LedgerDefaults)
	}
	var defaults []Threshold
	for _, text := range standing {
		t, err := ParseThreshold(text, known)
		if err != nil {
			return nil, err
		}
		if !named[t.Metric] {
			defaults = append(defaults, t)
		}
	}
	return append(defaults, all...), nil
}

func (r *Report) judge(texts []string) error {
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
		r.Doubts = append(r.Doubts, Doubt{Invalid: true, Text: "nothing was owed to anybody, so nothing was tested"})
	}
	for _, d := range r.Doubts {
		if d.Invalid {
			r.Verdict = Invalid
		}
	}
	return nil
}

// span is the time from the first message's intended time to the last arrival, but not less than the schedule took; of
// several runs, the sum.
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

// curves takes the percentiles at ever finer steps toward 1, as far as there are values to tell apart.
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

// Load makes the report of result files, of one run or of several; the runs' own expectations count too. Runs come in the
// order in which they started, and those that started at once in the order of the files.
func Load(names []string, expectations []string) (r *Report, err error) {
	runs := map[string][]*result.Segment{}
	var order []string // of the runs, as the files name them
	var doubts []Doubt
	for _, name := range names {
		f, err := result.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		for _, s := range f.Segments {
			run := s.Conditions.Run
			if runs[run] == nil {
				order = append(order, run)
			}
			runs[run] = append(runs[run], s)
		}
		if f.Cut {
			doubts = append(doubts, Doubt{Invalid: true, Text: fmt.Sprintf("%s ends in mid-sentence: the harness was killed",
				name)})
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
		return cmp.Compare(a.Conditions.Start,
			b.Conditions.Start)
	})
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
		if d := Differences(&accounts[0].Conditions, &run.Conditions); len(d) > 0 {
			doubts = append(doubts, Doubt{Text: fmt.Sprintf("runs %s and %s differ in %s", a.Conditions.Run, run.Conditions.Run,
				strings.Join(d, "; "))})
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

// Differences names the conditions in which two runs differ.
func Differences(a, b *result.Conditions) []string {
	var all []string
	for _, c := range []struct {
		name string
		a, b any
	}{
		{"target", a.Target, b.Target}, {"connections", a.Connections, b.Connections}, {"rate", a.Rate, b.Rate},
		{"messages", a.Count, b.Count},
		{"size", a.Size, b.Size}, {"publishers", a.Publishers, b.Publishers}, {"published", a.Via, b.Via},
		{"churn", a.Churn, b.Churn},
		{"slow clients", a.Slow, b.Slow}, {"processes", a.Processes, b.Processes}, {"warm-up", a.Warmup, b.Warmup},
		{"deadline", a.Deadline, b.Deadline},
		{"machine", a.Host.Name, b.Host.Name}, {"cores", a.Host.Cores, b.Host.Cores},
		{"ledger", a.Ledger, b.Ledger}, {"others' clients", a.Others, b.Others},
	} {
		if c.a != c.b {
			all = append(all, fmt.Sprintf("%s: %v and %v", c.name, c.a, c.b))
		}
	}
	return all
}

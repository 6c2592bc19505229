package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"fanfare/loadtest/account"
)

// Text writes the report as text. With colour, the verdict and marks have colours for terminals.
func (r *Report) Text(w io.Writer, colour bool) error {
	t := &text{colour: colour}
	t.headline(r)
	t.counts(r)
	t.times(r)
	t.harness(r)
	t.results(r)
	_, err := io.WriteString(w, t.String())
	return err
}

type text struct {
	strings.Builder
	colour bool
}

func (t *text) line(format string, args ...any) { fmt.Fprintf(t, format+"\n", args...) }

// paint adds an SGR colour code to s.
func (t *text) paint(code, s string) string {
	if !t.colour {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

const (
	green, red, yellow, bold = "32", "31", "33", "1"
)

// Grouped formats a number without decimals and with commas.
func Grouped(v float64) string {
	s := strconv.FormatFloat(v, 'f', 0, 64)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func (r *Report) value(name string) float64 { return r.Figures[name].Value }

func (r *Report) grouped(name string) string { return Grouped(r.value(name)) }

func (r *Report) time(name string) string { return r.Figures[name].String() }

// Name returns the name of the run, or the names of all runs.
func (r *Report) Name() string {
	if len(r.Account.Starts) == 1 {
		return "run " + r.Conditions.Run
	}
	var names []string
	for _, s := range r.Account.Starts {
		names = append(names, s.Run)
	}
	return fmt.Sprintf("%d runs: %s", len(names), strings.Join(names, ", "))
}

// Describe returns one line with the load of the run.
func (r *Report) Describe() string {
	c := &r.Conditions
	size := "with content of the user"
	if c.Size > 0 {
		size = fmt.Sprintf("of %s B", Grouped(float64(c.Size)))
	}
	by := "by %d clients"
	switch {
	case c.Via == "queue":
		by = "through the queue, %d publishers"
	case c.Via == "both":
		by = "by clients and queue, %d publishers"
	case c.Publishers == 1:
		by = "by %d client"
	}
	length := time.Duration(float64(c.Count) / max(c.Rate, 1e-9) * float64(time.Second))
	s := fmt.Sprintf("%s clients · %s messages %s at %s/s "+by+" · %s", Grouped(float64(c.Connections)),
		Grouped(float64(c.Count)), size, strconv.FormatFloat(c.Rate, 'g', 6, 64), c.Publishers, Duration(length))
	if c.Churn > 0 {
		s += fmt.Sprintf(" · churn %g %%/min", c.Churn*100)
	}
	if c.Slow > 0 {
		s += fmt.Sprintf(" · %d slow clients (%d B/s)", c.Slow, c.SlowRate)
	}
	if c.Warmup > 0 {
		s += " · warm-up " + Duration(c.Warmup)
	}
	return s
}

func (t *text) headline(r *Report) {
	verdict := t.paint(yellow, "INVALID")
	switch r.Verdict {
	case Pass:
		verdict = t.paint(green, "PASS")
	case Fail:
		verdict = t.paint(red, "FAIL")
	}
	t.line("\n%s  %s  %s  %s", t.paint(bold, verdict), r.Name(), r.Conditions.Target,
		time.UnixMicro(r.Conditions.Start).Format("2006-01-02 15:04:05"))
	t.line("      %s\n", r.Describe())
}

func (t *text) counts(r *Report) {
	t.line("deliveries   owed %s · delivered %s (%s) · missing %s · corrupt %s", r.grouped("owed"), r.grouped("delivered"),
		Percent(r.value("delivered"), r.value("owed")-r.value("excused")), r.grouped("missing"), r.grouped("corrupt"))
	t.line("             duplicates %s · reordered %s (same publisher %s) · late %s · misdelivered %s",
		r.grouped("duplicates"), r.grouped("reordered"), r.grouped("out_of_turn"), r.grouped("late"),
		r.grouped("misdelivered"))
	for _, rare := range [][2]string{
		{"cut", "cut: the system closed the connection first"},
		{"excused", "excused: the client closed the connection first"},
		{"harness_lost", "lost by the harness"},
		{"unowed", "delivered but not owed (the client connected during the broadcast)"},
		{"corrupt_texts", "damaged payloads received"},
		{"foreign", "foreign frames"},
		{"stray_answers", "answers without a message"},
		{"unknown", "payloads that were never published"},
	} {
		if r.value(rare[0]) > 0 {
			t.line("             %s %s", r.grouped(rare[0]), rare[1])
		}
	}
	if s := r.SlowClients; s != nil {
		t.line("slow clients owed %s · delivered %s · missing %s · cut %s (not part of the above)", Grouped(float64(s.Owed)),
			Grouped(float64(s.Delivered)), Grouped(float64(s.Missing)), Grouped(float64(s.Cut)))
	}
	if l := r.Ledger; l != nil && l.Error == "" {
		t.line("ledger       audience %s · delivered %s · gone %s · failed %s · outstanding %s · repeated at most %s",
			r.grouped("ledger_audience"), r.grouped("ledger_delivered"), r.grouped("ledger_gone"), r.grouped("ledger_failed"),
			r.grouped("ledger_outstanding"), r.grouped("ledger_repeatable"))
		t.line("             messages compared %s · received by clients %s%s · disagreements %s · unsettled %s",
			r.grouped("ledger_compared"), r.grouped("ledger_received"), r.Unsure(), r.grouped("ledger_disagreements"),
			r.grouped("ledger_unsettled"))
	}
	answers := fmt.Sprintf("acknowledged %s · refused %s · unanswered %s", r.grouped("acknowledged"), r.grouped("refused"),
		r.grouped("unanswered"))
	if r.Account.Publishing.Silent {
		answers = "the system answers nothing"
	}
	t.line("publishing   scheduled %s · published %s · %s", Grouped(float64(r.Account.Publishing.Scheduled)),
		r.grouped("sent"), answers)
	t.line("connections  opened %s of %s clients · failed attempts %s · lost %s · moved %d", r.grouped("connections"),
		Grouped(float64(r.Conditions.Connections)), r.grouped("failed_connects"), r.grouped("lost_connections"),
		r.Account.Connections.Moved)
	for _, line := range r.Reasons.Lines() {
		t.line("             %s", line)
	}
}

// Unsure returns the number of deliveries whose outcome no client knows, in words; "" for none.
func (r *Report) Unsure() string {
	if r.Ledger.Unsure == 0 {
		return ""
	}
	return fmt.Sprintf(" (%s more unknown)", Grouped(float64(r.Ledger.Unsure)))
}

// Percent formats a share. It has as many digits as needed to show a loss.
func Percent(part, whole float64) string {
	if whole == 0 {
		return "–"
	}
	if part == whole {
		return "100 %"
	}
	for digits := 1; ; digits++ {
		if s := strconv.FormatFloat(part/whole*100, 'f', digits, 64); !strings.HasPrefix(s, "100") || digits == 9 {
			return s + " %"
		}
	}
}

func (t *text) times(r *Report) {
	t.line("\nlatency, from the intended time of publishing")
	var header strings.Builder
	fmt.Fprintf(&header, "  %-38s", "")
	for _, q := range quantiles {
		fmt.Fprintf(&header, "%10s", q.name)
	}
	t.line("%s", t.paint(bold, header.String()))
	for _, d := range distributions[:6] {
		if r.value(d.prefix+"max") == 0 {
			continue
		}
		var row strings.Builder
		fmt.Fprintf(&row, "  %-38s", d.what)
		for _, q := range quantiles {
			fmt.Fprintf(&row, "%10s", r.time(d.prefix+q.name))
		}
		t.line("%s", row.String())
	}
	t.line("\nrate         published %s · delivered %s/s, peak %s/s", r.Figures["published_per_second"],
		r.grouped("delivered_per_second"), r.grouped("delivered_peak"))
	if c := &r.Conditions; c.PostRate > 0 {
		if r.value("quota_floor") > 0 {
			t.line("quota        %s posts/s, burst %s: one broadcast takes at least %s; %.0f %% of that floor reached",
				Grouped(c.PostRate), Grouped(c.PostBurst), r.time("quota_floor"), r.value("quota_share")*100)
		} else {
			t.line("quota        %s posts/s, burst %s: one broadcast is within the burst; %.1f %% of the rate used",
				Grouped(c.PostRate), Grouped(c.PostBurst), r.value("quota_rate")*100)
		}
	}
}

func (t *text) harness(r *Report) {
	cores := r.Conditions.Host.Cores
	var cpu float64
	for _, p := range r.Account.Processes {
		if p.End != nil && p.End.Usage.Wall > 0 {
			cpu += p.End.Usage.CPU.Seconds() / p.End.Usage.Wall.Seconds()
		}
	}
	t.line("harness      schedule lag p99 %s · read lag p99 %s, max %s · %.2f of %d cores · %s per frame · %.0f MiB in %s",
		r.time("schedule_lag_p99"), r.time("read_lag_p99"), r.time("read_lag_max"), cpu, cores, r.time("cpu_per_frame"),
		r.value("resident")/(1<<20), Processes(len(r.Account.Processes)))
}

// Processes formats a number of processes.
func Processes(n int) string {
	if n == 1 {
		return "1 process"
	}
	return fmt.Sprintf("%d processes", n)
}

// results writes the findings, checks and doubts.
func (t *text) results(r *Report) {
	for i, g := range r.Grouped(4) {
		if i == 0 {
			t.line("\nfound")
		}
		for _, item := range g.Items {
			t.line("  %s", item)
		}
		if g.More > 0 {
			t.line("  … and %s more %s, in the JSON report", g.more(), g.Kind)
		}
	}
	t.line("\nchecks")
	for _, c := range r.Checks {
		mark := t.paint(green, "ok    ")
		if !c.Holds {
			mark = t.paint(red, "MISSED")
		}
		t.line("  %s %-28s %s", mark, c.Expectation, c.Value)
	}
	for _, d := range r.Doubts {
		word := t.paint(yellow, "warning")
		if d.Invalid {
			word = t.paint(red, "invalid")
		}
		t.line("%s: %s", word, d.Text)
	}
}

// Group has the findings of one kind.
type Group struct {
	Kind  string
	Items []string // in words
	More  int      // number of kept findings that are not in Items
	Full  bool     // the account may have dropped further findings
}

// more returns the number of findings that are not in Items.
func (g Group) more() string {
	if g.Full {
		return fmt.Sprintf("at least %d", g.More)
	}
	return strconv.Itoa(g.More)
}

// Grouped returns the findings by kind, the most severe kind first, with at most that many items of each kind.
func (r *Report) Grouped(most int) []Group {
	var groups []Group
	for i, f := range r.Findings {
		if len(groups) == 0 || groups[len(groups)-1].Kind != f.Kind {
			groups = append(groups, Group{Kind: f.Kind})
		}
		g := &groups[len(groups)-1]
		if len(g.Items) < most {
			g.Items = append(g.Items, r.Finding(i))
		} else {
			g.More++
		}
		g.Full = len(g.Items)+g.More >= account.FindingsKept
	}
	return groups
}

// Finding returns finding i in words.
func (r *Report) Finding(i int) string {
	f := r.Findings[i]
	var parts []string
	if len(r.Account.Starts) > 1 {
		parts = append(parts, "run "+r.Account.Starts[f.Run].Run)
	}
	if f.Slot >= 0 {
		parts = append(parts, fmt.Sprintf("client %d", f.Slot))
	}
	if f.Broadcast >= 0 {
		message := fmt.Sprintf("message %d", f.Broadcast)
		if f.ID != "" {
			message += " (" + f.ID + ")"
		}
		parts = append(parts, message)
	}
	if f.At != 0 {
		parts = append(parts, fmt.Sprintf("at %.3f s", float64(f.At-r.Account.Starts[f.Run].At)/1e6))
	}
	if f.Text != "" {
		parts = append(parts, f.Text)
	}
	return f.Kind + ": " + strings.Join(parts, ", ")
}

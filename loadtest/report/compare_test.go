package report_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"fanfare/loadtest/report"
	"fanfare/loadtest/result"
	"fanfare/test/fakeresult"
)

func side(t *testing.T, runs ...fakeresult.Run) []*report.Report {
	t.Helper()
	var all []*report.Report
	for _, run := range runs {
		r, err := report.Load([]string{fakeresult.Write(t, run)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

func row(t *testing.T, rows []report.Row, name string) report.Row {
	t.Helper()
	for _, r := range rows {
		if r.Name == name {
			return r
		}
	}
	t.Fatalf("got no row %s", name)
	return report.Row{}
}

func slower(ms ...int) (runs []fakeresult.Run) {
	for _, v := range ms {
		runs = append(runs, fakeresult.Run{Slower: time.Duration(v) * time.Millisecond})
	}
	return runs
}

func TestCompare_Spread(t *testing.T) {
	for name, c := range map[string]struct {
		before, after []fakeresult.Run
		beyond, worse bool
	}{
		"worse":                         {slower(0, 5, 10), slower(20, 25, 30), true, true},
		"better":                        {slower(20, 25, 30), slower(0, 5, 10), true, false},
		"within the spread":             {slower(0, 20, 40), slower(10, 25, 50), false, true},
		"same":                          {slower(0, 5), slower(0, 5), false, false},
		"single runs, large difference": {slower(0), slower(500), true, true},
		"single runs, small difference": {slower(0), slower(1), false, true},
	} {
		r := row(t, report.Compare(side(t, c.before...), side(t, c.after...)), "time_to_last_p50")
		if r.Beyond != c.beyond || r.Worse != c.worse {
			t.Errorf("%s: got %+v, want beyond %v, worse %v", name, r, c.beyond, c.worse)
		}
	}
}

func TestCompare_SingleRuns(t *testing.T) {
	rows := report.Compare(side(t, fakeresult.Run{}), side(t, fakeresult.Run{Missing: 1}))
	if r := row(t, rows, "missing"); !r.Beyond || !r.Worse {
		t.Errorf("got %+v, want beyond the spread and worse", r)
	}
	if r := row(t, rows, "cpu_per_frame"); r.Beyond || !r.Unknown {
		t.Errorf("got %+v, want an unknown spread", r)
	}
}

func TestWriteComparison(t *testing.T) {
	other := fakeresult.Run{Slower: 300 * time.Millisecond, Change: func(c *result.Conditions) { c.Churn = 0.5 },
		Lag: time.Second}
	var b bytes.Buffer
	if err := report.WriteComparison(&b, side(t, fakeresult.Run{}), side(t, other)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"WORSE", "churn: 0 and 0.5", "(after) is invalid", "five periods"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("got no %q in:\n%s", want, b.String())
		}
	}
}

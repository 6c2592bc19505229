package report_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"os"
	"strings"
	"testing"
	"time"

	"fanfare/loadtest/report"
	"fanfare/loadtest/result"
	"fanfare/loadtest/vitals"
	"fanfare/test/fakeresult"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func load(t *testing.T, expectations []string, runs ...fakeresult.Run) *report.Report {
	t.Helper()
	var names []string
	for _, run := range runs {
		names = append(names, fakeresult.Write(t, run))
	}
	r, err := report.Load(names, expectations)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func text(t *testing.T, r *report.Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.Text(&b, false); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// ledger returns a ledger with the same counts for every message.
func ledger(audience, delivered int64) *result.Ledger {
	return &result.Ledger{Reports: []result.LedgerReport{{ID: "id", Parts: 2, Dispatched: true, Audience: audience,
		Delivered: delivered, Outstanding: audience - delivered}}}
}

func TestReport_Verdict(t *testing.T) {
	for name, c := range map[string]struct {
		run    fakeresult.Run
		expect []string
		want   report.Verdict
		text   string
	}{
		"good":                 {fakeresult.Run{Messages: 40}, nil, report.Pass, "PASS"},
		"one missing":          {fakeresult.Run{Missing: 1}, nil, report.Fail, "missing: client 0, message 0 (id)"},
		"all late":             {fakeresult.Run{Slower: 6 * time.Second}, nil, report.Fail, "MISSED late == 0"},
		"one missing, allowed": {fakeresult.Run{Missing: 1}, []string{"missing < 5"}, report.Pass, "missing < 5"},
		"too slow":             {fakeresult.Run{}, []string{"p99 < 20ms"}, report.Fail, "MISSED p99 < 20ms"},
		"fast enough": {fakeresult.Run{}, []string{"p99 < 100ms", "time_to_last < 100ms",
			"delivery_ratio == 100%"}, report.Pass, "ok     p99 < 100ms"},
		"lost connections, nothing cut": {fakeresult.Run{Lost: 2}, nil, report.Pass,
			"lost: by the system: close code 1001 Going away × 2"},
		"silent": {fakeresult.Run{Silent: true}, nil, report.Pass, "the system acknowledged nothing"},
		"few messages": {fakeresult.Run{Messages: 5}, nil, report.Pass,
			"percentiles of 5 messages"},
		"schedule and read lag": {fakeresult.Run{Lag: 30 * time.Millisecond}, nil, report.Invalid,
			"the harness published late"},
		"lag, but slower latencies": {fakeresult.Run{Lag: 30 * time.Millisecond, Slower: time.Second}, nil, report.Pass,
			"PASS"},
		"killed": {fakeresult.Run{Cut: true}, nil, report.Invalid, "process 0 did not finish"},
		"records lost": {fakeresult.Run{End: func(e *result.End) { e.Frames++ }}, nil, report.Invalid,
			"received 201 payloads and recorded 200"},
		"interrupted": {fakeresult.Run{End: func(e *result.End) { e.Interrupted = true }}, nil, report.Invalid,
			"invalid: process 0 was interrupted"},
		"publishing stopped early": {fakeresult.Run{Change: func(c *result.Conditions) { c.Count = 1500 }}, nil,
			report.Invalid, "invalid: publishing stopped early: 1480 of 1500 messages were not published"},
		"fewer clients than wanted": {fakeresult.Run{Change: func(c *result.Conditions) { c.Connections = 11 }}, nil,
			report.Invalid, "invalid: 10 of 11 clients were connected when the first message was due"},
		"fewer clients, allowed": {fakeresult.Run{Change: func(c *result.Conditions) {
			c.Connections, c.MinConnected = 11, 10
		}}, nil, report.Pass, "PASS"},
		"clients gone, not cut": {fakeresult.Run{Messages: 40, Gone: 2}, nil, report.Invalid,
			"of the clients were connected on average over the messages"},
		"clock set a little": {fakeresult.Run{End: func(e *result.End) { e.Clock = -3 * time.Millisecond }}, nil,
			report.Pass, "the wall clock was set by 3ms"},
		"clock set a lot": {fakeresult.Run{End: func(e *result.End) { e.Clock = time.Second }}, nil,
			report.Invalid, "the wall clock was set by 1s"},
		"unread bytes": {fakeresult.Run{End: func(e *result.End) { e.Unsent = 4096 }}, nil, report.Pass,
			"could not send 4096 bytes"},
		"few descriptors left": {fakeresult.Run{End: func(e *result.End) { e.Usage.Descriptors = 1000 }}, nil,
			report.Pass, "1000 of 1024 file descriptors"},
		"busy machine": {fakeresult.Run{Sample: func(s *vitals.Sample) { s.Machine = 1 }}, nil, report.Pass,
			"processors of the machine were busy"},
		"results of one process": {fakeresult.Run{Change: func(c *result.Conditions) { c.Processes = 2 }}, nil,
			report.Invalid, "name all files"},
		"its own expectations": {fakeresult.Run{Change: func(c *result.Conditions) { c.Expect = []string{"p50 < 1ms"} }},
			nil, report.Fail, "MISSED p50 < 1ms"},
		"ledger agrees": {fakeresult.Run{Messages: 40, Ledger: ledger(10, 10)}, nil, report.Pass,
			"ledger       audience 400 · delivered 400 · gone 0 · failed 0 · outstanding 0 · repeated at most 0\n" +
				"             messages compared 40 · received by clients 400 · disagreements 0 · unsettled 0"},
		"ledger has one more": {fakeresult.Run{Ledger: ledger(11, 11)}, nil, report.Fail,
			"MISSED ledger_disagreements == 0    20"},
		"excess hint": {fakeresult.Run{Ledger: ledger(11, 11)}, nil, report.Fail,
			"Other clients of the system have the same effect: give their number with --others"},
		"ledger has one less": {fakeresult.Run{Ledger: ledger(9, 9)}, nil, report.Fail,
			"disagreement: message 0 (id), delivered 9 by the ledger and 10 by the clients"},
		"ledger not settled": {fakeresult.Run{Ledger: ledger(11, 10)}, nil, report.Fail,
			"MISSED ledger_unsettled == 0        20"},
		"unsettled, allowed": {fakeresult.Run{Ledger: ledger(11, 10)}, []string{"ledger_unsettled <= 20",
			"ledger_outstanding == 20"}, report.Pass, "ok     ledger_outstanding == 20"},
		"ledger not read": {fakeresult.Run{Ledger: &result.Ledger{Error: "there is no such table"}}, nil,
			report.Invalid, "invalid: the ledger could not be read: there is no such table"},
		"ledger lost": {fakeresult.Run{Change: func(c *result.Conditions) { c.Ledger = "websocket_broadcasts" }}, nil,
			report.Invalid, "the ledger could not be read: not in the results"},
		"no ids for the ledger": {fakeresult.Run{Silent: true, Ledger: ledger(10, 10)}, nil, report.Invalid,
			"none was compared with the ledger"},
		"failed by the ledger": {fakeresult.Run{Missing: 20,
			Ledger: &result.Ledger{Reports: []result.LedgerReport{{ID: "id", Parts: 2, Dispatched: true, Audience: 10,
				Delivered: 9, Failed: 1, Reasons: map[string]int{"throttled": 1}}}}},
			[]string{"missing == 20"}, report.Pass, "failed by the ledger: throttled × 20"},
		"early arrivals": {fakeresult.Run{Slower: -10 * time.Millisecond}, nil, report.Pass, "before their intended time"},
	} {
		t.Run(name, func(t *testing.T) {
			r := load(t, c.expect, c.run)
			if s := text(t, r); r.Verdict != c.want || !strings.Contains(s, c.text) {
				t.Errorf("got verdict %s, want %s with %q in:\n%s", r.Verdict, c.want, c.text, s)
			}
		})
	}
}

func TestVerdict_ExitCodes(t *testing.T) {
	for v, want := range map[report.Verdict]int{report.Pass: 0, report.Fail: 1, report.Invalid: 3} {
		if got := v.ExitCode(); got != want {
			t.Errorf("%s: got exit code %d, want %d", v, got, want)
		}
	}
}

func TestDoubts_TwoMachines(t *testing.T) {
	other := fakeresult.Run{Process: 1, Change: func(c *result.Conditions) { c.Processes, c.Host.Name = 2, "ffffffff" }}
	one := fakeresult.Run{Change: func(c *result.Conditions) { c.Processes = 2 }}
	other.Messages, other.Silent = 20, true
	r := load(t, nil, one, other)
	if s := text(t, r); !strings.Contains(s, "ran on 2 machines") {
		t.Errorf("got no doubt about 2 machines in\n%s", s)
	}
}

func TestLoad_MergesRuns(t *testing.T) {
	other := func(c *result.Conditions) { c.Rate, c.Expect = 20, []string{"p50 < 1ms"} }
	r := load(t, nil, fakeresult.Run{Name: "first001"}, fakeresult.Run{Name: "second02", Missing: 1, Rate: 20,
		Change: other})
	s := text(t, r)
	for _, want := range []string{"2 runs: first001, second02", "owed 400 · delivered 399",
		"scheduled 40 · published 40", "missing: run second02, client 0", "MISSED p50 < 1ms", "differ in rate: 10 and 20"} {
		if !strings.Contains(s, want) {
			t.Errorf("got no %q in\n%s", want, s)
		}
	}
}

func TestReport_Figures(t *testing.T) {
	r := load(t, nil, fakeresult.Run{Clients: 100, Messages: 50, Change: func(c *result.Conditions) {
		c.PostRate, c.PostBurst = 1000, 50
	}})
	for name, want := range map[string]string{
		"owed": "5000", "delivered": "5000", "delivery_ratio": "100.0000 %", "p50": "29ms", "max": "54ms",
		"time_to_last": "54ms", "ack_p50": "2ms",
		"sent": "50", "connections": "100", "quota_floor": "50ms", "delivered_per_second": "1000.0/s",
		"published_per_second": "10.0/s",
		"cpu_per_frame":        "198µs", "schedule_lag_p99": "500µs",
	} {
		if got := r.Figures[name].String(); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	if share := r.Figures["quota_share"].Value; share < 0.9 || share > 0.95 {
		t.Errorf("got quota share %v, want 50 ms of 54 ms", share)
	}
	described := 0
	report.Describe(func(name string, _ report.Unit, what string) {
		if _, ok := r.Figures[name]; !ok || what == "" {
			t.Errorf("got description of figure %q, %q, want one of each existing figure", name, what)
		}
		described++
	})
	if described != len(r.Figures) || described != len(report.Known()) {
		t.Errorf("got %d described figures, want %d", described, len(r.Figures))
	}
}

func TestReport_JSON(t *testing.T) {
	var b bytes.Buffer
	if err := load(t, nil, fakeresult.Run{Missing: 2}).JSON(&b); err != nil {
		t.Fatal(err)
	}
	var v struct {
		Verdict    string
		Figures    map[string]struct{ Value float64 }
		Broadcasts []struct{ Owed, Delivered, Missing int }
		Findings   []struct {
			Kind      string
			Broadcast int
		}
		Percentiles []struct{ Quantile float64 }
	}
	if err := json.Unmarshal(b.Bytes(), &v); err != nil {
		t.Fatal(err)
	}
	if v.Verdict != "fail" || v.Figures["missing"].Value != 2 || len(v.Broadcasts) != 20 || v.Broadcasts[1].Missing != 1 ||
		len(v.Findings) != 2 || v.Findings[0].Kind != "missing" {
		t.Errorf("got %+v, want a failed report of 20 broadcasts with 2 missing", v)
	}
	for i := range v.Percentiles[1:] {
		if v.Percentiles[i+1].Quantile <= v.Percentiles[i].Quantile {
			t.Fatalf("got percentile %v, want rising ones", v.Percentiles[i+1])
		}
	}
}

func TestReport_CSV(t *testing.T) {
	r, compared := load(t, nil, fakeresult.Run{Missing: 1}), load(t, nil, fakeresult.Run{Ledger: ledger(11, 9)})
	for name, c := range map[string]struct {
		write func(*bytes.Buffer) error
		rows  int
		row   string
	}{
		"messages": {func(b *bytes.Buffer) error { return r.CSV(b) }, 21,
			"1,0,1,id,client,false,1764000000100000,100,2000,10,10,0,0,7000,21000,50000,50000,,,,,,,,\n"},
		"messages with a ledger": {func(b *bytes.Buffer) error { return compared.CSV(b) }, 21,
			",50000,10,11,9,0,0,2,0,false\n"},
		"series": {func(b *bytes.Buffer) error { return r.SeriesCSV(b) }, 3, ""},
	} {
		var b bytes.Buffer
		if err := c.write(&b); err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(bytes.NewReader(b.Bytes())).ReadAll()
		if err != nil || len(rows) < c.rows {
			t.Errorf("%s: got %d rows, %v, want at least %d", name, len(rows), err, c.rows)
		}
		if !strings.Contains(b.String(), c.row) {
			t.Errorf("%s: got no row %s in\n%s", name, c.row, b.String())
		}
	}
}

func TestReport_JUnit(t *testing.T) {
	var b bytes.Buffer
	if err := load(t, []string{"p99 < 20ms"}, fakeresult.Run{Lag: time.Second}).JUnit(&b); err != nil {
		t.Fatal(err)
	}
	var v struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Errors   int `xml:"errors,attr"`
		Cases    []struct {
			Name    string `xml:"name,attr"`
			Failure *struct {
				Message string `xml:"message,attr"`
			} `xml:"failure"`
		} `xml:"testcase"`
	}
	if err := xml.Unmarshal(b.Bytes(), &v); err != nil {
		t.Fatal(err)
	}
	if v.Tests != 10 || v.Failures != 1 || v.Errors != 2 || len(v.Cases) != 10 || v.Cases[7].Failure == nil ||
		!strings.Contains(v.Cases[7].Failure.Message, "ms") {
		t.Errorf("got\n%s\nwant 10 tests, 1 failure and 2 errors", b.String())
	}
}

func TestReport_LossesNotRounded(t *testing.T) {
	for _, c := range []struct {
		part, whole float64
		want        string
	}{{1, 1, "100 %"}, {0, 0, "–"}, {999_999_999, 1_000_000_000, "99.9999999 %"}, {9999, 10_000, "99.99 %"},
		{1, 3, "33.3 %"}} {
		if got := report.Percent(c.part, c.whole); got != c.want {
			t.Errorf("%v of %v: got %s, want %s", c.part, c.whole, got, c.want)
		}
	}
}

// A threshold on a ledger that was not read would always hold.
func TestExpectations_WithoutLedger(t *testing.T) {
	name := fakeresult.Write(t, fakeresult.Run{})
	if _, err := report.Load([]string{name}, []string{"ledger_disagreements == 0"}); err == nil ||
		!strings.Contains(err.Error(), "--ledger") {
		t.Errorf("got error %v, want one with --ledger", err)
	}
}

func TestLoad_TruncatedFile(t *testing.T) {
	name := fakeresult.Write(t, fakeresult.Run{})
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, info.Size()-3); err != nil {
		t.Fatal(err)
	}
	r, err := report.Load([]string{name}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if s := text(t, r); r.Verdict != report.Invalid || !strings.Contains(s, "is truncated") {
		t.Errorf("got %s, want invalid and a truncated file:\n%s", r.Verdict, s)
	}
	if _, err := report.Load([]string{name + ".not"}, nil); err == nil {
		t.Error("missing file: got no error, want one")
	}
	if _, err := report.Load([]string{name}, []string{"p98 < 1s"}); err == nil {
		t.Error("unknown figure: got no error, want one")
	}
}

package page_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"fanfare/loadtest/page"
	"fanfare/loadtest/report"
	"fanfare/loadtest/result"
	"fanfare/test/fakeresult"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func write(t *testing.T, run fakeresult.Run) string {
	t.Helper()
	r, err := report.Load([]string{fakeresult.Write(t, run)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := page.Write(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestPage_SelfContained(t *testing.T) {
	for name, run := range map[string]fakeresult.Run{
		"good":   {Messages: 60, Clients: 50},
		"bad":    {Missing: 10, Lost: 1, Lag: time.Second},
		"silent": {Silent: true},
		"killed": {Cut: true},
		"long":   {Messages: 5000, Clients: 20, Rate: 3},
		"one":    {Messages: 1, Clients: 1},
		"slow":   {Slower: 20 * time.Minute},
		"ledger": {Ledger: &result.Ledger{Reports: []result.LedgerReport{{ID: "id", Parts: 2, Dispatched: true,
			Audience: 11, Delivered: 11}}}},
		"with note": {Change: func(c *result.Conditions) {
			c.Note, c.Queue = `<script>alert("x")</script>`, "http://127.0.0.1/q"
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := write(t, run)
			if len(s) > page.MaxSize {
				t.Errorf("got %d bytes, want at most %d", len(s), page.MaxSize)
			}
			if m := regexp.MustCompile(`(?i)<script|src=|<link|@import|url\(`).FindString(s); m != "" {
				t.Errorf("got %q in the page, want none", m)
			}
			if strings.Contains(s, "NaN") || strings.Contains(s, "Inf") || strings.Contains(s, "ZgotmplZ") {
				t.Error("got NaN, Inf or a value that the template refused")
			}
			wellFormed(t, s)
		})
	}
}

// wellFormed parses the page as XML with the entities of HTML.
func wellFormed(t *testing.T, s string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(s))
	d.Entity = xml.HTMLEntity
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestPage_Ledger(t *testing.T) {
	ledger := func(n int64) *result.Ledger {
		return &result.Ledger{Reports: []result.LedgerReport{{ID: "id", Parts: 2, Dispatched: true, Audience: n,
			Delivered: n}}}
	}
	for n, wants := range map[int64][]string{
		10: {"PASS", "<b>agrees</b>", "delivered 200, clients received 200", "ledger_disagreements == 0",
			"audience 200, delivered 200, gone 0, failed 0, outstanding 0, repeated at most 0"},
		11: {"FAIL", "<b>20 disagree</b>", "delivered 220, clients received 200",
			"delivered 11 by the ledger and 10 by the clients"},
	} {
		s := write(t, fakeresult.Run{Ledger: ledger(n)})
		for _, want := range wants {
			if !strings.Contains(s, want) {
				t.Errorf("%d: got no %q", n, want)
			}
		}
	}
}

func TestPage_VerdictFirst(t *testing.T) {
	for verdict, run := range map[string]fakeresult.Run{"PASS": {}, "FAIL": {Missing: 1}, "INVALID": {Lag: time.Second}} {
		s := write(t, run)
		body := s[strings.Index(s, "<body"):]
		at, tiles := strings.Index(body, verdict), strings.Index(body, "tiles")
		if at < 0 || at > tiles {
			t.Errorf("got %s at %d, figures at %d, want the verdict first", verdict, at, tiles)
		}
		if strings.Contains(s, "ledger") {
			t.Errorf("%s: got ledger in a run without one", verdict)
		}
		for _, want := range []string{"Latency by percentile", "Time to last, by message", "Latency over the run",
			"Deliveries per second", "Delivery heat map", "The harness itself", "Conditions", "prefers-color-scheme:dark",
			"width=device-width"} {
			if !strings.Contains(s, want) {
				t.Errorf("%s: got no %q", verdict, want)
			}
		}
	}
}

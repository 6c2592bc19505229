package aws_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"fanfare/loadtest/aws"
	"fanfare/loadtest/result"
	"fanfare/test/fakeresult"

	"github.com/google/go-cmp/cmp"
)

func table(t *testing.T, l *fakeresult.Ledger) *aws.Ledger {
	t.Helper()
	l.Table = "broadcasts"
	tab, err := aws.OpenLedger(t.Context(), l.Table, l.Serve(t), "")
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

// with returns a part that differs in some attributes.
func with(part fakeresult.Item, changes fakeresult.Item) fakeresult.Item {
	part = maps.Clone(part)
	maps.Copy(part, changes)
	return part
}

func TestLedger_Report(t *testing.T) {
	retry := with(fakeresult.Batch(0, 3, 1, 0), fakeresult.Item{"part": fakeresult.S("batch.0/1.0.0~0"),
		"attempt": fakeresult.N(1), "failed": fakeresult.M(map[string]any{"throttled": fakeresult.N(2)})})
	for name, c := range map[string]struct {
		parts   []fakeresult.Item
		want    result.LedgerReport
		settled bool
	}{
		"unknown": {nil, result.LedgerReport{}, false},
		"delivered and gone": {[]fakeresult.Item{fakeresult.Plan(10, 5), fakeresult.Batch(0, 10, 9, 1),
			fakeresult.Batch(1, 5, 5, 0)}, result.LedgerReport{Parts: 3, Dispatched: true, Audience: 15, Delivered: 14, Gone: 1},
			true},
		"no audience": {[]fakeresult.Item{fakeresult.Plan()}, result.LedgerReport{Parts: 1, Dispatched: true}, true},
		"batch not claimed": {[]fakeresult.Item{fakeresult.Plan(10, 5), fakeresult.Batch(0, 10, 10, 0)},
			result.LedgerReport{Parts: 2, Dispatched: true, Audience: 15, Delivered: 10, Outstanding: 5}, false},
		"claim without an outcome": {[]fakeresult.Item{fakeresult.Plan(5), with(fakeresult.Batch(0, 5, 0, 0),
			fakeresult.Item{"settled": fakeresult.B(false)})},
			result.LedgerReport{Parts: 2, Dispatched: true, Audience: 5, Outstanding: 5}, false},
		"closed before the claim": {[]fakeresult.Item{fakeresult.Plan(10), fakeresult.Batch(0, 9, 9, 0)},
			result.LedgerReport{Parts: 2, Dispatched: true, Audience: 9, Delivered: 9}, true},
		"three retried": {[]fakeresult.Item{fakeresult.Plan(10), with(fakeresult.Batch(0, 10, 7, 0),
			fakeresult.Item{"left": fakeresult.N(3)})}, result.LedgerReport{Parts: 2, Dispatched: true, Audience: 10,
			Delivered: 7, Outstanding: 3}, false},
		"two of them failed": {[]fakeresult.Item{fakeresult.Plan(10), fakeresult.Batch(0, 10, 7, 0), retry},
			result.LedgerReport{Parts: 3, Dispatched: true, Audience: 10, Delivered: 8, Failed: 2,
				Reasons: map[string]int{"throttled": 2}}, true},
		"redriven": {[]fakeresult.Item{fakeresult.Plan(10), fakeresult.Batch(0, 10, 7, 0), retry,
			with(fakeresult.Batch(0, 2, 2, 0), fakeresult.Item{"part": fakeresult.S("batch.0/1.0.0~0~0"),
				"redriven": fakeresult.B(true), "reason": fakeresult.S("throttled")})},
			result.LedgerReport{Parts: 4, Dispatched: true, Audience: 10, Delivered: 10}, true},
		"claimed three times": {[]fakeresult.Item{fakeresult.Plan(10), with(fakeresult.Batch(0, 8, 8, 0),
			fakeresult.Item{"claims": fakeresult.SS("10 first", "9 second", "8 third")})},
			result.LedgerReport{Parts: 2, Dispatched: true, Audience: 8, Delivered: 8, Repeatable: 17}, true},
		"retried after posts without an answer": {[]fakeresult.Item{fakeresult.Plan(10),
			with(fakeresult.Batch(0, 10, 7, 0), fakeresult.Item{"claims": fakeresult.SS("10 first")}),
			with(fakeresult.Batch(0, 2, 2, 0), fakeresult.Item{"part": fakeresult.S("batch.0/1.0.0~0"),
				"reason": fakeresult.S("network")}),
			with(fakeresult.Batch(0, 1, 1, 0), fakeresult.Item{"part": fakeresult.S("batch.0/1.0.0~1"),
				"reason": fakeresult.S("throttled")})},
			result.LedgerReport{Parts: 4, Dispatched: true, Audience: 10, Delivered: 10, Repeatable: 2}, true},
		"not emitted": {[]fakeresult.Item{with(fakeresult.Plan(5), fakeresult.Item{"emitted": fakeresult.B(false)}),
			fakeresult.Batch(0, 5, 5, 0)}, result.LedgerReport{Parts: 2, Audience: 5, Delivered: 5}, false},
		"stretch missing": {[]fakeresult.Item{with(fakeresult.Plan(5), fakeresult.Item{"end": fakeresult.S("key")}),
			fakeresult.Batch(0, 5, 5, 0)}, result.LedgerReport{Parts: 2, Audience: 5, Delivered: 5}, false},
		"split into two segments": {[]fakeresult.Item{
			with(fakeresult.Plan(), fakeresult.Item{"split": fakeresult.N(2), "emitted": fakeresult.B(false)}),
			with(fakeresult.Plan(3), fakeresult.Item{"part": fakeresult.S("plan.0/2.0"), "segments": fakeresult.N(2)}),
			with(fakeresult.Plan(4), fakeresult.Item{"part": fakeresult.S("plan.1/2.0"), "segment": fakeresult.N(1),
				"segments": fakeresult.N(2)}),
			with(fakeresult.Batch(0, 3, 3, 0), fakeresult.Item{"part": fakeresult.S("batch.0/2.0.0")}),
			with(fakeresult.Batch(0, 4, 4, 0), fakeresult.Item{"part": fakeresult.S("batch.1/2.0.0")})},
			result.LedgerReport{Parts: 5, Dispatched: true, Audience: 7, Delivered: 7}, true},
		"segment missing": {[]fakeresult.Item{with(fakeresult.Plan(3), fakeresult.Item{"part": fakeresult.S("plan.0/2.0"),
			"segments": fakeresult.N(2)}), with(fakeresult.Batch(0, 3, 3, 0),
			fakeresult.Item{"part": fakeresult.S("batch.0/2.0.0")})},
			result.LedgerReport{Parts: 2, Audience: 3, Delivered: 3}, false},
		"more outcomes than addressed": {[]fakeresult.Item{fakeresult.Plan(2), fakeresult.Batch(0, 2, 3, 0)},
			result.LedgerReport{Parts: 2, Dispatched: true, Audience: 2, Delivered: 3, Outstanding: -1}, false},
	} {
		for _, page := range []int{0, 1, 2} { // parts a page
			l := &fakeresult.Ledger{Page: page, Parts: func(string, int) []fakeresult.Item { return c.parts }}
			c.want.ID = "some-id"
			got, err := table(t, l).Report(t.Context(), "some-id")
			if diff := cmp.Diff(c.want, got); err != nil || diff != "" || got.Settled() != c.settled {
				t.Errorf("%s, %d a page: got settled %v, %v, want %v, nil; report (-want +got):\n%s", name, page,
					got.Settled(), err, c.settled, diff)
			}
		}
	}
}

func TestLedger_Await(t *testing.T) {
	// The second broadcast is settled at the third read, the third never.
	l := &fakeresult.Ledger{Parts: func(id string, asked int) []fakeresult.Item {
		if id == "third" || id == "second" && asked < 2 {
			return []fakeresult.Item{fakeresult.Plan(2)}
		}
		return []fakeresult.Item{fakeresult.Plan(2), fakeresult.Batch(0, 2, 2, 0)}
	}}
	tab := table(t, l)
	var unsettled []int
	ids := []string{"first", "second"}
	reports, err := tab.Await(t.Context(), ids, time.Minute, func(n int) { unsettled = append(unsettled, n) })
	if err != nil || !slices.Equal(unsettled, []int{1, 1, 0}) || len(reports) != 2 || reports[0].ID != "first" ||
		!reports[1].Settled() {
		t.Errorf("got %+v, %v, unsettled %v, want 1, 1, 0", reports, err, unsettled)
	}
	if l.Asked("first") != 1 || l.Asked("second") != 3 {
		t.Errorf("got %d and %d reads, want 1 and 3", l.Asked("first"), l.Asked("second"))
	}
	// Await returns the reports also without time and after an interrupt.
	interrupted, cancel := context.WithCancel(t.Context())
	cancel()
	for name, wait := range map[string]func() ([]result.LedgerReport, error){
		"no time": func() ([]result.LedgerReport, error) {
			return tab.Await(t.Context(), []string{"third"}, 0, func(int) {})
		},
		"interrupted": func() ([]result.LedgerReport, error) {
			return tab.Await(interrupted, []string{"third"}, time.Hour, func(int) {})
		},
	} {
		if reports, err := wait(); err != nil || len(reports) != 1 || reports[0].Outstanding != 2 {
			t.Errorf("%s: got %+v, %v, want 2 outstanding, nil", name, reports, err)
		}
	}
	if reports, err := tab.Await(t.Context(), nil, time.Hour, func(int) {}); err != nil || len(reports) != 0 {
		t.Errorf("no ids: got %+v, %v, want none, nil", reports, err)
	}
}

func TestLedger_Errors(t *testing.T) {
	for want, l := range map[string]*fakeresult.Ledger{
		"access denied":      {Fault: "AccessDeniedException"},
		"not a ledger":       {Fault: "ValidationException"},
		"UnrecognizedClient": {Fault: "UnrecognizedClientException"},
		"want a plan or a batch": {Parts: func(string, int) []fakeresult.Item {
			return []fakeresult.Item{{"part": fakeresult.S("user.5")}}
		}},
		"no number of segments": {Parts: func(string, int) []fakeresult.Item {
			return []fakeresult.Item{{"part": fakeresult.S("plan.0/1.0")}}
		}},
		"part batch.x": {Parts: func(string, int) []fakeresult.Item {
			return []fakeresult.Item{{"part": fakeresult.S("batch.x"), "delivered": fakeresult.S("many")}}
		}},
	} {
		tab := table(t, l)
		if err := tab.Check(t.Context()); err == nil || !strings.Contains(err.Error(), want) ||
			!strings.Contains(err.Error(), "ledger broadcasts") {
			t.Errorf("got error %v, want one with %q", err, want)
		}
		if _, err := tab.Await(t.Context(), []string{"a"}, 0, func(int) {}); err == nil {
			t.Errorf("%s: got no error of Await, want one", want)
		}
	}
	other, err := aws.OpenLedger(t.Context(), "elsewhere", (&fakeresult.Ledger{Table: "broadcasts"}).Serve(t), "eu-west-1")
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Check(t.Context()); err == nil ||
		!strings.Contains(err.Error(), "ledger elsewhere in eu-west-1 at http://127.0.0.1") ||
		!strings.Contains(err.Error(), "no such table") {
		t.Errorf("got error %v, want one with the table, region and endpoint", err)
	}
	if _, err := aws.OpenLedger(t.Context(), "broadcasts", "127.0.0.1:4566", ""); err == nil {
		t.Error("invalid endpoint: got no error, want one")
	}
}

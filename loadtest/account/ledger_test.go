package account_test

import (
	"fmt"
	"strings"
	"testing"

	"fanfare/loadtest/account"
	"fanfare/loadtest/result"
)

// ledgerWith returns a ledger of the three messages of a story, with the given report on the third and correct ones on
// the others.
func ledgerWith(third result.LedgerReport) *result.Ledger {
	good := result.LedgerReport{Parts: 2, Dispatched: true, Audience: 2, Delivered: 2}
	l := &result.Ledger{}
	for n, r := range []result.LedgerReport{good, good, third} {
		r.ID = fmt.Sprint("id-", n)
		r.Outstanding = r.Audience - r.Delivered - r.Gone - r.Failed
		l.Reports = append(l.Reports, r)
	}
	return l
}

// compared returns the account of records with a ledger.
func compared(t *testing.T, change func(*result.Conditions), l *result.Ledger,
	records []result.Record) *account.Account {
	t.Helper()
	c := conditions
	c.Ledger = "broadcasts"
	if change != nil {
		change(&c)
	}
	for i := range records {
		if r := &records[i]; r.Kind == result.Answered {
			r.Text = fmt.Sprint("id-", r.Broadcast)
		}
	}
	s := segment(t, c, records...)
	s.Ledger = l
	return of(t, s)
}

func TestLedger_Agreement(t *testing.T) {
	report := func(audience, delivered, gone int64) result.LedgerReport {
		return result.LedgerReport{Parts: 2, Dispatched: true, Audience: audience, Delivered: delivered, Gone: gone}
	}
	slowly := append([]result.Record{slow(opened(2, -1))}, closed(2, 20, result.Ended))
	others := func(n int) func(*result.Conditions) { return func(c *result.Conditions) { c.Others = n } }
	for name, c := range map[string]struct {
		records []result.Record
		change  func(*result.Conditions)
		third   result.LedgerReport
		want    account.Comparison // of the third message; reports are not compared
		found   string
	}{
		"equal": {ended(story(all()...)), nil, report(2, 2, 0), account.Comparison{Received: 2, Agree: true}, ""},
		"one too many": {ended(story(all()...)), nil, report(3, 3, 0), account.Comparison{Received: 2},
			"delivered 3 by the ledger and 2 by the clients; audience 3, gone 0, failed 0"},
		"one too few": {ended(story(all()...)), nil, report(2, 1, 1), account.Comparison{Received: 2},
			"delivered 1 by the ledger and 2 by the clients; audience 2, gone 1, failed 0"},
		"missing, delivered by the ledger": {ended(story(all([2]uint32{1, 2})...)), nil, report(2, 2, 0),
			account.Comparison{Received: 1}, "delivered 2 by the ledger and 1 by the clients"},
		"missing, failed by the ledger": {ended(story(all([2]uint32{1, 2})...)), nil,
			result.LedgerReport{Parts: 2, Dispatched: true, Audience: 2, Delivered: 1, Failed: 1,
				Reasons: map[string]int{"throttled": 1}}, account.Comparison{Received: 1, Agree: true}, ""},
		"received, failed by the ledger": {ended(story(all()...)), nil,
			result.LedgerReport{Parts: 2, Dispatched: true, Audience: 2, Delivered: 1, Failed: 1,
				Reasons: map[string]int{"network": 1}}, account.Comparison{Received: 2}, "failed 1 (network × 1)"},
		"extra copy": {ended(story(append(all(), delivered(1, 2, 3))...)), nil, report(2, 2, 0),
			account.Comparison{Received: 2, Repeated: 1},
			"delivered 2 by the ledger and 2 by the clients; further copies 1, at most 0 by the ledger"},
		"extra copy, repeatable by the ledger": {ended(story(append(all(), delivered(1, 2, 3))...)), nil,
			result.LedgerReport{Parts: 2, Dispatched: true, Audience: 2, Delivered: 2, Repeatable: 1},
			account.Comparison{Received: 2, Repeated: 1, Agree: true}, ""},
		"other client": {ended(story(all()...)), others(1), report(3, 3, 0),
			account.Comparison{Received: 2, Agree: true}, ""},
		"more than the other clients": {ended(story(all()...)), others(1), report(4, 4, 0),
			account.Comparison{Received: 2}, "1 may be other clients"},
		"closed by the client": {append(story(all([2]uint32{1, 2})...), closed(0, 20, result.Ended),
			closed(1, 2.05, result.Moved)), nil, report(2, 2, 0), account.Comparison{Received: 1, Unsure: 1, Agree: true}, ""},
		"closed by the client, gone by the ledger": {append(story(all([2]uint32{1, 2})...), closed(0, 20, result.Ended),
			closed(1, 2.05, result.Moved)), nil, report(2, 1, 1), account.Comparison{Received: 1, Unsure: 1, Agree: true}, ""},
		"closed by the client, one too many": {append(story(all([2]uint32{1, 2})...), closed(0, 20, result.Ended),
			closed(1, 2.05, result.Moved)), nil, report(3, 3, 0), account.Comparison{Received: 1, Unsure: 1},
			"1 unknown"},
		"closed before publishing": {append(story(all([2]uint32{1, 2})...), closed(0, 20, result.Ended),
			closed(1, 1.9, result.Moved)), nil, report(2, 2, 0), account.Comparison{Received: 1},
			"delivered 2 by the ledger and 1 by the clients"},
		"closed by the system": {append(story(all([2]uint32{1, 2})...), closed(0, 20, result.Ended),
			closed(1, 2.05, result.Peer)), nil, report(2, 2, 0), account.Comparison{Received: 1, Unsure: 1, Agree: true}, ""},
		"lost by the harness": {append(story(all([2]uint32{1, 2})...),
			closed(0, 20, result.Ended)), nil, report(2, 2, 0), account.Comparison{Received: 1, Unsure: 1, Agree: true}, ""},
		"opened and closed during the broadcast": {ended(story(append(all(), opened(2, 2.4),
			closed(2, 2.5, result.Moved))...)), nil, report(3, 3, 0), account.Comparison{Received: 2, Unsure: 1, Agree: true},
			""},
		"opened and closed before the deadline": {ended(story(append(all(), opened(2, 5),
			closed(2, 6, result.Moved))...)), nil, report(3, 3, 0), account.Comparison{Received: 2, Unsure: 1, Agree: true}, ""},
		"opened and closed before a late arrival": {ended(story(append(all([2]uint32{1, 2}), opened(2, 8),
			closed(2, 8.5, result.Moved), delivered(1, 2, 9))...)), nil, report(3, 3, 0), account.Comparison{Received: 2,
			Unsure: 1,
			Agree:  true}, ""},
		"opened and closed after the deadline": {ended(story(append(all(), opened(2, 7.2),
			closed(2, 8, result.Moved))...)), nil, report(3, 3, 0), account.Comparison{Received: 2},
			"delivered 3 by the ledger and 2 by the clients"},
		"opened during the broadcast, not received": {ended(story(append(all(), opened(2, 2.4),
			closed(2, 20, result.Ended))...)), nil, report(3, 3, 0), account.Comparison{Received: 2},
			"delivered 3 by the ledger and 2 by the clients"},
		"opened during the broadcast, received": {ended(story(append(all(), opened(2, 2.4), delivered(2, 2, 2.7),
			closed(2, 20, result.Ended))...)), nil, report(3, 3, 0), account.Comparison{Received: 3, Agree: true}, ""},
		"slow, not received": {ended(story(append(slowly, all()...)...)), nil, report(3, 3, 0),
			account.Comparison{Received: 2, Unsure: 1, Agree: true}, ""},
		"slow, received": {ended(story(append(append([]result.Record{}, slowly[0], delivered(2, 2, 9),
			slowly[1]), all()...)...)), nil, report(3, 3, 0), account.Comparison{Received: 3, Agree: true}, ""},
		"damaged copy": {ended(story(append(all([2]uint32{1, 2}), odd(1, result.Corrupt, 2, 1),
			odd(1, result.Corrupt, 2, 1))...)), nil, report(2, 2, 0), account.Comparison{Received: 1, Unsure: 1, Agree: true},
			""},
		"damaged and whole copy": {ended(story(append(all(), odd(1, result.Corrupt, 2, 1))...)), nil,
			report(3, 3, 0), account.Comparison{Received: 2}, "delivered 3 by the ledger and 2 by the clients"},
	} {
		t.Run(name, func(t *testing.T) {
			a := compared(t, c.change, ledgerWith(c.third), c.records)
			got := a.Broadcasts[2].Ledger
			if got == nil || got.Received != c.want.Received || got.Unsure != c.want.Unsure ||
				got.Repeated != c.want.Repeated || got.Agree != c.want.Agree {
				t.Errorf("got %+v, want received %d, unsure %d, repeated %d, agree %v", got, c.want.Received, c.want.Unsure,
					c.want.Repeated, c.want.Agree)
			}
			if first := a.Broadcasts[0].Ledger; first == nil || !first.Agree {
				t.Errorf("first message: got %+v, want agreement", first)
			}
			wrong := 0
			if !c.want.Agree {
				wrong = 1
			}
			if l := a.Ledger; l.Compared != 3 || l.Disagreements != wrong || l.Unsettled != 0 || l.Uncompared != 0 ||
				l.Delivered != c.third.Delivered+4 || l.Received != c.want.Received+4 {
				t.Errorf("got %+v, want 3 compared, %d disagreements", l, wrong)
			}
			found := ""
			for _, f := range a.Findings {
				if f.Kind == "disagreement" {
					found = f.Text
					if f.Broadcast != 2 || f.ID != "id-2" || f.Slot != -1 {
						t.Errorf("got %+v, want a finding about message 2", f)
					}
				}
			}
			if !strings.Contains(found, c.found) || (found == "") != (c.found == "") {
				t.Errorf("got finding %q, want %q", found, c.found)
			}
		})
	}
}

func TestLedger_Unsettled(t *testing.T) {
	for want, third := range map[string]result.LedgerReport{
		"not in the ledger":                                {},
		"1 of an audience of 3 are outstanding":            {Parts: 2, Dispatched: true, Audience: 3, Delivered: 2},
		"not completely dispatched; 0 of an audience of 2": {Parts: 2, Audience: 2, Delivered: 2},
		"1 more outcomes than the audience of 1":           {Parts: 2, Dispatched: true, Audience: 1, Delivered: 2},
	} {
		a := compared(t, nil, ledgerWith(third), ended(story(all()...)))
		text := ""
		for _, f := range a.Findings {
			if f.Kind == "unsettled" {
				text = f.Text
			}
		}
		if a.Ledger.Unsettled != 1 || !strings.Contains(text, want) {
			t.Errorf("got %+v, %q, want 1 unsettled, %q", a.Ledger, text, want)
		}
	}
}

func TestLedger_NotCompared(t *testing.T) {
	good := result.LedgerReport{Parts: 2, Dispatched: true, Audience: 2, Delivered: 2}
	guessed := story(all()...)
	for i := range guessed {
		if r := &guessed[i]; r.Kind == result.Answered && r.Broadcast == 2 {
			r.Flag |= result.Guessed
		}
	}
	silent := ended(story(all()...))
	silent = append(silent[:7], silent[8:]...) // without the answer to the third message
	half := ledgerWith(good)
	half.Reports = half.Reports[:2]
	for name, c := range map[string]struct {
		ledger               *result.Ledger
		records              []result.Record
		compared, uncompared int
		err                  string
	}{
		"a guessed id":             {ledgerWith(good), ended(guessed), 2, 1, ""},
		"no answer":                {ledgerWith(good), silent, 2, 1, ""},
		"no report":                {half, ended(story(all()...)), 2, 1, ""},
		"could not be read":        {&result.Ledger{Error: "no such table"}, ended(story(all()...)), 0, 0, "no such table"},
		"missing from the results": {nil, ended(story(all()...)), 0, 0, "not in the results"},
	} {
		if l := compared(t, nil, c.ledger, c.records).Ledger; l.Compared != c.compared || l.Uncompared != c.uncompared ||
			l.Error != c.err || l.Disagreements != 0 {
			t.Errorf("%s: got %+v, want %d compared, %d uncompared, error %q", name, l, c.compared, c.uncompared, c.err)
		}
	}
	if a := of(t, segment(t, conditions, ended(story(all()...))...)); a.Ledger != nil || a.Broadcasts[0].Ledger != nil {
		t.Errorf("run without a ledger: got %+v, want nil", a.Ledger)
	}
}

func TestMerge_Ledgers(t *testing.T) {
	third := result.LedgerReport{Parts: 2, Dispatched: true, Audience: 3, Delivered: 3, Failed: 1,
		Reasons: map[string]int{"throttled": 1}}
	one := compared(t, nil, ledgerWith(third), ended(story(all()...)))
	without := of(t, segment(t, conditions, ended(story(all()...))...))
	sum, err := account.Merge([]*account.Account{without, one, one})
	if err != nil {
		t.Fatal(err)
	}
	if l := sum.Ledger; l == nil || l.Compared != 6 || l.Disagreements != 2 || l.Excesses != 2 || l.Unsettled != 2 ||
		l.Audience != 14 || l.Delivered != 14 ||
		l.Failed != 2 || l.Outstanding != -2 || l.Received != 12 || l.Reasons["throttled"] != 2 || l.Table != "broadcasts" {
		t.Errorf("got %+v, want the sums of both", l)
	}
	if one.Ledger.Compared != 3 {
		t.Errorf("merged account: got %+v, want it unchanged", one.Ledger)
	}
	if sum, err = account.Merge([]*account.Account{without, without}); err != nil || sum.Ledger != nil {
		t.Errorf("got %+v, %v, want nil, nil", sum.Ledger, err)
	}
}

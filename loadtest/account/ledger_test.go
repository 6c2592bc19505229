package account_test

import (
	"fmt"
	"strings"
	"testing"

	"fanfare/loadtest/account"
	"fanfare/loadtest/result"
)

// said is a ledger that has all three messages of a story: of the third what is given, of the others the truth.
func said(third result.LedgerReport) *result.Ledger {
	good := result.LedgerReport{Parts: 2, Dispatched: true, Audience: 2, Delivered: 2}
	l := &result.Ledger{}
	for n, r := range []result.LedgerReport{good, good, third} {
		r.ID = fmt.Sprint("id-", n)
		r.Outstanding = r.Audience - r.Delivered - r.Gone - r.Failed
		l.Reports = append(l.Reports, r)
	}
	return l
}

// audited is the account of records, with that ledger.
func audited(t *testing.T, change func(*result.Conditions), l *result.Ledger,
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
		want    account.Told // of the third; only what is below is compared
		found   string
	}{
		"the same": {ended(story(all()...)), nil, report(2, 2, 0), account.Told{Received: 2, Agree: true}, ""},
		"one too many": {ended(story(all()...)), nil, report(3, 3, 0), account.Told{Received: 2},
			"the ledger says delivered to 3, and 2 have it; of an audience of 3, gone 0, failed 0"},
		"one too few": {ended(story(all()...)), nil, report(2, 1, 1), account.Told{Received: 2},
			"the ledger says delivered to 1, and 2 have it; of an audience of 2, gone 1, failed 0"},
		"one missing, and said to be delivered": {ended(story(all([2]uint32{1, 2})...)), nil, report(2, 2, 0),
			account.Told{Received: 1}, "delivered to 2, and 1 have it"},
		"one missing, and said to have failed": {ended(story(all([2]uint32{1, 2})...)), nil,
			result.LedgerReport{Parts: 2, Dispatched: true, Audience: 2, Delivered: 1, Failed: 1,
				Reasons: map[string]int{"throttled": 1}}, account.Told{Received: 1, Agree: true}, ""},
		"said to have failed, and received": {ended(story(all()...)), nil,
			result.LedgerReport{Parts: 2, Dispatched: true, Audience: 2, Delivered: 1, Failed: 1,
				Reasons: map[string]int{"network": 1}}, account.Told{Received: 2}, "failed 1 (network × 1)"},
		"a copy too many": {ended(story(append(all(), delivered(1, 2, 3))...)), nil, report(2, 2, 0),
			account.Told{Received: 2, Repeated: 1},
			"delivered to 2, and 2 have it; 1 more copies came, and the ledger knows of at most 0"},
		"a copy too many, which the ledger says there may be": {ended(story(append(all(), delivered(1, 2, 3))...)), nil,
			result.LedgerReport{Parts: 2, Dispatched: true, Audience: 2, Delivered: 2, Repeatable: 1},
			account.Told{Received: 2, Repeated: 1, Agree: true}, ""},
		"another's client": {ended(story(all()...)), others(1), report(3, 3, 0),
			account.Told{Received: 2, Agree: true}, ""},
		"two more than another's client": {ended(story(all()...)), others(1), report(4, 4, 0),
			account.Told{Received: 2}, "1 may be others' clients"},
		"one left before it could read": {append(story(all([2]uint32{1, 2})...), closed(0, 20, result.Ended),
			closed(1, 2.05, result.Moved)), nil, report(2, 2, 0), account.Told{Received: 1, Unsure: 1, Agree: true}, ""},
		"one left, and the post met nobody": {append(story(all([2]uint32{1, 2})...), closed(0, 20, result.Ended),
			closed(1, 2.05, result.Moved)), nil, report(2, 1, 1), account.Told{Received: 1, Unsure: 1, Agree: true}, ""},
		"one left, and two are said to have it besides": {append(story(all([2]uint32{1, 2})...), closed(0, 20, result.Ended),
			closed(1, 2.05, result.Moved)), nil, report(3, 3, 0), account.Told{Received: 1, Unsure: 1}, "1 more cannot tell"},
		"one had left before it was published": {append(story(all([2]uint32{1, 2})...), closed(0, 20, result.Ended),
			closed(1, 1.9, result.Moved)), nil, report(2, 2, 0), account.Told{Received: 1}, "delivered to 2, and 1 have it"},
		"one was cut off": {append(story(all([2]uint32{1, 2})...), closed(0, 20, result.Ended),
			closed(1, 2.05, result.Peer)), nil, report(2, 2, 0), account.Told{Received: 1, Unsure: 1, Agree: true}, ""},
		"one was lost by the harness": {append(story(all([2]uint32{1, 2})...),
			closed(0, 20, result.Ended)), nil, report(2, 2, 0), account.Told{Received: 1, Unsure: 1, Agree: true}, ""},
		"one came and went meanwhile": {ended(story(append(all(), opened(2, 2.4),
			closed(2, 2.5, result.Moved))...)), nil, report(3, 3, 0), account.Told{Received: 2, Unsure: 1, Agree: true}, ""},
		"one came and went within the deadline": {ended(story(append(all(), opened(2, 5),
			closed(2, 6, result.Moved))...)), nil, report(3, 3, 0), account.Told{Received: 2, Unsure: 1, Agree: true}, ""},
		"one came and went before a late arrival": {ended(story(append(all([2]uint32{1, 2}), opened(2, 8),
			closed(2, 8.5, result.Moved), delivered(1, 2, 9))...)), nil, report(3, 3, 0), account.Told{Received: 2, Unsure: 1,
			Agree: true}, ""},
		"one came and went much later": {ended(story(append(all(), opened(2, 7.2),
			closed(2, 8, result.Moved))...)), nil, report(3, 3, 0), account.Told{Received: 2}, "delivered to 3, and 2 have it"},
		"one came meanwhile and stayed, and has nothing": {ended(story(append(all(), opened(2, 2.4),
			closed(2, 20, result.Ended))...)), nil, report(3, 3, 0), account.Told{Received: 2}, "delivered to 3, and 2 have it"},
		"one came meanwhile and has it": {ended(story(append(all(), opened(2, 2.4), delivered(2, 2, 2.7),
			closed(2, 20, result.Ended))...)), nil, report(3, 3, 0), account.Told{Received: 3, Agree: true}, ""},
		"a slow one has not read it": {ended(story(append(slowly, all()...)...)), nil, report(3, 3, 0),
			account.Told{Received: 2, Unsure: 1, Agree: true}, ""},
		"a slow one has read it": {ended(story(append(append([]result.Record{}, slowly[0], delivered(2, 2, 9),
			slowly[1]), all()...)...)), nil, report(3, 3, 0), account.Told{Received: 3, Agree: true}, ""},
		"one had a damaged copy": {ended(story(append(all([2]uint32{1, 2}), odd(1, result.Corrupt, 2, 1),
			odd(1, result.Corrupt, 2, 1))...)), nil, report(2, 2, 0), account.Told{Received: 1, Unsure: 1, Agree: true}, ""},
		"one had a damaged and a whole copy": {ended(story(append(all(), odd(1, result.Corrupt, 2, 1))...)), nil,
			report(3, 3, 0), account.Told{Received: 2}, "delivered to 3, and 2 have it"},
	} {
		t.Run(name, func(t *testing.T) {
			a := audited(t, c.change, said(c.third), c.records)
			told := a.Broadcasts[2].Ledger
			if told == nil || told.Received != c.want.Received || told.Unsure != c.want.Unsure ||
				told.Repeated != c.want.Repeated || told.Agree != c.want.Agree {
				t.Errorf("%+v, want received %d, unsure %d, repeated %d, agree %v", told, c.want.Received, c.want.Unsure,
					c.want.Repeated, c.want.Agree)
			}
			if first := a.Broadcasts[0].Ledger; first == nil || !first.Agree {
				t.Errorf("the first message: %+v", first)
			}
			wrong := 0
			if !c.want.Agree {
				wrong = 1
			}
			if l := a.Ledger; l.Compared != 3 || l.Disagreements != wrong || l.Unsettled != 0 || l.Uncompared != 0 ||
				l.Delivered != c.third.Delivered+4 || l.Received != c.want.Received+4 {
				t.Errorf("%+v", l)
			}
			found := ""
			for _, f := range a.Findings {
				if f.Kind == "disagreement" {
					found = f.Text
					if f.Broadcast != 2 || f.ID != "id-2" || f.Slot != -1 {
						t.Errorf("%+v", f)
					}
				}
			}
			if !strings.Contains(found, c.found) || (found == "") != (c.found == "") {
				t.Errorf("found %q, want %q", found, c.found)
			}
		})
	}
}

func TestLedger_Unsettled(t *testing.T) {
	for want, third := range map[string]result.LedgerReport{
		"the ledger does not know it":                     {},
		"1 of an audience of 3 are outstanding":           {Parts: 2, Dispatched: true, Audience: 3, Delivered: 2},
		"it is not all dispatched; 0 of an audience of 2": {Parts: 2, Audience: 2, Delivered: 2},
		"has 1 more outcomes than an audience of 1":       {Parts: 2, Dispatched: true, Audience: 1, Delivered: 2},
	} {
		a := audited(t, nil, said(third), ended(story(all()...)))
		text := ""
		for _, f := range a.Findings {
			if f.Kind == "unsettled" {
				text = f.Text
			}
		}
		if a.Ledger.Unsettled != 1 || !strings.Contains(text, want) {
			t.Errorf("%+v, %q; want %q", a.Ledger, text, want)
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
	silent = append(silent[:7], silent[8:]...) // without the third's answer
	half := said(good)
	half.Reports = half.Reports[:2]
	for name, c := range map[string]struct {
		ledger               *result.Ledger
		records              []result.Record
		compared, uncompared int
		err                  string
	}{
		"a guessed id":             {said(good), ended(guessed), 2, 1, ""},
		"no answer":                {said(good), silent, 2, 1, ""},
		"not asked for":            {half, ended(story(all()...)), 2, 1, ""},
		"could not be read":        {&result.Ledger{Error: "no such table"}, ended(story(all()...)), 0, 0, "no such table"},
		"missing from the results": {nil, ended(story(all()...)), 0, 0, "it is not in the results"},
	} {
		if l := audited(t, nil, c.ledger, c.records).Ledger; l.Compared != c.compared || l.Uncompared != c.uncompared ||
			l.Error != c.err || l.Disagreements != 0 {
			t.Errorf("%s: %+v", name, l)
		}
	}
	if a := of(t, segment(t, conditions, ended(story(all()...))...)); a.Ledger != nil || a.Broadcasts[0].Ledger != nil {
		t.Errorf("a run that asked for no ledger has %+v", a.Ledger)
	}
}

func TestMerge_Ledgers(t *testing.T) {
	third := result.LedgerReport{Parts: 2, Dispatched: true, Audience: 3, Delivered: 3, Failed: 1,
		Reasons: map[string]int{"throttled": 1}}
	one := audited(t, nil, said(third), ended(story(all()...)))
	without := of(t, segment(t, conditions, ended(story(all()...))...))
	sum, err := account.Merge([]*account.Account{without, one, one})
	if err != nil {
		t.Fatal(err)
	}
	if l := sum.Ledger; l == nil || l.Compared != 6 || l.Disagreements != 2 || l.Excesses != 2 || l.Unsettled != 2 ||
		l.Audience != 14 || l.Delivered != 14 ||
		l.Failed != 2 || l.Outstanding != -2 || l.Received != 12 || l.Reasons["throttled"] != 2 || l.Table != "broadcasts" {
		t.Errorf("%+v", l)
	}
	if one.Ledger.Compared != 3 {
		t.Errorf("merging changed what was merged: %+v", one.Ledger)
	}
	if sum, err = account.Merge([]*account.Account{without, without}); err != nil || sum.Ledger != nil {
		t.Errorf("%+v, %v", sum.Ledger, err)
	}
}

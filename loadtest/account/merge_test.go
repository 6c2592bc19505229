package account_test

import (
	"bytes"
	"testing"
	"time"

	"fanfare/loadtest/account"
	"fanfare/loadtest/latency"
	"fanfare/loadtest/result"
)

// Two runs an hour apart merge into one account: counts and distributions are added, and the second run follows the
// first.
func TestMerge_Runs(t *testing.T) {
	c := conditions
	first := of(t, segment(t, c, ended(story(all([2]uint32{1, 2})...))...))
	later := c
	later.Run, later.Start = "87654321", start+3600*second
	var records []result.Record
	for _, r := range ended(story(append(all(), delivered(1, 2, 3))...)) {
		r.At += 3600 * second
		if r.Kind == result.Published {
			r.A += 3600 * second
		}
		records = append(records, r)
	}
	second := of(t, segment(t, later, records...))
	sum, err := account.Merge([]*account.Account{first, second})
	if err != nil {
		t.Fatal(err)
	}
	if want := (account.Deliveries{Owed: 12, Delivered: 11, Missing: 1, Duplicates: 1}); sum.Deliveries != want {
		t.Errorf("got %+v, want %+v", sum.Deliveries, want)
	}
	if sum.Publishing.Sent != 6 || sum.Publishing.Acknowledged != 6 || sum.Connections.Opened != 4 ||
		sum.Connections.Wanted != 2 || len(sum.Processes) != 2 || sum.Publishing.Silent {
		t.Errorf("got %+v\n%+v\nwant 6 sent, 4 opened", sum.Publishing, sum.Connections)
	}
	var one latency.Histogram
	for n := range 3 {
		for c := range 2 {
			took := int64(500_000 + c*100_000)
			one.Add(took)
			if n != 2 || c != 1 {
				one.Add(took)
			}
		}
	}
	a, err := one.Encode()
	if err != nil {
		t.Fatal(err)
	}
	b, err := sum.Latency.Delivery.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Errorf("got a merged histogram of %d values, want the same as one of %d", sum.Latency.Delivery.Count(), one.Count())
	}
	lengths := first.Starts[0].Length
	for i := range sum.Broadcasts {
		m := &sum.Broadcasts[i]
		want := time.Duration(m.Number) * time.Second
		if m.Run == 1 {
			want += lengths
		}
		if m.Run != i/3 || sum.Offset(m) != want {
			t.Errorf("message %d of run %d: got %v, want %v", m.Number, m.Run, sum.Offset(m), want)
		}
	}
	var published int
	for _, bin := range sum.Series.Bins {
		published += bin.Published
	}
	if published != 6 || len(sum.Series.Bins) != len(first.Series.Bins)+len(second.Series.Bins) {
		t.Errorf("got %d published in %d bins, want 6 in the bins of both", published, len(sum.Series.Bins))
	}
	if len(sum.Findings) != 2 || sum.Findings[0].Kind != "missing" || sum.Findings[0].Run != 0 ||
		sum.Findings[1].Kind != "duplicate" || sum.Findings[1].Run != 1 || sum.Findings[1].ID != "id" {
		t.Errorf("got %+v, want missing and duplicate", sum.Findings)
	}
	if _, err := account.Merge(nil); err == nil {
		t.Error("no accounts: got no error, want one")
	}
}

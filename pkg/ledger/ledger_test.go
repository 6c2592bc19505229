package ledger_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"fanfare/pkg/broadcast"
	"fanfare/pkg/ledger"
	"fanfare/test/awstest"
)

func newTable(t *testing.T) (*ledger.Table, *time.Time) {
	present := time.Now().Truncate(time.Millisecond)
	table := &ledger.Table{Client: awstest.Tables(t), Name: "broadcasts", Now: func() time.Time { return present }}
	return table, &present
}

func TestTable_Plan(t *testing.T) {
	table, _ := newTable(t)
	first := broadcast.Plan{
		Segment: 2, Segments: 4, Stretch: 1, End: "e=", Buckets: []int{3, 0, 5}, At: time.UnixMilli(7).UTC(),
		PayloadHash: "f00d",
	}
	second := broadcast.Plan{
		Segment: 2, Segments: 4, Stretch: 1, End: "", Buckets: []int{9}, At: time.UnixMilli(8).UTC(),
	}

	got, err := table.Plan(t.Context(), "b", first)
	if err != nil || !equal(got, first) {
		t.Fatalf("first plan: got %+v, %v, want %+v", got, err, first)
	}
	if got, err = table.Plan(t.Context(), "b", second); err != nil || !equal(got, first) {
		t.Errorf("second plan: got %+v, %v, want %+v", got, err, first)
	}
	if got, err = table.Plan(t.Context(), "another", second); err != nil || !equal(got, second) {
		t.Errorf("another broadcast: got %+v, %v, want %+v", got, err, second)
	}
	first.Buckets = []int{2, 0, 6} // connections came and went
	if err := table.Emitted(t.Context(), "b", first); err != nil {
		t.Fatal(err)
	}
	first.Emitted = true
	if got, err = table.Plan(t.Context(), "b", second); err != nil || !equal(got, first) {
		t.Errorf("after Emitted: got %+v, %v, want %+v", got, err, first)
	}
	plans, err := table.Plans(t.Context(), "b")
	if err != nil || len(plans) != 1 || !equal(plans[0], first) {
		t.Errorf("Plans: got %+v, %v, want %+v", plans, err, first)
	}
	if plans, err = table.Plans(t.Context(), "unknown"); err != nil || len(plans) != 0 {
		t.Errorf("Plans of an unknown broadcast: got %+v, %v, want none", plans, err)
	}
}

func equal(a, b broadcast.Plan) bool {
	return a.Key() == b.Key() && a.End == b.End && slices.Equal(a.Buckets, b.Buckets) && a.Emitted == b.Emitted &&
		a.At.Equal(b.At) && a.PayloadHash == b.PayloadHash
}

func TestTable_ClaimAndSettle(t *testing.T) {
	table, present := newTable(t)
	claim := func(owner string) broadcast.Claim {
		return broadcast.Claim{
			BroadcastID: "b", BatchID: "0/1.0.0", Owner: owner, Until: present.Add(30 * time.Second), Size: 2,
		}
	}
	expect := func(step, owner string, want broadcast.ClaimResult) {
		t.Helper()
		got, err := table.Claim(t.Context(), claim(owner))
		if err != nil || got.Status != want.Status || !got.Until.Equal(want.Until) || got.Leftovers != want.Leftovers {
			t.Errorf("%s: got %+v, %v, want %+v", step, got, err, want)
		}
	}
	lapses := present.Add(30 * time.Second).Truncate(time.Millisecond)
	expect("the first", "first", broadcast.ClaimResult{Status: broadcast.Claimed})
	expect("another", "second", broadcast.ClaimResult{Status: broadcast.Busy, Until: lapses})
	expect("the first once more", "first", broadcast.ClaimResult{Status: broadcast.Claimed})

	*present = present.Add(31 * time.Second)
	expect("another, after the claim has lapsed", "second",
		broadcast.ClaimResult{Status: broadcast.TakenOver, Until: lapses})
	expect("the other once more", "second", broadcast.ClaimResult{Status: broadcast.Claimed})

	outcome := []broadcast.Outcome{{
		BroadcastID: "b", Delivered: 2, Posts: 2, First: *present, Last: present.Add(time.Second),
	}}
	if err := table.Settle(t.Context(), "0/1.0.0", "first", outcome, "stale"); !errors.Is(err, broadcast.ErrLapsed) {
		t.Errorf("Settle of the first: got %v, want ErrLapsed", err)
	}
	if err := table.Settle(t.Context(), "0/1.0.0", "second", outcome, "leftovers"); err != nil {
		t.Fatal(err)
	}
	for _, owner := range []string{"first", "second", "third"} {
		expect(owner+", after Settle", owner, broadcast.ClaimResult{Status: broadcast.Settled, Leftovers: "leftovers"})
	}
	// The answer may have been lost. A repeated call succeeds and changes nothing.
	if err := table.Settle(t.Context(), "0/1.0.0", "second", outcome, "again"); err != nil {
		t.Errorf("repeated Settle: got %v, want no error", err)
	}
	expect("after a repeated Settle", "fourth", broadcast.ClaimResult{Status: broadcast.Settled, Leftovers: "leftovers"})
	if err := table.Settle(t.Context(), "0/1.0.0", "third", outcome, ""); !errors.Is(err, broadcast.ErrLapsed) {
		t.Errorf("Settle of another owner: got %v, want ErrLapsed", err)
	}
}

func TestTable_SettleAllOrNone(t *testing.T) {
	table, present := newTable(t)
	for _, id := range []string{"b1", "b2"} {
		claim := broadcast.Claim{BroadcastID: id, BatchID: "x", Owner: id, Until: present.Add(time.Minute), Size: 1}
		if _, err := table.Claim(t.Context(), claim); err != nil {
			t.Fatal(err)
		}
	}
	// Another owner has claimed b2.
	outcomes := []broadcast.Outcome{{BroadcastID: "b1", Delivered: 1}, {BroadcastID: "b2", Delivered: 1}}
	if err := table.Settle(t.Context(), "x", "b1", outcomes, ""); !errors.Is(err, broadcast.ErrLapsed) {
		t.Errorf("got %v, want ErrLapsed", err)
	}
	claim := broadcast.Claim{BroadcastID: "b1", BatchID: "x", Owner: "other", Until: *present}
	if got, err := table.Claim(t.Context(), claim); err != nil || got.Status != broadcast.Busy {
		t.Errorf("b1: got %+v, %v, want busy as before", got, err)
	}
}

// A sender that died may have delivered without recording it, and those deliveries are repeated: the report counts
// them.
func TestTable_ReportRepeatable(t *testing.T) {
	table, present := newTable(t)
	repeatable := func(step string, want map[string]int) {
		t.Helper()
		r, err := table.Report(t.Context(), "b")
		if err != nil || !maps.Equal(r.Repeatable, want) {
			t.Errorf("%s: got %v, %v, want %v", step, r.Repeatable, err, want)
		}
	}
	claim := func(batch, owner, reason string, size int) {
		t.Helper()
		want := broadcast.Claimed
		if batch == "0/1.0.0" && owner != "first" {
			want = broadcast.TakenOver
		}
		c := broadcast.Claim{
			BroadcastID: "b", BatchID: batch, Owner: owner, Until: present.Add(30 * time.Second), Size: size, Reason: reason,
		}
		if got, err := table.Claim(t.Context(), c); err != nil || got.Status != want {
			t.Fatalf("claim: got %+v, %v, want %v", got, err, want)
		}
	}
	claim("0/1.0.0", "first", "", 5)
	claim("0/1.0.0", "first", "", 5) // the answer was lost
	repeatable("one sender", nil)
	*present = present.Add(time.Minute)
	claim("0/1.0.0", "second", "", 3) // two connections left since
	repeatable("taken over", map[string]int{ledger.TakenOver: 3})
	*present = present.Add(time.Minute)
	claim("0/1.0.0", "third", "", 4)
	repeatable("taken over once more", map[string]int{ledger.TakenOver: 7})
	outcomes := []broadcast.Outcome{{BroadcastID: "b", Delivered: 1, Left: 3, Posts: 4}}
	if err := table.Settle(t.Context(), "0/1.0.0", "third", outcomes, ""); err != nil {
		t.Fatal(err)
	}
	for i, reason := range []string{broadcast.ReasonNetwork, broadcast.ReasonServer, broadcast.ReasonThrottled} {
		claim(fmt.Sprintf("0/1.0.0~%d", i), "fourth", reason, 1)
	}
	repeatable("retried", map[string]int{ledger.TakenOver: 7, broadcast.ReasonNetwork: 1, broadcast.ReasonServer: 1})
}

func TestTable_Report(t *testing.T) {
	table, present := newTable(t)
	ctx := t.Context()
	start := *present

	report := func() ledger.Report {
		t.Helper()
		r, err := table.Report(ctx, "b")
		if err != nil {
			t.Fatal(err)
		}
		if sum := r.Delivered + r.Gone + r.AllFailed() + r.Outstanding; sum != r.Audience {
			t.Errorf("got the sum %d of %+v, want the audience, %d", sum, r, r.Audience)
		}
		return r
	}
	if r := report(); !r.Unknown() {
		t.Errorf("unknown broadcast: got %+v, want Unknown", r)
	}

	split := broadcast.Plan{Segments: 1, Split: 2, Buckets: []int{}, At: start}
	if held, err := table.Plan(ctx, "b", split); err != nil || held.Split != 2 {
		t.Fatalf("got %+v, %v, want a split plan", held, err)
	}
	whole := broadcast.Plan{Segments: 1, Buckets: []int{1}, At: start}
	if held, err := table.Plan(ctx, "b", whole); err != nil || held.Split != 2 {
		t.Errorf("plan of the whole table: got %+v, %v, want the split plan", held, err)
	}
	plans := []broadcast.Plan{
		{Segment: 0, Segments: 2, Stretch: 0, End: "e=", Buckets: []int{10, 5}, At: start},
		{Segment: 0, Segments: 2, Stretch: 1, Buckets: []int{4}, At: start},
		{Segment: 1, Segments: 2, Stretch: 0, Buckets: []int{}, At: start},
	}
	for i, p := range plans {
		if _, err := table.Plan(ctx, "b", p); err != nil {
			t.Fatal(err)
		}
		if err := table.Emitted(ctx, "b", p); err != nil {
			t.Fatal(err)
		}
		if r := report(); r.Dispatched != (i == 2) || r.Unknown() {
			t.Errorf("after %d of 3 plans: got %+v", i+1, r)
		}
	}
	if r := report(); r.Audience != 19 || r.Outstanding != 19 {
		t.Errorf("before any batch: got %+v, want audience and outstanding 19", r)
	}

	settle := func(batch string, c broadcast.Claim, o broadcast.Outcome) {
		t.Helper()
		c.BroadcastID, c.BatchID, c.Owner, c.Until = "b", batch, "me", present.Add(time.Minute)
		if got, err := table.Claim(ctx, c); err != nil || got.Status != broadcast.Claimed {
			t.Fatalf("claim: got %+v, %v, want claimed", got, err)
		}
		o.BroadcastID = "b"
		if err := table.Settle(ctx, batch, "me", []broadcast.Outcome{o}, ""); err != nil {
			t.Fatal(err)
		}
	}
	// One connection had left before the batch was dispatched again: nine were addressed.
	settle("0/2.0.0", broadcast.Claim{Size: 9}, broadcast.Outcome{
		Delivered: 5, Gone: 1, Left: 3, Posts: 9, First: start.Add(time.Second), Last: start.Add(2 * time.Second),
	})
	if r := report(); r.Audience != 18 || r.Delivered != 5 || r.Gone != 1 || r.Outstanding != 12 {
		t.Errorf("first batch: got %+v, want audience 18, 5 delivered, 1 gone, 12 outstanding", r)
	}
	settle("0/2.0.0~0", broadcast.Claim{Size: 3, Attempt: 1}, broadcast.Outcome{
		Delivered: 1, Failed: map[string]int{"throttled": 2}, Posts: 3,
		First: start.Add(3 * time.Second), Last: start.Add(3 * time.Second),
	})
	r := report()
	if r.Audience != 18 || r.Delivered != 6 || !maps.Equal(r.Failed, map[string]int{"throttled": 2}) ||
		r.Outstanding != 9 || r.Posts != 12 || r.Retries != 3 {
		t.Errorf("second attempt: got %+v, want 6 delivered, 2 throttled, 9 outstanding, 12 posts, 3 retries", r)
	}
	if !r.First.Equal(start.Add(time.Second)) || !r.Last.Equal(start.Add(3*time.Second)) || !r.PlannedAt.Equal(start) {
		t.Errorf("got first %v, last %v, planned %v, want 1 s, 3 s, 0 s after %v", r.First, r.Last, r.PlannedAt, start)
	}
	redriven := broadcast.Claim{Size: 2, Redriven: true, Reason: "throttled"}
	settle("0/2.0.0~0~0", redriven, broadcast.Outcome{Delivered: 2, Posts: 2})
	if r := report(); r.Delivered != 8 || r.AllFailed() != 0 || r.Outstanding != 9 {
		t.Errorf("redrive: got %+v, want 8 delivered, none failed, 9 outstanding", r)
	}
	settle("0/2.0.1", broadcast.Claim{Size: 5}, broadcast.Outcome{Delivered: 5, Posts: 5})
	settle("0/2.1.0", broadcast.Claim{Size: 4}, broadcast.Outcome{Gone: 4, Posts: 4})
	if r := report(); r.Outstanding != 0 || r.Delivered != 13 || r.Gone != 5 || r.Audience != 18 {
		t.Errorf("end: got %+v, want audience 18, 13 delivered, 5 gone, none outstanding", r)
	}
}

package simulation

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"fanfare/pkg/broadcast"
	realledger "fanfare/pkg/ledger"
	realregistry "fanfare/pkg/registry"
	"fanfare/test/awstest"
)

// TestLedger_Real makes the same random calls to the model of the ledger and to pkg/ledger over DynamoDB's protocol,
// and expects the same answers.
func TestLedger_Real(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 3))
			present := time.Now().Truncate(time.Millisecond)
			table := &realledger.Table{Client: awstest.Tables(t), Name: "broadcasts", Now: func() time.Time { return present }}
			model := newLedger()
			ctx := t.Context()
			broadcasts, owners := []string{"b1", "b2"}, []string{"o1", "o2", "o3"}
			batches := []string{"0/1.0.0", "0/1.0.1", "0/1.0.0~0"}
			pick := func(from []string) string { return from[r.IntN(len(from))] }
			sizes := func() []int {
				sizes := make([]int, r.IntN(3))
				for i := range sizes {
					sizes[i] = r.IntN(5)
				}
				return sizes
			}
			happened := make(map[string]int)
			for step := range 250 {
				id, batch, owner := pick(broadcasts), pick(batches), pick(owners)
				switch r.IntN(5) {
				case 0:
					p := broadcast.Plan{
						Segment: 0, Segments: 1 + r.IntN(2), Stretch: r.IntN(2), End: pick([]string{"", "e="}),
						Buckets: sizes(), Split: r.IntN(2) * 4, At: present,
					}
					got, err := table.Plan(ctx, id, p)
					want := model.plan(id, p)
					if err != nil || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", inUTC(want)) {
						t.Fatalf("step %d: Plan %+v: got %+v, %v, want %+v as the model", step, p, got, err, want)
					}
					if want.Emitted {
						happened["a plan that was emitted"]++
					}
				case 1:
					plans, err := table.Plans(ctx, id)
					if err != nil || len(plans) != len(model.plans[id]) {
						t.Fatalf("step %d: got %d plans, %v, want %d as the model", step, len(plans), err, len(model.plans[id]))
					}
					if len(plans) > 0 {
						p := plans[r.IntN(len(plans))]
						p.Buckets = sizes()
						if err := table.Emitted(ctx, id, p); err != nil {
							t.Fatal(err)
						}
						model.emitted(id, p)
					}
				case 2, 3:
					c := broadcast.Claim{
						BroadcastID: id, BatchID: batch, Owner: owner,
						Until: present.Add(time.Duration(r.IntN(4)) * time.Second), Size: 1 + r.IntN(3),
						Attempt: r.IntN(2), Redriven: r.IntN(4) == 0, Reason: "network",
					}
					got, err := table.Claim(ctx, c)
					want := model.claim(c, present)
					if err != nil || got.Status != want.Status || got.Leftovers != want.Leftovers ||
						!got.Until.Equal(want.Until) {
						t.Fatalf("step %d: Claim %+v: got %+v, %v, want %+v as the model", step, c, got, err, want)
					}
					happened[fmt.Sprint("status ", got.Status)]++
				case 4:
					outcomes := []broadcast.Outcome{{
						BroadcastID: id, Delivered: r.IntN(3), Gone: r.IntN(2), Left: r.IntN(2), Posts: 1,
						Failed: map[string]int{"network": r.IntN(2)},
					}}
					if other := pick(broadcasts); other != id {
						outcomes = append(outcomes, broadcast.Outcome{BroadcastID: other, Delivered: 1})
					}
					left := fmt.Sprint("left ", step)
					err := table.Settle(ctx, batch, owner, outcomes, left)
					want := model.settle(batch, owner, outcomes, left)
					if (err == nil) != (want == nil) ||
						errors.Is(err, broadcast.ErrLapsed) != errors.Is(want, broadcast.ErrLapsed) {
						t.Fatalf("step %d: Settle %s %s %+v: got %v, want %v as the model", step, batch, owner, outcomes, err, want)
					}
					happened[fmt.Sprint("settled ", err == nil)]++
				}
				present = present.Add(time.Duration(r.IntN(800)) * time.Millisecond)
			}
			for _, id := range broadcasts {
				got, err := table.Report(ctx, id)
				want, _ := model.report(id) // random outcomes do not add up
				if err != nil || got.Audience != want.Audience || got.Delivered != want.Delivered || got.Gone != want.Gone ||
					got.AllRepeatable() != want.Repeatable || !maps.Equal(got.Failed, want.Failed) {
					t.Errorf("report of %s: got %+v, %v, want %+v as the model", id, got, err, want)
				}
			}
			for _, event := range []string{
				"a plan that was emitted", "status 0", "status 1", "status 2", "status 3", "settled true", "settled false",
			} {
				if happened[event] == 0 {
					t.Errorf("got no %q in %v, want at least one", event, happened)
				}
			}
		})
	}
}

func inUTC(p broadcast.Plan) broadcast.Plan {
	p.At = p.At.UTC()
	return p
}

// pages is the connections table or its model.
type pages interface {
	Page(ctx context.Context, segment, segments int, after string) ([]broadcast.Connection, string, error)
	Add(ctx context.Context, c broadcast.Connection) error
	Remove(ctx context.Context, id string) error
	MarkGone(ctx context.Context, id string, at time.Time) (time.Time, error)
	ClearGone(ctx context.Context, id string, before time.Time) error
	RemoveGone(ctx context.Context, id string, before time.Time) (bool, error)
}

// TestRegistry_Real checks the same properties of the model of the connections table and of pkg/registry over
// DynamoDB's protocol.
func TestRegistry_Real(t *testing.T) {
	w := &world{
		registry: &registry{}, gateway: &gateway{clients: make(map[string]*client)}, settings: Settings{PageRows: 1000},
	}
	for name, table := range map[string]pages{
		"model": modelPages{registryClient{w}},
		"real":  &realregistry.Table{Client: awstest.Tables(t), Name: "connections"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			var ids []string
			for i := range 60 {
				id := fmt.Sprintf("c%02d=", i)
				age := time.Duration(i%10) * 15 * time.Minute // the oldest are expired
				if err := table.Add(ctx, broadcast.Connection{ID: id, ConnectedAt: time.Now().Add(-age)}); err != nil {
					t.Fatal(err)
				}
				if age < broadcast.MaxConnectionAge+5*time.Minute {
					ids = append(ids, id)
				}
			}
			for segments := 1; segments <= 4; segments++ {
				var all []string
				for segment := range segments {
					page := read(t, table, segment, segments, "")
					all = append(all, page...)
					// A scan continues after any key in the same order, also after a deleted one.
					for i, id := range page {
						if got := read(t, table, segment, segments, id); !slices.Equal(got, page[i+1:]) {
							t.Errorf("after %s: got %v, want %v", id, got, page[i+1:])
						}
					}
				}
				slices.Sort(all)
				if !slices.Equal(all, ids) {
					t.Errorf("%d segments: got %v, want %v", segments, all, ids)
				}
			}
			page := read(t, table, 0, 2, "")
			gone := page[len(page)/2]
			if err := table.Remove(ctx, gone); err != nil {
				t.Fatal(err)
			}
			if got, want := read(t, table, 0, 2, gone), page[len(page)/2+1:]; !slices.Equal(got, want) {
				t.Errorf("after %s, deleted: got %v, want %v", gone, got, want)
			}
			checkGone(t, table, ids[0])
		})
	}
}

// checkGone makes calls to a connection's row in an order that reaches each result of MarkGone, ClearGone and
// RemoveGone.
func checkGone(t *testing.T, table pages, id string) {
	t.Helper()
	first := time.Now().Truncate(time.Millisecond)
	later := first.Add(time.Second)
	mark := func(id string, at, want time.Time) {
		t.Helper()
		if got, err := table.MarkGone(t.Context(), id, at); err != nil || !got.Equal(want) {
			t.Errorf("MarkGone %s: got %v, %v, want %v", id, got, err, want)
		}
		connections, _, err := table.Page(t.Context(), 0, 1, "")
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(connections, func(c broadcast.Connection) bool { return c.ID == id })
		if i < 0 != want.IsZero() || i >= 0 && !connections[i].GoneAt.Equal(want) {
			t.Errorf("Page after MarkGone %s: got %v, want GoneAt %v", id, connections, want)
		}
	}
	removeGone := func(id string, before time.Time, want bool) {
		t.Helper()
		if got, err := table.RemoveGone(t.Context(), id, before); err != nil || got != want {
			t.Errorf("RemoveGone %s: got %v, %v, want %v", id, got, err, want)
		}
	}
	clearGone := func(id string, before time.Time) {
		t.Helper()
		if err := table.ClearGone(t.Context(), id, before); err != nil {
			t.Errorf("ClearGone %s: got %v, want no error", id, err)
		}
	}
	removeGone(id, later, false) // no record
	clearGone(id, later)
	mark(id, first, first)
	mark(id, later, first)
	removeGone(id, first.Add(-time.Millisecond), false)
	clearGone(id, first.Add(-time.Millisecond))
	mark(id, later, first) // the record is newer than the success
	clearGone(id, first)
	mark(id, later, later)
	removeGone(id, later, true)
	removeGone(id, later, true) // no row
	mark(id, later, time.Time{})
	clearGone(id, later)
	mark(id, later, time.Time{}) // no call creates a row
}

func read(t *testing.T, table pages, segment, segments int, after string) []string {
	t.Helper()
	connections, next, err := table.Page(t.Context(), segment, segments, after)
	if err != nil || next != "" {
		t.Fatalf("Page: got next %q, %v, want a single page", next, err)
	}
	ids := make([]string, len(connections))
	for i, c := range connections {
		ids[i] = c.ID
	}
	return ids
}

// modelPages uses the model without running a world.
type modelPages struct{ registryClient }

func (m modelPages) Page(_ context.Context, segment, segments int, after string) (
	connections []broadcast.Connection, next string, err error) {
	connections, next = m.page(segment, segments, after)
	return connections, next, nil
}

func (m modelPages) Add(_ context.Context, c broadcast.Connection) error {
	m.add(c)
	return nil
}

func (m modelPages) Remove(_ context.Context, id string) error {
	m.delete(id)
	return nil
}

func (m modelPages) MarkGone(_ context.Context, id string, at time.Time) (time.Time, error) {
	return m.world.registry.markGone(id, at), nil
}

func (m modelPages) ClearGone(_ context.Context, id string, before time.Time) error {
	m.world.registry.clearGone(id, before)
	return nil
}

func (m modelPages) RemoveGone(_ context.Context, id string, before time.Time) (bool, error) {
	return m.removeGone(id, before), nil
}

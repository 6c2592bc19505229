package registry_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"fanfare/pkg/broadcast"
	"fanfare/pkg/registry"
	"fanfare/test/awstest"
)

// all reads every page of a segment.
func all(t *testing.T, table *registry.Table, segment, segments int) (ids []string, pages int) {
	t.Helper()
	for after := ""; ; {
		connections, next, err := table.Page(t.Context(), segment, segments, after)
		if err != nil {
			t.Fatal(err)
		}
		pages++
		for _, c := range connections {
			ids = append(ids, c.ID)
		}
		if next == "" {
			return ids, pages
		}
		after = next
	}
}

func TestTable_AddAndRemove(t *testing.T) {
	table := &registry.Table{Client: awstest.Tables(t), Name: "connections"}
	at := time.Now().Truncate(time.Millisecond)
	var want []string
	for i := range 60 {
		c := broadcast.Connection{ID: fmt.Sprintf("connection-%02d=", i), ConnectedAt: at}
		want = append(want, c.ID)
		if err := table.Add(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	connections, next, err := table.Page(t.Context(), 0, 1, "")
	if err != nil || next != "" || len(connections) != 60 {
		t.Fatalf("got %d connections, next %q, %v, want 60 on one page", len(connections), next, err)
	}
	if !connections[0].ConnectedAt.Equal(at) {
		t.Errorf("got ConnectedAt %v, want %v", connections[0].ConnectedAt, at)
	}

	var segmented []string
	for segment := range 4 {
		ids, _ := all(t, table, segment, 4)
		segmented = append(segmented, ids...)
	}
	slices.Sort(segmented)
	if !slices.Equal(segmented, want) {
		t.Errorf("four segments: got %v, want %v", segmented, want)
	}

	for range 2 { // a missing row is not an error
		if err := table.Remove(t.Context(), want[0]); err != nil {
			t.Error(err)
		}
	}
	ids, _ := all(t, table, 0, 1)
	slices.Sort(ids)
	if !slices.Equal(ids, want[1:]) {
		t.Errorf("after Remove: got %v, want %v", ids, want[1:])
	}
}

// rows returns goneAt of each row, in milliseconds after start; -1 if there is none.
func rows(t *testing.T, table *registry.Table, start time.Time) map[string]int64 {
	t.Helper()
	connections, _, err := table.Page(t.Context(), 0, 1, "")
	if err != nil {
		t.Fatal(err)
	}
	rows := make(map[string]int64)
	for _, c := range connections {
		rows[c.ID] = -1
		if c.Suspect() {
			rows[c.ID] = c.GoneAt.Sub(start).Milliseconds()
		}
	}
	return rows
}

func TestTable_Gone(t *testing.T) {
	table := &registry.Table{Client: awstest.Tables(t), Name: "connections"}
	start := time.Now().Truncate(time.Millisecond)
	at := func(ms int64) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	if err := table.Add(t.Context(), broadcast.Connection{ID: "a=", ConnectedAt: start}); err != nil {
		t.Fatal(err)
	}
	mark := func(id string, ms int64) func() (string, error) {
		return func() (string, error) {
			goneAt, err := table.MarkGone(t.Context(), id, at(ms))
			if goneAt.IsZero() {
				return "no row", err
			}
			return fmt.Sprint(goneAt.Sub(start).Milliseconds()), err
		}
	}
	clearGone := func(id string, ms int64) func() (string, error) {
		return func() (string, error) { return "", table.ClearGone(t.Context(), id, at(ms)) }
	}
	remove := func(id string, ms int64) func() (string, error) {
		return func() (string, error) {
			removed, err := table.RemoveGone(t.Context(), id, at(ms))
			return fmt.Sprint(removed), err
		}
	}
	for i, test := range []struct {
		call   func() (string, error)
		want   string
		goneAt int64
	}{
		{remove("a=", 5), "false", -1}, // no record
		{clearGone("a=", 5), "", -1},
		{mark("a=", 5), "5", 5},
		{mark("a=", 7), "5", 5}, // the first record stays
		{remove("a=", 4), "false", 5},
		{clearGone("a=", 4), "", 5}, // the success came before the 410
		{clearGone("a=", 5), "", -1},
		{mark("a=", 9), "9", 9},
	} {
		if got, err := test.call(); err != nil || got != test.want {
			t.Errorf("call %d: got %q, %v, want %q", i, got, err, test.want)
		}
		if got := rows(t, table, start); len(got) != 1 || got["a="] != test.goneAt {
			t.Errorf("after call %d: got %v, want goneAt %d", i, got, test.goneAt)
		}
	}
	// No call creates a row.
	for i, call := range []func() (string, error){
		remove("a=", 9), remove("a=", 9), clearGone("a=", 9), mark("a=", 9),
	} {
		want := [...]string{"true", "true", "", "no row"}[i]
		if got, err := call(); err != nil || got != want {
			t.Errorf("call %d without a row: got %q, %v, want %q", i, got, err, want)
		}
		if got := rows(t, table, start); len(got) != 0 {
			t.Errorf("call %d without a row: got rows %v, want none", i, got)
		}
	}
}

func TestTable_PageExpired(t *testing.T) {
	present := time.Now()
	table := &registry.Table{Client: awstest.Tables(t), Name: "connections", Now: func() time.Time { return present }}
	for id, age := range map[string]time.Duration{
		"young=": 0, "old=": broadcast.MaxConnectionAge, "expired=": broadcast.MaxConnectionAge + 6*time.Minute,
	} {
		if err := table.Add(t.Context(), broadcast.Connection{ID: id, ConnectedAt: present.Add(-age)}); err != nil {
			t.Fatal(err)
		}
	}
	ids, _ := all(t, table, 0, 1)
	slices.Sort(ids)
	if !slices.Equal(ids, []string{"old=", "young="}) {
		t.Errorf("got %v, want old= and young=", ids)
	}
}

func TestTable_Missing(t *testing.T) {
	table := &registry.Table{Client: awstest.Tables(t), Name: "missing"}
	_, _, err := table.Page(t.Context(), 0, 1, "")
	_, markErr := table.MarkGone(t.Context(), "a=", time.Now())
	_, removeErr := table.RemoveGone(t.Context(), "a=", time.Now())
	for call, err := range map[string]error{
		"Add":        table.Add(t.Context(), broadcast.Connection{ID: "a="}),
		"Remove":     table.Remove(t.Context(), "a="),
		"MarkGone":   markErr,
		"ClearGone":  table.ClearGone(t.Context(), "a=", time.Now()),
		"RemoveGone": removeErr,
		"Page":       err,
	} {
		if _, ok := errors.AsType[*types.ResourceNotFoundException](err); !ok {
			t.Errorf("%s: got %v, want ResourceNotFoundException", call, err)
			continue
		}
		if class, _ := broadcast.ClassOf(err); class != broadcast.ClassFatal {
			t.Errorf("%s: got class %v, want fatal", call, class)
		}
	}
}

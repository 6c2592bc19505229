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

	// A missing row is not an error, alone or among others. DynamoDB writes at most 25 rows at once.
	if err := table.Remove(t.Context(), want[0]); err != nil {
		t.Error(err)
	}
	if err := table.Remove(t.Context(), want[0]); err != nil {
		t.Error(err)
	}
	if err := table.RemoveAll(t.Context(), want[:55]); err != nil {
		t.Error(err)
	}
	ids, _ := all(t, table, 0, 1)
	slices.Sort(ids)
	if !slices.Equal(ids, want[55:]) {
		t.Errorf("after RemoveAll: got %v, want %v", ids, want[55:])
	}
	if err := table.RemoveAll(t.Context(), nil); err != nil {
		t.Errorf("RemoveAll of none: got %v, want no error", err)
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
	for call, err := range map[string]error{
		"Add":       table.Add(t.Context(), broadcast.Connection{ID: "a="}),
		"Remove":    table.Remove(t.Context(), "a="),
		"RemoveAll": table.RemoveAll(t.Context(), []string{"a="}),
		"Page":      err,
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

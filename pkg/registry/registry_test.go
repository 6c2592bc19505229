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

func TestConnectionsComeAndGo(t *testing.T) {
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
		t.Fatalf("%d connections, next %q, %v", len(connections), next, err)
	}
	if !connections[0].ConnectedAt.Equal(at) {
		t.Errorf("connected at %v, want %v", connections[0].ConnectedAt, at)
	}

	var segmented []string
	for segment := range 4 {
		ids, _ := all(t, table, segment, 4)
		segmented = append(segmented, ids...)
	}
	slices.Sort(segmented)
	if !slices.Equal(segmented, want) {
		t.Errorf("the segments have %v", segmented)
	}

	// A row that was never there is no error, one by one or among others; twenty-five is DynamoDB's limit for one write.
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
		t.Errorf("left are %v, want %v", ids, want[55:])
	}
	if err := table.RemoveAll(t.Context(), nil); err != nil {
		t.Errorf("removing nothing: %v", err)
	}
}

func TestRowsPastTheirTimeAreSkipped(t *testing.T) {
	present := time.Now()
	table := &registry.Table{Client: awstest.Tables(t), Name: "connections", Now: func() time.Time { return present }}
	for id, age := range map[string]time.Duration{"young=": 0, "old=": broadcast.MaxConnectionAge, "dead=": broadcast.MaxConnectionAge + 6*time.Minute} {
		if err := table.Add(t.Context(), broadcast.Connection{ID: id, ConnectedAt: present.Add(-age)}); err != nil {
			t.Fatal(err)
		}
	}
	ids, _ := all(t, table, 0, 1)
	slices.Sort(ids)
	if !slices.Equal(ids, []string{"old=", "young="}) {
		t.Errorf("read %v: API Gateway closes a connection after two hours, not before", ids)
	}
}

func TestATableThatDoesNotExistIsFatal(t *testing.T) {
	table := &registry.Table{Client: awstest.Tables(t), Name: "nowhere"}
	_, _, err := table.Page(t.Context(), 0, 1, "")
	for call, err := range map[string]error{
		"Add":       table.Add(t.Context(), broadcast.Connection{ID: "a="}),
		"Remove":    table.Remove(t.Context(), "a="),
		"RemoveAll": table.RemoveAll(t.Context(), []string{"a="}),
		"Page":      err,
	} {
		var missing *types.ResourceNotFoundException
		if !errors.As(err, &missing) {
			t.Errorf("%s: %v", call, err)
			continue
		}
		if fate, _ := broadcast.ClassOf(err); fate != broadcast.ClassFatal {
			t.Errorf("%s: fate %v, want fatal", call, fate)
		}
	}
}

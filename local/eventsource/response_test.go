package eventsource

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"fanfare/local/sqs"
)

// FuzzResponse: whatever a function answers, a message is either deleted or kept, and nothing is deleted that the
// answer names or that a broken answer might have named.
func FuzzResponse(f *testing.F) {
	seeds, err := filepath.Glob("testdata/responses/*.json")
	if err != nil || len(seeds) < 5 {
		f.Fatalf("%d seeds, error %v", len(seeds), err)
	}
	for _, name := range seeds {
		seed, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(seed)
	}
	messages := []sqs.Message{{ID: "a"}, {ID: "b"}, {ID: "c"}}
	f.Fuzz(func(t *testing.T, response []byte) {
		done, err := split(response, messages)
		if err != nil {
			if done != nil {
				t.Fatalf("error %v, but %d messages to delete", err, len(done))
			}
			return
		}
		ids, err := failures(response)
		if err != nil {
			t.Fatalf("followed by split, but: %v", err)
		}
		for _, m := range messages {
			isDone := slices.ContainsFunc(done, func(d sqs.Message) bool { return d.ID == m.ID })
			if isDone == slices.Contains(ids, m.ID) {
				t.Fatalf("message %s deleted: %v, named as failed: %v", m.ID, isDone, !isDone)
			}
		}
		// The same failures, written as AWS's documents do, are read the same.
		type item struct {
			ItemIdentifier string `json:"itemIdentifier"`
		}
		document := map[string][]item{"batchItemFailures": {}}
		for _, id := range ids {
			document["batchItemFailures"] = append(document["batchItemFailures"], item{id})
		}
		canonical, err := json.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		again, err := failures(canonical)
		if err != nil || !slices.Equal(again, ids) {
			t.Fatalf("%s is read as %q, error %v; want %q", canonical, again, err, ids)
		}
	})
}

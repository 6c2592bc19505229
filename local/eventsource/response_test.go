package eventsource

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"fanfare/local/sqs"
)

// FuzzResponse splits a batch by an arbitrary response. Every message must be either deleted or kept, and no message
// may be deleted that the response names or that an invalid response could have named.
func FuzzResponse(f *testing.F) {
	seeds, err := filepath.Glob("testdata/responses/*.json")
	if err != nil || len(seeds) < 5 {
		f.Fatalf("got %d seeds, error %v, want at least 5", len(seeds), err)
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
				t.Fatalf("got error %v and %d messages to delete, want none", err, len(done))
			}
			return
		}
		ids, err := failures(response)
		if err != nil {
			t.Fatalf("failures: got error %v for a response that split accepts", err)
		}
		for _, m := range messages {
			isDone := slices.ContainsFunc(done, func(d sqs.Message) bool { return d.ID == m.ID })
			if isDone == slices.Contains(ids, m.ID) {
				t.Fatalf("message %s: got deleted %v, named as failed %v, want one of them", m.ID, isDone, !isDone)
			}
		}
		// The same failures in the form of AWS's documentation give the same result.
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
			t.Fatalf("%s: got %q, error %v, want %q", canonical, again, err, ids)
		}
	})
}

package ledger

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"fanfare/pkg/broadcast"
)

// Report sums up one broadcast. Audience = Delivered + Gone + the sum of Failed + Outstanding.
type Report struct {
	BroadcastID string         `json:"broadcastId"`
	Dispatched  bool           `json:"dispatched"`  // every batch is on the send queue: Audience is final
	Audience    int            `json:"audience"`    // addressed connections
	Delivered   int            `json:"delivered"`   // posts that API Gateway accepted
	Gone        int            `json:"gone"`        // connections that no longer existed
	Failed      map[string]int `json:"failed"`      // failed deliveries by reason
	Outstanding int            `json:"outstanding"` // deliveries not tried yet, or to be retried
	Posts       int            `json:"posts"`       // calls of PostToConnection
	Retries     int            `json:"retries"`     // posts after a first attempt
	Repeatable  map[string]int `json:"repeatable"`  // deliveries that may have been made twice, by cause
	Batches     int            `json:"batches"`     // claimed batches
	Plans       int            `json:"plans"`
	PlannedAt   time.Time      `json:"plannedAt"` // time of the first plan
	First       time.Time      `json:"first"`     // time of the first delivery; zero if there is none
	Last        time.Time      `json:"last"`      // time of the last delivery so far
}

// TakenOver is the key in Repeatable for deliveries of batches whose first sender died before recording an outcome;
// they may have been delivered twice. The other causes are [broadcast.ReasonNetwork] and [broadcast.ReasonServer]: the
// answer to the post was lost or did not say whether it was delivered, and the post was retried.
const TakenOver = "taken_over"

// Unknown reports whether the ledger has no part of the broadcast: it was never dispatched, or more than a day ago.
func (r Report) Unknown() bool { return r.Plans == 0 && r.Batches == 0 }

// AllFailed returns the number of failed deliveries.
func (r Report) AllFailed() int { return sum(r.Failed) }

// AllRepeatable returns the largest possible number of repeated deliveries.
func (r Report) AllRepeatable() int { return sum(r.Repeatable) }

func sum(counts map[string]int) (sum int) {
	for n := range maps.Values(counts) {
		sum += n
	}
	return sum
}

// Report reads the parts of a broadcast and adds them up. It may be called at any time; while the broadcast is being
// sent, the report shows the progress.
func (t *Table) Report(ctx context.Context, broadcastID string) (Report, error) {
	plans, err := t.Plans(ctx, broadcastID)
	if err != nil {
		return Report{}, err
	}
	batches := make(map[string]batchPart)
	err = t.query(ctx, broadcastID, batchPrefix, func(items []map[string]types.AttributeValue) error {
		var parts []batchPart
		if err := attributevalue.UnmarshalListOfMaps(items, &parts); err != nil {
			return err
		}
		for _, part := range parts {
			batches[strings.TrimPrefix(part.Part, batchPrefix)] = part
		}
		return nil
	})
	if err != nil {
		return Report{}, fmt.Errorf("read the batches of broadcast %s: %w", broadcastID, err)
	}
	return add(broadcastID, plans, batches)
}

// add adds up plans and batches.
func add(broadcastID string, plans []broadcast.Plan, batches map[string]batchPart) (Report, error) {
	r := Report{
		BroadcastID: broadcastID, Failed: make(map[string]int), Repeatable: make(map[string]int),
		Batches: len(batches), Plans: len(plans), Dispatched: dispatched(plans),
	}
	for _, p := range plans {
		if r.PlannedAt.IsZero() || p.At.Before(r.PlannedAt) {
			r.PlannedAt = p.At
		}
		for i, size := range p.Buckets {
			// Copies of a batch that was dispatched twice may differ in size. The size that its sender claimed counts.
			if part, claimed := batches[p.BatchID(i)]; claimed {
				size = part.Size
			}
			r.Audience += size
		}
	}
	for _, part := range batches {
		r.Delivered += part.Delivered
		r.Gone += part.Gone
		r.Posts += part.Posts
		if part.Attempt > 0 {
			r.Retries += part.Posts
		}
		for reason, n := range part.Failed {
			r.Failed[reason] += n
		}
		n, err := part.repeatable()
		if err != nil {
			return Report{}, fmt.Errorf("decode part %s of broadcast %s: %w", part.Part, broadcastID, err)
		}
		if n > 0 {
			r.Repeatable[TakenOver] += n
		}
		if part.Reason == broadcast.ReasonNetwork || part.Reason == broadcast.ReasonServer {
			r.Repeatable[part.Reason] += part.Size
		}
		if part.Redriven {
			r.Failed[part.Reason] -= part.Size // counted as failed before the redrive
		}
		if part.First > 0 && (r.First.IsZero() || time.UnixMilli(part.First).Before(r.First)) {
			r.First = time.UnixMilli(part.First).UTC()
		}
		if part.Last > 0 && time.UnixMilli(part.Last).After(r.Last) {
			r.Last = time.UnixMilli(part.Last).UTC()
		}
	}
	maps.DeleteFunc(r.Failed, func(_ string, n int) bool { return n == 0 })
	r.Outstanding = r.Audience - r.Delivered - r.Gone - r.AllFailed()
	return r, nil
}

// dispatched reports whether the plans cover every segment to its end and all their batches are on the send queue.
func dispatched(plans []broadcast.Plan) bool {
	ends, known := make(map[int]int), make(map[int]int) // stretches of each segment: in all, and with a plan
	segments := 0
	for _, p := range plans {
		if p.Split > 0 {
			continue // the other plans cover the segments
		}
		segments = p.Segments
		if !p.Emitted {
			return false
		}
		known[p.Segment]++
		if p.End == "" {
			ends[p.Segment] = p.Stretch + 1
		}
	}
	return segments > 0 && len(ends) == segments && maps.Equal(ends, known)
}

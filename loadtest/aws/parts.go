package aws

import (
	"fmt"
	"maps"
	"strconv"
	"strings"

	"fanfare/loadtest/result"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// The prefixes of the sort keys of parts.
const (
	planPrefix  = "plan."
	batchPrefix = "batch."
)

// plan is a part with the connections of one stretch of one segment of the connections table. Bucket i, with its size,
// becomes the batch whose id is the key of the plan and ".i".
type plan struct {
	Part     string  `dynamodbav:"part"`
	Segment  int     `dynamodbav:"segment"`
	Segments int     `dynamodbav:"segments"`
	Stretch  int     `dynamodbav:"stretch"`
	End      string  `dynamodbav:"end"` // empty: the stretch is the last of its segment
	Buckets  []int64 `dynamodbav:"buckets"`
	Split    int     `dynamodbav:"split"` // over 0: the plan is replaced by the plans of that many segments
	Emitted  bool    `dynamodbav:"emitted"`
}

// batch is a part with the outcomes of one batch. Without an outcome its counts are 0.
type batch struct {
	Part      string         `dynamodbav:"part"`
	Size      int64          `dynamodbav:"size"`
	Claims    []string       `dynamodbav:"claims"`   // one for each claim: number of deliveries, space, sender
	Redriven  bool           `dynamodbav:"redriven"` // redriven after it had failed with Reason
	Reason    string         `dynamodbav:"reason"`   // of the retry; empty for the first attempt
	Delivered int64          `dynamodbav:"delivered"`
	Gone      int64          `dynamodbav:"gone"`
	Failed    map[string]int `dynamodbav:"failed"`
}

// parts has all parts of one broadcast.
type parts struct {
	plans   []plan
	batches map[string]batch // by id
}

// add adds an item of the table.
func (p *parts) add(item map[string]types.AttributeValue) error {
	var key struct {
		Part string `dynamodbav:"part"`
	}
	if err := attributevalue.UnmarshalMap(item, &key); err != nil {
		return err
	}
	switch {
	case strings.HasPrefix(key.Part, planPrefix):
		var one plan
		if err := attributevalue.UnmarshalMap(item, &one); err != nil {
			return fmt.Errorf("decode part %s: %w", key.Part, err)
		}
		if one.Segments < 1 {
			return fmt.Errorf("part %s: no number of segments", key.Part)
		}
		p.plans = append(p.plans, one)
	case strings.HasPrefix(key.Part, batchPrefix):
		var one batch
		if err := attributevalue.UnmarshalMap(item, &one); err != nil {
			return fmt.Errorf("decode part %s: %w", key.Part, err)
		}
		if p.batches == nil {
			p.batches = map[string]batch{}
		}
		p.batches[strings.TrimPrefix(key.Part, batchPrefix)] = one
	default:
		return fmt.Errorf("part %q: want a plan or a batch", key.Part)
	}
	return nil
}

// report returns the sum of the parts.
func (p *parts) report(id string) (result.LedgerReport, error) {
	r := result.LedgerReport{ID: id, Parts: len(p.plans) + len(p.batches), Dispatched: p.dispatched()}
	for _, one := range p.plans {
		key := strings.TrimPrefix(one.Part, planPrefix)
		for i, size := range one.Buckets {
			// Connections may have closed between the plan and the claim of the batch: the size of the claimed batch is final.
			if b, claimed := p.batches[fmt.Sprintf("%s.%d", key, i)]; claimed {
				size = b.Size
			}
			r.Audience += size
		}
	}
	reasons := map[string]int{}
	for _, one := range p.batches {
		r.Delivered += one.Delivered
		r.Gone += one.Gone
		repeatable, err := one.repeatable()
		if err != nil {
			return r, err
		}
		r.Repeatable += repeatable
		for reason, n := range one.Failed {
			reasons[reason] += n
		}
		if one.Redriven {
			reasons[one.Reason] -= int(one.Size) // failed before, and now redriven
		}
	}
	maps.DeleteFunc(reasons, func(_ string, n int) bool { return n == 0 })
	for _, n := range reasons {
		r.Failed += int64(n)
	}
	if len(reasons) > 0 {
		r.Reasons = reasons
	}
	r.Outstanding = r.Audience - r.Delivered - r.Gone - r.Failed
	return r, nil
}

// unanswered are the reasons after which a failed post may have been delivered.
var unanswered = map[string]bool{"network": true, "server_error": true}

// repeatable returns the number of deliveries of the batch that may have been made before: by senders that claimed it
// and recorded no outcome, or by a post without an answer.
func (b *batch) repeatable() (n int64, err error) {
	var sum, largest int64
	for _, claim := range b.Claims {
		size, _, _ := strings.Cut(claim, " ")
		n, err := strconv.ParseInt(size, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("decode part %s: claim %q: %w", b.Part, claim, err)
		}
		sum, largest = sum+n, max(largest, n)
	}
	if n = sum - largest; unanswered[b.Reason] {
		n += b.Size
	}
	return n, nil
}

// dispatched reports whether the plans cover every segment completely and all their batches are on the send queue.
func (p *parts) dispatched() bool {
	known, whole := map[int]int{}, map[int]int{} // stretches of each segment: found, and total if the last is found
	segments := 0
	for _, one := range p.plans {
		if one.Split > 0 {
			continue
		}
		if !one.Emitted {
			return false
		}
		segments = one.Segments
		known[one.Segment]++
		if one.End == "" {
			whole[one.Segment] = one.Stretch + 1
		}
	}
	return segments > 0 && len(whole) == segments && maps.Equal(known, whole)
}

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

// The kinds of parts, by how their sort key begins.
const (
	planPrefix  = "plan."
	batchPrefix = "batch."
)

// plan says whom one stretch of one segment of the connections table addresses: bucket i, of that size, becomes the
// batch whose id is the plan's key and ".i".
type plan struct {
	Part     string  `dynamodbav:"part"`
	Segment  int     `dynamodbav:"segment"`
	Segments int     `dynamodbav:"segments"`
	Stretch  int     `dynamodbav:"stretch"`
	End      string  `dynamodbav:"end"` // empty: the stretch reaches the segment's end
	Buckets  []int64 `dynamodbav:"buckets"`
	Split    int     `dynamodbav:"split"` // over 0: no plan of its own, but says that there are those of so many segments
	Emitted  bool    `dynamodbav:"emitted"`
}

// batch says what became of one batch's deliveries. A claim without an outcome has zeros.
type batch struct {
	Part      string         `dynamodbav:"part"`
	Size      int64          `dynamodbav:"size"`
	Claims    []string       `dynamodbav:"claims"`   // one for each sender that has had it: "2 who", of so many deliveries
	Redriven  bool           `dynamodbav:"redriven"` // had been given up before, for Reason
	Reason    string         `dynamodbav:"reason"`   // why it is tried again; empty the first time
	Delivered int64          `dynamodbav:"delivered"`
	Gone      int64          `dynamodbav:"gone"`
	Failed    map[string]int `dynamodbav:"failed"`
}

// parts are those of one broadcast.
type parts struct {
	plans   []plan
	batches map[string]batch // by id
}

// take adds an item of the table.
func (p *parts) take(item map[string]types.AttributeValue) error {
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
			return fmt.Errorf("part %s: %w", key.Part, err)
		}
		if one.Segments < 1 {
			return fmt.Errorf("part %s says nothing of segments", key.Part)
		}
		p.plans = append(p.plans, one)
	case strings.HasPrefix(key.Part, batchPrefix):
		var one batch
		if err := attributevalue.UnmarshalMap(item, &one); err != nil {
			return fmt.Errorf("part %s: %w", key.Part, err)
		}
		if p.batches == nil {
			p.batches = map[string]batch{}
		}
		p.batches[strings.TrimPrefix(key.Part, batchPrefix)] = one
	default:
		return fmt.Errorf("part %q is neither a plan nor a batch", key.Part)
	}
	return nil
}

// report adds them up.
func (p *parts) report(id string) (result.LedgerReport, error) {
	r := result.LedgerReport{ID: id, Parts: len(p.plans) + len(p.batches), Dispatched: p.dispatched()}
	for _, one := range p.plans {
		key := strings.TrimPrefix(one.Part, planPrefix)
		for i, size := range one.Buckets {
			// Some may have left between the plan and the batch: what the batch was claimed with is final.
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
			reasons[one.Reason] -= int(one.Size) // given up before, and now tried again
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

// unanswered are the reasons of posts that may have been delivered all the same.
var unanswered = map[string]bool{"network": true, "server_error": true}

// repeatable returns how many deliveries of the batch may have been made before: by those that had it and have not said what
// they did, or by a post without an answer.
func (b *batch) repeatable() (n int64, err error) {
	var sum, largest int64
	for _, claim := range b.Claims {
		size, _, _ := strings.Cut(claim, " ")
		n, err := strconv.ParseInt(size, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("part %s: claim %q: %w", b.Part, claim, err)
		}
		sum, largest = sum+n, max(largest, n)
	}
	if n = sum - largest; unanswered[b.Reason] {
		n += b.Size
	}
	return n, nil
}

// dispatched tells whether the plans cover every segment from its beginning to its end, and all their batches are on
// their way.
func (p *parts) dispatched() bool {
	known, whole := map[int]int{}, map[int]int{} // stretches of each segment: known, and in all where the end is known
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

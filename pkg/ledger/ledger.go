// Package ledger keeps the delivery ledger: the planned audience of each broadcast, and the outcomes of its batches.
//
// The table's key is broadcastId (S) and part (S). A broadcast has one part for each plan ("plan.0/4.0", see
// [broadcast.Plan]) and one for each batch ("batch.0/4.0.7"). Counts are overwritten and never added to, so that a
// repeated batch is counted once. Only the set of a batch's claims grows. Parts expire after a day.
package ledger

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"fanfare/pkg/broadcast"
)

// lifetime is the time after which a part expires.
const lifetime = 24 * time.Hour

const (
	planPrefix  = "plan."
	batchPrefix = "batch."
)

// Table is the ledger. It is safe for concurrent use.
type Table struct {
	Client *dynamodb.Client
	Name   string
	// Now returns the current time, for lapsed claims and for the expiry of parts; nil means time.Now.
	Now func() time.Time
}

// planPart is the table's item for a plan.
type planPart struct {
	BroadcastID string `dynamodbav:"broadcastId"`
	Part        string `dynamodbav:"part"`
	Segment     int    `dynamodbav:"segment"`
	Segments    int    `dynamodbav:"segments"`
	Stretch     int    `dynamodbav:"stretch"`
	End         string `dynamodbav:"end,omitempty"`
	Buckets     []int  `dynamodbav:"buckets"`
	Split       int    `dynamodbav:"split,omitempty"`
	Emitted     bool   `dynamodbav:"emitted"`
	PayloadHash string `dynamodbav:"payloadSha256,omitempty"` // hexadecimal; of the first plan only
	At          int64  `dynamodbav:"at"`                      // epoch milliseconds
	ExpiresAt   int64  `dynamodbav:"expiresAt"`
}

func (p planPart) plan() broadcast.Plan {
	return broadcast.Plan{
		Segment: p.Segment, Segments: p.Segments, Stretch: p.Stretch,
		End: p.End, Buckets: p.Buckets, Split: p.Split, Emitted: p.Emitted,
		PayloadHash: p.PayloadHash, At: time.UnixMilli(p.At).UTC(),
	}
}

// Plan records a plan for the broadcast, unless there is one for the same stretch already, and returns the recorded
// one.
func (t *Table) Plan(ctx context.Context, broadcastID string, p broadcast.Plan) (broadcast.Plan, error) {
	item, err := attributevalue.MarshalMap(planPart{
		BroadcastID: broadcastID, Part: planPrefix + p.Key(),
		Segment: p.Segment, Segments: p.Segments, Stretch: p.Stretch,
		End: p.End, Buckets: p.Buckets, Split: p.Split, PayloadHash: p.PayloadHash, At: p.At.UnixMilli(),
		ExpiresAt: t.expiry(),
	})
	if err != nil {
		return broadcast.Plan{}, fmt.Errorf("encode plan %s of broadcast %s: %w", p.Key(), broadcastID, err)
	}
	_, err = t.Client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &t.Name, Item: item,
		ConditionExpression:                 aws.String("attribute_not_exists(broadcastId)"),
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	var refused *types.ConditionalCheckFailedException
	switch {
	case err == nil:
		return p, nil
	case errors.As(err, &refused):
		var earlier planPart
		if err := attributevalue.UnmarshalMap(refused.Item, &earlier); err != nil {
			return broadcast.Plan{}, fmt.Errorf("decode plan %s of broadcast %s: %w", p.Key(), broadcastID, err)
		}
		return earlier.plan(), nil
	}
	return broadcast.Plan{}, fmt.Errorf("record plan %s of broadcast %s: %w", p.Key(), broadcastID, err)
}

// Emitted records that every batch of the plan is on the send queue, and the number of connections of each.
func (t *Table) Emitted(ctx context.Context, broadcastID string, p broadcast.Plan) error {
	buckets, err := attributevalue.Marshal(p.Buckets)
	if err != nil {
		return fmt.Errorf("encode plan %s of broadcast %s: %w", p.Key(), broadcastID, err)
	}
	_, err = t.Client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &t.Name, Key: key(broadcastID, planPrefix+p.Key()),
		UpdateExpression: aws.String("SET emitted = :true, buckets = :buckets"),
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":true": &types.AttributeValueMemberBOOL{Value: true}, ":buckets": buckets,
		},
	})
	if err != nil {
		return fmt.Errorf("record that plan %s of broadcast %s is emitted: %w", p.Key(), broadcastID, err)
	}
	return nil
}

// Plans returns the plans that are recorded for a broadcast, in no particular order.
func (t *Table) Plans(ctx context.Context, broadcastID string) ([]broadcast.Plan, error) {
	var plans []broadcast.Plan
	err := t.query(ctx, broadcastID, planPrefix, func(items []map[string]types.AttributeValue) error {
		var parts []planPart
		if err := attributevalue.UnmarshalListOfMaps(items, &parts); err != nil {
			return err
		}
		for _, part := range parts {
			plans = append(plans, part.plan())
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the plans of broadcast %s: %w", broadcastID, err)
	}
	return plans, nil
}

// query reads all parts of a broadcast that begin with the prefix, and calls each with every page of items.
func (t *Table) query(ctx context.Context, broadcastID, prefix string,
	each func([]map[string]types.AttributeValue) error) error {
	pages := dynamodb.NewQueryPaginator(t.Client, &dynamodb.QueryInput{
		TableName:              &t.Name,
		ConsistentRead:         aws.Bool(true),
		KeyConditionExpression: aws.String("broadcastId = :id AND begins_with(part, :prefix)"),
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":id":     &types.AttributeValueMemberS{Value: broadcastID},
			":prefix": &types.AttributeValueMemberS{Value: prefix},
		},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		if err := each(page.Items); err != nil {
			return err
		}
	}
	return nil
}

func (t *Table) now() time.Time {
	if t.Now != nil {
		return t.Now()
	}
	return time.Now()
}

func (t *Table) expiry() int64 { return t.now().Add(lifetime).Unix() }

func key(broadcastID, part string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{
		"broadcastId": &types.AttributeValueMemberS{Value: broadcastID},
		"part":        &types.AttributeValueMemberS{Value: part},
	}
}

func millis(t time.Time) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(t.UnixMilli(), 10)}
}

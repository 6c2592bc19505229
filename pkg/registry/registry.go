// Package registry keeps the connections table: one row per open WebSocket connection.
//
// A row has connectionId (S, the key), connectedAt (N, epoch milliseconds) and expiresAt (N, epoch seconds, the TTL).
// goneAt (N, epoch milliseconds) is the time at which a post was first answered 410; a later post that succeeds removes
// it.
//
// API Gateway closes every connection after two hours, so the connection of an older row is closed. DynamoDB may delete
// expired rows days late; until then they are skipped.
package registry

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

// expiryMargin is the time between the end of a connection and the expiry of its row.
const expiryMargin = 5 * time.Minute

// Table is the connections table. It is safe for concurrent use.
type Table struct {
	Client *dynamodb.Client
	Name   string
	// Now returns the current time, by which rows expire; nil means time.Now.
	Now func() time.Time
}

// row is the table's item for a connection.
type row struct {
	ConnectionID string `dynamodbav:"connectionId"`
	ConnectedAt  int64  `dynamodbav:"connectedAt"`
	ExpiresAt    int64  `dynamodbav:"expiresAt"`
	GoneAt       int64  `dynamodbav:"goneAt,omitempty"`
}

// Add writes the row of a connection.
func (t *Table) Add(ctx context.Context, c broadcast.Connection) error {
	item, err := attributevalue.MarshalMap(row{
		ConnectionID: c.ID,
		ConnectedAt:  c.ConnectedAt.UnixMilli(),
		ExpiresAt:    c.ConnectedAt.Add(broadcast.MaxConnectionAge + expiryMargin).Unix(),
	})
	if err != nil {
		return fmt.Errorf("encode the row of connection %s: %w", c.ID, err)
	}
	_, err = t.Client.PutItem(ctx, &dynamodb.PutItemInput{TableName: &t.Name, Item: item})
	return err
}

// Remove deletes the row of a connection. A missing row is not an error.
func (t *Table) Remove(ctx context.Context, connectionID string) error {
	_, err := t.Client.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &t.Name, Key: key(connectionID)})
	return err
}

// MarkGone records that a post to the connection was answered 410 at a time, unless the row has an earlier record. It
// returns the recorded time, or the zero time if the connection has no row. It never creates a row.
func (t *Table) MarkGone(ctx context.Context, connectionID string, at time.Time) (time.Time, error) {
	_, err := t.Client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &t.Name, Key: key(connectionID),
		ConditionExpression:                 aws.String("attribute_exists(connectionId) AND attribute_not_exists(goneAt)"),
		UpdateExpression:                    aws.String("SET goneAt = :at"),
		ExpressionAttributeValues:           map[string]types.AttributeValue{":at": millis(at)},
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	refused, ok := errors.AsType[*types.ConditionalCheckFailedException](err)
	if !ok {
		return at, err
	}
	if len(refused.Item) == 0 {
		return time.Time{}, nil
	}
	earlier, err := goneAt(refused.Item)
	if err != nil {
		return time.Time{}, err
	}
	return time.UnixMilli(earlier), nil
}

// ClearGone removes the record of a 410 at or before a time. A missing row or record is not an error.
func (t *Table) ClearGone(ctx context.Context, connectionID string, before time.Time) error {
	_, err := t.Client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &t.Name, Key: key(connectionID),
		ConditionExpression:       aws.String("goneAt <= :before"), // false if there is no row
		UpdateExpression:          aws.String("REMOVE goneAt"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":before": millis(before)},
	})
	if _, refused := errors.AsType[*types.ConditionalCheckFailedException](err); refused {
		return nil
	}
	return err
}

// RemoveGone deletes the row of a connection with the record of a 410 at or before a time. It reports whether the
// connection has no row any more.
func (t *Table) RemoveGone(ctx context.Context, connectionID string, before time.Time) (removed bool, err error) {
	_, err = t.Client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName: &t.Name, Key: key(connectionID),
		ConditionExpression:                 aws.String("goneAt <= :before"),
		ExpressionAttributeValues:           map[string]types.AttributeValue{":before": millis(before)},
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	if refused, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
		return len(refused.Item) == 0, nil
	}
	return err == nil, err
}

// Page reads one page, at most 1 MB, of a segment of the table. Segments count from 0. The page starts after the
// connection after, or at the beginning if that is empty. The read is strongly consistent: it returns every row written
// before. Expired rows are left out. The next page starts after next, which is empty at the end of the segment.
func (t *Table) Page(ctx context.Context, segment, segments int, after string) (
	connections []broadcast.Connection, next string, err error) {
	in := &dynamodb.ScanInput{
		TableName:      &t.Name,
		ConsistentRead: aws.Bool(true),
		Segment:        aws.Int32(int32(segment)),
		TotalSegments:  aws.Int32(int32(segments)),
	}
	if after != "" {
		in.ExclusiveStartKey = key(after)
	}
	read, err := t.scan(ctx, in)
	if err != nil {
		return nil, "", fmt.Errorf("read segment %d of %d of the connections table: %w", segment, segments, err)
	}
	now := time.Now
	if t.Now != nil {
		now = t.Now
	}
	connections = make([]broadcast.Connection, 0, len(read.rows))
	present := now().Unix()
	for _, r := range read.rows {
		if r.ExpiresAt > present {
			c := broadcast.Connection{ID: r.ConnectionID, ConnectedAt: time.UnixMilli(r.ConnectedAt)}
			if r.GoneAt != 0 {
				c.GoneAt = time.UnixMilli(r.GoneAt)
			}
			connections = append(connections, c)
		}
	}
	return connections, read.next, nil
}

// pageOf returns the content of a response that the SDK has decoded.
func pageOf(out *dynamodb.ScanOutput) (p page, err error) {
	p.rows = make([]row, len(out.Items))
	for i, item := range out.Items {
		if p.rows[i], err = decode(item); err != nil {
			return page{}, err
		}
	}
	if len(out.LastEvaluatedKey) > 0 {
		last, ok := out.LastEvaluatedKey["connectionId"].(*types.AttributeValueMemberS)
		if !ok {
			return page{}, errors.New("its key is not connectionId (S)")
		}
		p.next = last.Value
	}
	return p, nil
}

// decode reads a row. It costs a tenth of attributevalue.UnmarshalMap; a page has about ten thousand rows.
func decode(item map[string]types.AttributeValue) (row, error) {
	id, ok := item["connectionId"].(*types.AttributeValueMemberS)
	if !ok {
		return row{}, errors.New("a row has no connectionId (S)")
	}
	connectedAt, err := number(item["connectedAt"])
	if err != nil {
		return row{}, fmt.Errorf("connectedAt of connection %s: %w", id.Value, err)
	}
	expiresAt, err := number(item["expiresAt"])
	if err != nil {
		return row{}, fmt.Errorf("expiresAt of connection %s: %w", id.Value, err)
	}
	goneAt, err := goneAt(item)
	if err != nil {
		return row{}, err
	}
	return row{id.Value, connectedAt, expiresAt, goneAt}, nil
}

// goneAt returns the item's goneAt, or 0 if it has none.
func goneAt(item map[string]types.AttributeValue) (int64, error) {
	v, ok := item["goneAt"]
	if !ok {
		return 0, nil
	}
	n, err := number(v)
	if err != nil {
		return 0, fmt.Errorf("decode goneAt of a connection: %w", err)
	}
	return n, nil
}

func number(v types.AttributeValue) (int64, error) {
	n, ok := v.(*types.AttributeValueMemberN)
	if !ok {
		return 0, errors.New("not a number (N)")
	}
	return strconv.ParseInt(n.Value, 10, 64)
}

func millis(t time.Time) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(t.UnixMilli(), 10)}
}

func key(connectionID string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{"connectionId": &types.AttributeValueMemberS{Value: connectionID}}
}

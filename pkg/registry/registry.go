// Package registry keeps the connections table: one row per open WebSocket connection.
//
// A row has connectionId (S, the key), connectedAt (N, epoch milliseconds) and expiresAt (N, epoch seconds). API Gateway
// closes every connection after two hours, so a row that is older was left behind; DynamoDB deletes it by its TTL, some
// day, and until then it is skipped.
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

// expiryMargin is how much longer than a connection its row may live.
const expiryMargin = 5 * time.Minute

// maxBatchWrite is the most writes of one BatchWriteItem. Source: DynamoDB API reference, BatchWriteItem.
const maxBatchWrite = 25

// Table is the connections table. It is safe for concurrent use.
type Table struct {
	Client *dynamodb.Client
	Name   string
	// Now tells which rows are past their time; nil means time.Now.
	Now func() time.Time
}

// row is a connection as the table holds it.
type row struct {
	ConnectionID string `dynamodbav:"connectionId"`
	ConnectedAt  int64  `dynamodbav:"connectedAt"`
	ExpiresAt    int64  `dynamodbav:"expiresAt"`
}

// Add writes the row of a connection.
func (t *Table) Add(ctx context.Context, c broadcast.Connection) error {
	item, err := attributevalue.MarshalMap(row{
		ConnectionID: c.ID,
		ConnectedAt:  c.ConnectedAt.UnixMilli(),
		ExpiresAt:    c.ConnectedAt.Add(broadcast.MaxConnectionAge + expiryMargin).Unix(),
	})
	if err != nil {
		return fmt.Errorf("encode the row: %w", err)
	}
	_, err = t.Client.PutItem(ctx, &dynamodb.PutItemInput{TableName: &t.Name, Item: item})
	return err
}

// Remove deletes the row of a connection; one that is not there is no error.
func (t *Table) Remove(ctx context.Context, connectionID string) error {
	_, err := t.Client.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &t.Name, Key: key(connectionID)})
	return err
}

// RemoveAll deletes the rows of many connections. What DynamoDB was too busy to delete when ctx ended is an error, and
// no harm: the next broadcast meets those connections again.
func (t *Table) RemoveAll(ctx context.Context, connectionIDs []string) error {
	var pending []types.WriteRequest
	for _, id := range connectionIDs {
		pending = append(pending, types.WriteRequest{DeleteRequest: &types.DeleteRequest{Key: key(id)}})
	}
	for wait := 20 * time.Millisecond; len(pending) > 0; {
		n := min(len(pending), maxBatchWrite)
		out, err := t.Client.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{
			RequestItems: map[string][]types.WriteRequest{t.Name: pending[:n]},
		})
		if err != nil {
			return fmt.Errorf("delete %d connections: %w", len(pending), err)
		}
		unprocessed := out.UnprocessedItems[t.Name]
		pending = append(pending[n:], unprocessed...)
		if len(unprocessed) == 0 {
			continue
		}
		select {
		case <-time.After(wait):
			wait = min(2*wait, time.Second)
		case <-ctx.Done():
			return fmt.Errorf("delete %d connections that DynamoDB left unprocessed: %w", len(pending), ctx.Err())
		}
	}
	return nil
}

// Page reads one page, at most 1 MB, of a segment of the table (segment counts from 0 and is below segments), after the
// connection after, or from the beginning if that is empty. The read is strongly consistent: a connection whose row was
// written before is there. Rows that are past their time are left out. The rest of the segment comes after next, which is
// empty at its end.
func (t *Table) Page(ctx context.Context, segment, segments int, after string) (connections []broadcast.Connection, next string, err error) {
	in := &dynamodb.ScanInput{
		TableName:      &t.Name,
		ConsistentRead: aws.Bool(true),
		Segment:        aws.Int32(int32(segment)),
		TotalSegments:  aws.Int32(int32(segments)),
	}
	if after != "" {
		in.ExclusiveStartKey = key(after)
	}
	out, err := t.Client.Scan(ctx, in)
	if err != nil {
		return nil, "", fmt.Errorf("read segment %d of %d of the connections: %w", segment, segments, err)
	}
	now := time.Now
	if t.Now != nil {
		now = t.Now
	}
	connections = make([]broadcast.Connection, 0, len(out.Items))
	present := now().Unix()
	for _, item := range out.Items {
		r, err := decode(item)
		if err != nil {
			return nil, "", fmt.Errorf("read segment %d of %d of the connections: %w", segment, segments, err)
		}
		if r.ExpiresAt > present {
			connections = append(connections, broadcast.Connection{ID: r.ConnectionID, ConnectedAt: time.UnixMilli(r.ConnectedAt)})
		}
	}
	if len(out.LastEvaluatedKey) > 0 {
		last, ok := out.LastEvaluatedKey["connectionId"].(*types.AttributeValueMemberS)
		if !ok {
			return nil, "", errors.New("the connections table's key is not connectionId (S)")
		}
		next = last.Value
	}
	return connections, next, nil
}

// decode reads a row. It does what attributevalue would, at a tenth of its cost: a page has some ten thousand of them.
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
	return row{id.Value, connectedAt, expiresAt}, nil
}

func number(v types.AttributeValue) (int64, error) {
	n, ok := v.(*types.AttributeValueMemberN)
	if !ok {
		return 0, errors.New("not a number (N)")
	}
	return strconv.ParseInt(n.Value, 10, 64)
}

func key(connectionID string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{"connectionId": &types.AttributeValueMemberS{Value: connectionID}}
}

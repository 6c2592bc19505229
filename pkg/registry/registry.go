// Package registry keeps the connections table: one row per open WebSocket connection.
//
// A row has connectionId (S, the key), connectedAt (N, epoch milliseconds) and expiresAt (N, epoch seconds, the TTL).
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

// maxBatchWrite is the largest number of writes in one BatchWriteItem. Source: DynamoDB API reference, BatchWriteItem.
const maxBatchWrite = 25

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

// RemoveAll deletes the rows of many connections. It retries the deletions that DynamoDB did not process until ctx
// ends; the rest is then an error. That is harmless, because the next broadcast finds the same connections gone.
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
	out, err := t.Client.Scan(ctx, in)
	if err != nil {
		return nil, "", fmt.Errorf("read segment %d of %d of the connections table: %w", segment, segments, err)
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
			return nil, "", fmt.Errorf("read segment %d of %d of the connections table: %w", segment, segments, err)
		}
		if r.ExpiresAt > present {
			c := broadcast.Connection{ID: r.ConnectionID, ConnectedAt: time.UnixMilli(r.ConnectedAt)}
			connections = append(connections, c)
		}
	}
	if len(out.LastEvaluatedKey) > 0 {
		last, ok := out.LastEvaluatedKey["connectionId"].(*types.AttributeValueMemberS)
		if !ok {
			return nil, "", errors.New("read the connections table: its key is not connectionId (S)")
		}
		next = last.Value
	}
	return connections, next, nil
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

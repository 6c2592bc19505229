// Package quota limits the publishes of each connection, with counts in a table that all Lambda processes share.
//
// Time is divided into windows of Burst ÷ Rate seconds. A connection may publish Burst times in each window: Rate times
// per second on average, and at most twice Burst in a row, at the border of two windows. Each publish costs exactly one
// conditional write, whether it is refused or not. Concurrent processes lose no count. DynamoDB deletes the rows by
// their TTL.
package quota

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Table is the quotas table: connectionId (S) and window (N) are its key, taken (N) the count and expiresAt (N, epoch
// seconds) its TTL. It is safe for concurrent use.
type Table struct {
	Client *dynamodb.Client
	Name   string
	// Rate is the number of publishes per second, Burst the number of publishes in a row; both at least 1.
	Rate, Burst int
	// Now returns the current time; nil means time.Now.
	Now func() time.Time
}

// window returns the number of the present window and the time of its end.
func (t *Table) window() (number int64, end time.Time) {
	now := time.Now
	if t.Now != nil {
		now = t.Now
	}
	length := time.Duration(t.Burst) * time.Second / time.Duration(t.Rate)
	number = now().UnixNano() / int64(length)
	return number, time.Unix(0, (number+1)*int64(length))
}

// Take reports whether the connection may publish once more, and counts the publish if it may.
func (t *Table) Take(ctx context.Context, connectionID string) (bool, error) {
	number, end := t.window()
	_, err := t.Client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &t.Name,
		Key: map[string]types.AttributeValue{
			"connectionId": &types.AttributeValueMemberS{Value: connectionID},
			"window":       integer(number),
		},
		UpdateExpression:    aws.String("ADD taken :one SET expiresAt = :end"),
		ConditionExpression: aws.String("attribute_not_exists(taken) OR taken < :burst"),
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":one": integer(1), ":burst": integer(int64(t.Burst)), ":end": integer(end.Unix() + 1),
		},
	})
	var full *types.ConditionalCheckFailedException
	switch {
	case errors.As(err, &full):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("count a publish of connection %s: %w", connectionID, err)
	}
	return true, nil
}

func integer(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

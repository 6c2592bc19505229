// Package quota keeps count of what each connection publishes, where every Lambda process sees it.
//
// Time is divided into windows of Burst ÷ Rate seconds, and a connection may publish Burst times in each: Rate a second
// in the long run, and at the edge of two windows up to twice Burst in a row. Each publish costs exactly one conditional
// write, refused or not, and none is lost however many processes count at once. Rows are DynamoDB's to delete.
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
	// Rate is publishes per second and Burst publishes in a row, both at least 1.
	Rate, Burst int
	// Now is the time; nil means time.Now.
	Now func() time.Time
}

// window returns the number of the present window, and when it ends.
func (t *Table) window() (number int64, end time.Time) {
	now := time.Now
	if t.Now != nil {
		now = t.Now
	}
	length := time.Duration(t.Burst) * time.Second / time.Duration(t.Rate)
	number = now().UnixNano() / int64(length)
	return number, time.Unix(0, (number+1)*int64(length))
}

// Take tells whether the connection may publish once more, and counts it if so.
func (t *Table) Take(ctx context.Context, connectionID string) (bool, error) {
	number, end := t.window()
	_, err := t.Client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &t.Name,
		Key: map[string]types.AttributeValue{
			"connectionId": &types.AttributeValueMemberS{Value: connectionID},
			"window":       integer(number),
		},
		UpdateExpression:          aws.String("ADD taken :one SET expiresAt = :end"),
		ConditionExpression:       aws.String("attribute_not_exists(taken) OR taken < :burst"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":one": integer(1), ":burst": integer(int64(t.Burst)), ":end": integer(end.Unix() + 1)},
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

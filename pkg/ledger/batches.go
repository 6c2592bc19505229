package ledger

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"fanfare/pkg/broadcast"
)

// batchPart is the table's item for a batch of one broadcast.
type batchPart struct {
	BroadcastID string         `dynamodbav:"broadcastId"`
	Part        string         `dynamodbav:"part"`
	Owner       string         `dynamodbav:"owner"`
	Claims      []string       `dynamodbav:"claims,stringset,omitempty"` // number of deliveries and owner: "2 owner"
	Until       int64          `dynamodbav:"until"`                      // epoch milliseconds; the claim lapses then
	Size        int            `dynamodbav:"size"`
	Attempt     int            `dynamodbav:"attempt"`
	Redriven    bool           `dynamodbav:"redriven,omitempty"`
	Reason      string         `dynamodbav:"reason,omitempty"`
	Settled     bool           `dynamodbav:"settled"`
	Delivered   int            `dynamodbav:"delivered"`
	Gone        int            `dynamodbav:"gone"`
	Failed      map[string]int `dynamodbav:"failed,omitempty"`
	Left        int            `dynamodbav:"left"`
	Posts       int            `dynamodbav:"posts"`
	First       int64          `dynamodbav:"first,omitempty"` // epoch milliseconds
	Last        int64          `dynamodbav:"last,omitempty"`  // epoch milliseconds
	Leftovers   string         `dynamodbav:"leftovers,omitempty"`
	ExpiresAt   int64          `dynamodbav:"expiresAt"`
}

// Claim claims the batch for one of its broadcasts, unless another owner's claim has not lapsed or the outcome is
// recorded. For a settled batch it returns the recorded leftovers (see Settle). The status is TakenOver if another
// owner's claim has lapsed.
//
// It is one conditional write: of two senders that have copies of a batch, one gets the claim.
func (t *Table) Claim(ctx context.Context, c broadcast.Claim) (broadcast.ClaimResult, error) {
	// The set of claims keeps earlier ones. Adding an element again does not change it.
	out, err := t.Client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &t.Name, Key: key(c.BroadcastID, batchPrefix+c.BatchID),
		ReturnValues: types.ReturnValueUpdatedOld,
		ConditionExpression: aws.String("attribute_not_exists(broadcastId) OR " +
			"(settled = :false AND (#until < :now OR #owner = :me))"),
		UpdateExpression: aws.String("SET #owner = :me, #until = :until, #size = :size, attempt = :attempt, " +
			"redriven = :redriven, reason = :reason, settled = :false, expiresAt = :expiry ADD claims :claims"),
		ExpressionAttributeNames: map[string]string{
			"#until": "until", "#owner": "owner", "#size": "size",
		},
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":false":    &types.AttributeValueMemberBOOL{Value: false},
			":now":      millis(t.now()),
			":me":       &types.AttributeValueMemberS{Value: c.Owner},
			":claims":   &types.AttributeValueMemberSS{Value: []string{fmt.Sprintf("%d %s", c.Size, c.Owner)}},
			":until":    millis(c.Until),
			":size":     number(c.Size),
			":attempt":  number(c.Attempt),
			":redriven": &types.AttributeValueMemberBOOL{Value: c.Redriven},
			":reason":   &types.AttributeValueMemberS{Value: c.Reason},
			":expiry":   &types.AttributeValueMemberN{Value: strconv.FormatInt(t.expiry(), 10)},
		},
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	var refused *types.ConditionalCheckFailedException
	var item map[string]types.AttributeValue
	switch {
	case err == nil:
		item = out.Attributes
	case errors.As(err, &refused):
		item = refused.Item
	default:
		return broadcast.ClaimResult{}, fmt.Errorf("claim batch %s of broadcast %s: %w", c.BatchID, c.BroadcastID, err)
	}
	var earlier batchPart
	if err := attributevalue.UnmarshalMap(item, &earlier); err != nil {
		return broadcast.ClaimResult{},
			fmt.Errorf("decode the claim of batch %s of broadcast %s: %w", c.BatchID, c.BroadcastID, err)
	}
	switch until := time.UnixMilli(earlier.Until).UTC(); {
	case earlier.Settled:
		return broadcast.ClaimResult{Status: broadcast.Settled, Leftovers: earlier.Leftovers}, nil
	case refused != nil:
		return broadcast.ClaimResult{Status: broadcast.Busy, Until: until}, nil
	case earlier.Owner != "" && earlier.Owner != c.Owner:
		return broadcast.ClaimResult{Status: broadcast.TakenOver, Until: until}, nil
	}
	return broadcast.ClaimResult{Status: broadcast.Claimed}, nil
}

// Settle records the outcomes of a batch for all its broadcasts, or for none. It is an error if the owner no longer
// holds the claims; the outcomes must then be discarded. After any error except [broadcast.ErrLapsed] and
// [broadcast.ErrRefused] it may be called again: it succeeds if an earlier call took effect. Leftovers are stored with
// the first outcome, and Claim returns them.
func (t *Table) Settle(ctx context.Context, batchID, owner string, outcomes []broadcast.Outcome,
	leftovers string) error {
	writes := make([]types.TransactWriteItem, len(outcomes))
	for i, o := range outcomes {
		failed, err := attributevalue.Marshal(o.Failed)
		if err != nil {
			return fmt.Errorf("encode the outcome of batch %s: %w", batchID, err)
		}
		left := ""
		if i == 0 {
			left = leftovers
		}
		writes[i].Update = &types.Update{
			TableName: &t.Name, Key: key(o.BroadcastID, batchPrefix+batchID),
			ConditionExpression:                 aws.String("#owner = :me AND settled = :false"),
			ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
			UpdateExpression: aws.String("SET settled = :true, delivered = :delivered, gone = :gone, failed = :failed, " +
				"#left = :left, posts = :posts, #first = :first, #last = :last, leftovers = :leftovers"),
			ExpressionAttributeNames: map[string]string{
				"#owner": "owner", "#left": "left", "#first": "first", "#last": "last",
			},
			ExpressionAttributeValues: map[string]types.AttributeValue{
				":me":        &types.AttributeValueMemberS{Value: owner},
				":false":     &types.AttributeValueMemberBOOL{Value: false},
				":true":      &types.AttributeValueMemberBOOL{Value: true},
				":delivered": number(o.Delivered),
				":gone":      number(o.Gone),
				":failed":    failed,
				":left":      number(o.Left),
				":posts":     number(o.Posts),
				":first":     moment(o.First),
				":last":      moment(o.Last),
				":leftovers": &types.AttributeValueMemberS{Value: left},
			},
		}
	}
	_, err := t.Client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: writes})
	var canceled *types.TransactionCanceledException
	switch {
	case errors.As(err, &canceled):
		err = cancellation(canceled, owner)
	case permanent(err):
		err = fmt.Errorf("%w: %w", broadcast.ErrRefused, err)
	}
	if err != nil {
		return fmt.Errorf("record the outcome of batch %s: %w", batchID, err)
	}
	return nil
}

// repeatable returns the number of deliveries that may have been repeated because several owners claimed the part.
// Copies of a batch that was dispatched twice may differ by a few connections: a connection in k of them may have been
// posted to k times.
func (p batchPart) repeatable() (int, error) {
	all, largest := 0, 0
	for _, claim := range p.Claims {
		size, _, _ := strings.Cut(claim, " ")
		n, err := strconv.Atoi(size)
		if err != nil {
			return 0, fmt.Errorf("claim %q: %w", claim, err)
		}
		all, largest = all+n, max(largest, n)
	}
	return all - largest, nil
}

// cancellation returns the error of a canceled transaction: nil if an earlier call recorded the outcomes, ErrLapsed if
// the owner no longer holds the claims. A transaction is also canceled because of a conflicting write or missing
// capacity, which the SDK does not retry: canceled is then returned unchanged.
func cancellation(canceled *types.TransactionCanceledException, owner string) error {
	refused, recorded := 0, 0
	for _, reason := range canceled.CancellationReasons {
		if aws.ToString(reason.Code) != "ConditionalCheckFailed" {
			continue
		}
		refused++
		var part batchPart
		if err := attributevalue.UnmarshalMap(reason.Item, &part); err != nil {
			return fmt.Errorf("decode a claim: %w", err)
		}
		if part.Settled && part.Owner == owner {
			recorded++
		}
	}
	switch {
	case refused == 0:
		return canceled
	case recorded == len(canceled.CancellationReasons):
		return nil
	}
	return broadcast.ErrLapsed
}

// permanent reports whether DynamoDB refuses a request permanently. Throttling, server errors and network errors are
// not permanent.
func permanent(err error) bool {
	var api smithy.APIError
	var response *smithyhttp.ResponseError
	return errors.As(err, &api) && errors.As(err, &response) && response.HTTPStatusCode() < 500 &&
		retry.IsErrorRetryables(retry.DefaultRetryables).IsErrorRetryable(err) != aws.TrueTernary
}

func number(n int) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: fmt.Sprint(n)}
}

// moment returns a time in epoch milliseconds, and 0 for the zero time.
func moment(t time.Time) types.AttributeValue {
	if t.IsZero() {
		return number(0)
	}
	return millis(t)
}

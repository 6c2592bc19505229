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

// batchPart is what became of a batch's deliveries of one broadcast, as the table holds it.
type batchPart struct {
	BroadcastID string         `dynamodbav:"broadcastId"`
	Part        string         `dynamodbav:"part"`
	Owner       string         `dynamodbav:"owner"`
	Claims      []string       `dynamodbav:"claims,stringset,omitempty"` // by whom, and of how many deliveries: "2 owner"
	Until       int64          `dynamodbav:"until"`                      // epoch milliseconds, when the claim lapses
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

// Claim makes the batch the owner's to post, for one of its broadcasts, unless another owner's claim has not lapsed or
// the outcome is recorded. Of a settled batch it returns what was recorded as its leftovers (see Settle).
//
// It is one conditional write: of two senders that hold copies of a batch, one gets it.
func (t *Table) Claim(ctx context.Context, c broadcast.Claim) (standing broadcast.ClaimStatus, leftovers string, err error) {
	// All that is kept of an earlier claim is that there was one. What is in a set already is not added again.
	_, err = t.Client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &t.Name, Key: key(c.BroadcastID, batchPrefix+c.BatchID),
		ConditionExpression: aws.String("attribute_not_exists(broadcastId) OR (settled = :false AND (#until < :now OR #owner = :me))"),
		UpdateExpression: aws.String("SET #owner = :me, #until = :until, #size = :size, attempt = :attempt, redriven = :redriven, " +
			"reason = :reason, settled = :false, expiresAt = :expiry ADD claims :claims"),
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
	switch {
	case err == nil:
		return broadcast.Claimed, "", nil
	case !errors.As(err, &refused):
		return 0, "", fmt.Errorf("claim batch %s of broadcast %s: %w", c.BatchID, c.BroadcastID, err)
	}
	var earlier batchPart
	if err := attributevalue.UnmarshalMap(refused.Item, &earlier); err != nil {
		return 0, "", fmt.Errorf("decode the claim of batch %s of broadcast %s: %w", c.BatchID, c.BroadcastID, err)
	}
	if earlier.Settled {
		return broadcast.Settled, earlier.Leftovers, nil
	}
	return broadcast.Busy, "", nil
}

// Settle records the outcomes of a batch, of all its broadcasts or of none, for an owner whose claims still hold; else it
// returns an error, and nobody may act on the outcomes. After any error but [broadcast.ErrLapsed] and [broadcast.ErrRefused] it
// may be called again: it succeeds if an earlier call has taken effect. Leftovers is kept with the first outcome for whoever meets the batch
// again.
func (t *Table) Settle(ctx context.Context, batchID, owner string, outcomes []broadcast.Outcome, leftovers string) error {
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
			UpdateExpression: aws.String("SET settled = :true, delivered = :delivered, gone = :gone, failed = :failed, #left = :left, " +
				"posts = :posts, #first = :first, #last = :last, leftovers = :leftovers"),
			ExpressionAttributeNames: map[string]string{"#owner": "owner", "#left": "left", "#first": "first", "#last": "last"},
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
		err = judge(canceled, owner)
	case refused(err):
		err = fmt.Errorf("%w: %w", broadcast.ErrRefused, err)
	}
	if err != nil {
		return fmt.Errorf("record the outcome of batch %s: %w", batchID, err)
	}
	return nil
}

// repeatable returns how many of the part's deliveries may have been made by more than one of those that claimed it. The copies
// of a batch that was dispatched twice may differ by a few connections: who is in k of them may have been posted to k times.
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

// judge tells why DynamoDB has not recorded an outcome. It may have done so before: nil. A transaction is also canceled
// for another one, or a single write, that touches the same items just then, or for want of capacity, and the SDK does not
// try it again: such an error is returned as it is.
func judge(canceled *types.TransactionCanceledException, owner string) error {
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

// refused tells whether DynamoDB has refused a request for good. Throttling, its own faults and those of the network pass.
func refused(err error) bool {
	var api smithy.APIError
	var response *smithyhttp.ResponseError
	return errors.As(err, &api) && errors.As(err, &response) && response.HTTPStatusCode() < 500 &&
		retry.IsErrorRetryables(retry.DefaultRetryables).IsErrorRetryable(err) != aws.TrueTernary
}

func number(n int) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: fmt.Sprint(n)}
}

// moment is a time in epoch milliseconds; the zero time is 0.
func moment(t time.Time) types.AttributeValue {
	if t.IsZero() {
		return number(0)
	}
	return millis(t)
}

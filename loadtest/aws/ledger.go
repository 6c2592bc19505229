package aws

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"fanfare/loadtest/result"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	"golang.org/x/sync/errgroup"
)

// reading bounds the broadcasts that are read at once.
const reading = 8

// Pauses between two looks at what is not settled yet: the first, doubled up to the last.
const (
	firstPause = 250 * time.Millisecond
	lastPause  = 2 * time.Second
)

// answerWithin bounds the wait for the last answers once the time for settling is over.
const answerWithin = 15 * time.Second

// Ledger is a ledger. It is safe for concurrent use.
type Ledger struct {
	client *dynamodb.Client
	name   string
	where  string
}

// OpenLedger returns the ledger in a table, of which it asks nothing yet. endpoint and region are as LoadConfig takes them.
func OpenLedger(ctx context.Context, name, endpoint, region string) (*Ledger, error) {
	cfg, err := LoadConfig(ctx, endpoint, region, reading)
	if err != nil {
		return nil, err
	}
	t := &Ledger{client: dynamodb.NewFromConfig(cfg), name: name, where: cfg.Region}
	if endpoint != "" {
		t.where += " at " + endpoint
	}
	return t, nil
}

// Check tells whether the table is there and may be read.
func (t *Ledger) Check(ctx context.Context) error {
	_, err := t.Report(ctx, "loadtest") // nobody's id
	return err
}

// Report reads all parts of a broadcast and adds them up.
func (t *Ledger) Report(ctx context.Context, id string) (result.LedgerReport, error) {
	pages := dynamodb.NewQueryPaginator(t.client, &dynamodb.QueryInput{
		TableName: &t.name, ConsistentRead: aws.Bool(true),
		KeyConditionExpression:    aws.String("broadcastId = :id"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":id": &types.AttributeValueMemberS{Value: id}},
	})
	var all parts
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return result.LedgerReport{}, t.explain(err)
		}
		for _, item := range page.Items {
			if err := all.take(item); err != nil {
				return result.LedgerReport{}, fmt.Errorf("ledger %s: broadcast %s: %w", t.name, id, err)
			}
		}
	}
	return all.report(id)
}

// explanations are of the errors that a user can do something about, by DynamoDB's code.
var explanations = map[string]string{
	"ResourceNotFoundException": "there is no such table",
	"AccessDeniedException":     "it may not be read: the caller needs dynamodb:Query on it",
	"ValidationException":       "the table is no ledger, whose key is broadcastId and part",
}

func (t *Ledger) explain(err error) error {
	var failure smithy.APIError
	if errors.As(err, &failure) && explanations[failure.ErrorCode()] != "" {
		return fmt.Errorf("ledger %s in %s: %s (%s: %s)", t.name, t.where, explanations[failure.ErrorCode()],
			failure.ErrorCode(), failure.ErrorMessage())
	}
	return fmt.Errorf("ledger %s in %s: %w", t.name, t.where, err)
}

// Await reads the reports of broadcasts, and those that are not settled again and again until all are, within has
// passed, or ctx ends; then it returns them as they stand. It tells progress, after each look, how many are not settled.
func (t *Ledger) Await(ctx context.Context, ids []string, within time.Duration,
	progress func(unsettled int)) ([]result.LedgerReport, error) {
	// An ended ctx ends the waiting. What is there is wanted all the same.
	asking, stop := context.WithTimeout(context.WithoutCancel(ctx), within+answerWithin)
	defer stop()
	waiting, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	reports := make([]result.LedgerReport, len(ids))
	open := make([]int, len(ids))
	for i := range open {
		open[i] = i
	}
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		group, asking := errgroup.WithContext(asking)
		group.SetLimit(reading)
		for _, i := range open {
			group.Go(func() (err error) {
				reports[i], err = t.Report(asking, ids[i])
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return nil, err
		}
		open = slices.DeleteFunc(open, func(i int) bool { return reports[i].Settled() })
		progress(len(open))
		if len(open) == 0 {
			return reports, nil
		}
		select {
		case <-time.After(pause):
		case <-waiting.Done():
			return reports, nil
		}
	}
}

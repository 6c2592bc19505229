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

// reading bounds the concurrent reads of broadcasts.
const reading = 8

// The pause between two reads of unsettled broadcasts doubles from firstPause to lastPause.
const (
	firstPause = 250 * time.Millisecond
	lastPause  = 2 * time.Second
)

// answerWithin bounds the last read, after the time for settling.
const answerWithin = 15 * time.Second

// Ledger is the delivery ledger of a system. It is safe for concurrent use.
type Ledger struct {
	client *dynamodb.Client
	name   string
	where  string
}

// OpenLedger returns the ledger in a table, without any request. endpoint and region are those of LoadConfig.
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

// Check returns an error if the table does not exist or cannot be read.
func (t *Ledger) Check(ctx context.Context) error {
	_, err := t.Report(ctx, "loadtest") // not an id of a broadcast
	return err
}

// Report reads all parts of a broadcast and returns their sum.
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
			if err := all.add(item); err != nil {
				return result.LedgerReport{}, fmt.Errorf("ledger %s: broadcast %s: %w", t.name, id, err)
			}
		}
	}
	return all.report(id)
}

// explanations of the errors that a user can correct, by the code of DynamoDB.
var explanations = map[string]string{
	"ResourceNotFoundException": "no such table",
	"AccessDeniedException":     "access denied: dynamodb:Query is required",
	"ValidationException":       "not a ledger: the key must be broadcastId and part",
}

func (t *Ledger) explain(err error) error {
	var failure smithy.APIError
	if errors.As(err, &failure) && explanations[failure.ErrorCode()] != "" {
		return fmt.Errorf("ledger %s in %s: %s (%s: %s)", t.name, t.where, explanations[failure.ErrorCode()],
			failure.ErrorCode(), failure.ErrorMessage())
	}
	return fmt.Errorf("ledger %s in %s: %w", t.name, t.where, err)
}

// Await reads the reports of broadcasts until all are settled, within has passed, or ctx ends. Then it returns the last
// reports. After each read it calls progress with the number of unsettled broadcasts.
func (t *Ledger) Await(ctx context.Context, ids []string, within time.Duration,
	progress func(unsettled int)) ([]result.LedgerReport, error) {
	// If ctx ends, the wait ends; the reports are read all the same.
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

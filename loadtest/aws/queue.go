package aws

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// Queue is an SQS queue to publish to. It is safe for concurrent use.
type Queue struct {
	client *sqs.Client
	url    string
}

// OpenQueue returns the queue of that URL, at AWS or at an emulator of it (see LoadConfig). publishers is how many publish
// at once.
func OpenQueue(ctx context.Context, queueURL string, publishers int) (*Queue, error) {
	u, err := url.Parse(queueURL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || strings.Trim(u.Path, "/") == "" {
		return nil, fmt.Errorf("queue URL %q: want one like https://sqs.eu-west-1.amazonaws.com/123456789012/websocket-broadcast", queueURL)
	}
	cfg, err := LoadConfig(ctx, Endpoint(queueURL), Region(queueURL), publishers)
	if err != nil {
		return nil, err
	}
	// A retried message may be published twice; the harness wants to hear of the failure instead.
	cfg.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
	return &Queue{client: sqs.NewFromConfig(cfg), url: queueURL}, nil
}

// Publish stores text on the queue and returns the id that SQS gave it.
func (q *Queue) Publish(ctx context.Context, text string) (id string, err error) {
	out, err := q.client.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &q.url, MessageBody: &text})
	if err != nil {
		return "", fmt.Errorf("publish through the queue: %w", err)
	}
	return aws.ToString(out.MessageId), nil
}

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

// CheckQueueURL returns an error if queueURL does not have the form of a queue's URL.
func CheckQueueURL(queueURL string) error {
	u, err := url.Parse(queueURL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || strings.Trim(u.Path, "/") == "" {
		return fmt.Errorf("queue URL %q: want a URL such as https://sqs.eu-west-1.amazonaws.com/123456789012/queue",
			queueURL)
	}
	return nil
}

// OpenQueue returns the queue with that URL, at AWS or at an emulator. publishers is the number of concurrent
// publishers.
func OpenQueue(ctx context.Context, queueURL string, publishers int) (*Queue, error) {
	if err := CheckQueueURL(queueURL); err != nil {
		return nil, err
	}
	cfg, err := LoadConfig(ctx, Endpoint(queueURL), Region(queueURL), publishers)
	if err != nil {
		return nil, err
	}
	// Without retries: a retried message may be published twice, and the harness must see the failure.
	cfg.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
	return &Queue{client: sqs.NewFromConfig(cfg), url: queueURL}, nil
}

// Publish sends text to the queue and returns its SQS message id.
func (q *Queue) Publish(ctx context.Context, text string) (id string, err error) {
	out, err := q.client.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &q.url, MessageBody: &text})
	if err != nil {
		return "", fmt.Errorf("send message to queue: %w", err)
	}
	return aws.ToString(out.MessageId), nil
}

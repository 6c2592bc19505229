// Package queue publishes through SQS: the way of backends, and of clients in any language, into the broadcast queue.
package queue

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// Queue is an SQS queue to publish to. It is safe for concurrent use.
type Queue struct {
	client *sqs.Client
	url    string
}

// defaultRegion is used where neither the URL nor the environment tells one.
const defaultRegion = "us-east-1"

// Open returns the queue of that URL. A URL of AWS is used with the usual configuration (environment, shared files,
// roles); any other host is taken for an emulator at that address, for which the environment's key serves if there is
// one and "local" if not, so that nothing is asked of the network. publishers is how many publish at once.
func Open(ctx context.Context, queueURL string, publishers int) (*Queue, error) {
	u, err := url.Parse(queueURL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || strings.Trim(u.Path, "/") == "" {
		return nil, fmt.Errorf("queue URL %q: want one like https://sqs.eu-west-1.amazonaws.com/123456789012/websocket-broadcast", queueURL)
	}
	var cfg aws.Config
	emulated := !strings.HasSuffix(u.Hostname(), ".amazonaws.com") && !strings.HasSuffix(u.Hostname(), ".amazonaws.com.cn")
	if emulated {
		key, secret := os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")
		if key == "" || secret == "" {
			key, secret = "local", "local"
		}
		cfg = aws.Config{
			Region:       region(u.Hostname()),
			BaseEndpoint: aws.String(u.Scheme + "://" + u.Host),
			Credentials:  credentials.NewStaticCredentialsProvider(key, secret, os.Getenv("AWS_SESSION_TOKEN")),
			HTTPClient:   keepBody{&http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: publishers}}},
		}
	} else {
		cfg, err = config.LoadDefaultConfig(ctx, config.WithRegion(region(u.Hostname())),
			config.WithHTTPClient(awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { t.MaxIdleConnsPerHost = publishers })))
		if err != nil {
			return nil, fmt.Errorf("AWS configuration: %w", err)
		}
	}
	// A retried message may be published twice; the harness wants to hear of the failure instead.
	cfg.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
	return &Queue{client: sqs.NewFromConfig(cfg), url: queueURL}, nil
}

// region is part of the host name of AWS's queues.
func region(host string) string {
	if parts := strings.Split(host, "."); len(parts) >= 4 && parts[0] == "sqs" && net.ParseIP(host) == nil {
		return parts[1]
	}
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION"} {
		if v := os.Getenv(name); v != "" {
			return v
		}
	}
	return defaultRegion
}

// Publish stores text on the queue and returns the id that SQS gave it.
func (q *Queue) Publish(ctx context.Context, text string) (id string, err error) {
	out, err := q.client.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &q.url, MessageBody: &text})
	if err != nil {
		return "", fmt.Errorf("publish through the queue: %w", err)
	}
	return aws.ToString(out.MessageId), nil
}

// keepBody hides from the SDK that a request's body can be closed: it would close it as soon as the answer begins, and
// with it, on a quick network, the connection (smithy-go 1.28).
type keepBody struct{ client *http.Client }

func (k keepBody) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return k.client.Do(r)
}

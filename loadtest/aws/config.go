// Package aws gives the harness access to AWS or to an emulator of it: the configuration, the queue to publish through,
// and the delivery ledger of the system under test.
//
// The ledger is a DynamoDB table with the key broadcastId (S) and part (S). A broadcast has one part for each plan of
// the dispatcher ("plan.0/4.0") and one for each batch of a sender ("batch.0/4.0.7"); parts.go has their fields.
package aws

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// defaultRegion is the region for an emulator if the environment has none.
const defaultRegion = "us-east-1"

// LoadConfig returns the configuration for one service.
//
// With an endpoint, for example http://127.0.0.1:4566, it is for an emulator. Its credentials are those of the
// environment, else "local", without any network request. Without an endpoint it is for AWS, with the default
// configuration of the SDK (environment, shared files, roles). An empty region means that of the environment, or
// us-east-1 for an emulator. connections is the number of idle connections that are kept.
func LoadConfig(ctx context.Context, endpoint, region string, connections int) (aws.Config, error) {
	if endpoint == "" {
		client := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
			t.MaxIdleConnsPerHost = connections
		})
		cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(region), config.WithHTTPClient(client))
		if err != nil {
			return cfg, fmt.Errorf("load AWS configuration: %w", err)
		}
		if cfg.Region == "" {
			return cfg, errors.New("load AWS configuration: no region; set AWS_REGION")
		}
		return cfg, nil
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || strings.Trim(u.Path, "/") != "" {
		return aws.Config{}, fmt.Errorf("endpoint %q: want a URL such as http://127.0.0.1:4566", endpoint)
	}
	key, secret := os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")
	if key == "" || secret == "" {
		key, secret = "local", "local"
	}
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION"} {
		if region == "" {
			region = os.Getenv(name)
		}
	}
	if region == "" {
		region = defaultRegion
	}
	return aws.Config{
		Region:       region,
		BaseEndpoint: aws.String(u.Scheme + "://" + u.Host),
		Credentials:  credentials.NewStaticCredentialsProvider(key, secret, os.Getenv("AWS_SESSION_TOKEN")),
		HTTPClient:   keepBody{&http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}},
	}, nil
}

// Endpoint returns the endpoint of a service URL, "" for AWS.
func Endpoint(of string) string {
	u, err := url.Parse(of)
	if err != nil || u.Host == "" || amazon(u.Hostname()) {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

func amazon(host string) bool {
	return strings.HasSuffix(host, ".amazonaws.com") || strings.HasSuffix(host, ".amazonaws.com.cn")
}

// Region returns the region in the host name of a queue (sqs.eu-west-1.amazonaws.com) or an API
// (id.execute-api.eu-west-1.amazonaws.com), and "" if there is none.
func Region(of string) string {
	u, err := url.Parse(of)
	if err != nil {
		return ""
	}
	labels := strings.Split(u.Hostname(), ".")
	for i, label := range labels {
		if (label == "sqs" || label == "execute-api") && i+3 < len(labels) {
			return labels[i+1]
		}
	}
	return ""
}

// keepBody is an HTTP client that hides Close of request bodies from the SDK. smithy-go 1.28 closes the body when the
// response begins, which can close the connection if the body has not been written completely.
type keepBody struct{ client *http.Client }

func (k keepBody) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return k.client.Do(r)
}

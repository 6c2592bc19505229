// Package push posts payloads to connections through API Gateway's @connections API and gives each failure its class.
package push

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"fanfare/pkg/broadcast"
	"fanfare/pkg/transport"
)

// postTimeout bounds one post. API Gateway answers in milliseconds; a slower post would hold a worker that others need.
var postTimeout = 5 * time.Second // a variable for tests alone

// tlsConfig has the certificates that the fast path trusts; nil means the system's.
var tlsConfig *tls.Config // a variable for tests alone

// modeVariable names the environment variable that selects how posts are made:
//
//   - "fast" or unset: the SDK's client with a fastPath inside
//   - "sdk": the SDK's client without it, for about three times the CPU, in case the fast path fails
const modeVariable = "POST_CLIENT"

// Client posts to the connections of one stage of one WebSocket API. It is safe for concurrent use. Make one per
// process, because it keeps the connections to API Gateway open.
type Client struct {
	posts  *apigatewaymanagementapi.Client
	others *apigatewaymanagementapi.Client // for all other operations
	fast   *fastPath                       // nil in SDK mode
}

// New returns a client for the stage at endpoint (https://{api}.execute-api.{region}.amazonaws.com/{stage}) that up to
// workers goroutines use at once. An endpoint in AWS's own settings (AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI) has
// precedence. The environment variable POST_CLIENT selects how posts are made: "fast", the default, or "sdk". It is
// "sdk" in any case if there are no credentials, if the environment sets an HTTP proxy for the endpoint, or if it
// makes the SDK use FIPS or dual-stack endpoints.
//
// In both modes the client departs from the SDK's defaults in three ways. It keeps one idle connection per worker; the
// default of ten would open a new connection for most posts. It does not retry; a retry would hold a worker for up
// to six seconds because of one slow client, and the send queue retries at no cost. It is not traced, because an X-Ray
// subsegment costs more CPU than a post.
func New(cfg aws.Config, endpoint string, workers int) (*Client, error) {
	cfg = cfg.Copy()
	cfg.APIOptions = nil
	sdk := apigatewaymanagementapi.NewFromConfig(cfg, func(o *apigatewaymanagementapi.Options) {
		if o.BaseEndpoint == nil {
			o.BaseEndpoint = &endpoint
		}
		o.Retryer = aws.NopRetryer{}
		o.HTTPClient = transport.KeepBodyOpen(awshttp.NewBuildableClient().
			WithTimeout(postTimeout).
			WithDialerOptions(func(d *net.Dialer) { d.Timeout = postTimeout }).
			WithTransportOptions(func(t *http.Transport) {
				t.MaxIdleConns, t.MaxIdleConnsPerHost, t.MaxConnsPerHost = workers, workers, workers
			}))
	})
	c := &Client{posts: sdk, others: sdk}
	switch mode := os.Getenv(modeVariable); mode {
	case "sdk":
		return c, nil
	case "fast", "":
	default:
		return nil, fmt.Errorf("%s is %q, want fast or sdk", modeVariable, mode)
	}

	options := sdk.Options()
	base, err := url.Parse(*options.BaseEndpoint)
	if err != nil {
		return nil, fmt.Errorf("parse the endpoint of the connections: %w", err)
	}
	pool, err := transport.NewPool(base, workers, postTimeout, tlsConfig)
	if err != nil {
		return nil, err
	}
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: base})
	if proxy != nil || err != nil || options.Credentials == nil ||
		options.EndpointOptions.UseFIPSEndpoint == aws.FIPSEndpointStateEnabled ||
		options.EndpointOptions.UseDualStackEndpoint == aws.DualStackEndpointStateEnabled {
		return c, nil
	}
	c.fast = &fastPath{
		endpoint: base, path: strings.TrimSuffix(base.EscapedPath(), "/") + "/@connections/",
		region: options.Region, credentials: options.Credentials, http: pool,
	}
	options.APIOptions = []func(*middleware.Stack) error{c.fast.install}
	c.posts = apigatewaymanagementapi.New(options)
	return c, nil
}

// Post sends the payload to the connection as one text frame. A failure has a class (see [broadcast.ClassOf]): gone,
// retry or permanent. A failure without a class is about permission or configuration, not about the connection.
func (c *Client) Post(ctx context.Context, connectionID string, payload []byte) error {
	input := &apigatewaymanagementapi.PostToConnectionInput{ConnectionId: &connectionID, Data: payload}
	_, err := c.posts.PostToConnection(ctx, input)
	return classify(ctx, err)
}

// Disconnect closes the connection. It returns nil if the connection does not exist.
func (c *Client) Disconnect(ctx context.Context, connectionID string) error {
	input := &apigatewaymanagementapi.DeleteConnectionInput{ConnectionId: &connectionID}
	_, err := c.others.DeleteConnection(ctx, input)
	err = classify(ctx, err)
	if err == nil {
		return nil
	}
	if class, _ := broadcast.ClassOf(err); class == broadcast.ClassGone {
		return nil
	}
	return err
}

// classify gives err its failure class. API Gateway reports a gone connection by its error code alone, with an empty
// body. A malformed connection id is a BadRequestException, which the API model does not have.
func classify(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		switch api.ErrorCode() {
		case "GoneException":
			return broadcast.Gone(err)
		case "BadRequestException":
			if strings.HasPrefix(api.ErrorMessage(), "Invalid connectionId") {
				return broadcast.InvalidID(err)
			}
		case "LimitExceededException", "ThrottlingException", "TooManyRequestsException":
			return broadcast.Retry(broadcast.ReasonThrottled, err)
		case "PayloadTooLargeException":
			return broadcast.Permanent(broadcast.ReasonTooLarge, err)
		}
	}
	if response, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
		switch status := response.HTTPStatusCode(); {
		case status == http.StatusGone:
			return broadcast.Gone(err)
		case status == http.StatusTooManyRequests:
			return broadcast.Retry(broadcast.ReasonThrottled, err)
		case status == http.StatusRequestEntityTooLarge:
			return broadcast.Permanent(broadcast.ReasonTooLarge, err)
		case status >= 500:
			return broadcast.Retry(broadcast.ReasonServer, err)
		case status < 300:
			return broadcast.Retry(broadcast.ReasonNetwork, err) // the response was incomplete
		default:
			return err // 403 and the like are fatal
		}
	}
	if _, ok := errors.AsType[*smithyhttp.RequestSendError](err); ok {
		return broadcast.Retry(broadcast.ReasonNetwork, err)
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return broadcast.Retry(broadcast.ReasonNetwork, err)
	}
	return err
}

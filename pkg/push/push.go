// Package push posts payloads to connections through API Gateway's @connections API, and gives each failure its fate.
package push

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"fanfare/pkg/broadcast"
	"fanfare/pkg/transport"
)

// postTimeout bounds one post. API Gateway answers in milliseconds; what takes longer holds a worker that others need.
var postTimeout = 5 * time.Second // a variable for tests alone

// Client posts to the connections of one stage of one WebSocket API. It is safe for concurrent use; make one per process,
// for it keeps the connections to API Gateway.
type Client struct {
	api *apigatewaymanagementapi.Client
}

// New returns a client for the stage at endpoint (https://{api}.execute-api.{region}.amazonaws.com/{stage}) that up to
// workers goroutines use at once. An endpoint in AWS's own settings (AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI) has
// precedence.
//
// It departs from the SDK's defaults in two ways that decide its speed: it keeps one idle connection per worker (the
// default of ten opens and closes connections all the time), and it does not retry: a retry would hold a worker for up to
// six seconds on behalf of one slow client, while the send queue can do the same for nothing. It is not traced either: a
// subsegment costs as much as the post.
func New(cfg aws.Config, endpoint string, workers int) *Client {
	cfg = cfg.Copy()
	cfg.APIOptions = nil
	return &Client{apigatewaymanagementapi.NewFromConfig(cfg, func(o *apigatewaymanagementapi.Options) {
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
	})}
}

// Post sends the payload to the connection as one text frame. A failure has a fate (see [broadcast.FateOf]): gone, retry
// or permanent; or none, and then it is about permission or configuration, not about the connection.
func (c *Client) Post(ctx context.Context, connectionID string, payload []byte) error {
	_, err := c.api.PostToConnection(ctx, &apigatewaymanagementapi.PostToConnectionInput{ConnectionId: &connectionID, Data: payload})
	return judge(ctx, err)
}

// Disconnect closes the connection; one that is not there is no error.
func (c *Client) Disconnect(ctx context.Context, connectionID string) error {
	_, err := c.api.DeleteConnection(ctx, &apigatewaymanagementapi.DeleteConnectionInput{ConnectionId: &connectionID})
	err = judge(ctx, err)
	if err == nil {
		return nil
	}
	if fate, _ := broadcast.FateOf(err); fate == broadcast.FateGone {
		return nil
	}
	return err
}

// judge gives err its fate. API Gateway tells a gone connection by its error code alone, with an empty body; an
// ill-formed connection id is a BadRequestException that the API model does not have.
func judge(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		switch api.ErrorCode() {
		case "GoneException":
			return broadcast.Gone(err)
		case "BadRequestException":
			if strings.HasPrefix(api.ErrorMessage(), "Invalid connectionId") {
				return broadcast.Gone(err)
			}
		case "LimitExceededException", "ThrottlingException", "TooManyRequestsException":
			return broadcast.Retry(broadcast.ReasonThrottled, err)
		case "PayloadTooLargeException":
			return broadcast.Permanent(broadcast.ReasonTooLarge, err)
		}
	}
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) {
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
			return broadcast.Retry(broadcast.ReasonNetwork, err) // the answer broke off
		default:
			return err // 403 and the like: fatal
		}
	}
	var send *smithyhttp.RequestSendError
	var timeout net.Error
	if errors.As(err, &send) || errors.As(err, &timeout) {
		return broadcast.Retry(broadcast.ReasonNetwork, err)
	}
	return err
}

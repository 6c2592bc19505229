package apigateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi"
	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi/types"
	"github.com/aws/smithy-go"
	"github.com/gobwas/ws"

	"fanfare/local/apigateway"
)

// These tests cover faults that users of other local gateways have reported.

// Reported for other gateways: $disconnect does not run for every connection, and ids remain.
// https://github.com/localstack/localstack/issues/6383
// https://github.com/localstack/localstack/issues/3146
func TestConnection_MixedEnds(t *testing.T) {
	g := start(t, newAPI(), apigateway.Options{}, nil)
	ends := []func(*client){
		func(c *client) { c.frame(ws.NewCloseFrame(nil)) },
		func(c *client) { c.conn.Close() },
		func(c *client) { c.conn.(*net.TCPConn).SetLinger(0); c.conn.Close() },
		func(c *client) { c.frame(ws.NewBinaryFrame(nil)); c.next(); c.conn.Close() },
		func(c *client) { c.write("\x81"); c.conn.Close() },
	}
	const clients = 100
	var all sync.WaitGroup
	for i := range clients {
		c := g.dial(t, "", nil)
		all.Go(func() { ends[i%len(ends)](c) })
	}
	all.Wait()
	left := map[string]bool{}
	for _, event := range g.await(t, "connect", clients) {
		left[contextOf(t, event).ConnectionID] = true
	}
	for _, event := range g.await(t, "disconnect", clients) {
		id := contextOf(t, event).ConnectionID
		if !left[id] {
			t.Errorf("$disconnect of %s: got a second or unexpected one, want one per connection", id)
		}
		delete(left, id)
	}
	if len(left) > 0 {
		t.Errorf("connections without $disconnect: got %d, want 0", len(left))
	}
}

// Reported for other gateways: a post to a closed connection or to an invalid id does not fail as on AWS.
// https://github.com/localstack/localstack/issues/4694
// https://github.com/localstack/localstack/issues/6493
func TestManagement_PostToInvalidConnection(t *testing.T) {
	g := start(t, newAPI(), apigateway.Options{}, nil)
	c := g.open(t)
	c.conn.Close()
	g.await(t, "disconnect", 1)
	var gone *types.GoneException
	if err := g.sdkPost(t, c.id, "x"); !errors.As(err, &gone) {
		t.Errorf("post to a closed connection: got error %v, want GoneException", err)
	}
	var api smithy.APIError
	if err := g.sdkPost(t, "ill-formed", "x"); !errors.As(err, &api) || api.ErrorCode() != "BadRequestException" {
		t.Errorf("post to an invalid id: got error %v, want BadRequestException", err)
	}
}

// Reported for other gateways: idle connections are never closed.
// https://github.com/localstack/localstack/issues/9553
func TestConnection_IdleClose(t *testing.T) {
	ended := lifetime(t, apigateway.Options{}, func(_ *gateway, c *client, _ string) { c.wantClose(1001, "Going away") })
	if ended.Duration != 10*time.Minute {
		t.Errorf("got the end after %v, want 10m", ended.Duration)
	}
}

// Reported for other gateways: the authorizer is not invoked, or its event lacks headers and query parameters.
// https://github.com/localstack/localstack/issues/4067
// https://github.com/localstack/localstack/issues/7191
// https://github.com/ministackorg/ministack/issues/1074
// https://github.com/ministackorg/ministack/issues/1116
func TestAuthorizer_EventFields(t *testing.T) {
	g := start(t, authorized(), apigateway.Options{}, map[string]handler{"authorizer": allowAll})
	g.dial(t, "?token=secret", http.Header{"X-Auth": {"me"}})
	var event events.APIGatewayCustomAuthorizerRequestTypeRequest
	if err := json.Unmarshal(g.await(t, "authorizer", 1)[0], &event); err != nil {
		t.Fatal(err)
	}
	if event.MethodArn != "arn:aws:execute-api:us-east-1:000000000000:abcdef1234/prod/$connect" ||
		event.Headers["X-Auth"] != "me" || event.QueryStringParameters["token"] != "secret" {
		t.Errorf("authorizer's event: got %+v, want the ARN, the header and the query parameter", event)
	}
}

// Reported for other gateways: the authorizer's context is missing in later events.
// https://github.com/dherault/serverless-offline/issues/1379
func TestAuthorizer_ContextInLaterEvents(t *testing.T) {
	g := start(t, authorized(), apigateway.Options{}, map[string]handler{"authorizer": allowAll})
	c := g.dial(t, "?token=1", http.Header{"X-Auth": {"1"}})
	c.send("x")
	g.await(t, "default", 1)
	c.conn.Close()
	for _, function := range []string{"default", "disconnect"} {
		if got := contextOf(t, g.await(t, function, 1)[0]).Authorizer["principalId"]; got != "me" {
			t.Errorf("%s: got principalId %v, want me", function, got)
		}
	}
}

// Reported for AWS SDKs: a post to a wrong endpoint times out without an error.
// https://github.com/aws/aws-sdk-go-v2/issues/1534
func TestManagement_WrongEndpoint(t *testing.T) {
	g := start(t, newAPI(), apigateway.Options{}, nil)
	c := g.open(t)
	for _, path := range []string{"", "/dev", "/prod/prod"} {
		sdk := apigatewaymanagementapi.New(apigatewaymanagementapi.Options{
			Region: "us-east-1", BaseEndpoint: aws.String("http://" + g.address + path), RetryMaxAttempts: 1,
			HTTPClient:  keepBody{awshttp.NewBuildableClient()},
			Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
		})
		ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
		defer cancel()
		_, err := sdk.PostToConnection(ctx, &apigatewaymanagementapi.PostToConnectionInput{
			ConnectionId: &c.id, Data: []byte("x"),
		})
		var response interface{ HTTPStatusCode() int }
		if !errors.As(err, &response) || response.HTTPStatusCode()/100 != 4 {
			t.Errorf("post to endpoint %q: got error %v, want a status 4xx", path, err)
		}
	}
}

// Reported for serverless-offline and others: messages are lost under load.
// https://github.com/aws-solutions/generative-ai-application-builder-on-aws/issues/257
func TestMessage_ConcurrentLoad(t *testing.T) {
	g := start(t, newAPI(), apigateway.Options{}, map[string]handler{
		"default": func(_ context.Context, event []byte) (string, error) {
			return fmt.Sprintf(`{"statusCode":200,"body":%q}`, bodyOf(event)), nil
		},
	})
	const clients, messages = 10, 100
	var all sync.WaitGroup
	for range clients {
		c := g.dial(t, "", nil)
		all.Go(func() {
			for i := range messages {
				c.send(fmt.Sprint(i))
			}
		})
		all.Go(func() {
			seen := map[string]bool{}
			for range messages {
				seen[string(c.next().Payload)] = true
			}
			if len(seen) != messages {
				t.Errorf("answered messages: got %d, want %d", len(seen), messages)
			}
		})
	}
	all.Wait()
}

// Reported for other gateways: browsers cannot connect, because of their headers.
// https://github.com/dherault/serverless-offline/issues/1670
func TestHandshake_Browser(t *testing.T) {
	browser := http.Header{
		"Origin": {"https://example.com"}, "Pragma": {"no-cache"}, "Cache-Control": {"no-cache"},
		"User-Agent":      {"Mozilla/5.0 (X11; Linux x86_64; rv:122.0) Gecko/20100101 Firefox/122.0"},
		"Accept-Encoding": {"gzip, deflate, br"}, "Accept-Language": {"en-US,en;q=0.9"}, "Cookie": {"a=b; c=d"},
		"Sec-Fetch-Dest": {"empty"}, "Sec-Fetch-Mode": {"websocket"}, "Sec-Fetch-Site": {"cross-site"},
		"Sec-WebSocket-Extensions": {"permessage-deflate; client_max_window_bits"},
		"Sec-WebSocket-Protocol":   {"chat, other"},
	}
	g := start(t, newAPI(), apigateway.Options{}, map[string]handler{
		"connect": func(_ context.Context, event []byte) (string, error) {
			var request events.APIGatewayWebsocketProxyRequest
			if err := json.Unmarshal(event, &request); err != nil {
				return "", err
			}
			if request.Headers["Sec-WebSocket-Protocol"] != "chat, other" ||
				request.Headers["Origin"] != "https://example.com" {
				return `{"statusCode":400}`, nil
			}
			return `{"statusCode":200,"headers":{"Sec-WebSocket-Protocol":"chat"}}`, nil
		},
	})
	_, response := g.handshake(t, "/prod", browser)
	if response.StatusCode != 101 || response.Header.Get("Sec-WebSocket-Protocol") != "chat" ||
		response.Header.Get("Sec-WebSocket-Extensions") != "" {
		t.Errorf("got %s %v, want 101 with sub-protocol chat and no extension", response.Status, response.Header)
	}
}

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

// What users of other local gateways have complained of. Each test is named for the complaint.

func TestLocalStack6383And3146_DisconnectIsLostAndIDsPileUp(t *testing.T) {
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
			t.Errorf("%s was disconnected twice, or never connected", id)
		}
		delete(left, id)
	}
	if len(left) > 0 {
		t.Errorf("%d ids are left", len(left))
	}
}

func TestLocalStack4694And6493_PostToClosedOrIllFormedID(t *testing.T) {
	g := start(t, newAPI(), apigateway.Options{}, nil)
	c := g.open(t)
	c.conn.Close()
	g.await(t, "disconnect", 1)
	post := func(id string) error {
		_, err := g.management().PostToConnection(t.Context(), &apigatewaymanagementapi.PostToConnectionInput{ConnectionId: &id, Data: []byte("x")})
		return err
	}
	var gone *types.GoneException
	if err := post(c.id); !errors.As(err, &gone) {
		t.Errorf("a post to a closed connection is answered with %v", err)
	}
	var api smithy.APIError
	if err := post("ill-formed"); !errors.As(err, &api) || api.ErrorCode() != "BadRequestException" {
		t.Errorf("a post to an ill-formed id is answered with %v", err)
	}
}

func TestLocalStack9553_IdleConnectionsAreNeverClosed(t *testing.T) {
	ended := lifetime(t, apigateway.Options{}, func(_ *gateway, c *client, _ string) { c.wantClose(1001, "Going away") })
	if ended.Duration != 10*time.Minute {
		t.Errorf("it was closed after %v", ended.Duration)
	}
}

func TestLocalStack4067And7191Ministack1074And1116_AuthorizerGetsNothingToDecideBy(t *testing.T) {
	g := start(t, authorized(), apigateway.Options{}, map[string]handler{"authorizer": says(policy(statement("Allow", "*", "*")))})
	g.dial(t, "?token=secret", http.Header{"X-Auth": {"me"}})
	var event events.APIGatewayCustomAuthorizerRequestTypeRequest
	if err := json.Unmarshal(g.await(t, "authorizer", 1)[0], &event); err != nil {
		t.Fatal(err)
	}
	if event.MethodArn != "arn:aws:execute-api:us-east-1:000000000000:abcdef1234/prod/$connect" ||
		event.Headers["X-Auth"] != "me" || event.QueryStringParameters["token"] != "secret" {
		t.Errorf("the authorizer got %+v", event)
	}
}

func TestServerlessOffline1379_AuthorizerContextIsMissingLater(t *testing.T) {
	g := start(t, authorized(), apigateway.Options{}, map[string]handler{"authorizer": says(policy(statement("Allow", "*", "*")))})
	c := g.dial(t, "?token=1", http.Header{"X-Auth": {"1"}})
	c.send("x")
	g.await(t, "default", 1)
	c.conn.Close()
	for _, function := range []string{"default", "disconnect"} {
		if got := contextOf(t, g.await(t, function, 1)[0]).Authorizer["principalId"]; got != "me" {
			t.Errorf("%s: principalId is %v", function, got)
		}
	}
}

func TestAWSSDKGoV2_1534_WrongEndpointIsASilentTimeout(t *testing.T) {
	g := start(t, newAPI(), apigateway.Options{}, nil)
	c := g.open(t)
	for _, path := range []string{"", "/dev", "/prod/prod"} {
		sdk := apigatewaymanagementapi.New(apigatewaymanagementapi.Options{
			Region: "us-east-1", BaseEndpoint: aws.String("http://" + g.address + path), RetryMaxAttempts: 1, HTTPClient: patient{awshttp.NewBuildableClient()},
			Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
		})
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		_, err := sdk.PostToConnection(ctx, &apigatewaymanagementapi.PostToConnectionInput{ConnectionId: &c.id, Data: []byte("x")})
		var response interface{ HTTPStatusCode() int }
		if !errors.As(err, &response) || response.HTTPStatusCode()/100 != 4 {
			t.Errorf("endpoint %q: a post is answered with %v", path, err)
		}
	}
}

func TestServerlessOfflineAndGenerativeAIBuilder257_MessagesAreLostUnderLoad(t *testing.T) {
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
				t.Errorf("%d of %d messages were answered", len(seen), messages)
			}
		})
	}
	all.Wait()
}

func TestServerlessOffline1670_BrowsersCannotConnect(t *testing.T) {
	browser := http.Header{
		"Origin": {"https://example.com"}, "Pragma": {"no-cache"}, "Cache-Control": {"no-cache"},
		"User-Agent":      {"Mozilla/5.0 (X11; Linux x86_64; rv:122.0) Gecko/20100101 Firefox/122.0"},
		"Accept-Encoding": {"gzip, deflate, br"}, "Accept-Language": {"en-US,en;q=0.9"}, "Cookie": {"a=b; c=d"},
		"Sec-Fetch-Dest": {"empty"}, "Sec-Fetch-Mode": {"websocket"}, "Sec-Fetch-Site": {"cross-site"},
		"Sec-WebSocket-Extensions": {"permessage-deflate; client_max_window_bits"}, "Sec-WebSocket-Protocol": {"chat, other"},
	}
	g := start(t, newAPI(), apigateway.Options{}, map[string]handler{
		"connect": func(_ context.Context, event []byte) (string, error) {
			var request events.APIGatewayWebsocketProxyRequest
			if err := json.Unmarshal(event, &request); err != nil {
				return "", err
			}
			if request.Headers["Sec-WebSocket-Protocol"] != "chat, other" || request.Headers["Origin"] != "https://example.com" {
				return `{"statusCode":400}`, nil
			}
			return `{"statusCode":200,"headers":{"Sec-WebSocket-Protocol":"chat"}}`, nil
		},
	})
	_, response := g.handshake(t, "/prod", browser)
	if response.StatusCode != 101 || response.Header.Get("Sec-WebSocket-Protocol") != "chat" || response.Header.Get("Sec-WebSocket-Extensions") != "" {
		t.Errorf("a browser is answered with %s %v", response.Status, response.Header)
	}
}

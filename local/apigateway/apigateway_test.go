package apigateway_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi"
	"github.com/gobwas/ws"
	"go.uber.org/goleak"

	"fanfare/local/apigateway"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testTimeout limits the waits for conditions that a correct package always reaches.
const testTimeout = time.Minute

// functions are the Lambda functions of a test, by name. They record their events.
type functions struct {
	handlers map[string]handler

	mu     sync.Mutex
	events map[string][]json.RawMessage
	called chan struct{} // closed and replaced at each call
}

type handler func(ctx context.Context, event []byte) (string, error)

// returns makes a handler that always returns the same result.
func returns(result string) handler {
	return func(context.Context, []byte) (string, error) { return result, nil }
}

const ok = `{"statusCode":200}`

// functionError is an error that a function returned, in the form of local/lambda.
type functionError struct{ kind, message string }

func (e functionError) Error() string                   { return e.kind + ": " + e.message }
func (e functionError) FunctionError() (string, string) { return e.kind, e.message }

func (f *functions) Invoke(ctx context.Context, function string, event []byte, trace string) ([]byte, error) {
	if !strings.HasPrefix(trace, "Root=1-") {
		return nil, fmt.Errorf("tracing header: got %q, want a root", trace)
	}
	f.mu.Lock()
	f.events[function] = append(f.events[function], json.RawMessage(bytes.Clone(event)))
	close(f.called)
	f.called = make(chan struct{})
	handle := f.handlers[function]
	f.mu.Unlock()
	if handle == nil {
		return nil, errors.New("no such function: " + function)
	}
	result, err := handle(ctx, event)
	return []byte(result), err
}

// await waits until a function has received n events and returns its events.
func (f *functions) await(t *testing.T, function string, n int) []json.RawMessage {
	t.Helper()
	deadline := time.After(testTimeout)
	for {
		f.mu.Lock()
		events, called := f.events[function], f.called
		f.mu.Unlock()
		if len(events) >= n {
			return events
		}
		select {
		case <-called:
		case <-deadline:
			t.Fatalf("calls of %s: got %d, want %d", function, len(events), n)
		}
	}
}

func (f *functions) calls(function string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.events[function])
}

// gateway is a test's server and its functions.
type gateway struct {
	*apigateway.Server
	*functions
	address string
}

// lambda returns a route to a function.
func lambda(key, function string) apigateway.Route {
	return apigateway.Route{Key: key, Integration: &apigateway.Integration{Type: "AWS_PROXY", Function: function}}
}

// replying returns a route to a function whose response is sent to the client.
func replying(key, function string) apigateway.Route {
	route := lambda(key, function)
	route.Response = true
	return route
}

// newAPI returns an API with the routes $connect, $disconnect and $default to functions of these names without the $.
func newAPI(more ...apigateway.Route) apigateway.API {
	return apigateway.API{
		ID: "abcdef1234", Stage: "prod", RouteSelectionExpression: "$request.body.action",
		Routes: append([]apigateway.Route{
			lambda("$connect", "connect"), lambda("$disconnect", "disconnect"), replying("$default", "default"),
		}, more...),
	}
}

// start serves an API on loopback until the end of the test. The functions return status 200 unless handlers has one.
func start(t testing.TB, api apigateway.API, options apigateway.Options, handlers map[string]handler) *gateway {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return startOn(t, l, api, options, handlers)
}

func startOn(
	t testing.TB, l net.Listener, api apigateway.API, options apigateway.Options, handlers map[string]handler,
) *gateway {
	t.Helper()
	all := map[string]handler{"connect": returns(ok), "disconnect": returns(ok), "default": returns(ok)}
	maps.Copy(all, handlers)
	f := &functions{handlers: all, events: map[string][]json.RawMessage{}, called: make(chan struct{})}
	server, err := apigateway.New(api, f, options)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return &gateway{Server: server, functions: f, address: l.Addr().String()}
}

// client is a WebSocket client that reads and writes single frames.
type client struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
	id   string // connection id, "" if unknown
}

// dial connects. path is appended to the stage's URL, for example "?a=b".
func (g *gateway) dial(t testing.TB, path string, header http.Header) *client {
	t.Helper()
	c, response := g.handshake(t, "/prod"+path, header)
	if response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("handshake: got %s, want 101", response.Status)
	}
	return c
}

// open connects and sets the client's id.
func (g *gateway) open(t *testing.T) *client {
	t.Helper()
	before := g.calls("connect")
	c := g.dial(t, "", nil)
	c.id = contextOf(t, g.await(t, "connect", before+1)[before]).ConnectionID
	return c
}

// handshake sends a handshake and returns its response.
func (g *gateway) handshake(t testing.TB, target string, header http.Header) (*client, *http.Response) {
	t.Helper()
	c := g.dialRaw(t)
	c.write(upgradeRequest(g.address, target, header))
	return c, c.response()
}

func upgradeRequest(host, target string, header http.Header) string {
	var head strings.Builder
	head.WriteString("GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n" +
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
	for name, values := range header {
		for _, value := range values {
			head.WriteString(name + ": " + value + "\r\n")
		}
	}
	return head.String() + "\r\n"
}

func (g *gateway) dialRaw(t testing.TB) *client {
	t.Helper()
	conn, err := net.Dial("tcp", g.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(testTimeout))
	return newClient(t, conn)
}

func newClient(t testing.TB, conn net.Conn) *client {
	return &client{t: t, conn: conn, r: bufio.NewReader(conn)}
}

func (c *client) write(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, s); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) response() *http.Response {
	c.t.Helper()
	response, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.t.Fatalf("read the response to the handshake: %v", err)
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		body, err := io.ReadAll(response.Body)
		if err != nil {
			c.t.Fatal(err)
		}
		response.Body = io.NopCloser(bytes.NewReader(body))
	}
	return response
}

// frame sends a masked frame.
func (c *client) frame(f ws.Frame) {
	c.t.Helper()
	if err := ws.WriteFrame(c.conn, ws.MaskFrameWith(f, [4]byte{1, 2, 3, 4})); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) send(text string) { c.t.Helper(); c.frame(ws.NewTextFrame([]byte(text))) }

func (c *client) next() ws.Frame {
	c.t.Helper()
	header, err := ws.ReadHeader(c.r)
	if err != nil {
		c.t.Fatalf("read a frame: %v", err)
	}
	if header.Masked {
		c.t.Fatal("got a masked frame from the server")
	}
	payload := make([]byte, header.Length)
	if _, err := io.ReadFull(c.r, payload); err != nil {
		c.t.Fatalf("read a frame: %v", err)
	}
	return ws.Frame{Header: header, Payload: payload}
}

// want reads a text message of one frame and compares it.
func (c *client) want(text string) {
	c.t.Helper()
	f := c.next()
	if f.Header.OpCode != ws.OpText || !f.Header.Fin || string(f.Payload) != text {
		c.t.Fatalf("got frame %v of %.200q, want text %.200q", f.Header, f.Payload, text)
	}
}

// wantClose reads the closing frame, answers it, and reads the end of the connection.
func (c *client) wantClose(code ws.StatusCode, reason string) {
	c.t.Helper()
	f := c.next()
	gotCode, gotReason := ws.ParseCloseFrameData(f.Payload)
	if f.Header.OpCode != ws.OpClose || gotCode != code || gotReason != reason {
		c.t.Fatalf("got frame %v with %d %q, want a close with %d %q", f.Header, gotCode, gotReason, code, reason)
	}
	ws.WriteFrame(c.conn, ws.MaskFrameWith(ws.NewCloseFrame(f.Payload[:2]), [4]byte{1, 2, 3, 4}))
	c.wantEnd()
	c.conn.Close()
}

func (c *client) wantEnd() {
	c.t.Helper()
	if n, err := c.r.Read(make([]byte, 1)); err != io.EOF {
		c.t.Fatalf("read: got %d bytes and error %v, want EOF", n, err)
	}
}

// eventContext has the members of requestContext that tests use.
type eventContext struct {
	RouteKey             string
	EventType            string
	MessageID            string
	RequestID            string
	ConnectionID         string
	ConnectedAt          int64
	RequestTimeEpoch     int64
	DisconnectStatusCode int
	DisconnectReason     *string
	Authorizer           map[string]any
}

func contextOf(t testing.TB, event []byte) eventContext {
	t.Helper()
	var parsed struct{ RequestContext eventContext }
	if err := json.Unmarshal(event, &parsed); err != nil {
		t.Fatal(err)
	}
	return parsed.RequestContext
}

// management returns an AWS SDK client for the gateway.
func (g *gateway) management() *apigatewaymanagementapi.Client {
	return apigatewaymanagementapi.New(apigatewaymanagementapi.Options{
		Region:           "us-east-1",
		BaseEndpoint:     aws.String("http://" + g.address + "/prod"),
		Credentials:      credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
		HTTPClient:       keepBody{awshttp.NewBuildableClient()},
		RetryMaxAttempts: 1,
	})
}

// keepBody wraps an SDK's HTTP client so that requests are written completely. smithy-go closes a request's body when
// the response arrives; net/http may treat that as a write error and drop the connection before it has read the
// response. This happens on a busy machine.
type keepBody struct{ client aws.HTTPClient }

func (p keepBody) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		r.Body = struct{ io.ReadCloser }{r.Body} // hides WriteTo, which fails after Close
	}
	return p.client.Do(r)
}

// signed is an Authorization header that the gateway accepts.
const signed = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261124/us-east-1/execute-api/aws4_request, " +
	"SignedHeaders=host;x-amz-date, Signature=0123456789abcdef"

// call makes a signed management request and returns the response and its body.
func (g *gateway) call(t testing.TB, method, path, body string, header http.Header) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+g.address+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", signed)
	request.Header.Set("X-Amz-Date", "20261124T000000Z")
	maps.Copy(request.Header, header)
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := (&http.Client{Transport: transport, Timeout: testTimeout}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(text)
}

func connectionPath(id string) string { return "/prod/@connections/" + url.QueryEscape(id) }

package apigateway_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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

// patience bounds every wait of the tests. Only a failing test waits so long.
const patience = time.Minute

// functions are the Lambda functions of a test, by name. They keep the events they get.
type functions struct {
	handlers map[string]handler

	mu     sync.Mutex
	events map[string][]json.RawMessage
	called chan struct{} // closed and replaced at each call
}

type handler func(ctx context.Context, event []byte) (string, error)

// says returns a handler that always returns the same.
func says(result string) handler {
	return func(context.Context, []byte) (string, error) { return result, nil }
}

const ok = `{"statusCode":200}`

// functionError is a function's own failure, as local/lambda reports it.
type functionError struct{ kind, message string }

func (e functionError) Error() string                   { return e.kind + ": " + e.message }
func (e functionError) FunctionError() (string, string) { return e.kind, e.message }

func (f *functions) Invoke(ctx context.Context, function string, event []byte, trace string) ([]byte, error) {
	if !strings.HasPrefix(trace, "Root=1-") {
		return nil, fmt.Errorf("the tracing header is %q", trace)
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

// await returns the events of a function, once there are n.
func (f *functions) await(t *testing.T, function string, n int) []json.RawMessage {
	t.Helper()
	deadline := time.After(patience)
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
			t.Fatalf("%s was called %d times, want %d", function, len(events), n)
		}
	}
}

func (f *functions) calls(function string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.events[function])
}

// gateway is a server of a test, with its functions.
type gateway struct {
	*apigateway.Server
	*functions
	address string
}

// lambda is a route to a function.
func lambda(key, function string) apigateway.Route {
	return apigateway.Route{Key: key, Integration: &apigateway.Integration{Type: "AWS_PROXY", Function: function}}
}

// replying is a route to a function whose answers go to the client.
func replying(key, function string) apigateway.Route {
	route := lambda(key, function)
	route.Response = true
	return route
}

// newAPI has the three routes, to functions of the same names without the $.
func newAPI(more ...apigateway.Route) apigateway.API {
	return apigateway.API{
		ID: "abcdef1234", Stage: "prod", RouteSelectionExpression: "$request.body.action",
		Routes: append([]apigateway.Route{
			lambda("$connect", "connect"), lambda("$disconnect", "disconnect"), replying("$default", "default"),
		}, more...),
	}
}

// start serves an API on loopback until the test is over. Functions that are not given answer with status 200.
func start(t testing.TB, api apigateway.API, options apigateway.Options, handlers map[string]handler) *gateway {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return startOn(t, l, api, options, handlers)
}

func startOn(t testing.TB, l net.Listener, api apigateway.API, options apigateway.Options, handlers map[string]handler) *gateway {
	t.Helper()
	all := map[string]handler{"connect": says(ok), "disconnect": says(ok), "default": says(ok)}
	for name, handle := range handlers {
		all[name] = handle
	}
	f := &functions{handlers: all, events: map[string][]json.RawMessage{}, called: make(chan struct{})}
	server, err := apigateway.New(api, f, options)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
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

// client is a WebSocket client that hides nothing: it sees frames.
type client struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
	id   string // connection id, where the test knows it
}

// dial connects. path is added to the stage's URL, like "?a=b".
func (g *gateway) dial(t testing.TB, path string, header http.Header) *client {
	t.Helper()
	c, response := g.handshake(t, "/prod"+path, header)
	if response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("the handshake is answered with %s", response.Status)
	}
	return c
}

// open connects, and finds out the connection's id.
func (g *gateway) open(t *testing.T) *client {
	t.Helper()
	before := g.calls("connect")
	c := g.dial(t, "", nil)
	c.id = contextOf(t, g.await(t, "connect", before+1)[before]).ConnectionID
	return c
}

// handshake asks for a connection and returns whatever the answer is.
func (g *gateway) handshake(t testing.TB, target string, header http.Header) (*client, *http.Response) {
	t.Helper()
	c := g.dialRaw(t)
	c.write(upgradeRequest(g.address, target, header))
	return c, c.response()
}

func upgradeRequest(host, target string, header http.Header) string {
	var head strings.Builder
	head.WriteString("GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n" +
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
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
	conn.SetDeadline(time.Now().Add(patience))
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
		c.t.Fatalf("read the handshake's answer: %v", err)
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

// frame sends a frame, masked as a client's must be.
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
		c.t.Fatal("the server masked a frame")
	}
	payload := make([]byte, header.Length)
	if _, err := io.ReadFull(c.r, payload); err != nil {
		c.t.Fatalf("read a frame: %v", err)
	}
	return ws.Frame{Header: header, Payload: payload}
}

// want reads a text message of one frame.
func (c *client) want(text string) {
	c.t.Helper()
	f := c.next()
	if f.Header.OpCode != ws.OpText || !f.Header.Fin || string(f.Payload) != text {
		c.t.Fatalf("got frame %v of %.200q, want text %.200q", f.Header, f.Payload, text)
	}
}

// wantClose reads the closing frame and then the end, answering both as clients do.
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
		c.t.Fatalf("read %d bytes and %v, want the end", n, err)
	}
}

// eventContext are the parts of requestContext that tests look at.
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

// management returns the AWS SDK's client for the gateway.
func (g *gateway) management() *apigatewaymanagementapi.Client {
	return apigatewaymanagementapi.New(apigatewaymanagementapi.Options{
		Region:           "us-east-1",
		BaseEndpoint:     aws.String("http://" + g.address + "/prod"),
		Credentials:      credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
		HTTPClient:       patient{awshttp.NewBuildableClient()},
		RetryMaxAttempts: 1,
	})
}

// patient lets the SDK's requests be written to their end: smithy-go closes a body when the answer comes, which net/http may
// take for an error and drop the connection under the answer. On a busy machine that happens.
type patient struct{ client aws.HTTPClient }

func (p patient) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		r.Body = struct{ io.ReadCloser }{r.Body} // hides its WriteTo, which is what fails after Close
	}
	return p.client.Do(r)
}

// signed is an Authorization header that the gateway takes for one.
const signed = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261124/us-east-1/execute-api/aws4_request, " +
	"SignedHeaders=host;x-amz-date, Signature=0123456789abcdef"

// call makes a management request with any id, and returns the answer and its body.
func (g *gateway) call(t testing.TB, method, path, body string, header http.Header) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+g.address+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", signed)
	request.Header.Set("X-Amz-Date", "20261124T000000Z")
	for name, values := range header {
		request.Header[name] = values
	}
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := (&http.Client{Transport: transport, Timeout: patience}).Do(request)
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

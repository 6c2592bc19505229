package apigateway_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/gobwas/ws"

	"fanfare/local/apigateway"
)

var update = flag.Bool("update", false, "write the golden files of this run")

// chrome is a browser's handshake with a lower-case header name and a repeated header.
const chrome = "GET /prod?token=a%20b&room=1&room=2 HTTP/1.1\r\n" +
	"Host: HOST\r\n" +
	"Connection: Upgrade\r\n" +
	"Pragma: no-cache\r\n" +
	"Cache-Control: no-cache\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/118.0.0.0 " +
	"Safari/537.36\r\n" +
	"Upgrade: websocket\r\n" +
	"Origin: https://example.com\r\n" +
	"Sec-WebSocket-Version: 13\r\n" +
	"Accept-Encoding: gzip, deflate, br\r\n" +
	"x-lower-Case: one\r\n" +
	"x-lower-Case: two <&>\r\n" +
	"X-Amzn-Trace-Id: Root=1-65d2ff2e-718990494fd688f062bf1571\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
	"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"

// variable lists the parts of an event that differ between runs, and their values in the golden files.
var variable = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`"[A-Za-z0-9_-]{15}="`), `"IDIDIDIDIDIDIDI="`},
	{regexp.MustCompile(`("(?:connectedAt|requestTimeEpoch)":)1\d{12}\b`), `${1}1700000000000`},
	{regexp.MustCompile(`"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000"`), `"14/Nov/2023:22:13:20 +0000"`},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), `127.0.0.1:3001`},
	{regexp.MustCompile(`("X-Forwarded-Port":\[?)"\d+"`), `${1}"3001"`},
	{regexp.MustCompile(`Root=1-[0-9a-f]{8}-[0-9a-f]{24}`), `Root=1-65d2ff2e-718990494fd688f062bf1571`},
	{regexp.MustCompile(`("integrationLatency":)\d+`), `${1}12`},
}

// The golden files were compared by hand with captured events of AWS: present, absent and empty members, types, and the
// case of header names.
func TestEvent_GoldenFiles(t *testing.T) {
	api := newAPI()
	api.Routes[0].AuthorizationType = "CUSTOM"
	api.Routes[0].Authorizer = &apigateway.Authorizer{
		Type: "REQUEST", Function: "authorizer", IdentitySource: []string{"route.request.querystring.token"},
	}
	g := start(t, api, apigateway.Options{}, map[string]handler{"authorizer": returns(`{
		"principalId": "user|a1", "policyDocument": {"Version": "2012-10-17", "Statement": [
			{"Action": "execute-api:Invoke", "Effect": "Allow",
				"Resource": "arn:aws:execute-api:us-east-1:000000000000:abcdef1234/prod/$connect"}]},
		"context": {"text": "a<b", "number": 1.50, "flag": true}}`)})
	c := g.dialRaw(t)
	c.write(strings.Replace(chrome, "HOST", g.address, 1))
	if response := c.response(); response.StatusCode != 101 {
		t.Fatalf("handshake: got %s, want 101", response.Status)
	}
	c.send("{\r\n\t\"a\": \"<1>\"\r\n}")
	g.await(t, "default", 1)
	c.frame(ws.NewCloseFrame(nil))

	// The same without an authorizer, a user agent and a query string.
	bare := start(t, newAPI(), apigateway.Options{}, nil)
	c = bare.dial(t, "", nil)
	c.send("x")
	bare.await(t, "default", 1)
	c.frame(ws.NewCloseFrame(ws.NewCloseFrameBody(1001, "")))

	for _, test := range []struct {
		file  string
		event json.RawMessage
		typed any
	}{
		{"connect.json", g.await(t, "connect", 1)[0], new(events.APIGatewayWebsocketProxyRequest)},
		{"message.json", g.await(t, "default", 1)[0], new(events.APIGatewayWebsocketProxyRequest)},
		{"disconnect.json", g.await(t, "disconnect", 1)[0], new(events.APIGatewayWebsocketProxyRequest)},
		{"authorizer.json", g.await(t, "authorizer", 1)[0], nil},
		{"connect-bare.json", bare.await(t, "connect", 1)[0], new(events.APIGatewayWebsocketProxyRequest)},
		{"message-bare.json", bare.await(t, "default", 1)[0], new(events.APIGatewayWebsocketProxyRequest)},
		{"disconnect-bare.json", bare.await(t, "disconnect", 1)[0], new(events.APIGatewayWebsocketProxyRequest)},
	} {
		t.Run(test.file, func(t *testing.T) {
			got := []byte(test.event)
			for _, v := range variable {
				got = v.pattern.ReplaceAll(got, []byte(v.instead))
			}
			path := filepath.Join("testdata", test.file)
			if *update {
				var indented bytes.Buffer
				if err := json.Indent(&indented, got, "", "  "); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, append(indented.Bytes(), '\n'), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !sameJSON(t, got, want) {
				t.Errorf("event: got\n%s\nwant\n%s", got, want)
			}
			if bytes.Contains(got, []byte(":null")) || bytes.Contains(got, []byte(`\u003c`)) {
				t.Errorf("event: got a null or an HTML escape in %s, want none", got)
			}
			if test.typed == nil {
				return
			}
			// The event survives decoding and encoding by aws-lambda-go's types, which have every member.
			if err := json.Unmarshal(test.event, test.typed); err != nil {
				t.Fatal(err)
			}
			again, err := json.Marshal(test.typed)
			if err != nil {
				t.Fatal(err)
			}
			// aws-lambda-go's types cannot leave out this member.
			again = bytes.Replace(again, []byte(`,"userAgent":""`), nil, 1)
			if !sameJSON(t, again, test.event) {
				t.Errorf("after aws-lambda-go's types: got\n%s\nwant\n%s", again, test.event)
			}
		})
	}
}

func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	var x, y any
	if err := json.Unmarshal(a, &x); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &y); err != nil {
		t.Fatal(err)
	}
	return reflect.DeepEqual(x, y)
}

func TestEvent_IDs(t *testing.T) {
	g := start(t, newAPI(), apigateway.Options{}, nil)
	c := g.open(t)
	c.send("x")
	c.send("y")
	messages := g.await(t, "default", 2)
	one, two := contextOf(t, messages[0]), contextOf(t, messages[1])
	if one.ConnectionID != c.id || two.ConnectionID != c.id {
		t.Errorf("connection ids: got %s and %s, want %s", one.ConnectionID, two.ConnectionID, c.id)
	}
	seen := map[string]bool{}
	for _, id := range []string{c.id, one.MessageID, one.RequestID, two.MessageID, two.RequestID} {
		if !regexp.MustCompile(`^[A-Za-z0-9_-]{15}=$`).MatchString(id) {
			t.Errorf("id: got %q, want 15 characters and =", id)
		}
		seen[id] = true
	}
	if len(seen) != 5 {
		t.Errorf("different ids: got %d, want 5", len(seen))
	}
}

func TestEvent_StageVariables(t *testing.T) {
	api := newAPI()
	api.StageVariables = map[string]string{"colour": "blue"}
	g := start(t, api, apigateway.Options{Domain: "example.com"}, nil)
	c := g.dial(t, "", nil)
	c.send("x")
	g.await(t, "default", 1)
	c.conn.Close()
	for _, function := range []string{"connect", "default", "disconnect"} {
		var event events.APIGatewayWebsocketProxyRequest
		if err := json.Unmarshal(g.await(t, function, 1)[0], &event); err != nil {
			t.Fatal(err)
		}
		if event.StageVariables["colour"] != "blue" || event.RequestContext.DomainName != "example.com" {
			t.Errorf("%s: got stage variables %v and domain %q, want colour blue and example.com",
				function, event.StageVariables, event.RequestContext.DomainName)
		}
	}
}

func TestEvent_ForwardedHeaders(t *testing.T) {
	g := start(t, newAPI(), apigateway.Options{}, nil)
	g.dial(t, "", map[string][]string{"x-forwarded-for": {"192.0.2.1"}})
	var event events.APIGatewayWebsocketProxyRequest
	if err := json.Unmarshal(g.await(t, "connect", 1)[0], &event); err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(g.address)
	for name, want := range map[string]string{
		"X-Forwarded-For": "192.0.2.1, 127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Port": port,
	} {
		if event.Headers[name] != want {
			t.Errorf("header %s: got %q, want %q", name, event.Headers[name], want)
		}
	}
	if !strings.HasPrefix(event.Headers["X-Amzn-Trace-Id"], "Root=1-") {
		t.Errorf("X-Amzn-Trace-Id: got %q, want one with a root", event.Headers["X-Amzn-Trace-Id"])
	}
	if _, ok := event.Headers["x-forwarded-for"]; ok {
		t.Error("X-Forwarded-For: got two headers, want one")
	}
}

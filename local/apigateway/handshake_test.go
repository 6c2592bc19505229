package apigateway_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fanfare/local/apigateway"

	"github.com/gobwas/ws"
)

func TestHandshake_ConnectStatus(t *testing.T) {
	for _, test := range []struct {
		name    string
		connect handler
		want    int
	}{
		{"200", returns(ok), 101},
		{"201", returns(`{"statusCode":201,"body":"x"}`), 101},
		{"status as text", returns(`{"statusCode":"200"}`), 101},
		{"301", returns(`{"statusCode":301}`), 301},
		{"400", returns(`{"statusCode":400}`), 400},
		{"401", returns(`{"statusCode":401}`), 401},
		{"501", returns(`{"statusCode":501}`), 501},
		{"error", func(context.Context, []byte) (string, error) { return "", functionError{"Error", "no"} }, 502},
		{"no status", returns(`{}`), 502},
		{"null", returns(`null`), 502},
		{"not JSON", returns(`yes`), 502},
		{"invalid status", returns(`{"statusCode":99}`), 502},
		{"line break in a header",
			returns(`{"statusCode":200,"headers":{"Sec-WebSocket-Protocol":"a\r\nSet-Cookie: b"}}`), 502},
		{"timeout", func(ctx context.Context, _ []byte) (string, error) {
			<-ctx.Done()
			return "", errors.New("late")
		}, 504},
	} {
		t.Run(test.name, func(t *testing.T) {
			api := newAPI()
			if test.want == 504 {
				api.Routes[0].Integration.Timeout = 50 * time.Millisecond
			}
			g := start(t, api, apigateway.Options{}, map[string]handler{"connect": test.connect})
			c, response := g.handshake(t, "/prod", nil)
			if response.StatusCode != test.want {
				t.Fatalf("handshake: got %s, want %d", response.Status, test.want)
			}
			if test.want != http.StatusSwitchingProtocols {
				c.wantEnd()
				if g.calls("disconnect") != 0 {
					t.Error("$disconnect: got called for a refused client, want not called")
				}
				return
			}
			c.send("hello")
			g.await(t, "default", 1)
		})
	}
}

func TestHandshake_NoConnectRoute(t *testing.T) {
	api := newAPI()
	api.Routes = api.Routes[1:]
	g := start(t, api, apigateway.Options{}, nil)
	g.dial(t, "", nil).send("hello")
	g.await(t, "default", 1)
}

func TestHandshake_InvalidRequests(t *testing.T) {
	g := start(t, newAPI(), apigateway.Options{}, nil)
	for _, test := range []struct {
		name, request string
		want          int
		header        string // name and value of a header that the response must have
	}{
		{"plain HTTP", "GET /prod HTTP/1.1\r\nHost: a\r\n\r\n", 426, "Upgrade: websocket"},
		{"plain HTTP below the stage", "GET /prod/x/y HTTP/1.1\r\nHost: a\r\n\r\n", 426, ""},
		{"unknown stage", upgradeRequest("a", "/dev", nil), 403, "X-Amzn-Errortype: ForbiddenException"},
		{"no stage", upgradeRequest("a", "/", nil), 403, "X-Amzn-Errortype: ForbiddenException"},
		{"a path below the stage", upgradeRequest("a", "/prod/room", nil), 403, ""},
		{"a URL of 4097 characters", upgradeRequest("a", "/prod?"+strings.Repeat("x", 4091), nil), 414, ""},
		{"an old protocol", strings.Replace(upgradeRequest("a", "/prod", nil), "Version: 13", "Version: 8", 1),
			426, "Sec-Websocket-Version: 13"},
		{"a bad key", strings.Replace(upgradeRequest("a", "/prod", nil), "dGhl", "x", 1), 400, ""},
		{"a POST", strings.Replace(upgradeRequest("a", "/prod", nil), "GET", "POST", 1), 400, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := g.dialRaw(t)
			c.write(test.request)
			response := c.response()
			if response.StatusCode != test.want {
				t.Errorf("got %s, want %d", response.Status, test.want)
			}
			if name, value, ok := strings.Cut(test.header, ": "); ok && response.Header.Get(name) != value {
				t.Errorf("header %s: got %q, want %q", name, response.Header.Get(name), value)
			}
		})
	}
	if n := g.calls("connect"); n != 0 {
		t.Errorf("calls of $connect: got %d, want 0", n)
	}
}

func TestHandshake_LongestURL(t *testing.T) {
	g := start(t, newAPI(), apigateway.Options{}, nil)
	g.dial(t, "?"+strings.Repeat("x", 4090), nil)
	g.dial(t, "/", nil) // wscat users often append a slash
}

func TestHandshake_Subprotocol(t *testing.T) {
	for _, test := range []struct{ name, connect, want string }{
		{"none", ok, ""},
		{"header name in another case", `{"statusCode":200,"headers":{"sec-websocket-protocol":"v2"}}`, "v2"},
		{"multiValueHeaders", `{"statusCode":200,"multiValueHeaders":{"Sec-WebSocket-Protocol":["v1"]}}`, "v1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := start(t, newAPI(), apigateway.Options{}, map[string]handler{"connect": returns(test.connect)})
			_, response := g.handshake(t, "/prod", http.Header{"Sec-WebSocket-Protocol": {"v1, v2"}})
			if got := response.Header.Get("Sec-WebSocket-Protocol"); response.StatusCode != 101 || got != test.want {
				t.Errorf("got %s with sub-protocol %q, want 101 with %q", response.Status, got, test.want)
			}
			if accept := response.Header.Get("Sec-WebSocket-Accept"); accept != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
				t.Errorf("Sec-WebSocket-Accept: got %q, want that of RFC 6455's example", accept)
			}
		})
	}
}

// Frames sent before the response to the handshake become the first messages of an accepted client. Those of a refused
// client are discarded.
func TestHandshake_EarlyFrames(t *testing.T) {
	for _, test := range []struct {
		name   string
		result string
		want   int
	}{
		{"allowed", ok, 101},
		{"denied", `{"statusCode":403}`, 403},
	} {
		t.Run(test.name, func(t *testing.T) {
			invoked, proceed := make(chan struct{}), make(chan struct{})
			g := start(t, newAPI(), apigateway.Options{}, map[string]handler{
				"connect": func(context.Context, []byte) (string, error) { close(invoked); <-proceed; return test.result, nil },
				"default": func(_ context.Context, event []byte) (string, error) {
					return `{"statusCode":200,"body":"taken"}`, nil
				},
			})
			c := g.dialRaw(t)
			var early strings.Builder
			early.WriteString(upgradeRequest(g.address, "/prod", nil))
			for _, text := range []string{"one", "two"} {
				ws.WriteFrame(&early, ws.MaskFrame(ws.NewTextFrame([]byte(text))))
			}
			// The bytes of a refused client must not be read as a second request.
			early.WriteString("GET /prod HTTP/1.1\r\nHost: a\r\n\r\n")
			if test.want == 101 {
				c.write(strings.TrimSuffix(early.String(), "GET /prod HTTP/1.1\r\nHost: a\r\n\r\n"))
			} else {
				c.write(early.String())
			}
			<-invoked
			c.frame(ws.NewTextFrame([]byte("three")))
			close(proceed)
			if response := c.response(); response.StatusCode != test.want {
				t.Fatalf("handshake: got %s, want %d", response.Status, test.want)
			}
			if test.want == 101 {
				g.await(t, "default", 3)
				for range 3 {
					c.want("taken")
				}
				return
			}
			if rest, err := io.ReadAll(c.r); err == nil && len(rest) > 0 {
				t.Errorf("data after the refusal: got %q, want none", rest)
			}
			if n := g.calls("default"); n != 0 {
				t.Errorf("messages of a refused client: got %d, want 0", n)
			}
		})
	}
}

func TestHandshake_PostDuringConnect(t *testing.T) {
	status := make(chan int, 1)
	var g *gateway
	g = start(t, newAPI(), apigateway.Options{}, map[string]handler{
		"connect": func(_ context.Context, event []byte) (string, error) {
			response, _ := g.call(t, "POST", connectionPath(contextOf(t, event).ConnectionID), "x", nil)
			status <- response.StatusCode
			return ok, nil
		},
	})
	c := g.open(t)
	if got := <-status; got != http.StatusGone {
		t.Errorf("post during $connect: got %d, want 410", got)
	}
	if response, _ := g.call(t, "POST", connectionPath(c.id), "x", nil); response.StatusCode != 200 {
		t.Errorf("post after $connect: got %s, want 200", response.Status)
	}
	c.want("x")
}

// A connection that was used for plain HTTP before can be upgraded. Proxies do that.
func TestHandshake_UsedConnection(t *testing.T) {
	g := start(t, newAPI(), apigateway.Options{}, nil)
	c := g.dialRaw(t)
	c.write("GET /prod/@connections/none HTTP/1.1\r\nHost: a\r\nAuthorization: " + signed + "\r\nX-Amz-Date: x\r\n\r\n")
	if response := c.response(); response.StatusCode != http.StatusBadRequest {
		t.Fatalf("first request: got %s, want 400", response.Status)
	}
	c.write(upgradeRequest(g.address, "/prod", nil))
	if response := c.response(); response.StatusCode != 101 {
		t.Fatalf("handshake: got %s, want 101", response.Status)
	}
	c.send("hello")
	g.await(t, "default", 1)
}

func TestHandshake_ClientCloses(t *testing.T) {
	invoked, proceed := make(chan struct{}), make(chan struct{})
	g := start(t, newAPI(), apigateway.Options{}, map[string]handler{
		"connect": func(context.Context, []byte) (string, error) { close(invoked); <-proceed; return ok, nil },
	})
	c := g.dialRaw(t)
	c.write(upgradeRequest(g.address, "/prod", nil))
	<-invoked
	c.conn.Close()
	close(proceed)
	connected := contextOf(t, g.await(t, "connect", 1)[0])
	disconnected := contextOf(t, g.await(t, "disconnect", 1)[0])
	if connected.ConnectionID != disconnected.ConnectionID || disconnected.DisconnectStatusCode != 1006 {
		t.Errorf("$disconnect: got %+v, want connection %s and code 1006", disconnected, connected.ConnectionID)
	}
}

// A request whose body does not arrive ends after a timeout.
func TestServe_StalledBody(t *testing.T) {
	for _, test := range []struct {
		path string
		want int
	}{
		{connectionPath("AAAAAAAAAAAAAAA="), 400},
		{"/prod", 426},
		{"/dev", 403},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := newMemoryListener()
			startOn(t, l, newAPI(), apigateway.Options{}, nil)
			here, there := net.Pipe()
			defer here.Close()
			l.conns <- there
			began := time.Now()
			c := newClient(t, here)
			c.write("POST " + test.path + " HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell")
			if response := c.response(); response.StatusCode != test.want {
				t.Errorf("%s: got %s, want %d", test.path, response.Status, test.want)
			}
			c.wantEnd()
			if took := time.Since(began); took != 10*time.Second {
				t.Errorf("%s: got the end after %v, want 10s", test.path, took)
			}
		})
	}
}

// TestServer_HeadLimit checks the limit of the request line and the values of the headers of a request.
func TestServer_HeadLimit(t *testing.T) {
	g := start(t, newAPI(), apigateway.Options{}, nil)
	const line = len("DELETE /prod/@connections/abcdefghijklmno= HTTP/1.1")
	url := "http://" + g.address + "/prod/@connections/abcdefghijklmno="
	for _, test := range []struct{ size, want int }{{10240, 410}, {10241, 431}} {
		r, err := http.NewRequestWithContext(t.Context(), "DELETE", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header{"User-Agent": {"test"}, "Accept-Encoding": {"identity"}, "X-Amz-Date": {"20261129T000000Z"},
			"Authorization": {"AWS4-HMAC-SHA256 Credential=k/20261129/us-east-1/execute-api/aws4_request, " +
				"SignedHeaders=host;x-padding, Signature=0"}}
		left := test.size - line - len(g.address)
		for _, values := range r.Header {
			left -= len(values[0])
		}
		r.Header.Set("X-Padding", strings.Repeat("x", left))
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if got := answer.StatusCode; got != test.want {
			t.Errorf("%d bytes: got %d, want %d", test.size, got, test.want)
		}
	}
}

package apigateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"fanfare/local/apigateway"
)

func TestMessage_RouteSelection(t *testing.T) {
	bare, nested, braced := "$request.body.action", "$request.body.a.b", "${request.body.service}/${request.body.action}"
	for _, test := range []struct {
		expression, message, want string
	}{
		{bare, `{"action":"join"}`, "join"},
		{bare, ` {"x":1, "action" : "join"} `, "join"},
		{bare, `{"action":"other"}`, "$default"},
		{bare, `{"action":7}`, "7"},
		{bare, `{"action":true}`, "true"},
		{bare, `{"action":null}`, "$default"},
		{bare, `{"action":{"a":1}}`, "$default"},
		{bare, `{"Action":"join"}`, "$default"},
		{bare, `{"action":"join"`, "$default"},
		{bare, `{"action":"join"} x`, "$default"},
		{bare, `hello`, "$default"},
		{bare, `"join"`, "$default"},
		{bare, `["join"]`, "$default"},
		{bare, ``, "$default"},
		{bare, `{"action":"$connect"}`, "$default"},
		{bare, `{"action":"$disconnect"}`, "$default"},
		{bare, `{"action":"$default"}`, "$default"},
		{bare, `{"action":"jo\u0069n"}`, "join"},
		{nested, `{"a":{"b":"join"}}`, "join"},
		{nested, `{"a":"join"}`, "$default"},
		{braced, `{"service":"chat","action":"join"}`, "chat/join"},
		{braced, `{"service":"chat"}`, "chat/"},
		{braced, `{}`, "/"},
		{braced, `hello`, "$default"},
		{"join", `anything`, "join"},
		{`\$default`, `{"action":"join"}`, "$default"},
	} {
		t.Run(test.expression+" of "+test.message, func(t *testing.T) {
			api := newAPI()
			api.RouteSelectionExpression = test.expression
			for _, key := range []string{"join", "7", "true", "chat/join", "chat/", "/"} {
				api.Routes = append(api.Routes, lambda(key, "route"))
			}
			received := make(chan string, 1)
			g := start(t, api, apigateway.Options{Observe: func(e apigateway.Event) {
				if e.Kind == apigateway.Received {
					received <- e.Route
				}
			}}, map[string]handler{"route": returns(ok)})
			g.dial(t, "", nil).send(test.message)
			if got := <-received; got != test.want {
				t.Errorf("route: got %s, want %s", got, test.want)
			}
			if g.calls("connect") != 1 || g.calls("disconnect") != 0 {
				t.Error("got a message on $connect or $disconnect, want none")
			}
		})
	}
}

// wantErrorFrame reads an error frame of API Gateway and compares it, including its spaces.
func (c *client) wantErrorFrame(text string) {
	c.t.Helper()
	f := c.next()
	want := regexp.MustCompile(`^\{"message": "` + text + `", "connectionId":"` + regexp.QuoteMeta(c.id) +
		`", "requestId":"[A-Za-z0-9_-]{15}="\}$`)
	if !want.Match(f.Payload) {
		c.t.Fatalf("got %q, want %s", f.Payload, want)
	}
}

func TestMessage_NoRoute(t *testing.T) {
	api := newAPI(replying("echo", "default"))
	api.Routes[2].Key = "other" // no $default
	g := start(t, api, apigateway.Options{}, map[string]handler{"default": returns(`{"statusCode":200,"body":"yes"}`)})
	c := g.open(t)
	for _, message := range []string{"hello", `{"action":"none"}`, `{"action":"$connect"}`} {
		c.send(message)
		c.wantErrorFrame("Forbidden")
	}
	c.send(`{"action":"echo"}`)
	c.want("yes")
}

func TestMessage_Replies(t *testing.T) {
	fails := func(context.Context, []byte) (string, error) { return "", errors.New("broken") }
	for _, test := range []struct {
		name     string
		response bool
		function handler
		want     string // "" means no frame, "!" the error frame
	}{
		{"body with a response", true, returns(`{"statusCode":200,"body":"hé"}`), "hé"},
		{"body without a response", false, returns(`{"statusCode":200,"body":"hé"}`), ""},
		{"no body", true, returns(ok), ""},
		{"null body", true, returns(`{"statusCode":200,"body":null}`), ""},
		{"not 2xx with a response", true, returns(`{"statusCode":400,"body":"no"}`), "!"},
		{"not 2xx without a response", false, returns(`{"statusCode":500,"body":"no"}`), ""},
		{"error", true, fails, "!"},
		{"error without a response", false, fails, "!"},
		{"no status", false, returns(`{"body":"x"}`), "!"},
		{"null", false, returns(`null`), "!"},
		{"body not text", true, returns(`{"statusCode":200,"body":{}}`), "!"},
		{"base64", true, returns(`{"statusCode":200,"body":"eA==","isBase64Encoded":true}`), "!"},
		{"timeout", true, func(ctx context.Context, _ []byte) (string, error) { <-ctx.Done(); return "", ctx.Err() }, "!"},
	} {
		t.Run(test.name, func(t *testing.T) {
			api := newAPI(replying("end", "end"))
			api.Routes[2].Response = test.response
			if test.name == "timeout" {
				api.Routes[2].Integration.Timeout = 50 * time.Millisecond
			}
			g := start(t, api, apigateway.Options{MessagesInFlight: 1}, map[string]handler{
				"default": test.function, "end": returns(`{"statusCode":200,"body":"end"}`),
			})
			c := g.open(t)
			c.send("x")
			c.send(`{"action":"end"}`) // messages are handled one by one: no frame can come after its reply
			switch test.want {
			case "":
			case "!":
				c.wantErrorFrame("Internal server error")
			default:
				c.want(test.want)
			}
			c.want("end")
		})
	}
}

// bodyOf returns a message event's body.
func bodyOf(event []byte) string {
	var parsed struct{ Body string }
	if err := json.Unmarshal(event, &parsed); err != nil {
		panic(err)
	}
	return parsed.Body
}

// TestMessage_StatusObserved checks that an answer that is not 2xx is seen on a route without replies, too, and on
// $disconnect.
func TestMessage_StatusObserved(t *testing.T) {
	failed := returns(`{"statusCode":500}`)
	seen := make(chan apigateway.Event, 2)
	g := start(t, newAPI(lambda("quiet", "quiet")), apigateway.Options{Observe: func(e apigateway.Event) {
		if e.Kind == apigateway.Received || e.Kind == apigateway.Disconnected {
			seen <- e
		}
	}}, map[string]handler{"quiet": failed, "disconnect": failed})
	c := g.open(t)
	c.send(`{"action":"quiet"}`)
	for _, kind := range []apigateway.Kind{apigateway.Received, apigateway.Disconnected} {
		e := <-seen
		if want := "integration answered with status 500"; e.Kind != kind || e.Err == nil || e.Err.Error() != want {
			t.Errorf("got %+v, want %s with the error %s", e, kind, want)
		}
		c.conn.Close()
	}
}

func TestMessage_Order(t *testing.T) {
	var got []string
	g := start(t, newAPI(), apigateway.Options{MessagesInFlight: 1}, map[string]handler{
		"default": func(_ context.Context, event []byte) (string, error) {
			got = append(got, bodyOf(event)) // not locked: the race detector finds concurrent calls
			return fmt.Sprintf(`{"statusCode":200,"body":%q}`, bodyOf(event)), nil
		},
	})
	c := g.open(t)
	var want []string
	for i := range 100 {
		want = append(want, fmt.Sprint(i))
		c.send(want[i])
	}
	for _, text := range want {
		c.want(text)
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("messages of the function: got %v, want %v", got, want)
	}
}

// A slow message delays neither later messages of its connection, up to MessagesInFlight, nor other connections.
func TestMessage_SlowIntegration(t *testing.T) {
	release, working := make(chan struct{}), make(chan struct{}, 64)
	api := newAPI(replying("slow", "slow"))
	g := start(t, api, apigateway.Options{MessagesInFlight: 2}, map[string]handler{
		"slow":    func(context.Context, []byte) (string, error) { working <- struct{}{}; <-release; return ok, nil },
		"default": returns(`{"statusCode":200,"body":"quick"}`),
	})
	defer close(release)
	c := g.open(t)
	c.send(`{"action":"slow"}`)
	<-working
	c.send("x")
	c.want("quick")
	// A second slow message reaches the limit: now this connection waits, but no other.
	c.send(`{"action":"slow"}`)
	<-working
	c.send("waits")
	other := g.open(t)
	other.send("x")
	other.want("quick")
	if n := g.calls("default"); n != 2 {
		t.Errorf("handled quick messages: got %d, want 2", n)
	}
}

// absenceWait is the time for which a test waits for something that must not happen.
const absenceWait = 20 * time.Millisecond

// Messages sent before the client closed are handled. $disconnect starts when all of them have started.
func TestDisconnect_AfterMessages(t *testing.T) {
	release, disconnected := make(chan struct{}), make(chan struct{})
	g := start(t, newAPI(), apigateway.Options{MessagesInFlight: 1}, map[string]handler{
		"default":    func(context.Context, []byte) (string, error) { <-release; return ok, nil },
		"disconnect": func(context.Context, []byte) (string, error) { close(disconnected); return ok, nil },
	})
	c := g.open(t)
	for range 5 {
		c.send("x")
	}
	g.await(t, "default", 1)
	c.conn.Close()
	g.awaitEmpty(t)
	select {
	case <-disconnected:
		t.Error("$disconnect: got it before four messages, want it after them")
	case <-time.After(absenceWait):
	}
	close(release)
	<-disconnected
	g.await(t, "default", 5)
}

// awaitEmpty waits until no client is connected.
func (g *gateway) awaitEmpty(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(testTimeout); g.Connections() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("connections: got %d, want 0", g.Connections())
		}
	}
}

// A client that sends faster than its messages are handled is not read.
func TestMessage_BackPressure(t *testing.T) {
	release := make(chan struct{})
	g := start(t, newAPI(), apigateway.Options{MessagesInFlight: 1}, map[string]handler{
		"default": func(context.Context, []byte) (string, error) { <-release; return ok, nil },
	})
	defer close(release)
	c := g.open(t)
	message := masked(ws.Header{OpCode: ws.OpText, Fin: true}, text(32*kib))
	for sent := 0; ; sent += len(message) {
		if sent > 64*kib*kib {
			t.Fatalf("bytes read before the first message was handled: got %d, want a limit", sent)
		}
		c.conn.SetWriteDeadline(time.Now().Add(absenceWait))
		if _, err := c.conn.Write(message); errors.Is(err, os.ErrDeadlineExceeded) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

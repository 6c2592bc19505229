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

func TestRouteSelection(t *testing.T) {
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
			}}, map[string]handler{"route": says(ok)})
			g.dial(t, "", nil).send(test.message)
			if got := <-received; got != test.want {
				t.Errorf("the message went to %s, want %s", got, test.want)
			}
			if g.calls("connect") != 1 || g.calls("disconnect") != 0 {
				t.Error("a message reached $connect or $disconnect")
			}
		})
	}
}

// wantComplaint reads a frame of API Gateway's own, to the space.
func (c *client) wantComplaint(text string) {
	c.t.Helper()
	f := c.next()
	want := regexp.MustCompile(`^\{"message": "` + text + `", "connectionId":"` + regexp.QuoteMeta(c.id) + `", "requestId":"[A-Za-z0-9_-]{15}="\}$`)
	if !want.Match(f.Payload) {
		c.t.Fatalf("got %q, want %s", f.Payload, want)
	}
}

func TestMessageWithoutRouteIsForbidden(t *testing.T) {
	api := newAPI(replying("echo", "default"))
	api.Routes[2].Key = "other" // no $default
	g := start(t, api, apigateway.Options{}, map[string]handler{"default": says(`{"statusCode":200,"body":"yes"}`)})
	c := g.open(t)
	for _, message := range []string{"hello", `{"action":"none"}`, `{"action":"$connect"}`} {
		c.send(message)
		c.wantComplaint("Forbidden")
	}
	c.send(`{"action":"echo"}`)
	c.want("yes")
}

func TestReplies(t *testing.T) {
	fails := func(context.Context, []byte) (string, error) { return "", errors.New("broken") }
	for _, test := range []struct {
		name     string
		response bool
		function handler
		want     string // "" for nothing, "!" for the error frame
	}{
		{"a body on a route with a response", true, says(`{"statusCode":200,"body":"hé"}`), "hé"},
		{"a body on a route without", false, says(`{"statusCode":200,"body":"hé"}`), ""},
		{"no body", true, says(ok), ""},
		{"a null body", true, says(`{"statusCode":200,"body":null}`), ""},
		{"not 2xx, with a response", true, says(`{"statusCode":400,"body":"no"}`), "!"},
		{"not 2xx, without", false, says(`{"statusCode":500,"body":"no"}`), ""},
		{"an error", true, fails, "!"},
		{"an error, without a response", false, fails, "!"},
		{"no status", false, says(`{"body":"x"}`), "!"},
		{"null", false, says(`null`), "!"},
		{"a body that is no text", true, says(`{"statusCode":200,"body":{}}`), "!"},
		{"base64, which is refused", true, says(`{"statusCode":200,"body":"eA==","isBase64Encoded":true}`), "!"},
		{"no time left", true, func(ctx context.Context, _ []byte) (string, error) { <-ctx.Done(); return "", ctx.Err() }, "!"},
	} {
		t.Run(test.name, func(t *testing.T) {
			api := newAPI(replying("end", "end"))
			api.Routes[2].Response = test.response
			if test.name == "no time left" {
				api.Routes[2].Integration.Timeout = 50 * time.Millisecond
			}
			g := start(t, api, apigateway.Options{MessagesInFlight: 1}, map[string]handler{
				"default": test.function, "end": says(`{"statusCode":200,"body":"end"}`),
			})
			c := g.open(t)
			c.send("x")
			c.send(`{"action":"end"}`) // one after the other, so nothing is on its way any more
			switch test.want {
			case "":
			case "!":
				c.wantComplaint("Internal server error")
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

func TestMessagesOfAConnectionInOrder(t *testing.T) {
	var got []string
	g := start(t, newAPI(), apigateway.Options{MessagesInFlight: 1}, map[string]handler{
		"default": func(_ context.Context, event []byte) (string, error) {
			got = append(got, bodyOf(event)) // one after the other, or the race detector speaks
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
		t.Errorf("the function saw %v", got)
	}
}

// A slow message delays neither the later ones of its connection, within the bound, nor other connections at all.
func TestSlowMessageDelaysNoOther(t *testing.T) {
	release, working := make(chan struct{}), make(chan struct{}, 64)
	api := newAPI(replying("slow", "slow"))
	g := start(t, api, apigateway.Options{MessagesInFlight: 2}, map[string]handler{
		"slow":    func(context.Context, []byte) (string, error) { working <- struct{}{}; <-release; return ok, nil },
		"default": says(`{"statusCode":200,"body":"quick"}`),
	})
	defer close(release)
	c := g.open(t)
	c.send(`{"action":"slow"}`)
	<-working
	c.send("x")
	c.want("quick")
	// The second place is taken too: now the connection waits, and only it.
	c.send(`{"action":"slow"}`)
	<-working
	c.send("waits")
	other := g.open(t)
	other.send("x")
	other.want("quick")
	if n := g.calls("default"); n != 2 {
		t.Errorf("%d quick messages were handled, want 2", n)
	}
}

// unseen is how long a test looks out for what must not happen. Only a gateway with a fault needs the time.
const unseen = 20 * time.Millisecond

// What a client sent before it closed is handled, and $disconnect begins when all of it has been taken up.
func TestDisconnectDoesNotOvertakeMessages(t *testing.T) {
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
		t.Error("$disconnect overtook four messages")
	case <-time.After(unseen):
	}
	close(release)
	<-disconnected
	g.await(t, "default", 5)
}

// awaitEmpty waits until no client is connected.
func (g *gateway) awaitEmpty(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(patience); g.Connections() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d clients are still connected", g.Connections())
		}
	}
}

// A client that sends more than can be handled is not read any more.
func TestClientThatSendsTooMuchHasToWait(t *testing.T) {
	release := make(chan struct{})
	g := start(t, newAPI(), apigateway.Options{MessagesInFlight: 1}, map[string]handler{
		"default": func(context.Context, []byte) (string, error) { <-release; return ok, nil },
	})
	defer close(release)
	c := g.open(t)
	message := masked(ws.Header{OpCode: ws.OpText, Fin: true}, text(32*kib))
	for sent := 0; ; sent += len(message) {
		if sent > 64*kib*kib {
			t.Fatalf("%d bytes were taken from a client whose first message is not handled yet", sent)
		}
		c.conn.SetWriteDeadline(time.Now().Add(unseen))
		if _, err := c.conn.Write(message); errors.Is(err, os.ErrDeadlineExceeded) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

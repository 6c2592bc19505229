package access_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"fanfare/test/localtest"
	"fanfare/test/tokentest"
	"fanfare/test/wsclient"
)

// state is a token in one state; token is "" for none.
type state struct {
	name  string
	token string
}

// states returns a token in every state. sign signs with the issuer's key.
func states(sign func(tokentest.Claims) string) []state {
	now := time.Now()
	listener := tokentest.Listener(now)
	publisher := listener.With(tokentest.Claims{"scope": "publish"})
	good := sign(publisher)
	return []state{
		{"no token", ""},
		{"listener", sign(listener)},
		{"publisher", good},
		{"expired", sign(publisher.With(tokentest.Claims{"exp": now.Add(-time.Hour).Unix()}))},
		{"not yet valid", sign(publisher.With(tokentest.Claims{"nbf": now.Add(time.Hour).Unix()}))},
		{"another audience", sign(publisher.With(tokentest.Claims{"aud": "other"}))},
		{"unsigned", tokentest.Token(`{"alg":"none"}`, publisher, tokentest.Unsigned)},
		{"another key", tokentest.Evil().Signed(publisher)},
		{"truncated", good[:len(good)-3]},
		{"no JWT", "rubbish"},
	}
}

// TestAccess_ModesAndTokens checks the table of docs/security.md against the stack: the outcome of connecting,
// publishing and listening, for each mode and each state of a token. A refusal leaves no trace: no row, no message,
// and no invocation of a function that takes no part in it.
func TestAccess_ModesAndTokens(t *testing.T) {
	type want struct {
		status  int
		publish string
	}
	const others = "" // every state that is not listed
	for _, mode := range []struct {
		name       string
		parameters map[string]string
		want       map[string]want // by state
	}{
		{"open", map[string]string{"Access": "open"}, map[string]want{others: {101, "ack"}}},
		{"listen", map[string]string{"Access": "listen"}, map[string]want{others: {101, "listen_only"}}},
		{"jwt with a secret", map[string]string{"Access": "jwt"}, map[string]want{
			"no token": {401, ""}, "listener": {101, "no_publish_right"}, "publisher": {101, "ack"}, others: {403, ""},
		}},
		{
			"jwt with an issuer",
			map[string]string{"Access": "jwt", "TokenIssuer": "https://issuer.example", "TokenSource": "any"},
			map[string]want{
				"no token": {403, ""}, "listener": {101, "no_publish_right"}, "publisher": {101, "ack"}, others: {403, ""},
			},
		},
	} {
		t.Run(mode.name, func(t *testing.T) {
			if mode.parameters["TokenIssuer"] != "" {
				mode.parameters["TokenJwksUrl"] = issuer(t, tokentest.Good().JWKS())
			}
			d := start(t, mode.parameters)
			sign := func(c tokentest.Claims) string { return tokentest.Good().Signed(c) }
			if d.secret != nil {
				sign = d.signed
			}
			all := states(sign)
			witness := d.mustConnect(t, bearer(all[1].token)) // a listener
			connected, authorized, broadcasts := 1, 1, 0
			for _, s := range all {
				want, ok := mode.want[s.name]
				if !ok {
					want = mode.want[others]
				}
				rows := d.rows(t)
				c, status := d.connect(t, bearer(s.token))
				if status != want.status {
					t.Errorf("%s: connect: got status %d, want %d", s.name, status, want.status)
				}
				if status != 401 {
					authorized++
				}
				if c == nil {
					if got := d.rows(t); got != rows {
						t.Errorf("%s: got %d rows after the refusal, want %d", s.name, got, rows)
					}
					continue
				}
				connected++
				protocol := ""
				if s.token != "" {
					protocol = "fanfare.bearer"
				}
				if got := c.Subprotocol(); got != protocol {
					t.Errorf("%s: got sub-protocol %q, want %q", s.name, got, protocol)
				}
				payload := "payload of " + s.name
				got := c.MustPublish(t, payload)
				if outcome(got) != want.publish || got.Type == "error" && got.Message == "" {
					t.Errorf("%s: publish: got %+v, want %q", s.name, got, want.publish)
				}
				if got.Type == "ack" {
					broadcasts++
					skipTo(t, witness, payload)
				}
				// If a refused payload were broadcast, the witness would get it before this one.
				broadcasts++
				after := "after " + s.name
				d.Enqueue(t, after)
				if got := witness.MustNext(t); got != after {
					t.Errorf("%s: the witness got %q, want %q", s.name, got, after)
				}
				skipTo(t, c, after)
				c.MustSend(t, `{"action":"ping"}`)
				skipTo(t, c, `{"type":"pong"}`)
				c.Close()
				localtest.Eventually(t, "the row of "+s.name+" is deleted", func() bool { return d.rows(t) == rows })
			}
			logs := d.LogText() + d.ServiceLog()
			if strings.Contains(logs, "payload of") {
				t.Error("got a payload in the logs, want none")
			}
			for _, s := range all {
				if len(s.token) > 20 && strings.Contains(logs, s.token[len(s.token)-20:]) {
					t.Errorf("%s: got the token in the logs, want none", s.name)
				}
			}
			// A refused handshake invokes only the authorizer, one without a token not even that, and a refused frame never
			// reaches the queue.
			if mode.parameters["Access"] != "jwt" {
				authorized = 0
			}
			localtest.Eventually(t, "every invocation is reported", func() bool {
				return d.invoked("connect") >= connected && d.invoked("authorizer") >= authorized
			})
			if got := d.invoked("connect"); got != connected {
				t.Errorf("got %d invocations of connect, want %d", got, connected)
			}
			if got := d.invoked("authorizer"); got != authorized {
				t.Errorf("got %d invocations of the authorizer, want %d", got, authorized)
			}
			if got := d.broadcasts(t); got != broadcasts {
				t.Errorf("got %d broadcasts, want %d", got, broadcasts)
			}
		})
	}
}

// With TokenSource any, a token counts at each place, and two tokens or a malformed one are refused.
func TestTokenSource_Any(t *testing.T) {
	d := start(t, map[string]string{
		"Access": "jwt", "TokenSource": "any", "TokenIssuer": "https://issuer.example",
		"TokenJwksUrl": issuer(t, tokentest.Good().JWKS()),
	})
	good := tokentest.Good().Signed(tokentest.Listener(time.Now()))
	header := func(values ...string) http.Header { return http.Header{"Authorization": values} }
	for _, test := range []struct {
		name string
		h    handshake
		want int
	}{
		{"a sub-protocol", bearer(good), 101},
		{"a sub-protocol, in the other order", handshake{protocols: []string{good, "fanfare.bearer"}}, 101},
		{"a sub-protocol beside others", handshake{protocols: []string{"fanfare.bearer", good, "chat"}}, 403},
		{"a sub-protocol alone", handshake{protocols: []string{good}}, 403},
		{"the protocol's name alone", handshake{protocols: []string{"fanfare.bearer"}}, 403},
		{"a header", handshake{header: header("Bearer " + good)}, 101},
		{"a header with a scheme in lower case", handshake{header: header("bearer " + good)}, 101},
		{"a header without a scheme", handshake{header: header(good)}, 403},
		{"a header of another scheme", handshake{header: header("Basic " + good)}, 403},
		{"two headers", handshake{header: header("Bearer "+good, "Bearer "+good)}, 403},
		{"the query", handshake{query: "?access_token=" + good}, 101},
		{"the query, twice", handshake{query: "?access_token=" + good + "&access_token=" + good}, 403},
		{"the query, another name", handshake{query: "?token=" + good}, 403},
		{"a header and the query", handshake{header: header("Bearer " + good), query: "?access_token=" + good}, 403},
		{
			"a header and a sub-protocol",
			handshake{header: header("Bearer " + good), protocols: []string{"fanfare.bearer", good}}, 403,
		},
		{"an empty header", handshake{header: header("Bearer ")}, 403},
		{"an empty query", handshake{query: "?access_token="}, 403},
	} {
		if _, got := d.connect(t, test.h); got != test.want {
			t.Errorf("%s: got status %d, want %d", test.name, got, test.want)
		}
	}

	// The hundred hostile tokens, each in a header and in the query.
	rows := d.rows(t)
	for _, h := range tokentest.Hostiles(time.Now()) {
		for place, hs := range map[string]handshake{
			"header": {header: header("Bearer " + h.Token)},
			"query":  {query: "?access_token=" + url.QueryEscape(h.Token)},
		} {
			if len(h.Token) > 4000 && place == "query" {
				continue // a URL has at most 4,096 bytes
			}
			want := http.StatusForbidden
			if place == "header" && len(h.Token) > 10_240 {
				want = http.StatusRequestHeaderFieldsTooLarge // the gateway refuses it before the authorizer
			}
			if _, got := d.connect(t, hs); got != want {
				t.Errorf("%s in the %s: got status %d, want %d", h.Name, place, got, want)
			}
		}
	}
	if got := d.rows(t); got != rows {
		t.Errorf("got %d rows after refused tokens, want %d", got, rows)
	}
	d.mustConnect(t, bearer(good)) // the authorizer still works
}

// With one TokenSource a token counts only there, and a client without one there does not even invoke the authorizer.
func TestTokenSource_Strict(t *testing.T) {
	places := map[string]func(token string) handshake{
		"protocol": bearer,
		"header": func(token string) handshake {
			return handshake{header: http.Header{"Authorization": {"Bearer " + token}}}
		},
		"query": func(token string) handshake { return handshake{query: "?access_token=" + token} },
	}
	for _, source := range []string{"header", "query"} { // most other tests use protocol
		t.Run(source, func(t *testing.T) {
			d := start(t, map[string]string{"Access": "jwt", "TokenSource": source})
			good := d.signed(tokentest.Listener(time.Now()))
			for place, with := range places {
				want := 401
				if place == source {
					want = 101
				}
				if _, got := d.connect(t, with(good)); got != want {
					t.Errorf("a token in the %s: got status %d, want %d", place, got, want)
				}
			}
			localtest.Eventually(t, "the authorizer is invoked", func() bool { return d.invoked("authorizer") > 0 })
			if got := d.invoked("authorizer"); got != 1 {
				t.Errorf("got %d invocations of the authorizer, want 1", got)
			}
		})
	}
}

// A connection outlives its token, but not its right to publish.
func TestToken_ExpiryEndsPublishing(t *testing.T) {
	d := start(t, map[string]string{"Access": "jwt", "TokenLeewaySeconds": "0"})
	for lifetime := 2 * time.Second; ; lifetime *= 2 {
		expiry := time.Now().Add(lifetime).Unix()
		claims := tokentest.Listener(time.Now()).With(tokentest.Claims{"scope": "publish", "exp": expiry})
		c, status := d.connect(t, bearer(d.signed(claims)))
		if c == nil {
			if lifetime > time.Minute {
				t.Fatalf("connect: got status %d, want 101", status)
			}
			continue // the machine was too slow for this lifetime
		}
		first := c.MustPublish(t, "in time")
		if outcome(first) == "token_expired" && lifetime <= time.Minute {
			continue
		}
		if outcome(first) != "ack" {
			t.Fatalf("publish before the expiry: got %+v, want an ack", first)
		}
		var last wsclient.Reply
		localtest.Eventually(t, "the token expires", func() bool {
			last = c.MustPublish(t, "too late?")
			return outcome(last) != "ack"
		})
		if outcome(last) != "token_expired" {
			t.Errorf("publish after the expiry: got %+v, want token_expired", last)
		}
		if now := time.Now(); now.Unix() < expiry {
			t.Errorf("got the refusal at %v, want it after the expiry at %v", now, time.Unix(expiry, 0))
		}
		d.Enqueue(t, "for all")
		skipTo(t, c, "for all") // the client still listens
		return
	}
}

func TestLimits(t *testing.T) {
	d := start(t, map[string]string{
		"Access": "open", "AllowedOrigins": "https://app.example, https://*.fanfare.example", "MaxPublishBytes": "100",
		"PublishesPerSecond": "1", "PublishBurst": "60", "ConnectsPerSecond": "1000", "MessagesPerSecond": "1000",
	})
	t.Run("origins", func(t *testing.T) {
		rows := d.rows(t)
		for origin, want := range map[string]int{
			"": 101, "https://app.example": 101, "HTTPS://App.Example": 101,
			"https://a.fanfare.example": 101, "https://a.b.fanfare.example": 101,
			"https://app.example.evil": 403, "https://evil.example": 403, "http://app.example": 403,
			"https://app.example:8443": 403, "null": 403, "https://fanfare.example": 403,
			"https://.fanfare.example": 403, "https://evil.example/.fanfare.example": 403,
			"https://evil.example:1.fanfare.example": 403, "https://*.fanfare.example.evil": 403, "*": 403,
		} {
			h := handshake{}
			if origin != "" {
				h.header = http.Header{"Origin": {origin}}
			}
			c, got := d.connect(t, h)
			if got != want {
				t.Errorf("origin %q: got status %d, want %d", origin, got, want)
			}
			if c != nil {
				c.Close()
			}
		}
		two := http.Header{"Origin": {"https://app.example", "https://evil.example"}}
		if _, got := d.connect(t, handshake{header: two}); got != 403 {
			t.Errorf("two origins: got status %d, want 403", got)
		}
		localtest.Eventually(t, "the rows are those before", func() bool { return d.rows(t) == rows })
		const line = `"reason":"origin","origin":"https://app.example.evil",` +
			`"allowed":["https://app.example","https://*.fanfare.example"]`
		localtest.Eventually(t, "a refusal is logged with its origin and the list", func() bool {
			return strings.Contains(d.LogText(), line)
		})
	})
	t.Run("payload", func(t *testing.T) {
		c := d.mustConnect(t, handshake{})
		got := c.MustPublish(t, strings.Repeat("x", 101))
		if outcome(got) != "payload_too_large" || !strings.Contains(got.Message, "100") {
			t.Errorf("101 bytes: got %+v, want payload_too_large with the limit", got)
		}
		if got := c.MustPublish(t, strings.Repeat("x", 100)); outcome(got) != "ack" {
			t.Errorf("100 bytes: got %+v, want an ack", got)
		}
	})
	t.Run("publishes", func(t *testing.T) {
		// The limit's window is one minute here: 60 publishes, and at most twice as many across the edge of two windows.
		c, other := d.mustConnect(t, handshake{}), d.mustConnect(t, handshake{})
		accepted := 0
		for range 200 {
			got := c.MustPublish(t, fmt.Sprintf("publish %d", accepted))
			if outcome(got) == "rate_exceeded" {
				break
			}
			if outcome(got) != "ack" {
				t.Fatalf("publish %d: got %+v, want an ack or rate_exceeded", accepted, got)
			}
			accepted++
		}
		if accepted < 60 || accepted > 120 {
			t.Errorf("got %d accepted publishes, want 60 to 120", accepted)
		}
		if got := other.MustPublish(t, "another connection"); outcome(got) != "ack" {
			t.Errorf("another connection: got %+v, want an ack", got)
		}
	})
}

// The throttles of the stage bound connects and messages of all clients together.
func TestStage_Throttles(t *testing.T) {
	d := start(t, map[string]string{"Access": "listen", "ConnectsPerSecond": "1", "MessagesPerSecond": "1"})
	c := d.mustConnect(t, handshake{})
	localtest.Eventually(t, "a connect is refused with 429", func() bool {
		_, status := d.connect(t, handshake{})
		if status != 101 && status != 429 {
			t.Errorf("connect: got status %d, want 101 or 429", status)
		}
		return status == 429
	})
	localtest.Eventually(t, "a message is refused", func() bool {
		c.MustSend(t, "x")
		return strings.Contains(c.MustNext(t), `"message":`) && d.invoked("default") > 0
	})
}

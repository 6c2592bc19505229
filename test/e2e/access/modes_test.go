package access_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"fanfare/test/tokentest"
)

// state is a token as a client may have one.
type state struct {
	name  string
	token string
}

// states returns a token in every state, made by sign, which knows the issuer's key.
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
		{"cut", good[:len(good)-3]},
		{"rubbish", "rubbish"},
	}
}

// TestEveryModeTokenAndAction holds the table of docs/security.md against the stack: what a client with a token in some
// state sees when it connects, publishes and listens. A refused act leaves no trace: no row, no message, no invocation
// of a function that has no part in the refusal.
func TestEveryModeTokenAndAction(t *testing.T) {
	type outcome struct {
		connect int
		publish string
	}
	all := func(o outcome) map[string]outcome { return map[string]outcome{"": o} }
	for _, mode := range []struct {
		name       string
		parameters map[string]string
		want       map[string]outcome // by state; "" is every other
	}{
		{"open", map[string]string{"Access": "open"}, all(outcome{101, "ack"})},
		{"listen", map[string]string{"Access": "listen"}, all(outcome{101, "listen_only"})},
		{"jwt with a secret", map[string]string{"Access": "jwt"}, map[string]outcome{
			"no token": {401, ""}, "listener": {101, "no_publish_right"}, "publisher": {101, "ack"}, "": {403, ""},
		}},
		{"jwt with an issuer", map[string]string{"Access": "jwt", "TokenIssuer": "https://issuer.example", "TokenSource": "any"}, map[string]outcome{
			"no token": {403, ""}, "listener": {101, "no_publish_right"}, "publisher": {101, "ack"}, "": {403, ""},
		}},
	} {
		t.Run(mode.name, func(t *testing.T) {
			if mode.parameters["TokenIssuer"] != "" {
				mode.parameters["TokenJwksUrl"] = issuer(t, tokentest.Good().JWKS())
			}
			w := start(t, mode.parameters)
			sign := func(c tokentest.Claims) string { return tokentest.Good().Signed(c) }
			if w.secret != nil {
				sign = w.signed
			}
			all := states(sign)
			witness := w.mustConnect(t, bearer(all[1].token)) // a listener
			connected, shown, broadcasts := 1, 1, 0
			for _, s := range all {
				want, ok := mode.want[s.name]
				if !ok {
					want = mode.want[""]
				}
				rows := w.rows(t)
				c, status := w.connect(t, bearer(s.token))
				if status != want.connect {
					t.Errorf("%s: connecting is answered with %d, want %d", s.name, status, want.connect)
				}
				if status != 401 {
					shown++
				}
				if c == nil {
					if w.rows(t) != rows {
						t.Errorf("%s: refused, and yet it has a row", s.name)
					}
					continue
				}
				connected++
				if wantProtocol := map[bool]string{true: "fanfare.bearer"}[s.token != ""]; c.protocol != wantProtocol {
					t.Errorf("%s: the protocol is %q, want %q", s.name, c.protocol, wantProtocol)
				}
				payload := "payload of " + s.name
				got := c.publish(t, payload)
				if got.say() != want.publish || got.Type == "error" && got.Message == "" {
					t.Errorf("%s: publishing is answered with %+v, want %q", s.name, got, want.publish)
				}
				if got.Type == "ack" {
					broadcasts++
					witness.receives(t, payload)
				}
				// Whatever was refused is not what comes next.
				broadcasts++
				w.enqueue(t, "after "+s.name)
				if frame := witness.next(t); frame != "after "+s.name {
					t.Errorf("%s: the witness got %q", s.name, frame)
				}
				c.receives(t, "after "+s.name)
				c.send(t, `{"action":"ping"}`)
				c.receives(t, `{"type":"pong"}`)
				c.conn.Close()
				eventually(t, "the row of "+s.name+" is deleted", func() bool { return w.rows(t) == rows })
			}
			for _, s := range all {
				if logs := w.log(); len(s.token) > 20 && strings.Contains(logs, s.token[len(s.token)-20:]) || strings.Contains(logs, "payload of") {
					t.Errorf("the token or the payload of %s is in a log", s.name)
				}
			}
			// Refused handshakes reach no further than the authorizer, those without a token not even that, and refused frames
			// never the queue.
			if mode.parameters["Access"] != "jwt" {
				shown = 0
			}
			eventually(t, "every invocation is reported", func() bool { return w.invoked("connect") >= connected && w.invoked("authorizer") >= shown })
			if got := w.invoked("connect"); got != connected {
				t.Errorf("connect was invoked %d times for %d connections", got, connected)
			}
			if got := w.invoked("authorizer"); got != shown {
				t.Errorf("the authorizer was invoked %d times for %d tokens", got, shown)
			}
			if got := w.broadcasts(t); got != broadcasts {
				t.Errorf("%d broadcasts, want %d", got, broadcasts)
			}
		})
	}
}

func TestEverySourceOfATokenIsReadWhereItShouldBe(t *testing.T) {
	w := start(t, map[string]string{
		"Access": "jwt", "TokenSource": "any", "TokenIssuer": "https://issuer.example", "TokenJwksUrl": issuer(t, tokentest.Good().JWKS()),
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
		{"a header and a sub-protocol", handshake{header: header("Bearer " + good), protocols: []string{"fanfare.bearer", good}}, 403},
		{"an empty header", handshake{header: header("Bearer ")}, 403},
		{"an empty query", handshake{query: "?access_token="}, 403},
	} {
		if _, status := w.connect(t, test.h); status != test.want {
			t.Errorf("%s: %d, want %d", test.name, status, test.want)
		}
	}

	// The hundred hostile tokens, by real handshakes.
	rows := w.rows(t)
	for _, h := range tokentest.Hostiles(time.Now()) {
		for place, hs := range map[string]handshake{
			"header": {header: header("Bearer " + h.Token)}, "query": {query: "?access_token=" + url.QueryEscape(h.Token)},
		} {
			if len(h.Token) > 4000 && place == "query" {
				continue // a URL has 4,096 bytes
			}
			if _, status := w.connect(t, hs); status != http.StatusForbidden {
				t.Errorf("%s in the %s: %d", h.Name, place, status)
			}
		}
	}
	if w.rows(t) != rows {
		t.Error("a refused token left a row")
	}
	w.mustConnect(t, bearer(good)) // the authorizer is as well as before
}

// A token counts only where the stack looks for it, and without one there an authorizer is not even asked.
func TestAStrictSourceLooksNowhereElse(t *testing.T) {
	in := map[string]func(token string) handshake{
		"protocol": bearer,
		"header": func(token string) handshake {
			return handshake{header: http.Header{"Authorization": {"Bearer " + token}}}
		},
		"query": func(token string) handshake { return handshake{query: "?access_token=" + token} },
	}
	for _, source := range []string{"header", "query"} { // protocol is what most other tests use
		t.Run(source, func(t *testing.T) {
			w := start(t, map[string]string{"Access": "jwt", "TokenSource": source})
			good := w.signed(tokentest.Listener(time.Now()))
			for place, show := range in {
				want := map[bool]int{true: 101, false: 401}[place == source]
				if _, status := w.connect(t, show(good)); status != want {
					t.Errorf("a token in the %s: %d, want %d", place, status, want)
				}
			}
			eventually(t, "the authorizer is asked", func() bool { return w.invoked("authorizer") > 0 })
			if got := w.invoked("authorizer"); got != 1 {
				t.Errorf("the authorizer was asked %d times", got)
			}
		})
	}
}

// A connection outlives its token, but not its right to publish.
func TestAnExpiredTokenPublishesNoMore(t *testing.T) {
	w := start(t, map[string]string{"Access": "jwt", "TokenLeewaySeconds": "0"})
	for lifetime := 2 * time.Second; ; lifetime *= 2 {
		claims := tokentest.Listener(time.Now()).With(tokentest.Claims{"scope": "publish", "exp": time.Now().Add(lifetime).Unix()})
		c, status := w.connect(t, bearer(w.signed(claims)))
		if c == nil {
			if lifetime > time.Minute {
				t.Fatalf("refused with %d", status)
			}
			continue // the machine was too slow for so short a life
		}
		first := c.publish(t, "in time")
		if first.say() == "token_expired" && lifetime <= time.Minute {
			continue
		}
		if first.say() != "ack" {
			t.Fatalf("the answer is %+v", first)
		}
		var last reply
		eventually(t, "the token expires", func() bool {
			last = c.publish(t, "too late?")
			return last.say() != "ack"
		})
		if last.say() != "token_expired" {
			t.Errorf("the answer is %+v", last)
		}
		if now := time.Now(); now.Unix() < claims["exp"].(int64) {
			t.Errorf("refused at %v, before the expiry", now)
		}
		// It still listens.
		w.enqueue(t, "for all")
		c.receives(t, "for all")
		return
	}
}

func TestLimits(t *testing.T) {
	w := start(t, map[string]string{
		"Access": "open", "AllowedOrigins": "https://app.example, https://*.fanfare.example", "MaxPublishBytes": "100",
		"PublishesPerSecond": "1", "PublishBurst": "60", "ConnectsPerSecond": "1000", "MessagesPerSecond": "1000",
	})
	t.Run("origins", func(t *testing.T) {
		rows := w.rows(t)
		for origin, want := range map[string]int{
			"": 101, "https://app.example": 101, "HTTPS://App.Example": 101, "https://a.fanfare.example": 101, "https://a.b.fanfare.example": 101,
			"https://app.example.evil": 403, "https://evil.example": 403, "http://app.example": 403, "https://app.example:8443": 403, "null": 403,
			"https://fanfare.example": 403, "https://.fanfare.example": 403, "https://evil.example/.fanfare.example": 403, "https://evil.example:1.fanfare.example": 403,
			"https://*.fanfare.example.evil": 403, "*": 403,
		} {
			h := handshake{}
			if origin != "" {
				h.header = http.Header{"Origin": {origin}}
			}
			c, status := w.connect(t, h)
			if status != want {
				t.Errorf("%q: %d, want %d", origin, status, want)
			}
			if c != nil {
				c.conn.Close()
			}
		}
		if _, status := w.connect(t, handshake{header: http.Header{"Origin": {"https://app.example", "https://evil.example"}}}); status != 403 {
			t.Errorf("two origins: %d", status)
		}
		eventually(t, "the rows are as before", func() bool { return w.rows(t) == rows })
	})
	t.Run("payload", func(t *testing.T) {
		c := w.mustConnect(t, handshake{})
		if got := c.publish(t, strings.Repeat("x", 101)); got.say() != "payload_too_large" || !strings.Contains(got.Message, "100") {
			t.Errorf("101 bytes: %+v", got)
		}
		if got := c.publish(t, strings.Repeat("x", 100)); got.say() != "ack" {
			t.Errorf("100 bytes: %+v", got)
		}
	})
	t.Run("publishes", func(t *testing.T) {
		// A window is a minute here: sixty fit, and with the edge of one on the way no more than twice as many.
		c, other := w.mustConnect(t, handshake{}), w.mustConnect(t, handshake{})
		accepted := 0
		for range 200 {
			got := c.publish(t, fmt.Sprintf("publish %d", accepted))
			if got.say() == "rate_exceeded" {
				break
			}
			if got.say() != "ack" {
				t.Fatalf("the answer is %+v", got)
			}
			accepted++
		}
		if accepted < 60 || accepted > 120 {
			t.Errorf("%d were accepted", accepted)
		}
		if got := other.publish(t, "another connection"); got.say() != "ack" {
			t.Errorf("another connection is answered with %+v", got)
		}
	})
}

// The stage's throttles hold back clients' connects and messages as a whole.
func TestTheStageThrottles(t *testing.T) {
	w := start(t, map[string]string{"Access": "listen", "ConnectsPerSecond": "1", "MessagesPerSecond": "1"})
	c := w.mustConnect(t, handshake{})
	eventually(t, "a connect is refused with 429", func() bool {
		_, status := w.connect(t, handshake{})
		if status != 101 && status != 429 {
			t.Errorf("status %d", status)
		}
		return status == 429
	})
	eventually(t, "a message is refused", func() bool {
		c.send(t, "x")
		return strings.Contains(c.next(t), `"message":`) && w.invoked("default") > 0
	})
}

package access_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"fanfare/pkg/access"
)

var now = time.Unix(1_800_000_000, 0)

// authorizer returns the grant as an event's authorizer context: all values are strings, and the principal is added.
func authorizer(t *testing.T, g access.Grant) any {
	t.Helper()
	values := g.Context()
	values["principalId"], values["integrationLatency"] = g.Principal, 7
	data, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestGrant_Context(t *testing.T) {
	for _, g := range []access.Grant{
		{Principal: "alice", Publish: true, Until: now},
		{Principal: "bob", Until: now.Add(time.Hour)},
		{Principal: "ünïcode|x", Publish: true, Until: now},
	} {
		if got, err := access.ReadGrant(authorizer(t, g)); err != nil || got != g {
			t.Errorf("got %+v, %v, want %+v", got, err, g)
		}
	}
}

func TestMode_PublishRight(t *testing.T) {
	publisher := access.Grant{Principal: "alice", Publish: true, Until: now.Add(time.Second)}
	listener := access.Grant{Principal: "bob", Until: now.Add(time.Hour)}
	expired := access.Grant{Principal: "alice", Publish: true, Until: now}
	raw := func(publish any, until string) map[string]any {
		return map[string]any{"principalId": "a", "publish": publish, "until": until}
	}
	for _, test := range []struct {
		name       string
		mode       access.Mode
		authorizer any
		code       string // "" means it may
	}{
		{"open", access.Open, nil, ""},
		{"listen", access.Listen, nil, access.CodeListenOnly},
		{"listen, with a publisher's context", access.Listen, authorizer(t, publisher), access.CodeListenOnly},
		{"an unknown mode", access.Mode("opem"), nil, access.CodeListenOnly},
		{"no mode", access.Mode(""), nil, access.CodeListenOnly},
		{"a publisher", access.JWT, authorizer(t, publisher), ""},
		{"a listener", access.JWT, authorizer(t, listener), access.CodeNoRight},
		{"expired just now", access.JWT, authorizer(t, expired), access.CodeExpired},
		{"long expired", access.JWT, authorizer(t, access.Grant{Principal: "alice", Publish: true}), access.CodeExpired},
		{"no context", access.JWT, nil, access.CodeNoRight},
		{"an empty context", access.JWT, map[string]any{}, access.CodeNoRight},
		{"a context of another kind", access.JWT, "publish", access.CodeNoRight},
		{"another authorizer's", access.JWT, map[string]any{"principalId": "alice", "publish": "true"}, access.CodeNoRight},
		{"without a principal", access.JWT, map[string]any{"publish": "true", "until": "1900000000"}, access.CodeNoRight},
		{"a right that is not a string", access.JWT, raw(true, "1900000000"), access.CodeNoRight},
		{"a right in other words", access.JWT, raw("yes", "1900000000"), access.CodeNoRight},
		{"an expiry that is no number", access.JWT, raw("true", "never"), access.CodeNoRight},
		{"an expiry in exponents", access.JWT, raw("true", "1.9E9"), access.CodeNoRight},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := ""
			if refusal := test.mode.MayPublish(test.authorizer, now); refusal != nil {
				got = refusal.Code
				if refusal.Message == "" {
					t.Error("got no message, want one")
				}
			}
			if got != test.code {
				t.Errorf("got %q, want %q", got, test.code)
			}
		})
	}
}

func TestSource_Token(t *testing.T) {
	headers := func(pairs ...string) access.Handshake {
		h := access.Handshake{Headers: map[string][]string{}}
		for i := 0; i < len(pairs); i += 2 {
			h.Headers[pairs[i]] = append(h.Headers[pairs[i]], pairs[i+1])
		}
		return h
	}
	query := func(values ...string) access.Handshake {
		return access.Handshake{Query: map[string][]string{access.QueryParameter: values}}
	}
	for _, test := range []struct {
		name   string
		source access.Source
		h      access.Handshake
		want   string // "" means none, "!" more than one
	}{
		{"protocol", access.FromProtocol, headers("Sec-WebSocket-Protocol", "fanfare.bearer, T"), "T"},
		{"protocol without a space", access.FromProtocol, headers("sec-websocket-protocol", "fanfare.bearer,T"), "T"},
		{
			"protocol in two headers", access.FromProtocol,
			headers("Sec-WebSocket-Protocol", "fanfare.bearer", "Sec-WebSocket-Protocol", "T"), "T",
		},
		{
			"protocol in two cases", access.FromProtocol,
			headers("Sec-WebSocket-Protocol", "fanfare.bearer", "sec-websocket-protocol", "T"), "T",
		},
		{"protocol with empty items", access.FromProtocol, headers("Sec-WebSocket-Protocol", ",fanfare.bearer, ,T,"), "T"},
		{"protocol with two tokens", access.FromProtocol, headers("Sec-WebSocket-Protocol", "fanfare.bearer, T, U"), "!"},
		{"protocol without the name", access.FromProtocol, headers("Sec-WebSocket-Protocol", "T"), ""},
		{"protocol with another name", access.FromProtocol, headers("Sec-WebSocket-Protocol", "Fanfare.Bearer, T"), ""},
		{"protocol, token elsewhere", access.FromProtocol, headers("Authorization", "Bearer T"), ""},
		{"header", access.FromHeader, headers("authorization", "Bearer T"), "T"},
		{"header, twice", access.FromHeader, headers("Authorization", "Bearer T", "authorization", "Bearer U"), "!"},
		{"header, another scheme", access.FromHeader, headers("Authorization", "Digest T"), ""},
		{"header, no scheme", access.FromHeader, headers("Authorization", "T"), ""},
		{"header, two words", access.FromHeader, headers("Authorization", "Bearer T U"), "T U"},
		{"query", access.FromQuery, query("T"), "T"},
		{"query, twice", access.FromQuery, query("T", "T"), "!"},
		{"query, empty", access.FromQuery, query(""), ""},
		{"any, a protocol", access.FromAny, headers("Sec-WebSocket-Protocol", "fanfare.bearer, T"), "T"},
		{"any, none", access.FromAny, headers(), ""},
		{
			"any, two", access.FromAny,
			headers("Sec-WebSocket-Protocol", "fanfare.bearer, T", "Authorization", "Bearer T"), "!",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := test.source.Token(test.h)
			switch {
			case test.want == "" && !errors.Is(err, access.ErrNoToken),
				test.want == "!" && (err == nil || errors.Is(err, access.ErrNoToken)),
				test.want != "" && test.want != "!" && (err != nil || got != test.want):
				t.Errorf("got %q, %v, want %q", got, err, test.want)
			}
		})
	}
}

func TestHandshake_Protocol(t *testing.T) {
	for offered, want := range map[string]string{
		"": "", "chat": "", "fanfare.bearer": "fanfare.bearer", "T, fanfare.bearer": "fanfare.bearer", "xfanfare.bearer": "",
	} {
		h := access.Handshake{Headers: map[string][]string{"Sec-Websocket-Protocol": {offered}}}
		if got := h.Protocol(); got != want {
			t.Errorf("%q: got %q, want %q", offered, got, want)
		}
	}
}

// FuzzHandshake checks that every token is a part of the headers, and that the sub-protocol of the answer is
// fanfare.bearer or none.
func FuzzHandshake(f *testing.F) {
	seeds := []string{"fanfare.bearer, T", "Bearer T", "fanfare.bearer,,T", "\x00", "fanfare.bearer, fanfare.bearer"}
	first := access.Handshake{Headers: map[string][]string{"Sec-WebSocket-Protocol": {seeds[0]}}}
	if token, err := access.FromProtocol.Token(first); token != "T" {
		f.Fatalf("first seed: got %q, %v, want T", token, err)
	}
	for _, seed := range seeds {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, protocol, authorization string) {
		h := access.Handshake{Headers: map[string][]string{
			"Sec-WebSocket-Protocol": {protocol}, "Authorization": {authorization}, "Origin": {protocol},
		}}
		for _, source := range []access.Source{
			access.FromProtocol, access.FromHeader, access.FromQuery, access.FromAny, "other",
		} {
			token, err := source.Token(h)
			if (err == nil) != (token != "") || token == access.BearerProtocol ||
				!strings.Contains(protocol+authorization, token) {
				t.Errorf("%s: got %q, %v, want a part of the headers or an error", source, token, err)
			}
		}
		if p := h.Protocol(); p != "" && p != access.BearerProtocol {
			t.Errorf("got protocol %q, want %q or none", p, access.BearerProtocol)
		}
		if (access.Origins{"https://app.example"}).Allow(h) && !strings.EqualFold(protocol, "https://app.example") {
			t.Errorf("origin %q: got allowed, want refused", protocol)
		}
	})
}

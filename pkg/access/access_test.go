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

// travelled returns a context as API Gateway hands it on: every value a string, the principal beside them.
func travelled(t *testing.T, g access.Grant) any {
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

func TestAGrantTravels(t *testing.T) {
	for _, g := range []access.Grant{
		{Principal: "alice", Publish: true, Until: now}, {Principal: "bob", Until: now.Add(time.Hour)}, {Principal: "ünïcode|x", Publish: true, Until: now},
	} {
		if got, err := access.ReadGrant(travelled(t, g)); err != nil || got != g {
			t.Errorf("%+v, %v, want %+v", got, err, g)
		}
	}
}

func TestMayPublish(t *testing.T) {
	publisher := access.Grant{Principal: "alice", Publish: true, Until: now.Add(time.Second)}
	for _, test := range []struct {
		name       string
		mode       access.Mode
		authorizer any
		code       string // "" means it may
	}{
		{"open", access.Open, nil, ""},
		{"listen", access.Listen, nil, access.CodeListenOnly},
		{"listen, whatever the context says", access.Listen, travelled(t, publisher), access.CodeListenOnly},
		{"a mode that is none", access.Mode("opem"), nil, access.CodeListenOnly},
		{"no mode", access.Mode(""), nil, access.CodeListenOnly},
		{"a publisher", access.JWT, travelled(t, publisher), ""},
		{"a listener", access.JWT, travelled(t, access.Grant{Principal: "bob", Until: now.Add(time.Hour)}), access.CodeNoRight},
		{"expired just now", access.JWT, travelled(t, access.Grant{Principal: "alice", Publish: true, Until: now}), access.CodeExpired},
		{"long expired", access.JWT, travelled(t, access.Grant{Principal: "alice", Publish: true}), access.CodeExpired},
		{"no context", access.JWT, nil, access.CodeNoRight},
		{"an empty context", access.JWT, map[string]any{}, access.CodeNoRight},
		{"a context of another kind", access.JWT, "publish", access.CodeNoRight},
		{"another authorizer's", access.JWT, map[string]any{"principalId": "alice", "publish": "true"}, access.CodeNoRight},
		{"without a principal", access.JWT, map[string]any{"publish": "true", "until": "1900000000"}, access.CodeNoRight},
		{"a right that is not a string", access.JWT, map[string]any{"principalId": "a", "publish": true, "until": "1900000000"}, access.CodeNoRight},
		{"a right in other words", access.JWT, map[string]any{"principalId": "a", "publish": "yes", "until": "1900000000"}, access.CodeNoRight},
		{"an expiry that is no number", access.JWT, map[string]any{"principalId": "a", "publish": "true", "until": "never"}, access.CodeNoRight},
		{"an expiry in exponents", access.JWT, map[string]any{"principalId": "a", "publish": "true", "until": "1.9E9"}, access.CodeNoRight},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := ""
			if refusal := test.mode.MayPublish(test.authorizer, now); refusal != nil {
				got = refusal.Code
				if refusal.Message == "" {
					t.Error("no message")
				}
			}
			if got != test.code {
				t.Errorf("%q, want %q", got, test.code)
			}
		})
	}
}

func TestTokensAreFound(t *testing.T) {
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
		{"protocol in two headers", access.FromProtocol, headers("Sec-WebSocket-Protocol", "fanfare.bearer", "Sec-WebSocket-Protocol", "T"), "T"},
		{"protocol in two cases", access.FromProtocol, headers("Sec-WebSocket-Protocol", "fanfare.bearer", "sec-websocket-protocol", "T"), "T"},
		{"protocol with empty items", access.FromProtocol, headers("Sec-WebSocket-Protocol", ",fanfare.bearer, ,T,"), "T"},
		{"protocol with two tokens", access.FromProtocol, headers("Sec-WebSocket-Protocol", "fanfare.bearer, T, U"), "!"},
		{"protocol without the name", access.FromProtocol, headers("Sec-WebSocket-Protocol", "T"), ""},
		{"protocol with another name", access.FromProtocol, headers("Sec-WebSocket-Protocol", "Fanfare.Bearer, T"), ""},
		{"protocol, token elsewhere", access.FromProtocol, headers("Authorization", "Bearer T"), ""},
		{"header", access.FromHeader, headers("authorization", "Bearer T"), "T"},
		{"header, twice", access.FromHeader, headers("Authorization", "Bearer T", "authorization", "Bearer U"), "!"},
		{"header, another scheme", access.FromHeader, headers("Authorization", "Digest T"), ""},
		{"header, no scheme", access.FromHeader, headers("Authorization", "T"), ""},
		{"header, more behind", access.FromHeader, headers("Authorization", "Bearer T U"), "T U"},
		{"query", access.FromQuery, query("T"), "T"},
		{"query, twice", access.FromQuery, query("T", "T"), "!"},
		{"query, empty", access.FromQuery, query(""), ""},
		{"any, a protocol", access.FromAny, headers("Sec-WebSocket-Protocol", "fanfare.bearer, T"), "T"},
		{"any, none", access.FromAny, headers(), ""},
		{"any, two", access.FromAny, headers("Sec-WebSocket-Protocol", "fanfare.bearer, T", "Authorization", "Bearer T"), "!"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := test.source.Token(test.h)
			switch {
			case test.want == "" && !errors.Is(err, access.ErrNoToken),
				test.want == "!" && (err == nil || errors.Is(err, access.ErrNoToken)),
				test.want != "" && test.want != "!" && (err != nil || got != test.want):
				t.Errorf("%q, %v, want %q", got, err, test.want)
			}
		})
	}
}

func TestProtocol(t *testing.T) {
	for offered, want := range map[string]string{"": "", "chat": "", "fanfare.bearer": "fanfare.bearer", "T, fanfare.bearer": "fanfare.bearer", "xfanfare.bearer": ""} {
		if got := (access.Handshake{Headers: map[string][]string{"Sec-Websocket-Protocol": {offered}}}).Protocol(); got != want {
			t.Errorf("%q is answered with %q", offered, got)
		}
	}
}

// FuzzHandshake holds that no header makes up a token that the client did not send, and that what is answered is our
// protocol or nothing.
func FuzzHandshake(f *testing.F) {
	seeds := []string{"fanfare.bearer, T", "Bearer T", "fanfare.bearer,,T", "\x00", "fanfare.bearer, fanfare.bearer"}
	if token, err := access.FromProtocol.Token(access.Handshake{Headers: map[string][]string{"Sec-WebSocket-Protocol": {seeds[0]}}}); token != "T" {
		f.Fatalf("the corpus has no token to start from: %v", err)
	}
	for _, seed := range seeds {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, protocol, authorization string) {
		h := access.Handshake{Headers: map[string][]string{"Sec-WebSocket-Protocol": {protocol}, "Authorization": {authorization}, "Origin": {protocol}}}
		for _, source := range []access.Source{access.FromProtocol, access.FromHeader, access.FromQuery, access.FromAny, "other"} {
			token, err := source.Token(h)
			if (err == nil) != (token != "") || token == access.BearerProtocol || !strings.Contains(protocol+authorization, token) {
				t.Errorf("%s: %q, %v", source, token, err)
			}
		}
		if p := h.Protocol(); p != "" && p != access.BearerProtocol {
			t.Errorf("answered with %q", p)
		}
		if (access.Origins{"https://app.example"}).Allow(h) && !strings.EqualFold(protocol, "https://app.example") {
			t.Errorf("the origin %q is let in", protocol)
		}
	})
}

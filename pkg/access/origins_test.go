package access_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"fanfare/pkg/access"
)

func TestOrigins_Allow(t *testing.T) {
	for _, test := range []struct {
		name    string
		allowed access.Origins
		origins []string // of the handshake
		want    bool
	}{
		{"no origin", nil, nil, true},
		{"no entry", nil, []string{"https://example.com"}, false},
		{"every origin", access.Origins{"*"}, []string{"https://example.com"}, true},
		{"equal", access.Origins{"https://example.com"}, []string{"https://example.com"}, true},
		{"another case", access.Origins{"https://Example.com"}, []string{"HTTPS://eXample.COM"}, true},
		{"the second entry", access.Origins{"https://a.example", "https://b.example"}, []string{"https://b.example"}, true},
		{"another scheme", access.Origins{"https://example.com"}, []string{"http://example.com"}, false},
		{"another port", access.Origins{"https://example.com"}, []string{"https://example.com:8443"}, false},
		{"a name below", access.Origins{"https://example.com"}, []string{"https://a.example.com"}, false},
		{"null", access.Origins{"https://example.com", "https://*.example.com"}, []string{"null"}, false},
		{"two origins", access.Origins{"https://a.example"}, []string{"https://a.example", "https://evil.example"}, false},
		{"wildcard", access.Origins{"https://*.example.com"}, []string{"https://a.example.com"}, true},
		{"wildcard, two names", access.Origins{"https://*.example.com"}, []string{"https://a.b.example.com"}, true},
		{"wildcard, the name itself", access.Origins{"https://*.example.com"}, []string{"https://example.com"}, false},
		{"wildcard, no name", access.Origins{"https://*.example.com"}, []string{"https://.example.com"}, false},
		{"wildcard, another scheme", access.Origins{"https://*.example.com"}, []string{"http://a.example.com"}, false},
		{"wildcard, another domain", access.Origins{"https://*.example.com"}, []string{"https://a.example.org"}, false},
		{"wildcard, a similar domain", access.Origins{"https://*.example.com"}, []string{"https://aexample.com"}, false},
		{"wildcard, a path", access.Origins{"https://*.example.com"}, []string{"https://evil.org/a.example.com"}, false},
		{"wildcard, a port", access.Origins{"https://*.example.com"}, []string{"https://evil.org:1.example.com"}, false},
		{"wildcard, a user", access.Origins{"https://*.example.com"}, []string{"https://evil@a.example.com"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := access.Handshake{Headers: map[string][]string{"origin": test.origins}}
			if got := test.allowed.Allow(h); got != test.want {
				t.Errorf("%q, origins %q: got %v, want %v", test.allowed, test.origins, got, test.want)
			}
		})
	}
}

func TestReadGrant_Errors(t *testing.T) {
	for name, authorizer := range map[string]any{
		"no context":       nil,
		"another kind":     "publish",
		"no principal":     map[string]any{"publish": "true", "until": "1900000000"},
		"no time":          map[string]any{"publish": "true", "principalId": "alice"},
		"a malformed time": map[string]any{"publish": "true", "principalId": "alice", "until": "never"},
	} {
		if g, err := access.ReadGrant(authorizer); err == nil || g != (access.Grant{}) {
			t.Errorf("%s: got %+v, %v, want an error", name, g, err)
		}
	}
}

// FromAny refuses several tokens in one place, too.
func TestSource_AnySeveral(t *testing.T) {
	h := access.Handshake{Query: map[string][]string{access.QueryParameter: {"T", "U"}}}
	if got, err := access.FromAny.Token(h); err == nil || errors.Is(err, access.ErrNoToken) {
		t.Errorf("got %q, %v, want an error about several tokens", got, err)
	}
}

func TestParseOrigins(t *testing.T) {
	for list, want := range map[string]access.Origins{
		"*":                                         {"*"},
		"https://app.example":                       {"https://app.example"},
		"HTTPS://App.Example":                       {"https://app.example"},
		"https://app.example:443":                   {"https://app.example"},
		"http://app.example:80":                     {"http://app.example"},
		"http://app.example:443":                    {"http://app.example:443"},
		"https://*.app.example:8443":                {"https://*.app.example:8443"},
		"https://app.example, http://localhost:300": {"https://app.example", "http://localhost:300"},
		"http://192.0.2.1:8080":                     {"http://192.0.2.1:8080"},
		"http://[2001:db8::1]:8080":                 {"http://[2001:db8::1]:8080"},
		"https://[2001:DB8::1]:443":                 {"https://[2001:db8::1]"},
		"null":                                      {"null"},
		"capacitor://localhost":                     {"capacitor://localhost"},
		"chrome-extension://abcdef":                 {"chrome-extension://abcdef"},
	} {
		if got, err := access.ParseOrigins(list); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %v, %v, want %v", list, got, err, want)
		}
	}
}

func TestParseOrigins_Unmatchable(t *testing.T) {
	for _, item := range []string{
		"", "app.example", "https://", "https://app.example/", "https://app.example/chat", "//app.example",
		"https://user@app.example", "https://app.example?", "https://app.example#top", "https://app.example:",
		"https://app.example:0443", "https://app.example:65536", "https://app..example", "https://app.example.",
		"https://*app.example", "https://app.*", "https://*", "https://a*.example", "http://localhost:*", "*.app.example",
		"https://app example", "https://ünïcode.example", "http://127.1", "http://127.0.0.01", "http://0x7f000001",
		"http://[::0]", "http://[2001:db8::1", "Null", "https:app.example", "* ;", "https://app.example;https://b.example",
	} {
		got, err := access.ParseOrigins("https://first.example," + item)
		if err == nil || !strings.Contains(err.Error(), `"`+item+`"`) {
			t.Errorf("%q: got %v, %v, want an error with the item", item, got, err)
		}
	}
}

func TestParseOrigins_Allow(t *testing.T) {
	origins, err := access.ParseOrigins("https://app.example:443,https://*.below.example,http://[::1]:3000")
	if err != nil {
		t.Fatal(err)
	}
	for origin, want := range map[string]bool{
		"https://app.example": true, "https://APP.example": true, "https://a.b.below.example": true,
		"http://[::1]:3000":      true,
		"https://xbelow.example": false, "https://below.example": false, "https://.below.example": false,
		"https://evil.example/.below.example": false, "https://evil.example:1.below.example": false,
		"https://evil@a.below.example": false, "https://a.below.example:8443": false,
		"https://a.below.example.evil": false, "null": false, "": false, "*": false,
	} {
		h := access.Handshake{Headers: map[string][]string{"origin": {origin}}}
		if got := origins.Allow(h); got != want {
			t.Errorf("%s: got %v, want %v", origin, got, want)
		}
	}
	if !origins.Allow(access.Handshake{}) {
		t.Error("no origin: got refused, want allowed")
	}
}

func TestHandshake_Origin(t *testing.T) {
	for _, test := range []struct {
		values []string
		want   string
	}{
		{nil, ""},
		{[]string{"https://a.example", "null"}, "https://a.example, null"},
		{[]string{strings.Repeat("x", 255) + "ü"}, strings.Repeat("x", 255) + "\uFFFD"},
	} {
		h := access.Handshake{Headers: map[string][]string{"Origin": test.values}}
		if got := h.Origin(); got != test.want {
			t.Errorf("%q: got %q, want %q", test.values, got, test.want)
		}
	}
}

package access_test

import (
	"errors"
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

package trial

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// The values of Settings.TokenSource: the places in which the authorizer of a Fanfare system looks for a token.
const (
	ByProtocol = "protocol" // Sec-WebSocket-Protocol: fanfare.bearer, TOKEN
	ByHeader   = "header"   // Authorization: Bearer TOKEN
	ByQuery    = "query"    // ?access_token=TOKEN
)

// bearer is the sub-protocol that announces a token in the next one.
const bearer = "fanfare.bearer"

// reserved are the headers that belong to the handshake itself, besides those that begin with Sec-Websocket-.
var reserved = []string{"Connection", "Host", "Upgrade"}

// checkHandshake returns an error if the token, a sub-protocol or a header cannot be sent.
func (s *Settings) checkHandshake() error {
	switch s.TokenSource {
	case "", ByProtocol, ByHeader, ByQuery:
	default:
		return fmt.Errorf("--token-source %q: want %s, %s or %s", s.TokenSource, ByProtocol, ByHeader, ByQuery)
	}
	switch {
	case s.Token == "":
	case s.TokenSource == ByHeader && !isValue(s.Token), s.TokenSource != ByHeader && !isToken(s.Token):
		return fmt.Errorf("--token: got characters that cannot be sent with --token-source %s", s.TokenSource)
	case s.TokenSource == ByHeader && s.Header.Get("Authorization") != "":
		return fmt.Errorf("--header Authorization: want no such header together with --token")
	}
	offered := map[string]bool{}
	for _, p := range s.protocols() {
		if offered[p] || !isToken(p) {
			return fmt.Errorf("--subprotocol: want different names without spaces, commas or quotes")
		}
		offered[p] = true
	}
	for name, values := range s.Header {
		key := http.CanonicalHeaderKey(name)
		switch {
		case key == "Sec-Websocket-Protocol":
			return fmt.Errorf("--header %s: want sub-protocols in --subprotocol", name)
		case slices.Contains(reserved, key) || strings.HasPrefix(key, "Sec-Websocket-"):
			return fmt.Errorf("--header %s: want no header of the handshake itself", name)
		case !isToken(name) || !all(values, isValue):
			return fmt.Errorf("--header: want 'Name: value' without control characters")
		}
	}
	return nil
}

// isToken reports whether text is a token of HTTP (RFC 9110, section 5.6.2).
func isToken(text string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	return text != "" && strings.Trim(text, letters+"0123456789!#$%&'*+-.^_`|~") == ""
}

// isValue reports whether text can be the value of a header.
func isValue(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

func all(values []string, holds func(string) bool) bool {
	return !slices.ContainsFunc(values, func(v string) bool { return !holds(v) })
}

// header returns the headers of the handshake, with the token if it is sent in one.
func (s *Settings) header() http.Header {
	if s.Token == "" || s.TokenSource != ByHeader {
		return s.Header
	}
	h := http.Header{"Authorization": {"Bearer " + s.Token}}
	maps.Copy(h, s.Header)
	return h
}

// protocols returns the sub-protocols to offer. A token is the second of them, as Fanfare's authorizer expects it.
func (s *Settings) protocols() []string {
	if s.Token == "" || s.TokenSource != "" && s.TokenSource != ByProtocol {
		return s.Protocols
	}
	return append([]string{bearer, s.Token}, s.Protocols...)
}

// url returns the URL to connect to, with the token if it is sent in the query.
func (s *Settings) url() string {
	u, err := url.Parse(s.URL)
	if err != nil || s.Token == "" || s.TokenSource != ByQuery {
		return s.URL
	}
	query := u.Query()
	query.Set("access_token", s.Token)
	u.RawQuery = query.Encode()
	return u.String()
}

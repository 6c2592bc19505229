package access

import (
	"errors"
	"slices"
	"strings"
)

// BearerProtocol is the sub-protocol by which a client hands over a token: it offers "fanfare.bearer, <token>", which
// browsers can do (new WebSocket(url, ["fanfare.bearer", token])), and is answered with "fanfare.bearer".
const BearerProtocol = "fanfare.bearer"

// QueryParameter holds the token in a URL. Its name is that of RFC 6750, section 2.3.
const QueryParameter = "access_token"

// Source is where in a handshake a token is looked for: the template's parameter TokenSource. Tokens elsewhere count for
// nothing.
type Source string

// The sources.
const (
	FromProtocol Source = "protocol" // Sec-WebSocket-Protocol: fanfare.bearer, <token>
	FromHeader   Source = "header"   // Authorization: Bearer <token>
	FromQuery    Source = "query"    // ?access_token=<token>: the last resort, as URLs land in logs
	FromAny      Source = "any"      // exactly one of the three
)

// ErrNoToken is a handshake without a token where one is looked for.
var ErrNoToken = errors.New("no token")

// errSeveral is a handshake whose token is not clear. RFC 6750, section 2, forbids clients to send more than one.
var errSeveral = errors.New("more than one token")

// Handshake is what a client sent to connect. Names of headers are in any case.
type Handshake struct {
	Headers map[string][]string
	Query   map[string][]string
}

// values returns every value of a header, in whatever cases its name was written.
func (h Handshake) values(name string) []string {
	var all []string
	for key, values := range h.Headers {
		if strings.EqualFold(key, name) {
			all = append(all, values...)
		}
	}
	return all
}

// protocols returns the sub-protocols that the client offers.
func (h Handshake) protocols() []string {
	var all []string
	for _, value := range h.values("Sec-WebSocket-Protocol") {
		for protocol := range strings.SplitSeq(value, ",") {
			if protocol = strings.TrimSpace(protocol); protocol != "" {
				all = append(all, protocol)
			}
		}
	}
	return all
}

// Protocol returns the sub-protocol to answer with, or "". A client that offered some and is answered with none of them
// gives up the connection (RFC 6455, section 4.1), and the token, which it offered as well, is not to be echoed.
func (h Handshake) Protocol() string {
	if slices.Contains(h.protocols(), BearerProtocol) {
		return BearerProtocol
	}
	return ""
}

// Token returns the token of a handshake as it came: nothing about it has been checked.
func (s Source) Token(h Handshake) (string, error) {
	readers := map[Source]func() (string, error){FromProtocol: h.protocolToken, FromHeader: h.headerToken, FromQuery: h.queryToken}
	if read, ok := readers[s]; ok {
		return read()
	}
	var found string
	for _, read := range readers {
		switch token, err := read(); {
		case errors.Is(err, ErrNoToken):
		case err != nil:
			return "", err
		case found != "":
			return "", errSeveral
		default:
			found = token
		}
	}
	if found == "" {
		return "", ErrNoToken
	}
	return found, nil
}

func (h Handshake) protocolToken() (string, error) {
	offered := h.protocols()
	if !slices.Contains(offered, BearerProtocol) {
		return "", ErrNoToken
	}
	rest := slices.DeleteFunc(offered, func(p string) bool { return p == BearerProtocol })
	return only(rest)
}

func (h Handshake) headerToken() (string, error) {
	var tokens []string
	for _, value := range h.values("Authorization") {
		scheme, token, _ := strings.Cut(strings.TrimSpace(value), " ")
		if token = strings.TrimSpace(token); !strings.EqualFold(scheme, "Bearer") || token == "" {
			continue
		}
		tokens = append(tokens, token)
	}
	return only(tokens)
}

func (h Handshake) queryToken() (string, error) {
	return only(slices.DeleteFunc(slices.Clone(h.Query[QueryParameter]), func(token string) bool { return token == "" }))
}

func only(tokens []string) (string, error) {
	switch len(tokens) {
	case 0:
		return "", ErrNoToken
	case 1:
		return tokens[0], nil
	}
	return "", errSeveral
}

// Origins are the origins whose pages may connect: the template's parameter AllowedOrigins, of entries like
// "https://example.com", or "https://*.example.com" for every name below it, or "*" for all. It binds browsers, which
// alone tell the truth about their origin; whoever sends none is no browser and is let in.
type Origins []string

// Allow tells whether the handshake's origin may connect.
func (o Origins) Allow(h Handshake) bool {
	for _, origin := range h.values("Origin") {
		if !slices.ContainsFunc(o, func(allowed string) bool { return covers(allowed, origin) }) {
			return false
		}
	}
	return true
}

// covers compares without regard to case: schemes and hosts have none, and browsers write them in lower case.
func covers(allowed, origin string) bool {
	allowed, origin = strings.ToLower(allowed), strings.ToLower(origin)
	if allowed == "*" || allowed == origin {
		return true
	}
	scheme, domain, ok := strings.Cut(allowed, "*")
	if !ok || !strings.HasPrefix(origin, scheme) || !strings.HasSuffix(origin, domain) || len(origin) <= len(scheme)+len(domain) {
		return false
	}
	return !strings.ContainsAny(origin[len(scheme):len(origin)-len(domain)], "/:@")
}

package access

import (
	"errors"
	"slices"
	"strings"
)

// BearerProtocol is the sub-protocol of a client that sends a token in Sec-WebSocket-Protocol: it offers
// "fanfare.bearer, <token>", which browsers can do (new WebSocket(url, ["fanfare.bearer", token])), and the answer is
// "fanfare.bearer".
const BearerProtocol = "fanfare.bearer"

// QueryParameter is the name of the token in a URL. Source: RFC 6750, section 2.3.
const QueryParameter = "access_token"

// Source is the template's parameter TokenSource: the place of the token in the handshake. Tokens in other places are
// ignored.
type Source string

// The sources.
const (
	FromProtocol Source = "protocol" // Sec-WebSocket-Protocol: fanfare.bearer, <token>
	FromHeader   Source = "header"   // Authorization: Bearer <token>
	FromQuery    Source = "query"    // ?access_token=<token>: the least safe, because URLs are logged
	FromAny      Source = "any"      // exactly one of the three
)

// ErrNoToken means that the handshake has no token in the place of the source.
var ErrNoToken = errors.New("no token")

// errSeveral means that the handshake has several tokens. RFC 6750, section 2, forbids clients to send more than one.
var errSeveral = errors.New("more than one token")

// Handshake holds the headers and query parameters of a client's request to connect. The names of headers are not
// case-sensitive.
type Handshake struct {
	Headers map[string][]string
	Query   map[string][]string
}

// values returns all values of a header, whose name is not case-sensitive.
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

// Protocol returns the sub-protocol for the answer, or "". A client closes the connection if the answer has none of
// those that it offered (RFC 6455, section 4.1). The token, which the client offers as well, must not be in the answer.
func (h Handshake) Protocol() string {
	if slices.Contains(h.protocols(), BearerProtocol) {
		return BearerProtocol
	}
	return ""
}

// Token returns the token of a handshake, unverified. The error is ErrNoToken if there is none.
func (s Source) Token(h Handshake) (string, error) {
	readers := map[Source]func() (string, error){
		FromProtocol: h.protocolToken, FromHeader: h.headerToken, FromQuery: h.queryToken,
	}
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
	return only(slices.DeleteFunc(offered, func(p string) bool { return p == BearerProtocol }))
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

// only returns the single token of a list.
func only(tokens []string) (string, error) {
	switch len(tokens) {
	case 0:
		return "", ErrNoToken
	case 1:
		return tokens[0], nil
	}
	return "", errSeveral
}

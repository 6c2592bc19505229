package token

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
	"github.com/go-jose/go-jose/v4/jwt"

	"fanfare/pkg/access"
)

const (
	// MaxBytes is the length of the longest token that is read. API Gateway accepts 10,240 bytes of headers in all.
	// Source: API Gateway developer guide, "Quotas for configuring and running a REST API", total combined size of
	// headers.
	MaxBytes = 8192

	// maxSubject is the length of the longest sub, in bytes. The limit is that of OpenID Connect; an authorizer's answer
	// is limited to 8 KB.
	// Source: OpenID Connect Core 1.0, section 2, ID Token.
	maxSubject = 255

	// maxLifetime bounds the time to the expiry. It only rejects mistakes, such as milliseconds.
	maxLifetime = 10 * 365 * 24 * time.Hour
)

// Refused is the error for a token that is not accepted. It never contains a part of the token.
type Refused struct {
	// Reason is one of the Reason constants.
	Reason string
	// Err is the detail; it may be nil.
	Err error
}

// Reasons of a Refused.
const (
	ReasonMissing   = "missing"       // no token in the place of the source
	ReasonMalformed = "malformed"     // not a readable token
	ReasonAlgorithm = "algorithm"     // an algorithm that is not allowed
	ReasonHeader    = "header"        // a header parameter that is not supported
	ReasonSignature = "signature"     // no key verifies the signature
	ReasonIssuer    = "issuer"        // another issuer
	ReasonAudience  = "audience"      // another audience
	ReasonExpired   = "expired"       // expired, or without an expiry
	ReasonNotYet    = "not_yet_valid" // nbf or iat are in the future
	ReasonSubject   = "subject"       // no subject, or one that is too long
)

func (r *Refused) Error() string {
	if r.Err == nil {
		return "token refused: " + r.Reason
	}
	return "token refused: " + r.Reason + ": " + r.Err.Error()
}

// Unwrap returns Err.
func (r *Refused) Unwrap() error { return r.Err }

// Claim is the claim that gives the right to publish.
type Claim struct {
	// Name is the name of a top-level claim. Value must be one of its values: a string has the words between its spaces
	// (as OAuth's scope), a list its strings, and true is "true".
	Name, Value string
}

// ParseClaim reads "name=value". It splits at the last "=", because names are often URLs. A name with a space
// at an end and a value with a space are errors: no claim has them.
func ParseClaim(text string) (Claim, error) {
	i := strings.LastIndexByte(text, '=')
	if i < 1 || i == len(text)-1 || strings.ContainsFunc(text[i:], unicode.IsSpace) ||
		strings.TrimSpace(text[:i]) != text[:i] {
		return Claim{}, fmt.Errorf("parse claim %q: it is not of the form name=value", text)
	}
	return Claim{text[:i], text[i+1:]}, nil
}

// in reports whether the claims contain c.
func (c Claim) in(claims map[string]any) bool {
	switch value := claims[c.Name].(type) {
	case string:
		return slices.Contains(strings.Split(value, " "), c.Value)
	case bool:
		return value && c.Value == "true"
	case []any:
		return slices.Contains(value, any(c.Value))
	}
	return false
}

// Verifier checks tokens. It is safe for concurrent use.
type Verifier struct {
	Keys *Keys
	// Algorithms lists the allowed algorithms; it must not be empty. See ParseAlgorithms.
	Algorithms []jose.SignatureAlgorithm
	// Issuer is the required iss. Audience must be in aud.
	Issuer, Audience string
	// Leeway is the allowed difference between clocks.
	Leeway time.Duration
	// Publish is the claim that gives the right to publish.
	Publish Claim
	// Now returns the current time; nil means time.Now.
	Now func() time.Time
}

// Verify returns the rights that a token gives. The error is a *Refused if the token is not accepted; after any other
// error the token may be valid.
func (v *Verifier) Verify(ctx context.Context, token string) (access.Grant, error) {
	signed, header, err := v.parse(token)
	if err != nil {
		return access.Grant{}, err
	}
	var payload []byte
	verified, err := v.Keys.Find(ctx, func(key jose.JSONWebKey) bool {
		if key.KeyID != header.KeyID && key.KeyID != "" || key.Algorithm != "" && key.Algorithm != header.Algorithm {
			return false
		}
		var err error
		payload, err = signed.Verify(key.Key)
		return err == nil
	})
	switch {
	case err != nil:
		return access.Grant{}, err
	case !verified:
		return access.Grant{}, &Refused{Reason: ReasonSignature}
	}
	// This decoder, unlike the standard library's, rejects duplicate names and compares names case-sensitively.
	var claims jwt.Claims
	var all map[string]any
	if json.Unmarshal(payload, &claims) != nil || json.Unmarshal(payload, &all) != nil {
		return access.Grant{}, &Refused{Reason: ReasonMalformed, Err: errors.New("the claims cannot be read")}
	}
	return v.check(claims, all)
}

// parse reads the token and its header. Nothing of it is verified yet.
func (v *Verifier) parse(token string) (*jose.JSONWebSignature, jose.Header, error) {
	refuse := func(reason, detail string) (*jose.JSONWebSignature, jose.Header, error) {
		return nil, jose.Header{}, &Refused{Reason: reason, Err: errors.New(detail)}
	}
	switch {
	case len(token) > MaxBytes:
		return refuse(ReasonMalformed, fmt.Sprintf("it has %d bytes", len(token)))
	case strings.Count(token, ".") != 2 || strings.ContainsFunc(token, func(r rune) bool { return !compact(r) }):
		// The library ignores white space; other readers may not.
		return refuse(ReasonMalformed, "not a JWS in compact serialization")
	}
	parsed, err := jose.ParseSignedCompact(token, v.Algorithms)
	var algorithm *jose.ErrUnexpectedSignatureAlgorithm
	switch {
	case errors.As(err, &algorithm):
		return refuse(ReasonAlgorithm, "the algorithm is not allowed")
	case err != nil:
		return refuse(ReasonMalformed, "not a JWS")
	}
	header := parsed.Signatures[0].Header
	// RFC 7515, section 4.1.11: a critical extension that is not supported must be rejected. None is supported. The
	// library does not return names whose value is null.
	if names, err := headerNames(token); err != nil {
		return refuse(ReasonMalformed, "its header is not a JSON object")
	} else if slices.Contains(names, "crit") || slices.Contains(names, "b64") {
		return refuse(ReasonHeader, "critical extensions are not supported")
	}
	if typ, ok := header.ExtraHeaders[jose.HeaderType]; ok && !tokenType(typ) {
		return refuse(ReasonHeader, "typ is not that of an access or ID token")
	}
	if _, ok := header.ExtraHeaders[jose.HeaderContentType]; ok {
		return refuse(ReasonHeader, "nested tokens are not supported")
	}
	// The keys in a token's header (jwk, jku, x5c, x5u) are never used, only the configured issuer's.
	return parsed, header, nil
}

// headerNames returns the names in the header of a token.
func headerNames(token string) ([]string, error) {
	encoded, _, _ := strings.Cut(token, ".")
	data, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return nil, err
	}
	var header map[string]json.RawMessage
	if err := json.Unmarshal(data, &header); err != nil {
		return nil, err
	}
	return slices.Collect(maps.Keys(header)), nil
}

// compact reports whether a character may occur in a compact serialization. Source: RFC 4648, section 5.
func compact(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.'
}

// tokenType reports whether a typ is that of a plain token or an access token. Other JWTs of the same issuer (a logout
// token, a DPoP proof) must not be accepted. Source: RFC 8725, section 3.11; RFC 9068, section 2.1.
func tokenType(typ any) bool {
	text, _ := typ.(string)
	text = strings.TrimPrefix(strings.ToLower(text), "application/")
	return text == "jwt" || text == "at+jwt"
}

// check checks the claims of a token whose signature is verified.
func (v *Verifier) check(claims jwt.Claims, all map[string]any) (access.Grant, error) {
	now := time.Now()
	if v.Now != nil {
		now = v.Now()
	}
	refuse := func(reason string) (access.Grant, error) { return access.Grant{}, &Refused{Reason: reason} }
	switch {
	case claims.Expiry == nil || claims.Expiry.Time().After(now.Add(maxLifetime)):
		return refuse(ReasonExpired)
	case claims.Subject == "" || len(claims.Subject) > maxSubject:
		return refuse(ReasonSubject)
	case v.Issuer == "" || v.Audience == "":
		// To the library, an empty one means any.
		return access.Grant{}, errors.New("verify a token: no issuer or no audience is configured")
	}
	expected := jwt.Expected{Issuer: v.Issuer, AnyAudience: jwt.Audience{v.Audience}, Time: now}
	err := claims.ValidateWithLeeway(expected, v.Leeway)
	switch {
	case errors.Is(err, jwt.ErrInvalidIssuer):
		return refuse(ReasonIssuer)
	case errors.Is(err, jwt.ErrInvalidAudience):
		return refuse(ReasonAudience)
	case errors.Is(err, jwt.ErrExpired):
		return refuse(ReasonExpired)
	case errors.Is(err, jwt.ErrNotValidYet), errors.Is(err, jwt.ErrIssuedInTheFuture):
		return refuse(ReasonNotYet)
	case err != nil:
		return access.Grant{}, &Refused{Reason: ReasonMalformed, Err: err}
	}
	until := claims.Expiry.Time().Add(v.Leeway)
	if !now.Before(until) { // the library accepts it in the last second
		return refuse(ReasonExpired)
	}
	return access.Grant{Principal: claims.Subject, Publish: v.Publish.in(all), Until: until}, nil
}

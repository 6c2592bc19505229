package token

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
	"github.com/go-jose/go-jose/v4/jwt"

	"fanfare/pkg/access"
)

const (
	// MaxBytes is the longest token that is looked at. API Gateway takes 10,240 bytes of headers in all.
	// Source: API Gateway developer guide, "Quotas for configuring and running a REST API", total combined size of headers.
	MaxBytes = 8192

	// maxSubject is the longest sub, in bytes: OpenID Connect's bound, and an authorizer's answer has 8 KB.
	// Source: OpenID Connect Core 1.0, section 2, ID Token.
	maxSubject = 255

	// maxLifetime is how far ahead an expiry may lie. It is no policy, only a bound that no sensible issuer reaches.
	maxLifetime = 10 * 365 * 24 * time.Hour
)

// Refused is why a token is not accepted. It never holds a part of the token.
type Refused struct {
	// Reason is one of the Reason constants, for counting.
	Reason string
	// Err says more, for people; it may be nil.
	Err error
}

// Reasons of a Refused.
const (
	ReasonMissing   = "missing"       // there was none where one is looked for
	ReasonMalformed = "malformed"     // not a token that could be read
	ReasonAlgorithm = "algorithm"     // signed in a way that is not allowed
	ReasonHeader    = "header"        // a header parameter that changes what the token means
	ReasonSignature = "signature"     // no key of the issuer's verifies it
	ReasonIssuer    = "issuer"        // another one's
	ReasonAudience  = "audience"      // for somebody else
	ReasonExpired   = "expired"       // or without an expiry
	ReasonNotYet    = "not_yet_valid" // nbf or iat lie ahead
	ReasonSubject   = "subject"       // nobody's
)

func (r *Refused) Error() string {
	if r.Err == nil {
		return "token refused: " + r.Reason
	}
	return "token refused: " + r.Reason + ": " + r.Err.Error()
}

// Unwrap returns Err.
func (r *Refused) Unwrap() error { return r.Err }

// Claim is what a token must say to give the right to publish.
type Claim struct {
	// Name of a claim at the top of the token, and the Value that it must have or hold: a string has the words between
	// its spaces (as OAuth's scope), a list its strings, and true is "true".
	Name, Value string
}

// ParseClaim reads "name=value". The last "=" divides, as names are often URLs.
func ParseClaim(text string) (Claim, error) {
	i := strings.LastIndexByte(text, '=')
	if i < 1 || i == len(text)-1 || strings.ContainsAny(text[i:], " \t") {
		return Claim{}, fmt.Errorf("the claim %q is not like scope=publish", text)
	}
	return Claim{text[:i], text[i+1:]}, nil
}

func (c Claim) in(claims map[string]any) bool {
	switch value := claims[c.Name].(type) {
	case string:
		return slices.Contains(strings.Fields(value), c.Value)
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
	// Algorithms are those that a token may be signed with; it must not be empty. See ParseAlgorithms.
	Algorithms []jose.SignatureAlgorithm
	// Issuer and Audience are what iss has to be and aud has to hold.
	Issuer, Audience string
	// Leeway is by how much clocks may differ.
	Leeway time.Duration
	// Publish is the claim that gives the right to publish.
	Publish Claim
	// Now is the time; nil means time.Now.
	Now func() time.Time
}

// Verify returns what a token is worth. What is wrong with the token is a *Refused; other errors are not its fault.
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
	// This decoder, unlike the standard library's, refuses a name that comes twice and tells names by their case.
	var claims jwt.Claims
	var all map[string]any
	if json.Unmarshal(payload, &claims) != nil || json.Unmarshal(payload, &all) != nil {
		return access.Grant{}, &Refused{Reason: ReasonMalformed, Err: errors.New("the claims cannot be read")}
	}
	return v.judge(claims, all)
}

// parse reads the token's form and header, nothing of which is trusted yet.
func (v *Verifier) parse(token string) (*jose.JSONWebSignature, jose.Header, error) {
	refuse := func(reason, why string) (*jose.JSONWebSignature, jose.Header, error) {
		return nil, jose.Header{}, &Refused{Reason: reason, Err: errors.New(why)}
	}
	switch {
	case len(token) > MaxBytes:
		return refuse(ReasonMalformed, fmt.Sprintf("%d bytes", len(token)))
	case strings.Count(token, ".") != 2 || strings.ContainsFunc(token, func(r rune) bool { return !compact(r) }):
		// The library overlooks white space; nobody else may.
		return refuse(ReasonMalformed, "not a JWS in compact serialization")
	}
	parsed, err := jose.ParseSignedCompact(token, v.Algorithms)
	var algorithm *jose.ErrUnexpectedSignatureAlgorithm
	switch {
	case errors.As(err, &algorithm):
		return refuse(ReasonAlgorithm, "not one of the allowed")
	case err != nil:
		return refuse(ReasonMalformed, "not a JWS")
	}
	header := parsed.Signatures[0].Header
	for name := range header.ExtraHeaders {
		// RFC 7515, section 4.1.11: what a token declares critical must be understood, and nothing is.
		if name == "crit" || name == "b64" {
			return refuse(ReasonHeader, "critical extensions are not supported")
		}
	}
	if typ, ok := header.ExtraHeaders[jose.HeaderType]; ok && !tokenType(typ) {
		return refuse(ReasonHeader, "typ is not that of an access or ID token")
	}
	if _, ok := header.ExtraHeaders[jose.HeaderContentType]; ok {
		return refuse(ReasonHeader, "nested tokens are not supported")
	}
	// Keys are the issuer's, whatever the token says (jwk, jku, x5c, x5u): those parameters are never read.
	return parsed, header, nil
}

// compact tells whether a character may stand in a compact serialization. Source: RFC 4648, section 5.
func compact(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.'
}

// tokenType tells whether a typ is a plain token's or an access token's, so that no other kind of JWT of the same issuer
// (a logout token, a DPoP proof) is taken for one. Source: RFC 8725, section 3.11; RFC 9068, section 2.1.
func tokenType(typ any) bool {
	text, _ := typ.(string)
	text = strings.TrimPrefix(strings.ToLower(text), "application/")
	return text == "jwt" || text == "at+jwt"
}

// judge weighs the claims of a token whose signature is good.
func (v *Verifier) judge(claims jwt.Claims, all map[string]any) (access.Grant, error) {
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
		// The library takes these for "any".
		return access.Grant{}, errors.New("the verifier has no issuer or no audience")
	}
	err := claims.ValidateWithLeeway(jwt.Expected{Issuer: v.Issuer, AnyAudience: jwt.Audience{v.Audience}, Time: now}, v.Leeway)
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
	if !now.Before(until) { // the library lets the last second pass
		return refuse(ReasonExpired)
	}
	return access.Grant{Principal: claims.Subject, Publish: v.Publish.in(all), Until: until}, nil
}

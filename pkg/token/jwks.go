package token

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

const (
	// maxJWKSBytes and maxJWKSKeys are how much of a JWK set is read: real ones have a few keys and a few kilobytes.
	maxJWKSBytes = 256 << 10
	maxJWKSKeys  = 100

	// minRSABits is the least that RFC 7518, section 3.3, allows; maxRSABits bounds what one signature costs to verify.
	minRSABits = 2048
	maxRSABits = 8192
)

// asymmetric are the algorithms whose keys may be public. Source: RFC 7518, section 3.1; RFC 8037, section 3.1.
var asymmetric = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// ParseAlgorithms reads a comma-separated list of algorithms for keys of a JWK set. "none" and those with a shared secret
// are errors.
func ParseAlgorithms(list string) ([]jose.SignatureAlgorithm, error) {
	var algorithms []jose.SignatureAlgorithm
	for name := range strings.SplitSeq(list, ",") {
		algorithm := jose.SignatureAlgorithm(strings.TrimSpace(name))
		if !slices.Contains(asymmetric, algorithm) {
			return nil, fmt.Errorf("the algorithm %q is not one of %v", algorithm, asymmetric)
		}
		algorithms = append(algorithms, algorithm)
	}
	return algorithms, nil
}

// JWKS is an issuer's JWK set (RFC 7517, section 5), as OpenID Connect providers publish it under jwks_uri.
type JWKS struct {
	url    string
	client *http.Client
}

// NewJWKS returns the set at a URL of the scheme https. Plain http is for 127.0.0.1 alone, for trying things out: there
// is nobody on the way.
func NewJWKS(address string) (*JWKS, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && (u.Scheme != "http" || u.Hostname() != "127.0.0.1") {
		return nil, fmt.Errorf("the JWK set's URL has to begin with https://")
	}
	return &JWKS{url: address, client: &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
			// One fetch in minutes: a connection kept that long would only be found dead.
			DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10,
		},
		// The issuer's keys are where its operator said they are.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Fetch gets the keys that can verify signatures. Keys for other ends, of other kinds or too weak are passed over.
func (j *JWKS) Fetch(ctx context.Context) ([]jose.JSONWebKey, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, j.url, nil)
	if err != nil {
		return nil, fmt.Errorf("fetch the JWK set: %w", err)
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	response, err := j.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("fetch the JWK set: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetch the JWK set: the answer is %s", response.Status)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxJWKSBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("fetch the JWK set: %w", err)
	case len(body) > maxJWKSBytes:
		return nil, fmt.Errorf("fetch the JWK set: more than %d bytes", maxJWKSBytes)
	}
	return parseJWKS(body)
}

func parseJWKS(body []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, fmt.Errorf("read the JWK set: %w", err)
	}
	if len(set.Keys) > maxJWKSKeys {
		return nil, fmt.Errorf("read the JWK set: more than %d keys", maxJWKSKeys)
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if json.Unmarshal(raw, &key) == nil && key.KeyID != "" && (key.Use == "" || key.Use == "sig") && verifies(key.Key) {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("read the JWK set: none of its %d keys has a kid and can verify a signature", len(set.Keys))
	}
	return keys, nil
}

// verifies tells whether a key is a public one of a kind and size that is used. A set with a private key in it is a
// mistake of the issuer's; a shared secret in it would let everybody sign.
func verifies(key any) bool {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return key.N.BitLen() >= minRSABits && key.N.BitLen() <= maxRSABits
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return true
	}
	return false
}

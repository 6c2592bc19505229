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
	"strconv"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

const (
	// maxJWKSBytes and maxJWKSKeys bound a JWK set. Usual ones have a few keys and a few kilobytes.
	maxJWKSBytes = 256 << 10
	maxJWKSKeys  = 100

	// minRSABits is the minimum of RFC 7518, section 3.3. go-jose refuses keys of more than 4096 bits.
	minRSABits = 2048
)

// asymmetric lists the algorithms with public keys. Source: RFC 7518, section 3.1; RFC 8037, section 3.1.
var asymmetric = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// ParseAlgorithms reads a comma-separated list of algorithms for keys of a JWK set. "none" and the algorithms with a
// shared secret are errors.
func ParseAlgorithms(list string) ([]jose.SignatureAlgorithm, error) {
	var algorithms []jose.SignatureAlgorithm
	for name := range strings.SplitSeq(list, ",") {
		algorithm := jose.SignatureAlgorithm(strings.TrimSpace(name))
		if !slices.Contains(asymmetric, algorithm) {
			return nil, fmt.Errorf("parse algorithms: %q is not one of %v", algorithm, asymmetric)
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

// NewJWKS returns the set at an https URL. Plain http is allowed for 127.0.0.1 only, where no network is in between.
func NewJWKS(address string) (*JWKS, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil ||
		u.Scheme != "https" && (u.Scheme != "http" || u.Hostname() != "127.0.0.1") {
		shown := "which cannot be parsed"
		if u != nil {
			shown = strconv.Quote(u.Redacted())
		}
		return nil, fmt.Errorf("the URL of the JWK set, %s, is not an https URL without a user", shown)
	}
	return &JWKS{url: address, client: &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
			// Fetches are minutes apart; an idle connection would be closed by then.
			DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10,
		},
		// Keys are fetched from the configured URL only.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Fetch returns the keys that can verify signatures. It skips keys for other uses, of other types, and of wrong sizes.
// It is an error if no key is left.
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
		return nil, fmt.Errorf("fetch the JWK set: got status %s", response.Status)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxJWKSBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("fetch the JWK set: %w", err)
	case len(body) > maxJWKSBytes:
		return nil, fmt.Errorf("fetch the JWK set: it is larger than %d bytes", maxJWKSBytes)
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
		return nil, fmt.Errorf("read the JWK set: it has more than %d keys", maxJWKSKeys)
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if json.Unmarshal(raw, &key) == nil && key.KeyID != "" && (key.Use == "" || key.Use == "sig") && verifies(key.Key) {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("read the JWK set: no usable key among %d", len(set.Keys))
	}
	return keys, nil
}

// verifies reports whether a key is public and of a supported type and size. A private key in a set is a mistake of the
// issuer; a shared secret in it would allow any client to sign.
func verifies(key any) bool {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return key.N.BitLen() >= minRSABits
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return true
	}
	return false
}

// Package tokentest makes valid and invalid tokens for tests. It uses no JWT library, so that a test controls every
// byte.
package tokentest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"sync"
	"time"
)

// Issuer signs tokens with an RSA key (kid "rsa") and an elliptic-curve key (kid "ec").
type Issuer struct {
	RSA *rsa.PrivateKey
	EC  *ecdsa.PrivateKey
}

// Good returns the issuer that verifiers trust, Evil another one. Their keys are generated once, because that is slow.
var (
	Good = sync.OnceValue(newIssuer)
	Evil = sync.OnceValue(newIssuer)
)

func newIssuer() *Issuer {
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return &Issuer{r, e}
}

// JWKS returns the issuer's JWK set.
func (i *Issuer) JWKS() []byte { return Set(i.RSAKey("rsa"), i.ECKey("ec")) }

// Set returns a JWK set.
func Set(keys ...map[string]any) []byte { return marshal(map[string]any{"keys": keys}) }

// RSAKey returns the RSA key as a JWK.
func (i *Issuer) RSAKey(kid string) map[string]any {
	return map[string]any{"kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256", "n": b64(i.RSA.N.Bytes()), "e": "AQAB"}
}

// ECKey returns the elliptic-curve key as a JWK.
func (i *Issuer) ECKey(kid string) map[string]any {
	point, err := i.EC.PublicKey.Bytes()
	if err != nil {
		panic(err)
	}
	return map[string]any{"kty": "EC", "kid": kid, "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:])}
}

// PublicPEM returns the RSA public key in PEM form.
func (i *Issuer) PublicPEM() []byte {
	der, err := x509.MarshalPKIXPublicKey(&i.RSA.PublicKey)
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// Sign returns the signature of a token's header and claims: the bytes before its second dot.
type Sign func(input []byte) []byte

// RS256 signs with the issuer's RSA key.
func (i *Issuer) RS256(input []byte) []byte {
	sum := sha256.Sum256(input)
	signature, err := rsa.SignPKCS1v15(rand.Reader, i.RSA, crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	return signature
}

// ES256 signs with the issuer's elliptic-curve key. Source of the format: RFC 7518, section 3.4.
func (i *Issuer) ES256(input []byte) []byte {
	sum := sha256.Sum256(input)
	r, s, err := ecdsa.Sign(rand.Reader, i.EC, sum[:])
	if err != nil {
		panic(err)
	}
	return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
}

// HS256 signs with a shared secret.
func HS256(secret []byte) Sign {
	return func(input []byte) []byte {
		mac := hmac.New(sha256.New, secret)
		mac.Write(input)
		return mac.Sum(nil)
	}
}

// Unsigned leaves the signature empty.
func Unsigned([]byte) []byte { return nil }

// Claims are the claims of a token.
type Claims map[string]any

// Listener returns the claims of a token that is valid from a time on for half an hour, without the right to publish.
func Listener(now time.Time) Claims {
	return Claims{
		"iss": "https://issuer.example", "aud": "fanfare", "sub": "alice",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(30 * time.Minute).Unix(),
	}
}

// With returns a copy of the claims with changes; nil removes a claim.
func (c Claims) With(changes Claims) Claims {
	changed := maps.Clone(c)
	maps.Copy(changed, changes)
	maps.DeleteFunc(changed, func(_ string, value any) bool { return value == nil })
	return changed
}

// Token returns a compact token. The header and the claims are JSON texts (strings), or values to be marshalled.
func Token(header, claims any, sign Sign) string {
	input := b64(text(header)) + "." + b64(text(claims))
	return input + "." + b64(sign([]byte(input)))
}

// RS256Header is the header of a valid token.
const RS256Header = `{"alg":"RS256","kid":"rsa","typ":"JWT"}`

// Signed returns a token with the issuer's RS256 signature.
func (i *Issuer) Signed(claims any) string { return Token(RS256Header, claims, i.RS256) }

func text(value any) []byte {
	if s, ok := value.(string); ok {
		return []byte(s)
	}
	return marshal(value)
}

func marshal(value any) []byte {
	data, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return data
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

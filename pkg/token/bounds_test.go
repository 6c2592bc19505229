package token_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"fanfare/pkg/token"
	"fanfare/test/tokentest"
)

func TestJWKS_Bounds(t *testing.T) {
	good := tokentest.Good()
	padded := func(size int) []byte {
		set := good.JWKS()
		return append(set, bytes.Repeat([]byte(" "), size-len(set))...)
	}
	many := func(n int) []byte {
		keys := make([]map[string]any, n)
		for i := range keys {
			keys[i] = good.RSAKey(fmt.Sprint(i))
		}
		return tokentest.Set(keys...)
	}
	modulus := func(bits int) []byte {
		n := bytes.Repeat([]byte{0xff}, (bits+7)/8)
		n[0] = byte(1<<((bits-1)%8+1) - 1)
		key := good.RSAKey("rsa")
		key["n"] = base64.RawURLEncoding.EncodeToString(n)
		return tokentest.Set(key)
	}
	for _, test := range []struct {
		name string
		set  []byte
		keys int // 0 is an error
	}{
		{"262,144 bytes", padded(262_144), 2},
		{"262,145 bytes", padded(262_145), 0},
		{"100 keys", many(100), 100},
		{"101 keys", many(101), 0},
		{"a modulus of 2047 bits", modulus(2047), 0},
		{"a modulus of 2048 bits", modulus(2048), 1},
		{"a modulus of 4096 bits", modulus(4096), 1},
		{"a modulus of 4097 bits", modulus(4097), 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			set, err := token.NewJWKS(newIssuer(t, test.set).URL)
			if err != nil {
				t.Fatal(err)
			}
			keys, err := set.Fetch(t.Context())
			if len(keys) != test.keys || (err == nil) != (test.keys > 0) {
				t.Errorf("got %d keys, %v, want %d", len(keys), err, test.keys)
			}
		})
	}
}

// A shared secret or a private key in a set would let others sign.
func TestJWKS_SecretKeys(t *testing.T) {
	secret := map[string]any{"kty": "oct", "kid": "secret", "k": base64.RawURLEncoding.EncodeToString(make([]byte, 32))}
	private := tokentest.Good().ECKey("private")
	private["d"] = base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{1}, 32))
	for _, key := range []map[string]any{secret, private} {
		var parsed jose.JSONWebKey
		text, err := json.Marshal(key)
		if err != nil {
			t.Fatal(err)
		}
		if err := parsed.UnmarshalJSON(text); err != nil {
			t.Errorf("%s: got %v, want a key that can be read", key["kid"], err)
		}
		set, err := token.NewJWKS(newIssuer(t, tokentest.Set(key)).URL)
		if err != nil {
			t.Fatal(err)
		}
		if keys, err := set.Fetch(t.Context()); err == nil {
			t.Errorf("%s: got %v, want an error", key["kid"], keys)
		}
	}
}

func TestJWKS_Request(t *testing.T) {
	i := newIssuer(t, nil)
	var accept, method string
	i.behave(func(w http.ResponseWriter, r *http.Request) {
		accept, method = r.Header.Get("Accept"), r.Method
		w.Write(tokentest.Good().JWKS())
	})
	set, err := token.NewJWKS(i.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := set.Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := "application/jwk-set+json, application/json"; accept != want || method != http.MethodGet {
		t.Errorf("got %s with Accept %q, want GET with %q", method, accept, want)
	}
}

// sized returns a valid token of that many bytes.
func sized(t *testing.T, size int) string {
	t.Helper()
	for header := range 4 { // base64 does not have every length
		kind := fmt.Sprintf(`{"alg":"RS256","kid":"rsa","x":"%s"}`, strings.Repeat("x", header))
		without := tokentest.Token(kind, tokentest.Listener(now).With(tokentest.Claims{"x": ""}), tokentest.Good().RS256)
		for pad := (size-len(without))*3/4 - 4; pad < (size-len(without))*3/4+4; pad++ {
			claims := tokentest.Listener(now).With(tokentest.Claims{"x": strings.Repeat("x", pad)})
			if text := tokentest.Token(kind, claims, tokentest.Good().RS256); len(text) == size {
				return text
			}
		}
	}
	t.Fatalf("got no token of %d bytes", size)
	return ""
}

func TestVerifier_Bounds(t *testing.T) {
	v := verifier(t)
	with := func(name string, value any) string {
		return tokentest.Good().Signed(tokentest.Listener(now).With(tokentest.Claims{name: value}))
	}
	const tenYears = 10 * 365 * 24 * time.Hour
	for _, test := range []struct {
		name, token, reason string
	}{
		{"8192 bytes", sized(t, 8192), ""},
		{"8193 bytes", sized(t, 8193), token.ReasonMalformed},
		{"a subject of 255 bytes", with("sub", strings.Repeat("s", 255)), ""},
		{"a subject of 256 bytes", with("sub", strings.Repeat("s", 256)), token.ReasonSubject},
		{"a life of ten years", with("exp", now.Add(tenYears).Unix()), ""},
		{"a life of ten years and a second", with("exp", now.Add(tenYears+time.Second).Unix()), token.ReasonExpired},
		{"valid from 30 s on", with("nbf", now.Add(30*time.Second).Unix()), ""},
		{"valid from 31 s on", with("nbf", now.Add(31*time.Second).Unix()), token.ReasonNotYet},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := v.Verify(t.Context(), test.token); reason(err) != test.reason || (err == nil) != (test.reason == "") {
				t.Errorf("got %v, want reason %q", err, test.reason)
			}
		})
	}
}

func TestParseClaim_Shortest(t *testing.T) {
	want := token.Claim{Name: "a", Value: "b"}
	if got, err := token.ParseClaim("a=b"); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestSecret_Bounds(t *testing.T) {
	client, ids := sharing(t, strings.Repeat("x", 31), strings.Repeat("x", 32))
	for i, want := range []int{0, 1} {
		keys, err := token.Secret{Client: client, ID: ids[i]}.Fetch(t.Context())
		if len(keys) != want || (err == nil) != (want > 0) {
			t.Errorf("%d bytes: got %d keys, %v, want %d", 31+i, len(keys), err, want)
		}
	}
}

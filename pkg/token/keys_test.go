package token_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"fanfare/pkg/token"
	"fanfare/test/tokentest"
)

// issuer serves a JWK set and counts the requests.
type issuer struct {
	*httptest.Server
	answer atomic.Pointer[http.HandlerFunc]
	asked  atomic.Int64
}

func newIssuer(t testing.TB, set []byte) *issuer {
	i := &issuer{}
	i.serve(set)
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.asked.Add(1)
		(*i.answer.Load())(w, r)
	}))
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) serve(set []byte) {
	i.behave(func(w http.ResponseWriter, _ *http.Request) { w.Write(set) })
}

func (i *issuer) behave(answer http.HandlerFunc) { i.answer.Store(&answer) }

// unhurried returns keys with a timeout of one minute, so that a slow machine does not exceed it.
func unhurried(fetch func(context.Context) ([]jose.JSONWebKey, error)) *token.Keys {
	keys := token.NewKeys(fetch)
	keys.Timeout = time.Minute
	return keys
}

// trusting returns a verifier of the issuer's tokens, and a function that advances its clock.
func (i *issuer) trusting(t *testing.T) (v *token.Verifier, pass func(time.Duration)) {
	t.Helper()
	set, err := token.NewJWKS(i.URL)
	if err != nil {
		t.Fatal(err)
	}
	var clock atomic.Int64
	clock.Store(now.UnixNano())
	v = verifier(t)
	v.Keys = unhurried(set.Fetch)
	v.Keys.Now = func() time.Time { return time.Unix(0, clock.Load()) }
	return v, func(d time.Duration) { clock.Add(int64(d)) }
}

var listener = sync.OnceValue(func() string { return tokentest.Good().Signed(tokentest.Listener(now)) })

func TestKeys_FetchOnce(t *testing.T) {
	i := newIssuer(t, tokentest.Good().JWKS())
	v, _ := i.trusting(t)
	var clients sync.WaitGroup
	for range 50 {
		clients.Go(func() {
			if _, err := v.Verify(t.Context(), listener()); err != nil {
				t.Error(err)
			}
		})
	}
	clients.Wait()
	if n := i.asked.Load(); n != 1 {
		t.Errorf("got %d fetches, want 1", n)
	}
}

// Many tokens with unknown keys must not cause many requests to the issuer.
func TestKeys_UnknownKeys(t *testing.T) {
	i := newIssuer(t, tokentest.Good().JWKS())
	v, pass := i.trusting(t)
	storm := func() {
		var clients sync.WaitGroup
		for n := range 200 {
			clients.Go(func() {
				header := fmt.Sprintf(`{"alg":"ES256","kid":"unknown-%d"}`, n)
				zeros := func([]byte) []byte { return make([]byte, 64) }
				text := tokentest.Token(header, tokentest.Listener(now), zeros)
				if _, err := v.Verify(t.Context(), text); reason(err) != token.ReasonSignature {
					t.Error(err)
				}
			})
		}
		clients.Wait()
	}
	storm()
	if n := i.asked.Load(); n != 1 {
		t.Errorf("first tokens: got %d fetches, want 1", n)
	}
	pass(29 * time.Second)
	storm()
	if n := i.asked.Load(); n != 1 {
		t.Errorf("within the pause: got %d fetches, want 1", n)
	}
	pass(time.Second)
	storm()
	if n := i.asked.Load(); n != 2 {
		t.Errorf("after the pause: got %d fetches, want 2", n)
	}
}

func TestKeys_Rotation(t *testing.T) {
	i := newIssuer(t, tokentest.Set(tokentest.Good().RSAKey("old")))
	v, pass := i.trusting(t)
	signedBy := func(who *tokentest.Issuer, kid string) string {
		return tokentest.Token(`{"alg":"RS256","kid":"`+kid+`"}`, tokentest.Listener(now), who.RS256)
	}
	old, young := signedBy(tokentest.Good(), "old"), signedBy(tokentest.Evil(), "new") // Evil is only another key here
	check := func(when, text string, accepted bool) {
		t.Helper()
		if _, err := v.Verify(t.Context(), text); (err == nil) != accepted || err != nil && reason(err) == "" {
			t.Errorf("%s: got %v, want accepted = %v", when, err, accepted)
		}
	}
	check("before", old, true)
	check("before its key is there", young, false)
	i.serve(tokentest.Set(tokentest.Good().RSAKey("old"), tokentest.Evil().RSAKey("new")))
	check("within the pause", young, false)
	pass(30 * time.Second)
	check("after the pause", young, true)
	check("beside the new one", old, true)
	i.serve(tokentest.Set(tokentest.Evil().RSAKey("new")))
	check("withdrawn, but still trusted", old, true)
	pass(10 * time.Minute)
	check("withdrawn", old, false)
	check("after the withdrawal", young, true)

	// The same id for another key.
	i.serve(tokentest.Set(tokentest.Good().RSAKey("new")))
	pass(30 * time.Second)
	check("another key under the same id", signedBy(tokentest.Good(), "new"), true)
	check("the key that the id had before", young, false)
}

func TestKeys_IssuerDown(t *testing.T) {
	i := newIssuer(t, tokentest.Good().JWKS())
	down := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }
	i.behave(down)
	v, pass := i.trusting(t)
	var reported atomic.Int64
	v.Keys.Report = func(error) { reported.Add(1) }
	unavailable := func(when string, asked int64) {
		t.Helper()
		for range 20 {
			if _, err := v.Verify(t.Context(), listener()); !errors.Is(err, token.ErrNoKeys) || reason(err) != "" {
				t.Errorf("%s: got %v, want ErrNoKeys", when, err)
			}
		}
		if n := i.asked.Load(); n != asked || reported.Load() != asked {
			t.Errorf("%s: got %d fetches, %d reports, want %d", when, n, reported.Load(), asked)
		}
	}
	works := func(when string, asked int64) {
		t.Helper()
		for range 20 {
			if _, err := v.Verify(t.Context(), listener()); err != nil {
				t.Errorf("%s: got %v, want no error", when, err)
			}
		}
		if n := i.asked.Load(); n != asked {
			t.Errorf("%s: got %d fetches, want %d", when, n, asked)
		}
	}
	unavailable("from the start", 1)
	pass(5 * time.Second)
	unavailable("second fetch", 2)
	i.serve(tokentest.Good().JWKS())
	pass(5 * time.Second)
	works("up", 3)

	i.behave(down)
	pass(10 * time.Minute)
	works("down again, with cached keys", 4)
	pass(4 * time.Second)
	works("before the next fetch", 4)
	pass(time.Second)
	works("next fetch", 5)
	pass(50 * time.Minute)
	reported.Store(5)
	unavailable("down for an hour", 6)
}

// A hanging issuer delays every caller by at most the timeout: all wait for the same fetch.
func TestKeys_IssuerHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetches := 0
		keys := token.NewKeys(func(ctx context.Context) ([]jose.JSONWebKey, error) {
			fetches++
			<-ctx.Done()
			return nil, ctx.Err()
		})
		v := &token.Verifier{
			Keys: keys, Algorithms: []jose.SignatureAlgorithm{jose.RS256},
			Issuer: "https://issuer.example", Audience: "fanfare",
		}
		text := listener()
		began := time.Now()
		var clients sync.WaitGroup
		for range 100 {
			clients.Go(func() {
				if _, err := v.Verify(t.Context(), text); !errors.Is(err, token.ErrNoKeys) {
					t.Error(err)
				}
			})
		}
		clients.Wait()
		if took := time.Since(began); took != 3*time.Second || fetches != 1 {
			t.Errorf("got %v and %d fetches, want 3s and 1", took, fetches)
		}
		// A caller whose context ends earlier gets its error.
		time.Sleep(time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := v.Verify(ctx, text); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, token.ErrNoKeys) {
			t.Error(err)
		}
	})
}

func TestKeys_HostileIssuer(t *testing.T) {
	good := tokentest.Good()
	weak := map[string]any{"kty": "RSA", "kid": "rsa", "n": strings.Repeat("A", 170) + "AQ", "e": "AQAB"}
	private := good.RSAKey("rsa")
	private["d"] = "AQAB"
	elsewhere := newIssuer(t, good.JWKS())
	set := func(set string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(set)) }
	}
	key := func(key map[string]any) http.HandlerFunc { return set(string(tokentest.Set(key))) }
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
	}{
		{"a redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) }},
		{"an error with keys", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500); w.Write(good.JWKS()) }},
		{"no body", set("")},
		{"not JSON", set("<html>")},
		{"null", set("null")},
		{"a list", set("[]")},
		{"no keys", set(`{"keys":[]}`)},
		{"keys of another kind", set(`{"keys":{}}`)},
		{"keys that are not objects", set(`{"keys":[1,null,"x",[]]}`)},
		{"a shared secret", key(map[string]any{
			"kty": "oct", "kid": "rsa", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U",
		})},
		{"a weak key", key(weak)},
		{"an oversized key", key(map[string]any{
			"kty": "RSA", "kid": "rsa", "n": strings.Repeat("_", 4000), "e": "AQAB",
		})},
		{"an even modulus of zero", key(map[string]any{"kty": "RSA", "kid": "rsa", "n": "AA", "e": "AA"})},
		{"a point off the curve", key(map[string]any{
			"kty": "EC", "kid": "ec", "crv": "P-256", "x": strings.Repeat("A", 43), "y": strings.Repeat("A", 43),
		})},
		{"a private key", key(private)},
		{"a key for encryption", set(strings.ReplaceAll(string(tokentest.Set(good.RSAKey("rsa"))), `"sig"`, `"enc"`))},
		{
			"a key for another algorithm",
			set(strings.ReplaceAll(string(tokentest.Set(good.RSAKey("rsa"))), `"RS256"`, `"RS512"`)),
		},
		{"a key without an id", key(good.RSAKey(""))},
		{"too many keys", set(`{"keys":[` + strings.Repeat(`{},`, 100) + string(good.JWKS()[9:]))},
		{"megabytes", func(w http.ResponseWriter, _ *http.Request) {
			chunk := []byte(strings.Repeat(" ", 64<<10))
			for range 64 {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
			w.Write(good.JWKS())
		}},
		{"a truncated answer", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100000")
			w.Write(good.JWKS())
		}},
		{"a deep nest", set(strings.Repeat(`{"keys":[`, 20000))},
	} {
		t.Run(test.name, func(t *testing.T) {
			i := newIssuer(t, nil)
			i.behave(test.answer)
			v, _ := i.trusting(t)
			if grant, err := v.Verify(t.Context(), listener()); err == nil {
				t.Errorf("got %+v, want an error", grant)
			}
		})
	}
	if n := elsewhere.asked.Load(); n != 0 {
		t.Errorf("target of the redirect: got %d requests, want 0", n)
	}
}

// An unusable key in a set does not affect the others.
func TestKeys_UnusableKeys(t *testing.T) {
	i := newIssuer(t, tokentest.Set(map[string]any{"kty": "new", "kid": "rsa"},
		map[string]any{"kty": "oct", "kid": "rsa", "k": "AAAA"}, tokentest.Good().RSAKey("rsa")))
	v, _ := i.trusting(t)
	if _, err := v.Verify(t.Context(), listener()); err != nil {
		t.Error(err)
	}
}

package token_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"

	"fanfare/pkg/access"
	"fanfare/pkg/token"
	"fanfare/test/tokentest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// now is the time in tests whose clock stands still.
var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// verifier returns a verifier that trusts tokentest.Good.
func verifier(t testing.TB) *token.Verifier {
	server := newIssuer(t, tokentest.Good().JWKS())
	set, err := token.NewJWKS(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	v := &token.Verifier{
		Keys: unhurried(set.Fetch), Algorithms: []jose.SignatureAlgorithm{jose.RS256, jose.ES256},
		Issuer: "https://issuer.example", Audience: "fanfare", Leeway: 30 * time.Second,
		Publish: token.Claim{Name: "scope", Value: "publish"}, Now: func() time.Time { return now },
	}
	return v
}

func TestVerifier_Accepts(t *testing.T) {
	v, good := verifier(t), tokentest.Good()
	claims := tokentest.Listener(now)
	for _, test := range []struct {
		name    string
		token   string
		publish bool
	}{
		{"a listener", good.Signed(claims), false},
		{"a publisher", good.Signed(claims.With(tokentest.Claims{"scope": "publish"})), true},
		{"a publisher among scopes", good.Signed(claims.With(tokentest.Claims{"scope": "openid publish email"})), true},
		{"a publisher by a list", good.Signed(claims.With(tokentest.Claims{"scope": []string{"openid", "publish"}})), true},
		{"a scope after a no-break space", good.Signed(claims.With(tokentest.Claims{"scope": "openid\u00a0publish"})), false},
		{"a scope after a tab", good.Signed(claims.With(tokentest.Claims{"scope": "openid\tpublish"})), false},
		{"a scope that begins alike", good.Signed(claims.With(tokentest.Claims{"scope": "publisher republish"})), false},
		{"a scope that is true", good.Signed(claims.With(tokentest.Claims{"scope": true})), false},
		{"a list of lists", good.Signed(claims.With(tokentest.Claims{"scope": []any{[]string{"publish"}}})), false},
		{"several audiences", good.Signed(claims.With(tokentest.Claims{"aud": []string{"other", "fanfare"}})), false},
		{"without iat and nbf", good.Signed(claims.With(tokentest.Claims{"iat": nil, "nbf": nil})), false},
		{
			"fractions of seconds",
			good.Signed(claims.With(tokentest.Claims{"exp": float64(claims["exp"].(int64)) + 0.9})), false,
		},
		{"an elliptic key", tokentest.Token(`{"alg":"ES256","kid":"ec"}`, claims, good.ES256), false},
		{"an access token", tokentest.Token(`{"alg":"RS256","kid":"rsa","typ":"at+jwt"}`, claims, good.RS256), false},
		{
			"ignored headers",
			tokentest.Token(`{"alg":"RS256","kid":"rsa","x":1,"jku":"https://evil.example"}`, claims, good.RS256), false,
		},
		{"within the leeway", good.Signed(claims.With(tokentest.Claims{"nbf": now.Add(29 * time.Second).Unix()})), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			grant, err := v.Verify(t.Context(), test.token)
			until := now.Add(30*time.Minute + 30*time.Second).Local()
			want := access.Grant{Principal: "alice", Publish: test.publish, Until: until}
			if err != nil || grant != want {
				t.Errorf("got %+v, %v, want %+v", grant, err, want)
			}
		})
	}
}

func TestVerifier_Leeway(t *testing.T) {
	v := verifier(t)
	claims := tokentest.Claims{"exp": now.Add(-29 * time.Second).Unix()}
	expired := tokentest.Good().Signed(tokentest.Listener(now).With(claims))
	if _, err := v.Verify(t.Context(), expired); err != nil {
		t.Errorf("one second before the end of the leeway: got %v, want no error", err)
	}
	v.Now = func() time.Time { return now.Add(time.Second) }
	if _, err := v.Verify(t.Context(), expired); reason(err) != token.ReasonExpired {
		t.Errorf("end of the leeway: got %v, want expired", err)
	}
}

func TestVerifier_Hostile(t *testing.T) {
	v := verifier(t)
	all := tokentest.Hostiles(now)
	if len(all) < 30 {
		t.Fatalf("got %d tokens, want at least 30", len(all))
	}
	reasons := make(map[string]int)
	for _, h := range all {
		grant, err := v.Verify(t.Context(), h.Token)
		if reason(err) == "" || grant != (access.Grant{}) {
			t.Errorf("%s: got %+v, %v, want refused", h.Name, grant, err)
		}
		reasons[reason(err)]++
		for part := range strings.SplitSeq(h.Token, ".") {
			if len(part) > 20 && err != nil && strings.Contains(err.Error(), part) {
				t.Errorf("%s: got %v, want no part of the token in it", h.Name, err)
			}
		}
	}
	t.Logf("%d tokens refused: %v", len(all), reasons)
}

func TestVerifier_Reasons(t *testing.T) {
	v, good := verifier(t), tokentest.Good()
	claims := tokentest.Listener(now)
	for reasonWanted, text := range map[string]string{
		token.ReasonMalformed: "a.b.c",
		token.ReasonAlgorithm: tokentest.Token(`{"alg":"none"}`, claims, tokentest.Unsigned),
		token.ReasonHeader:    tokentest.Token(`{"alg":"RS256","kid":"rsa","crit":["x"],"x":1}`, claims, good.RS256),
		token.ReasonSignature: tokentest.Evil().Signed(claims),
		token.ReasonIssuer:    good.Signed(claims.With(tokentest.Claims{"iss": "x"})),
		token.ReasonAudience:  good.Signed(claims.With(tokentest.Claims{"aud": "x"})),
		token.ReasonExpired:   good.Signed(claims.With(tokentest.Claims{"exp": 1})),
		token.ReasonNotYet:    good.Signed(claims.With(tokentest.Claims{"nbf": now.Add(time.Hour).Unix()})),
		token.ReasonSubject:   good.Signed(claims.With(tokentest.Claims{"sub": ""})),
	} {
		if _, err := v.Verify(t.Context(), text); reason(err) != reasonWanted {
			t.Errorf("got %v, want %s", err, reasonWanted)
		}
	}
}

// TestVerifier_Critical checks that the names of critical extensions are refused with every value.
func TestVerifier_Critical(t *testing.T) {
	v, good := verifier(t), tokentest.Good()
	claims := tokentest.Listener(now)
	for _, member := range []string{
		`"crit":null`, `"crit":[]`, `"crit":["x"]`, `"crit":false`, `"b64":null`, `"b64":true`,
	} {
		text := tokentest.Token(`{"alg":"RS256","kid":"rsa",`+member+`}`, claims, good.RS256)
		if _, err := v.Verify(t.Context(), text); reason(err) != token.ReasonHeader {
			t.Errorf("%s: got %v, want %s", member, err, token.ReasonHeader)
		}
	}
}

func TestVerifier_Incomplete(t *testing.T) {
	for _, forget := range []func(*token.Verifier){
		func(v *token.Verifier) { v.Issuer = "" },
		func(v *token.Verifier) { v.Audience = "" },
		func(v *token.Verifier) { v.Algorithms = nil },
	} {
		v := verifier(t)
		forget(v)
		if grant, err := v.Verify(t.Context(), tokentest.Good().Signed(tokentest.Listener(now))); err == nil {
			t.Errorf("got %+v, want an error", grant)
		}
	}
}

func TestParseSettings(t *testing.T) {
	for text, want := range map[string]token.Claim{
		"scope=publish":               {Name: "scope", Value: "publish"},
		"https://a.example/?x=y=true": {Name: "https://a.example/?x=y", Value: "true"},
		"":                            {}, "scope": {}, "=x": {}, "scope=": {}, "scope=a b": {},
		" scope=publish": {}, "scope =publish": {}, "scope=publish ": {}, "scope=pub\u00a0lish": {},
	} {
		if got, err := token.ParseClaim(text); got != want || (err == nil) != (want != token.Claim{}) {
			t.Errorf("ParseClaim(%q): got %+v, %v, want %+v", text, got, err, want)
		}
	}
	for list, ok := range map[string]bool{
		"RS256": true, "RS256, ES256,EdDSA": true, "": false, "none": false, "HS256": false, "RS256,HS256": false,
		"rs256": false,
	} {
		if got, err := token.ParseAlgorithms(list); (err == nil) != ok {
			t.Errorf("ParseAlgorithms(%q): got %v, %v, want ok = %v", list, got, err, ok)
		}
	}
	for url, ok := range map[string]bool{
		"https://issuer.example/jwks": true, "http://127.0.0.1:1234/jwks": true, "http://issuer.example/jwks": false,
		"http://127.0.0.1.evil.example/": false, "http://localhost/": false, "": false, "file:///etc/passwd": false,
		"https://user:password@issuer.example/": false, "https://": false,
	} {
		if _, err := token.NewJWKS(url); (err == nil) != ok {
			t.Errorf("NewJWKS(%q): got %v, want ok = %v", url, err, ok)
		}
	}
}

// reason returns the reason of a *token.Refused, or "".
func reason(err error) string {
	if refused, ok := errors.AsType[*token.Refused](err); ok {
		return refused.Reason
	}
	return ""
}

// FuzzVerify checks that only tokens with the issuer's signature are accepted.
func FuzzVerify(f *testing.F) {
	seeds := 0
	for _, h := range tokentest.Hostiles(now) {
		f.Add(h.Token)
		seeds++
	}
	if seeds < 30 {
		f.Fatalf("got %d seeds, want at least 30", seeds)
	}
	good := tokentest.Good().Signed(tokentest.Listener(now))
	f.Add(good)
	v := verifier(f)
	f.Fuzz(func(t *testing.T, text string) {
		grant, err := v.Verify(t.Context(), text)
		switch {
		case err == nil && !sameSigned(text, good):
			t.Errorf("%q: got %+v, want an error", text, grant)
		case err != nil && reason(err) == "":
			t.Errorf("%q: got %v, want refused", text, err)
		case err != nil && grant != (access.Grant{}):
			t.Errorf("%q: got %+v with %v, want no grant", text, grant, err)
		}
	})
}

// sameSigned reports whether two tokens are equal except for the signature's last character, which has unused bits.
func sameSigned(a, b string) bool {
	return len(a) == len(b) && a[:len(a)-1] == b[:len(b)-1]
}

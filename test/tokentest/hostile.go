package tokentest

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"
)

// Hostile is a token that must be refused.
type Hostile struct{ Name, Token string }

// Hostiles returns tokens that a verifier of Good's RS256 and ES256 must refuse at a time.
func Hostiles(now time.Time) []Hostile {
	good, evil := Good(), Evil()
	claims := Listener(now).With(Claims{"scope": "publish"})
	sound := good.Signed(claims)
	parts := strings.Split(sound, ".")
	header, payload, signature := parts[0], parts[1], parts[2]
	var all []Hostile
	add := func(name, token string) { all = append(all, Hostile{name, token}) }
	headed := func(name, header string, sign Sign) { add(name, Token(header, claims, sign)) }
	claiming := func(name string, changes Claims) { add(name, good.Signed(claims.With(changes))) }

	// Algorithms.
	headed("alg none", `{"alg":"none"}`, Unsigned)
	headed("alg none with a kid", `{"alg":"none","kid":"rsa"}`, Unsigned)
	headed("alg nOnE", `{"alg":"nOnE","kid":"rsa"}`, Unsigned)
	headed("alg none with a good signature", `{"alg":"none","kid":"rsa"}`, good.RS256)
	headed("no alg", `{"kid":"rsa"}`, good.RS256)
	headed("alg empty", `{"alg":"","kid":"rsa"}`, good.RS256)
	headed("alg a list", `{"alg":["RS256"],"kid":"rsa"}`, good.RS256)
	headed("alg in lower case", `{"alg":"rs256","kid":"rsa"}`, good.RS256)
	headed("RS256 without a signature", RS256Header, Unsigned)
	headed("HS256 keyed with the public key (PEM)", `{"alg":"HS256","kid":"rsa"}`, HS256(good.PublicPEM()))
	headed("HS256 keyed with the public key (PEM, trimmed)", `{"alg":"HS256","kid":"rsa"}`,
		HS256([]byte(strings.TrimSpace(string(good.PublicPEM())))))
	headed("HS256 keyed with the modulus", `{"alg":"HS256","kid":"rsa"}`, HS256(good.RSA.N.Bytes()))
	headed("HS256 keyed with nothing", `{"alg":"HS256","kid":"rsa"}`, HS256(nil))
	headed("HS384 keyed with the JWK set", `{"alg":"HS384","kid":"rsa"}`, HS256(good.JWKS()))
	headed("PS256, which is not allowed", `{"alg":"PS256","kid":"rsa"}`, good.RS256)
	headed("RS512, which is not allowed", `{"alg":"RS512","kid":"rsa"}`, good.RS256)
	headed("ES256 with the RSA key's id", `{"alg":"ES256","kid":"rsa"}`, good.ES256)
	headed("RS256 with the elliptic key's id", `{"alg":"RS256","kid":"ec"}`, good.RS256)
	headed("ES256 of zeros", `{"alg":"ES256","kid":"ec"}`, func([]byte) []byte { return make([]byte, 64) })
	headed("ES256 without a signature", `{"alg":"ES256","kid":"ec"}`, Unsigned)
	headed("ES256 too long", `{"alg":"ES256","kid":"ec"}`, func(in []byte) []byte { return append(good.ES256(in), 0) })
	headed("an encryption's algorithm", `{"alg":"RSA-OAEP","enc":"A256GCM","kid":"rsa"}`, good.RS256)

	// Keys.
	headed("another's key under a known id", RS256Header, evil.RS256)
	headed("another's elliptic key", `{"alg":"ES256","kid":"ec"}`, evil.ES256)
	headed("an unknown key id", `{"alg":"RS256","kid":"unknown"}`, evil.RS256)
	headed("an unknown key id, well signed", `{"alg":"RS256","kid":"unknown"}`, good.RS256)
	headed("no key id", `{"alg":"RS256"}`, good.RS256)
	headed("a key id that is a number", `{"alg":"RS256","kid":1}`, good.RS256)
	headed("a key id that is a path", `{"alg":"HS256","kid":"../../../dev/null"}`, HS256(nil))
	headed("a key id that is a query", `{"alg":"RS256","kid":"rsa' UNION SELECT 'x'--"}`, evil.RS256)
	headed("a key id twice", `{"alg":"RS256","kid":"rsa","kid":"unknown"}`, good.RS256)
	jwk := string(marshal(evil.RSAKey("rsa")))
	headed("the forger's key in jwk", `{"alg":"RS256","kid":"rsa","jwk":`+jwk+`}`, evil.RS256)
	headed("the forger's key in jwk alone", `{"alg":"RS256","jwk":`+jwk+`}`, evil.RS256)
	headed("the forger's key set in jku", `{"alg":"RS256","kid":"rsa","jku":"http://127.0.0.1:9/jwks"}`, evil.RS256)
	headed("the forger's certificate in x5u", `{"alg":"RS256","kid":"rsa","x5u":"http://127.0.0.1:9/x5u"}`, evil.RS256)
	headed("rubbish in x5c", `{"alg":"RS256","kid":"rsa","x5c":["AAAA"]}`, evil.RS256)
	headed("a thumbprint in x5t", `{"alg":"RS256","kid":"rsa","x5t":"AAAA"}`, evil.RS256)

	// Other header parameters.
	headed("a critical extension", `{"alg":"RS256","kid":"rsa","crit":["exp"],"exp":1}`, good.RS256)
	headed("a critical b64", `{"alg":"RS256","kid":"rsa","crit":["b64"],"b64":false}`, good.RS256)
	headed("an empty crit", `{"alg":"RS256","kid":"rsa","crit":[]}`, good.RS256)
	headed("b64 that is not critical", `{"alg":"RS256","kid":"rsa","b64":false}`, good.RS256)
	headed("alg twice", `{"alg":"none","alg":"RS256","kid":"rsa"}`, good.RS256)
	headed("a logout token", `{"alg":"RS256","kid":"rsa","typ":"logout+jwt"}`, good.RS256)
	headed("a DPoP proof", `{"alg":"RS256","kid":"rsa","typ":"dpop+jwt"}`, good.RS256)
	headed("typ a number", `{"alg":"RS256","kid":"rsa","typ":1}`, good.RS256)
	headed("header a list", `["RS256"]`, good.RS256)
	headed("header null", `null`, good.RS256)
	headed("header empty", ``, good.RS256)
	headed("header not closed", `{"alg":"RS256","kid":"rsa"`, good.RS256)
	headed("header with more behind", RS256Header+`{}`, good.RS256)

	// Times.
	claiming("expired", Claims{"exp": now.Add(-time.Hour).Unix()})
	claiming("expired a moment ago", Claims{"exp": now.Add(-31 * time.Second).Unix()})
	claiming("no expiry", Claims{"exp": nil})
	claiming("an expiry that is a text", Claims{"exp": fmt.Sprint(now.Add(time.Hour).Unix())})
	claiming("an expiry in milliseconds", Claims{"exp": now.Add(time.Hour).UnixMilli()})
	claiming("an expiry that is negative", Claims{"exp": -1})
	claiming("an expiry that is true", Claims{"exp": true})
	add("an expiry beyond numbers", good.Signed(strings.Replace(string(marshal(claims)), `"exp":`, `"exp":1e999,"x":`, 1)))
	add("an expiry beyond time", good.Signed(strings.Replace(string(marshal(claims)), `"exp":`, `"exp":1e18,"x":`, 1)))
	add("an expiry that is null", good.Signed(strings.Replace(string(marshal(claims)), `"exp":`, `"exp":null,"x":`, 1)))
	claiming("not yet valid", Claims{"nbf": now.Add(time.Hour).Unix()})
	claiming("valid in the far future", Claims{"nbf": 1e18})
	claiming("nbf a text", Claims{"nbf": "now"})
	claiming("issued in the future", Claims{"iat": now.Add(time.Hour).Unix()})

	// Issuer, audience, subject.
	claiming("another issuer", Claims{"iss": "https://evil.example"})
	claiming("another issuer that begins alike", Claims{"iss": "https://issuer.example.evil"})
	claiming("the issuer with a slash", Claims{"iss": "https://issuer.example/"})
	claiming("no issuer", Claims{"iss": nil})
	claiming("issuers", Claims{"iss": []string{"https://issuer.example"}})
	claiming("another audience", Claims{"aud": "other"})
	claiming("an audience that begins alike", Claims{"aud": "fanfare2"})
	claiming("no audience", Claims{"aud": nil})
	claiming("an empty audience", Claims{"aud": ""})
	claiming("no audiences", Claims{"aud": []string{}})
	claiming("audiences, not ours", Claims{"aud": []string{"a", "b"}})
	claiming("audiences of other kinds", Claims{"aud": []any{"fanfare", 1}})
	claiming("an audience in an object", Claims{"aud": Claims{"fanfare": true}})
	claiming("no subject", Claims{"sub": nil})
	claiming("an empty subject", Claims{"sub": ""})
	claiming("a subject that is a number", Claims{"sub": 1})
	claiming("a subject too long", Claims{"sub": strings.Repeat("a", 256)})

	// Claims that readers may read in different ways.
	plain := strings.TrimSuffix(string(marshal(claims)), "}")
	add("exp twice", good.Signed(plain+`,"exp":9999999999}`))
	add("sub twice", good.Signed(plain+`,"sub":"admin"}`))
	add("scope twice", good.Signed(plain+`,"scope":"publish"}`))
	otherCases := strings.NewReplacer(`"exp"`, `"EXP"`, `"sub"`, `"Sub"`, `"aud"`, `"AUD"`)
	add("names in other cases", good.Signed(otherCases.Replace(plain)+"}"))
	add("claims with more behind", good.Signed(plain+"}{}"))
	for _, claims := range []string{
		``, `null`, `[]`, `"x"`, `1`, `{`, `{"exp"}`, strings.Repeat(`{"a":`, 1000), strings.Repeat(`[`, 3000),
	} {
		add(fmt.Sprintf("claims %.10q", claims), good.Signed(claims))
	}
	add("a token in a token", Token(`{"alg":"RS256","kid":"rsa","cty":"JWT"}`, sound, good.RS256))
	add("a token in a token, cty alone", Token(`{"alg":"RS256","kid":"rsa","cty":"JWT"}`, claims, good.RS256))
	add("a token for claims", good.Signed(`"`+sound+`"`))

	// Altered after signing, or not a token.
	add("the payload of another", header+"."+b64(marshal(claims.With(Claims{"sub": "admin"})))+"."+signature)
	add("the header of another", b64([]byte(`{"alg":"RS256","kid":"rsa","typ":"jwt"}`))+"."+payload+"."+signature)
	add("the signature cut", sound[:len(sound)-4])
	add("the signature cut in half", header+"."+payload+"."+signature[:len(signature)/2])
	add("no signature", header+"."+payload+".")
	add("two parts", header+"."+payload)
	add("one part", header)
	add("four parts", sound+".")
	add("five parts", sound+".AAAA.AAAA")
	add("an empty payload", header+".."+signature)
	add("dots", "..")
	add("one dot", ".")
	add("a word", "token")
	add("three words", "a.b.c")
	add("too long", good.Signed(claims.With(Claims{"x": strings.Repeat("x", 8<<10)})))
	add("padded", header+"=."+payload+"=."+signature+"=")
	add("the other base64", strings.Join([]string{std(header), std(payload), std(signature)}, "."))
	add("as JSON", `{"protected":"`+header+`","payload":"`+payload+`","signature":"`+signature+`"}`)
	add("as JSON with an unprotected header",
		`{"protected":"","header":{"alg":"none"},"payload":"`+payload+`","signature":""}`)
	add("percent-encoded", strings.ReplaceAll(sound, ".", "%2E"))
	add("a second token behind a space", sound+" "+sound)
	add("a semicolon behind", sound+";")
	add("letters beyond ASCII", header+"."+payload+".ÄÖÜ")
	return all
}

// std returns a part in standard base64, which has two other characters than the URL form; most tokens contain them.
func std(part string) string {
	data, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(append(data, 0xfb, 0xff))
}

package token_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"fanfare/local/secrets"
	"fanfare/pkg/token"
	"fanfare/test/awstest"
	"fanfare/test/tokentest"
)

// sharing returns a Secrets Manager client and the ids of secrets with these values.
func sharing(t *testing.T, values ...string) (*secretsmanager.Client, []string) {
	t.Helper()
	var all []secrets.Secret
	var ids []string
	for i, value := range values {
		id := "arn:aws:secretsmanager:us-east-1:000000000000:secret:s" + string(rune('0'+i)) + "-abcdef"
		all = append(all, secrets.Secret{Name: "s" + string(rune('0'+i)), ARN: id, Value: value})
		ids = append(ids, id)
	}
	server := httptest.NewServer(secrets.New(secrets.Options{}, all...))
	t.Cleanup(server.Close)
	return secretsmanager.NewFromConfig(awstest.Config(server.URL)), ids
}

func TestSecret_Verify(t *testing.T) {
	const secret = "a secret of the stack, thirty-two bytes or more"
	client, ids := sharing(t, secret)
	v := verifier(t)
	v.Keys, v.Algorithms = unhurried(token.Secret{Client: client, ID: ids[0]}.Fetch), token.SecretAlgorithms
	claims := tokentest.Listener(now).With(tokentest.Claims{"scope": "publish"})
	for _, header := range []string{`{"alg":"HS256"}`, `{"alg":"HS256","typ":"JWT","kid":"any"}`} {
		grant, err := v.Verify(t.Context(), tokentest.Token(header, claims, tokentest.HS256([]byte(secret))))
		if err != nil || !grant.Publish {
			t.Errorf("%s: got %+v, %v, want the right to publish", header, grant, err)
		}
	}
	expired := claims.With(tokentest.Claims{"exp": 1})
	for name, text := range map[string]string{
		"another secret": tokentest.Token(`{"alg":"HS256"}`, claims, tokentest.HS256([]byte(secret+"."))),
		"none":           tokentest.Token(`{"alg":"none"}`, claims, tokentest.Unsigned),
		"HS512":          tokentest.Token(`{"alg":"HS512"}`, claims, tokentest.HS256([]byte(secret))),
		"RS256":          tokentest.Good().Signed(claims),
		"expired":        tokentest.Token(`{"alg":"HS256"}`, expired, tokentest.HS256([]byte(secret))),
	} {
		if _, err := v.Verify(t.Context(), text); reason(err) == "" {
			t.Errorf("%s: got %v, want refused", name, err)
		}
	}
}

func TestSecret_Unusable(t *testing.T) {
	client, ids := sharing(t, "short", "")
	for _, id := range append(ids, "missing") {
		_, err := token.Secret{Client: client, ID: id}.Fetch(t.Context())
		if err == nil || !strings.HasPrefix(err.Error(), "fetch the shared secret: ") {
			t.Errorf("%s: got %v, want an error", id, err)
		}
	}
}

// A new secret is accepted with the first token that is signed with it, after the pause between two fetches.
func TestSecret_Rotation(t *testing.T) {
	client, ids := sharing(t, strings.Repeat("old ", 8), strings.Repeat("new ", 8))
	present := token.Secret{Client: client, ID: ids[0]}
	v := verifier(t)
	v.Keys, v.Algorithms = unhurried(present.Fetch), token.SecretAlgorithms
	clock := now
	v.Keys.Now = func() time.Time { return clock }
	sign := func(secret string) string {
		return tokentest.Token(`{"alg":"HS256"}`, tokentest.Listener(now), tokentest.HS256([]byte(secret)))
	}
	old, young := sign(strings.Repeat("old ", 8)), sign(strings.Repeat("new ", 8))
	if _, err := v.Verify(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	v.Keys.Fetch = token.Secret{Client: client, ID: ids[1]}.Fetch
	if _, err := v.Verify(t.Context(), young); reason(err) != token.ReasonSignature {
		t.Errorf("within the pause: got %v, want refused", err)
	}
	clock = clock.Add(30 * time.Second)
	if _, err := v.Verify(t.Context(), young); err != nil {
		t.Errorf("after the pause: got %v, want no error", err)
	}
	if _, err := v.Verify(t.Context(), old); reason(err) != token.ReasonSignature {
		t.Errorf("old secret: got %v, want refused", err)
	}
}

package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"fanfare/pkg/function"
	"fanfare/test/awstest"
	"fanfare/test/tokentest"
)

// A mistake in the settings of tokens ends the function at its start, not at the first client.
func TestSetup_Errors(t *testing.T) {
	good := map[string]string{
		"TOKEN_SOURCE": "protocol", "TOKEN_ISSUER": "i", "TOKEN_AUDIENCE": "a", "TOKEN_LEEWAY_SECONDS": "0",
		"PUBLISH_CLAIM": "scope=publish", "TOKEN_KEYS": "https://issuer.example/jwks", "TOKEN_ALGORITHMS": "RS256",
	}
	for _, test := range []struct{ name, variable, value, want string }{
		{"no mistake", "", "", ""},
		{"a shared secret", "TOKEN_KEYS", "arn:aws:secretsmanager:us-east-1:000000000000:secret:s", ""},
		{"claim", "PUBLISH_CLAIM", "scope", `parse claim "scope"`},
		{"keys", "TOKEN_KEYS", "http://issuer.example/jwks", "is not an https URL"},
		{"algorithms", "TOKEN_ALGORITHMS", "none", `parse algorithms: "none"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			env := &function.Environment{Get: func(name string) string {
				if name == test.variable {
					return test.value
				}
				return good[name]
			}}
			handler, err := setup(env, awstest.Config("http://127.0.0.1:1"))
			switch {
			case env.Err() != nil:
				t.Errorf("got %v, want no mistake in the environment", env.Err())
			case test.want == "" && (err != nil || handler == nil):
				t.Errorf("got %v, %v, want a handler", handler, err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// The settings reach the verifier: the keys' place, the algorithms, issuer, audience, leeway and claim.
func TestSetup_Verifier(t *testing.T) {
	issuer := tokentest.Good()
	jwks := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(issuer.JWKS()) }))
	defer jwks.Close()
	now := time.Now()
	publisher := tokentest.Listener(now.Add(-time.Hour)).With(tokentest.Claims{
		"exp": now.Add(time.Hour).Unix(), "right": "yes",
	})
	expired := publisher.With(tokentest.Claims{"exp": now.Add(-100 * time.Second).Unix()})
	for _, test := range []struct {
		name              string
		variable, value   string // a setting that differs
		claims            tokentest.Claims
		effect, publishes string
	}{
		{"publisher", "", "", publisher, "Allow", "true"},
		{"another claim", "PUBLISH_CLAIM", "scope=yes", publisher, "Allow", "false"},
		{"another algorithm", "TOKEN_ALGORITHMS", "ES256", publisher, "Deny", ""},
		{"another issuer", "TOKEN_ISSUER", "https://other.example", publisher, "Deny", ""},
		{"another audience", "TOKEN_AUDIENCE", "other", publisher, "Deny", ""},
		{"another place", "TOKEN_SOURCE", "header", publisher, "Deny", ""},
		{"expired, within the leeway", "", "", expired, "Allow", "true"},
		{"expired", "TOKEN_LEEWAY_SECONDS", "50", expired, "Deny", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			variables := map[string]string{
				"TOKEN_SOURCE": "protocol", "TOKEN_ISSUER": "https://issuer.example", "TOKEN_AUDIENCE": "fanfare",
				"TOKEN_LEEWAY_SECONDS": "300", "PUBLISH_CLAIM": "right=yes", "TOKEN_KEYS": jwks.URL,
				"TOKEN_ALGORITHMS": "RS256",
			}
			variables[test.variable] = test.value
			env := &function.Environment{Get: func(name string) string { return variables[name] }}
			handle, err := setup(env, awstest.Config("http://127.0.0.1:1"))
			if err != nil || env.Err() != nil {
				t.Fatal(err, env.Err())
			}
			response, err := handle.(func(context.Context, events.APIGatewayCustomAuthorizerRequestTypeRequest) (
				events.APIGatewayCustomAuthorizerResponse, error))(t.Context(),
				events.APIGatewayCustomAuthorizerRequestTypeRequest{MultiValueHeaders: map[string][]string{
					"Sec-WebSocket-Protocol": {"fanfare.bearer", issuer.Signed(test.claims)},
				}})
			if err != nil {
				t.Fatal(err)
			}
			if got := response.PolicyDocument.Statement[0].Effect; got != test.effect {
				t.Errorf("got %s, want %s", got, test.effect)
			}
			if got, _ := response.Context["publish"].(string); got != test.publishes {
				t.Errorf("got publish %q, want %q", got, test.publishes)
			}
		})
	}
}

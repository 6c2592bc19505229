package apigateway_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"fanfare/local/apigateway"
)

// authorized is the API with an authorizer that wants a header and a query parameter.
func authorized() apigateway.API {
	api := newAPI()
	api.Routes[0].AuthorizationType = "CUSTOM"
	api.Routes[0].Authorizer = &apigateway.Authorizer{
		Type: "REQUEST", Function: "authorizer",
		IdentitySource: []string{"route.request.header.X-Auth", "route.request.querystring.token"},
	}
	return api
}

// policy is an authorizer's answer with the given statements.
func policy(statements ...string) string {
	return `{"principalId":"me","policyDocument":{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}}`
}

func statement(effect, action, resource string) string {
	return fmt.Sprintf(`{"Effect":%q,"Action":%q,"Resource":%q}`, effect, action, resource)
}

func TestAuthorizerDecidesTheHandshake(t *testing.T) {
	const arn = "arn:aws:execute-api:us-east-1:000000000000:abcdef1234/prod/$connect"
	allow := statement("Allow", "execute-api:Invoke", arn)
	fails := func(err error) handler {
		return func(context.Context, []byte) (string, error) { return "", err }
	}
	for _, test := range []struct {
		name       string
		authorizer handler
		want       int
	}{
		{"allowed", says(policy(allow)), 101},
		{"allowed by wildcards", says(policy(statement("Allow", "execute-api:*", "arn:aws:execute-api:*:*:abcdef1234/*"))), 101},
		{"allowed the whole API", says(policy(statement("Allow", "*", "*"))), 101},
		{"denied", says(policy(statement("Deny", "execute-api:Invoke", arn))), 403},
		{"denied in spite of an Allow", says(policy(allow, statement("Deny", "*", "*"))), 403},
		{"nothing said of this route", says(policy(statement("Allow", "execute-api:Invoke", arn+"x"))), 403},
		{"nothing said of this action", says(policy(statement("Allow", "execute-api:ManageConnections", "*"))), 403},
		{"error Unauthorized", fails(functionError{"Error", "Unauthorized"}), 401},
		{"error Unauthorized, wrapped", fails(fmt.Errorf("invoke: %w", functionError{"errorString", "Unauthorized"})), 401},
		{"another error", fails(functionError{"Error", "Unauthorized, I think"}), 500},
		{"not the function's error", fails(errors.New("Unauthorized")), 500},
		{"no principal", says(strings.Replace(policy(allow), `"principalId":"me",`, "", 1)), 500},
		{"no policy", says(`{"principalId":"me"}`), 500},
		{"simple response of HTTP APIs", says(`{"isAuthorized":true}`), 500},
		{"not JSON", says(`yes`), 500},
		{"a context that is an object", says(strings.TrimSuffix(policy(allow), "}") + `,"context":{"a":{}}}`), 500},
		{"a context that is null", says(strings.TrimSuffix(policy(allow), "}") + `,"context":{"a":null}}`), 500},
		{"over 8 KB", says(strings.TrimSuffix(policy(allow), "}") + `,"context":{"a":"` + strings.Repeat("x", 8<<10) + `"}}`), 500},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := start(t, authorized(), apigateway.Options{}, map[string]handler{"authorizer": test.authorizer})
			_, response := g.handshake(t, "/prod?token=1", http.Header{"x-auth": {"1"}})
			if response.StatusCode != test.want {
				t.Errorf("the answer is %s, want %d", response.Status, test.want)
			}
			want := 0
			if test.want == 101 {
				want = 1
			}
			if got := g.calls("connect"); got != want {
				t.Errorf("$connect was called %d times, want %d", got, want)
			}
		})
	}
}

func TestMissingIdentitySourceIsUnauthorizedUnasked(t *testing.T) {
	g := start(t, authorized(), apigateway.Options{}, map[string]handler{"authorizer": says(policy(statement("Allow", "*", "*")))})
	for _, test := range []struct {
		target string
		header http.Header
	}{
		{"/prod", nil},
		{"/prod?token=1", nil},
		{"/prod", http.Header{"X-Auth": {"1"}}},
		{"/prod?token=", http.Header{"X-Auth": {"1"}}},
		{"/prod?token=1", http.Header{"X-Auth": {""}}},
	} {
		if _, response := g.handshake(t, test.target, test.header); response.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s with %v is answered with %s", test.target, test.header, response.Status)
		}
	}
	if n := g.calls("authorizer"); n != 0 {
		t.Errorf("the authorizer was asked %d times", n)
	}
}

func TestAuthorizerContextIsOnEveryEvent(t *testing.T) {
	answer := strings.TrimSuffix(policy(statement("Allow", "*", "*")), "}") + `,"context":{"n":7,"b":false,"s":"x"}}`
	g := start(t, authorized(), apigateway.Options{}, map[string]handler{"authorizer": says(answer)})
	c := g.dial(t, "?token=1", http.Header{"X-Auth": {"1"}})
	c.send("hello")
	g.await(t, "default", 1)
	c.conn.Close()
	for _, function := range []string{"connect", "default", "disconnect"} {
		got := contextOf(t, g.await(t, function, 1)[0]).Authorizer
		if got["principalId"] != "me" || got["n"] != "7" || got["b"] != "false" || got["s"] != "x" {
			t.Errorf("%s: authorizer is %v", function, got)
		}
		if _, ok := got["integrationLatency"].(float64); !ok {
			t.Errorf("%s: integrationLatency is %v", function, got["integrationLatency"])
		}
	}
	if got := contextOf(t, g.await(t, "authorizer", 1)[0]).Authorizer; got != nil {
		t.Errorf("the authorizer's own event has authorizer %v", got)
	}
}

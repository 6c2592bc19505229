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

// authorized returns an API with an authorizer that requires a header and a query parameter.
func authorized() apigateway.API {
	api := newAPI()
	api.Routes[0].AuthorizationType = "CUSTOM"
	api.Routes[0].Authorizer = &apigateway.Authorizer{
		Type: "REQUEST", Function: "authorizer",
		IdentitySource: []string{"route.request.header.X-Auth", "route.request.querystring.token"},
	}
	return api
}

// policy returns an authorizer's response with the given statements.
func policy(statements ...string) string {
	return `{"principalId":"me","policyDocument":{"Version":"2012-10-17","Statement":[` +
		strings.Join(statements, ",") + `]}}`
}

func statement(effect, action, resource string) string {
	return fmt.Sprintf(`{"Effect":%q,"Action":%q,"Resource":%q}`, effect, action, resource)
}

// allowAll is an authorizer that allows everything.
var allowAll = returns(policy(statement("Allow", "*", "*")))

func TestAuthorizer_Decisions(t *testing.T) {
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
		{"allowed", returns(policy(allow)), 101},
		{"allowed by wildcards",
			returns(policy(statement("Allow", "execute-api:*", "arn:aws:execute-api:*:*:abcdef1234/*"))), 101},
		{"allowed the whole API", allowAll, 101},
		{"denied", returns(policy(statement("Deny", "execute-api:Invoke", arn))), 403},
		{"denied and allowed", returns(policy(allow, statement("Deny", "*", "*"))), 403},
		{"another route", returns(policy(statement("Allow", "execute-api:Invoke", arn+"x"))), 403},
		{"another action", returns(policy(statement("Allow", "execute-api:ManageConnections", "*"))), 403},
		{"error Unauthorized", fails(functionError{"Error", "Unauthorized"}), 401},
		{"error Unauthorized, wrapped", fails(fmt.Errorf("invoke: %w", functionError{"errorString", "Unauthorized"})), 401},
		{"another error", fails(functionError{"Error", "Unauthorized, I think"}), 500},
		{"error of the service", fails(errors.New("Unauthorized")), 500},
		{"no principal", returns(strings.Replace(policy(allow), `"principalId":"me",`, "", 1)), 500},
		{"no policy", returns(`{"principalId":"me"}`), 500},
		{"simple response of HTTP APIs", returns(`{"isAuthorized":true}`), 500},
		{"not JSON", returns(`yes`), 500},
		{"object in the context", returns(strings.TrimSuffix(policy(allow), "}") + `,"context":{"a":{}}}`), 500},
		{"null in the context", returns(strings.TrimSuffix(policy(allow), "}") + `,"context":{"a":null}}`), 500},
		{"over 8 KB", returns(strings.TrimSuffix(policy(allow), "}") +
			`,"context":{"a":"` + strings.Repeat("x", 8<<10) + `"}}`), 500},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := start(t, authorized(), apigateway.Options{}, map[string]handler{"authorizer": test.authorizer})
			_, response := g.handshake(t, "/prod?token=1", http.Header{"x-auth": {"1"}})
			if response.StatusCode != test.want {
				t.Errorf("handshake: got %s, want %d", response.Status, test.want)
			}
			want := 0
			if test.want == 101 {
				want = 1
			}
			if got := g.calls("connect"); got != want {
				t.Errorf("calls of $connect: got %d, want %d", got, want)
			}
		})
	}
}

func TestAuthorizer_MissingIdentitySource(t *testing.T) {
	g := start(t, authorized(), apigateway.Options{}, map[string]handler{"authorizer": allowAll})
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
			t.Errorf("%s with %v: got %s, want 401", test.target, test.header, response.Status)
		}
	}
	if n := g.calls("authorizer"); n != 0 {
		t.Errorf("calls of the authorizer: got %d, want 0", n)
	}
}

func TestAuthorizer_Context(t *testing.T) {
	answer := strings.TrimSuffix(policy(statement("Allow", "*", "*")), "}") + `,"context":{"n":7,"b":false,"s":"x"}}`
	g := start(t, authorized(), apigateway.Options{}, map[string]handler{"authorizer": returns(answer)})
	c := g.dial(t, "?token=1", http.Header{"X-Auth": {"1"}})
	c.send("hello")
	g.await(t, "default", 1)
	c.conn.Close()
	for _, function := range []string{"connect", "default", "disconnect"} {
		got := contextOf(t, g.await(t, function, 1)[0]).Authorizer
		if got["principalId"] != "me" || got["n"] != "7" || got["b"] != "false" || got["s"] != "x" {
			t.Errorf("%s: got authorizer context %v, want that of the authorizer's response", function, got)
		}
		if _, ok := got["integrationLatency"].(float64); !ok {
			t.Errorf("%s: got integrationLatency %v, want a number", function, got["integrationLatency"])
		}
	}
	if got := contextOf(t, g.await(t, "authorizer", 1)[0]).Authorizer; got != nil {
		t.Errorf("authorizer's own event: got authorizer context %v, want none", got)
	}
}

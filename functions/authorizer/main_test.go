package main

import (
	"strings"
	"testing"

	"fanfare/pkg/function"
	"fanfare/test/awstest"
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
		{"keys", "TOKEN_KEYS", "http://issuer.example/jwks", "JWK set is not an https URL"},
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

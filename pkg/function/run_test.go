package function

import (
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
)

func TestStart(t *testing.T) {
	failure := errors.New("setup failed")
	for _, test := range []struct {
		name     string
		variable string // missing in the environment
		err      error  // of setup
		want     string
	}{
		{"started", "", nil, ""},
		{"setup failed", "", failure, "setup failed"},
		{"environment", "TABLE", nil, "missing environment variables: TABLE"},
		{"environment before setup", "TABLE", failure, "missing environment variables: TABLE"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := start(func(env *Environment, cfg aws.Config) (any, error) {
				if cfg.HTTPClient == nil {
					t.Error("got no HTTP client, want one")
				}
				env.Get = func(string) string { return "" }
				if test.variable != "" {
					env.String(test.variable)
				}
				return "handler", test.err
			})
			if test.want == "" && (err != nil || got != "handler") || test.want != "" && (err == nil ||
				err.Error() != test.want) {
				t.Errorf("got %v, %v, want error %q", got, err, test.want)
			}
		})
	}
}

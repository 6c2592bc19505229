// Authorizer handles, in the mode jwt, every client that wants to connect and sends a token: it verifies the token and
// allows or denies the connection.
package main

import (
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"fanfare/pkg/access"
	"fanfare/pkg/authorizer"
	"fanfare/pkg/function"
	"fanfare/pkg/token"
)

func main() { function.Run(setup) }

func setup(env *function.Environment, cfg aws.Config) (any, error) {
	source := access.Source(env.OneOf("TOKEN_SOURCE",
		string(access.FromProtocol), string(access.FromHeader), string(access.FromQuery), string(access.FromAny)))
	verifier := &token.Verifier{
		Issuer: env.String("TOKEN_ISSUER"), Audience: env.String("TOKEN_AUDIENCE"),
		Leeway: time.Duration(env.Int("TOKEN_LEEWAY_SECONDS", 0, 300)) * time.Second,
	}
	var errs [2]error
	verifier.Publish, errs[0] = token.ParseClaim(env.String("PUBLISH_CLAIM"))
	// The place of the keys decides which algorithms are allowed: a shared secret or public keys, never both.
	if keys := env.String("TOKEN_KEYS"); strings.HasPrefix(keys, "arn:") {
		verifier.Keys = token.NewKeys(token.Secret{Client: secretsmanager.NewFromConfig(cfg), ID: keys}.Fetch)
		verifier.Algorithms = token.SecretAlgorithms
	} else if set, err := token.NewJWKS(keys); err != nil {
		errs[1] = err
	} else {
		verifier.Keys = token.NewKeys(set.Fetch)
		verifier.Algorithms, errs[1] = token.ParseAlgorithms(env.String("TOKEN_ALGORITHMS"))
	}
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	verifier.Keys.Report = func(err error) { slog.Warn("cannot fetch token keys", "error", err) }
	return authorizer.Handler{Source: source, Verifier: verifier}.Handle, nil
}

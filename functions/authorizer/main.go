// Authorizer is invoked, in the mode jwt, for every client that wants to connect and shows a token: it says who the client
// is and what it may do, or refuses it.
package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"fanfare/pkg/access"
	"fanfare/pkg/function"
	"fanfare/pkg/telemetry"
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
	// Where the keys are decides what may verify: a shared secret or public keys, never both.
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
	verifier.Keys.Report = func(err error) { slog.Warn("the keys cannot be had", "error", err) }

	return func(ctx context.Context, r events.APIGatewayCustomAuthorizerRequestTypeRequest) (events.APIGatewayCustomAuthorizerResponse, error) {
		var m telemetry.Metrics
		defer func() { function.Measure(ctx, &m) }()
		grant, err := authorize(ctx, source, verifier, access.Handshake{Headers: r.MultiValueHeaders, Query: r.MultiValueQueryStringParameters})
		var refused *token.Refused
		switch {
		case errors.As(err, &refused):
			// A refusal is no failure of the function's: 403 to the client, and nothing that would raise an alarm.
			m.Count("TokensRefused", 1)
			slog.InfoContext(ctx, "refused", "request", r.RequestContext.RequestID, "reason", refused.Reason)
			return answer("Deny", r.MethodArn, access.Grant{Principal: "refused"}, nil), nil
		case err != nil:
			return events.APIGatewayCustomAuthorizerResponse{}, err // 500: the client may try again
		}
		m.Count("TokensAccepted", 1)
		return answer("Allow", r.MethodArn, grant, grant.Context()), nil
	}, nil
}

func authorize(ctx context.Context, source access.Source, verifier *token.Verifier, h access.Handshake) (access.Grant, error) {
	text, err := source.Token(h)
	switch {
	case errors.Is(err, access.ErrNoToken):
		return access.Grant{}, &token.Refused{Reason: token.ReasonMissing}
	case err != nil:
		return access.Grant{}, &token.Refused{Reason: token.ReasonMalformed, Err: err}
	}
	return verifier.Verify(ctx, text)
}

// answer says whether the client may connect.
// Source: API Gateway developer guide, "Output from an API Gateway Lambda authorizer".
func answer(effect, methodARN string, grant access.Grant, values map[string]any) events.APIGatewayCustomAuthorizerResponse {
	return events.APIGatewayCustomAuthorizerResponse{
		PrincipalID: grant.Principal,
		PolicyDocument: events.APIGatewayCustomAuthorizerPolicy{
			Version:   "2012-10-17",
			Statement: []events.IAMPolicyStatement{{Action: []string{"execute-api:Invoke"}, Effect: effect, Resource: []string{methodARN}}},
		},
		Context: values,
	}
}

// Package authorizer contains the Lambda handler of the authorizer: API Gateway's request in, a policy and the client's
// grant out.
package authorizer

import (
	"context"
	"errors"

	"github.com/aws/aws-lambda-go/events"

	"fanfare/pkg/access"
	"fanfare/pkg/telemetry"
	"fanfare/pkg/token"
)

// Handler authorizes clients by their tokens. It is safe for concurrent use if its fields are.
type Handler struct {
	// Source is the place of the token in the handshake.
	Source access.Source
	// Verifier verifies the token.
	Verifier interface {
		Verify(ctx context.Context, token string) (access.Grant, error)
	}
	Output telemetry.Output
}

// Handle allows or denies the connection. A refused token is an answer, not an error: API Gateway sends 403. After an
// error it sends 500, and the client may retry.
func (h Handler) Handle(ctx context.Context, r events.APIGatewayCustomAuthorizerRequestTypeRequest) (
	events.APIGatewayCustomAuthorizerResponse, error) {
	var m telemetry.Metrics
	defer func() { h.Output.Measure(ctx, &m) }()
	handshake := access.Handshake{Headers: r.MultiValueHeaders, Query: r.MultiValueQueryStringParameters}
	grant, err := h.authorize(ctx, handshake)
	var refused *token.Refused
	switch {
	case errors.As(err, &refused):
		m.Count("TokensRefused", 1)
		h.Output.Logger().InfoContext(ctx, "refused", "request", r.RequestContext.RequestID, "reason", refused.Reason)
		return answer("Deny", r.MethodArn, access.Grant{Principal: "refused"}, nil), nil
	case err != nil:
		return events.APIGatewayCustomAuthorizerResponse{}, err
	}
	m.Count("TokensAccepted", 1)
	return answer("Allow", r.MethodArn, grant, grant.Context()), nil
}

func (h Handler) authorize(ctx context.Context, handshake access.Handshake) (access.Grant, error) {
	text, err := h.Source.Token(handshake)
	switch {
	case errors.Is(err, access.ErrNoToken):
		return access.Grant{}, &token.Refused{Reason: token.ReasonMissing}
	case err != nil:
		return access.Grant{}, &token.Refused{Reason: token.ReasonMalformed, Err: err}
	}
	return h.Verifier.Verify(ctx, text)
}

// answer returns the policy that allows or denies the connection.
// Source: API Gateway developer guide, "Output from an API Gateway Lambda authorizer".
func answer(effect, methodARN string, grant access.Grant, values map[string]any,
) events.APIGatewayCustomAuthorizerResponse {
	return events.APIGatewayCustomAuthorizerResponse{
		PrincipalID: grant.Principal,
		PolicyDocument: events.APIGatewayCustomAuthorizerPolicy{
			Version: "2012-10-17",
			Statement: []events.IAMPolicyStatement{{
				Action: []string{"execute-api:Invoke"}, Effect: effect, Resource: []string{methodARN},
			}},
		},
		Context: values,
	}
}

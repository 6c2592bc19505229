package apigateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"fanfare/local/iam"
)

// maxAuthorizerResult is the maximum size of an authorizer's response, in bytes.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
const maxAuthorizerResult = 8 << 10

// authorizer is a validated Authorizer.
type authorizer struct {
	function string
	denied   error
	sources  []identitySource
}

// identitySource names a header or a query parameter that a handshake must have.
type identitySource struct {
	header bool
	name   string
}

func (a Authorizer) compile() (*authorizer, error) {
	if a.Type != "REQUEST" {
		return nil, fmt.Errorf("type %q is not emulated", a.Type)
	}
	if a.Function == "" {
		return nil, errors.New("the function is missing")
	}
	compiled := &authorizer{function: a.Function, denied: a.Denied}
	for _, source := range a.IdentitySource {
		if name, ok := strings.CutPrefix(source, "route.request.header."); ok && name != "" {
			compiled.sources = append(compiled.sources, identitySource{header: true, name: name})
		} else if name, ok := strings.CutPrefix(source, "route.request.querystring."); ok && name != "" {
			compiled.sources = append(compiled.sources, identitySource{name: name})
		} else {
			return nil, fmt.Errorf("identity source %q is not emulated", source)
		}
	}
	return compiled, nil
}

// in reports whether the handshake has a non-empty value for the source.
func (s identitySource) in(h *handshake) bool {
	if !s.header {
		return len(h.query[s.name]) > 0 && h.query[s.name][0] != ""
	}
	for name, values := range h.headers {
		if strings.EqualFold(name, s.name) && values[0] != "" {
			return true
		}
	}
	return false
}

// authorize invokes the authorizer and stores its context in c. It returns nil if the client may connect.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-lambda-auth.html
func (s *Server) authorize(a *authorizer, h *handshake, c *connection) *refusal {
	unauthorized := &refusal{
		status: http.StatusUnauthorized, name: "UnauthorizedException", text: "Unauthorized", by: "authorizer",
	}
	for _, source := range a.sources {
		if !source.in(h) {
			return unauthorized
		}
	}
	ctx, cancel := context.WithTimeout(s.base, maxIntegrationTimeout)
	defer cancel()
	began := time.Now()
	rc := s.newRequestContext(c, connectRoute, "CONNECT")
	if a.denied != nil {
		return authorizerFailure("AuthorizerFailureException", a.denied)
	}
	result, err := s.invoker.Invoke(ctx, a.function, s.authorizerEvent(h, rc).marshal(), h.trace)
	if err != nil {
		// This error text, and no other, means 401.
		if functionMessage(err) == "Unauthorized" {
			return unauthorized
		}
		return authorizerFailure("AuthorizerFailureException", err)
	}
	allowed, members, err := decide(result, s.arn(connectRoute), s.options.Account)
	if err != nil {
		return authorizerFailure("AuthorizerConfigurationException", err)
	}
	if !allowed {
		return &refusal{
			status: http.StatusForbidden, name: "AccessDeniedException",
			text: "User is not authorized to access this resource", by: "authorizer",
		}
	}
	members["integrationLatency"] = time.Since(began).Milliseconds()
	c.authorizer = encode(members)
	return nil
}

// authorizerFailure returns the answer to a handshake whose authorizer failed.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
func authorizerFailure(name string, err error) *refusal {
	return &refusal{
		status: http.StatusInternalServerError, name: name, text: "Internal server error", by: "authorizer", err: err,
	}
}

// functionMessage returns the message of an error that a function returned, or "" for any other error.
func functionMessage(err error) string {
	failed, ok := errors.AsType[interface {
		error
		FunctionError() (kind, message string)
	}](err)
	if !ok {
		return ""
	}
	_, message := failed.FunctionError()
	return message
}

// decide parses an authorizer's response. allowed reports whether its policy allows methodARN. members are the context
// of later events; its values are strings.
func decide(result []byte, methodARN, account string) (allowed bool, members map[string]any, err error) {
	if len(result) > maxAuthorizerResult {
		return false, nil, fmt.Errorf("authorizer: response of %d bytes, more than %d", len(result), maxAuthorizerResult)
	}
	var answer struct {
		PrincipalID    *string                    `json:"principalId"`
		PolicyDocument json.RawMessage            `json:"policyDocument"`
		Context        map[string]json.RawMessage `json:"context"`
	}
	if err := json.Unmarshal(result, &answer); err != nil {
		return false, nil, fmt.Errorf("authorizer: parse response: %w", err)
	}
	if answer.PrincipalID == nil || *answer.PrincipalID == "" {
		return false, nil, errors.New("authorizer: response has no principalId")
	}
	policy, err := iam.Parse(answer.PolicyDocument, iam.Identity)
	if err != nil {
		return false, nil, fmt.Errorf("authorizer: policy: %w", err)
	}
	members = map[string]any{"principalId": *answer.PrincipalID}
	for key, raw := range answer.Context {
		raw = bytes.TrimSpace(raw)
		if strings.ContainsRune("{[n", rune(raw[0])) {
			return false, nil, fmt.Errorf("authorizer: context %q is not a string, a number or a boolean", key)
		}
		members[key] = plain(raw)
	}
	err = iam.Authorize([]iam.Document{policy}, nil, iam.Request{
		Caller: *answer.PrincipalID, Account: account, Action: "execute-api:Invoke", Resource: methodARN,
	})
	return err == nil, members, nil
}

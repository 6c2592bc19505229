package stack

import (
	"context"
	"fmt"
	"strings"

	"fanfare/local/apigateway"
	"fanfare/local/iam"
	"fanfare/local/lambda"
	"fanfare/local/template"
)

// gateway describes a template's API as the gateway takes it. A function that API Gateway has no permission to invoke
// stays away from it, as on AWS: the route exists and every message fails.
func gateway(api template.WebSocketAPI) apigateway.API {
	out := apigateway.API{
		ID: api.ID, Stage: api.Stage.Name, RouteSelectionExpression: api.RouteSelectionExpression,
		StageVariables:       api.Stage.Variables,
		DefaultRouteSettings: throttle(api.Stage.Default),
		RouteSettings:        make(map[string]apigateway.Throttle),
	}
	for key, settings := range api.Stage.RouteSettings {
		out.RouteSettings[key] = throttle(settings)
	}
	for _, r := range api.Routes {
		route := apigateway.Route{Key: r.Key}
		for _, response := range r.Responses {
			route.Response = route.Response || (response.Key == "$default" && r.ResponseSelectionExpression == "$default")
		}
		if a := r.Authorizer; a != nil {
			route.AuthorizationType = "CUSTOM"
			route.Authorizer = &apigateway.Authorizer{Type: "REQUEST", Function: invocable(a.FunctionName, a.Invocable), IdentitySource: a.IdentitySources}
		}
		if i := r.Integration; i != nil {
			route.Integration = integration(*i)
		}
		out.Routes = append(out.Routes, route)
	}
	return out
}

func integration(i template.Integration) *apigateway.Integration {
	out := &apigateway.Integration{
		Type: i.Type, Timeout: i.Timeout, RequestTemplates: i.RequestTemplates,
		TemplateSelectionExpression: i.TemplateSelectionExpression, PassthroughBehavior: i.PassthroughBehavior,
	}
	if i.Type == "AWS_PROXY" {
		out.Function = invocable(i.FunctionName, i.Invocable)
	}
	for _, r := range i.Responses {
		out.Responses = append(out.Responses, apigateway.IntegrationResponse{
			Key: r.Key, TemplateSelectionExpression: r.TemplateSelectionExpression, ResponseTemplates: r.ResponseTemplates,
		})
	}
	return out
}

// forbidden ends the name of a function that may not be invoked; no function's name has a space.
const forbidden = " (not permitted)"

func invocable(function string, may bool) string {
	if !may {
		return function + forbidden
	}
	return function
}

// permitted invokes the functions that API Gateway may invoke, and denies the others.
type permitted struct {
	functions *lambda.Service
	arns      map[string]string // by name
}

// invalidPermissions is what API Gateway logs.
const invalidPermissions = "Invalid permissions on Lambda function"

// Invoke implements apigateway.Invoker.
func (p permitted) Invoke(ctx context.Context, function string, event []byte, trace string) ([]byte, error) {
	name, denied := strings.CutSuffix(function, forbidden)
	if denied {
		return nil, fmt.Errorf("%s: %w", invalidPermissions, &iam.Denied{
			Caller: "apigateway.amazonaws.com", Action: "lambda:InvokeFunction", Resource: p.arns[name], ByResource: true,
		})
	}
	return p.functions.Invoke(ctx, name, event, trace)
}

// throttle reads the limits of a stage or route. Of a pair of which one is not given, the other is the account's, which
// stands above both. Source: docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-protect.html, "Throttling".
func throttle(s template.RouteSettings) apigateway.Throttle {
	if s.RateLimit == nil && s.BurstLimit == nil {
		return apigateway.Throttle{}
	}
	t := apigateway.DefaultQuotas().Requests
	if s.RateLimit != nil {
		t.Rate = *s.RateLimit
	}
	if s.BurstLimit != nil {
		t.Burst = *s.BurstLimit
	}
	return t
}

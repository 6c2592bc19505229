package stack

import (
	"fanfare/local/apigateway"
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

// forbidden begins the name under which a function is not found that may not be invoked.
const forbidden = "no AWS::Lambda::Permission for "

func invocable(function string, may bool) string {
	if !may {
		return forbidden + function
	}
	return function
}

func throttle(s template.RouteSettings) apigateway.Throttle {
	var t apigateway.Throttle
	if s.RateLimit != nil {
		t.Rate = *s.RateLimit
	}
	if s.BurstLimit != nil {
		t.Burst = *s.BurstLimit
	}
	return t
}

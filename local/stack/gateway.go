package stack

import (
	"fmt"

	"fanfare/local/apigateway"
	"fanfare/local/iam"
	"fanfare/local/template"
)

// gateway returns a template's API for package apigateway. arns has the ARNs of the functions by name. A route whose
// function API Gateway may not invoke exists, as on AWS, and every message to it fails.
func gateway(api template.WebSocketAPI, arns map[string]string) apigateway.API {
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
			route.Response = route.Response ||
				(response.Key == "$default" && r.ResponseSelectionExpression == "$default")
		}
		if a := r.Authorizer; a != nil {
			route.AuthorizationType = "CUSTOM"
			route.Authorizer = &apigateway.Authorizer{
				Type: "REQUEST", Function: a.FunctionName, Denied: denial(a.Invocable, arns[a.FunctionName]),
				IdentitySource: a.IdentitySources,
			}
		}
		if i := r.Integration; i != nil {
			route.Integration = integration(*i, arns)
		}
		out.Routes = append(out.Routes, route)
	}
	return out
}

func integration(i template.Integration, arns map[string]string) *apigateway.Integration {
	out := &apigateway.Integration{
		Type: i.Type, Timeout: i.Timeout, RequestTemplates: i.RequestTemplates,
		TemplateSelectionExpression: i.TemplateSelectionExpression, PassthroughBehavior: i.PassthroughBehavior,
	}
	if i.Type == "AWS_PROXY" {
		out.Function, out.Denied = i.FunctionName, denial(i.Invocable, arns[i.FunctionName])
	}
	for _, r := range i.Responses {
		out.Responses = append(out.Responses, apigateway.IntegrationResponse{
			Key: r.Key, TemplateSelectionExpression: r.TemplateSelectionExpression,
			ResponseTemplates: r.ResponseTemplates,
		})
	}
	return out
}

// invalidPermissions is API Gateway's text.
const invalidPermissions = "Invalid permissions on Lambda function"

// denial returns the error with which API Gateway's invocations of a function fail, nil when it may invoke the
// function.
func denial(invocable bool, arn string) error {
	if invocable {
		return nil
	}
	return fmt.Errorf("%s: %w", invalidPermissions, &iam.Denied{
		Caller: "apigateway.amazonaws.com", Action: "lambda:InvokeFunction", Resource: arn, ByResource: true,
	})
}

// throttle returns the limits of a stage or route. If only one of rate and burst is given, the other is that of the
// account.
// Source: docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-protect.html, "Throttling".
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

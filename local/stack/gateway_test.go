package stack

import (
	"errors"
	"testing"

	"fanfare/local/iam"
	"fanfare/local/template"
)

// TestGateway_Permissions checks that each route has its own permission: API Gateway may invoke a function for one
// route and not for another.
func TestGateway_Permissions(t *testing.T) {
	integration := func(invocable bool) *template.Integration {
		return &template.Integration{Type: "AWS_PROXY", FunctionName: "f", Invocable: invocable}
	}
	api := gateway(template.WebSocketAPI{Routes: []template.Route{
		{Key: "$default", Integration: integration(true)},
		{Key: "$connect", Integration: integration(false), Authorizer: &template.Authorizer{FunctionName: "f"}},
	}}, map[string]string{"f": "arn:f"})
	allowed, refused := api.Routes[0].Integration, api.Routes[1].Integration
	if allowed.Function != "f" || allowed.Denied != nil {
		t.Errorf("$default: got %q, %v, want f, nil", allowed.Function, allowed.Denied)
	}
	for name, err := range map[string]error{"integration": refused.Denied, "authorizer": api.Routes[1].Authorizer.Denied} {
		var denied *iam.Denied
		if !errors.As(err, &denied) || denied.Resource != "arn:f" || denied.Caller != "apigateway.amazonaws.com" {
			t.Errorf("%s of $connect: got %v, want a denial of arn:f", name, err)
		}
	}
	if refused.Function != "f" {
		t.Errorf("got function %q, want f", refused.Function)
	}
}

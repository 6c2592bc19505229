package apigateway_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"fanfare/local/apigateway"
)

// mockRoute returns a route "ping" with a MOCK integration whose reply is the template.
func mockRoute(template string) apigateway.Route {
	return apigateway.Route{Key: "ping", Response: true, Integration: &apigateway.Integration{
		Type:             "MOCK",
		RequestTemplates: map[string]string{"200": `{"statusCode":200}`}, TemplateSelectionExpression: "200",
		Responses: []apigateway.IntegrationResponse{{
			Key: "$default", TemplateSelectionExpression: "200", ResponseTemplates: map[string]string{"200": template},
		}},
	}}
}

func TestMock_Templates(t *testing.T) {
	for _, test := range []struct{ name, template, message, want string }{
		{"text", `{"type":"pong"}`, `{"action":"ping"}`, `{"type":"pong"}`},
		{"$ and # without a meaning", `5$ #1 $ # $1 50%`, `{"action":"ping"}`, `5$ #1 $ # $1 50%`},
		{"$context", `$context.routeKey ${context.stage} $!{context.apiId}!`, `{"action":"ping"}`, `ping prod abcdef1234!`},
		{"$context before a dot", `by $context.eventType.`, `{"action":"ping"}`, `by MESSAGE.`},
		{"$input.body", `<$input.body>`, `{"action":"ping"}`, `<{"action":"ping"}>`},
		{"$input.path", `$input.path('$.a.b') $input.path("$.n")$input.path('$.none')`,
			`{"action":"ping","a":{"b":"x"},"n":1.50}`, `x 1.50`},
		{"$input.json", `$input.json('$.a') $input.json('$.none')`, `{"action":"ping","a":{"b":"x"}}`, `{"b":"x"} ""`},
		{"$input.json of all", `$input.json('$')`, `{"action":"ping"}`, `{"action":"ping"}`},
		{"no authorizer", `<$context.authorizer.role>`, `{"action":"ping"}`, `<>`},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := start(t, newAPI(mockRoute(test.template)), apigateway.Options{}, nil)
			c := g.dial(t, "", nil)
			c.send(test.message)
			c.want(test.want)
		})
	}
}

func TestMock_AuthorizerContext(t *testing.T) {
	answer := strings.TrimSuffix(policy(statement("Allow", "*", "*")), "}") + `,"context":{"role":"admin"}}`
	api := authorized()
	api.Routes = append(api.Routes, mockRoute(`$context.authorizer.principalId is $context.authorizer.role`))
	g := start(t, api, apigateway.Options{}, map[string]handler{"authorizer": returns(answer)})
	c := g.dial(t, "?token=1", http.Header{"X-Auth": {"1"}})
	c.send(`{"action":"ping"}`)
	c.want("me is admin")
}

func TestMock_Status(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*apigateway.Integration)
		want   string // "!" means the error frame
	}{
		{"templates under application/json", func(i *apigateway.Integration) {
			i.TemplateSelectionExpression = ""
			i.RequestTemplates = map[string]string{"application/json": `{"statusCode":200}`}
		}, "pong"},
		{"response by status", func(i *apigateway.Integration) {
			i.Responses = append(i.Responses, apigateway.IntegrationResponse{
				Key: `/2\d\d/`, ResponseTemplates: map[string]string{"$default": "two hundred"},
			})
		}, "two hundred"},
		{"status not 2xx", func(i *apigateway.Integration) {
			i.RequestTemplates = map[string]string{"200": `{"statusCode":500}`}
		}, "!"},
		{"no response for the status", func(i *apigateway.Integration) { i.Responses[0].Key = "/404/" }, "!"},
		{"no status", func(i *apigateway.Integration) {
			i.RequestTemplates = map[string]string{"200": `{}`}
		}, "!"},
		{"passthrough", func(i *apigateway.Integration) { i.RequestTemplates = nil }, "pong"},
		{"passthrough NEVER", func(i *apigateway.Integration) {
			i.RequestTemplates, i.PassthroughBehavior = nil, "NEVER"
		}, "!"},
		{"passthrough WHEN_NO_TEMPLATES", func(i *apigateway.Integration) {
			i.TemplateSelectionExpression, i.PassthroughBehavior = "other", "WHEN_NO_TEMPLATES"
		}, "!"},
		{"no response template", func(i *apigateway.Integration) {
			i.Responses[0].ResponseTemplates = nil
		}, `{"statusCode":200}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			route := mockRoute("pong")
			test.change(route.Integration)
			g := start(t, newAPI(route), apigateway.Options{}, nil)
			c := g.open(t)
			c.send(`{"action":"ping","statusCode":200}`)
			if test.want == "!" {
				c.wantErrorFrame("Internal server error")
			} else {
				c.want(test.want)
			}
		})
	}
}

func TestNew_RefusesByName(t *testing.T) {
	template := func(text string) func(*apigateway.API) {
		return func(api *apigateway.API) { api.Routes = append(api.Routes, mockRoute(text)) }
	}
	on := func(i int, change func(*apigateway.Route)) func(*apigateway.API) {
		return func(api *apigateway.API) { change(&api.Routes[i]) }
	}
	for _, test := range []struct {
		name   string
		change func(*apigateway.API)
		want   string
	}{
		{"no id", func(api *apigateway.API) { api.ID = "" }, "ID"},
		{"a stage with a slash", func(api *apigateway.API) { api.Stage = "a/b" }, `"a/b"`},
		{"stage $default", func(api *apigateway.API) { api.Stage = "$default" }, "$default"},
		{"no expression", func(api *apigateway.API) { api.RouteSelectionExpression = "" }, "RouteSelectionExpression"},
		{"a header in the expression", func(api *apigateway.API) {
			api.RouteSelectionExpression = "$request.header.x"
		}, "$request.header.x"},
		{"context in the expression", func(api *apigateway.API) {
			api.RouteSelectionExpression = "${context.x}"
		}, "context.x"},
		{"an index in the expression", func(api *apigateway.API) {
			api.RouteSelectionExpression = "$request.body.a[0]"
		}, "a[0]"},
		{"an open brace", func(api *apigateway.API) { api.RouteSelectionExpression = "${request.body.a" }, "not closed"},
		{"a route twice", func(api *apigateway.API) { api.Routes = append(api.Routes, api.Routes[2]) }, "twice"},
		{"an unknown $ key", on(2, func(r *apigateway.Route) { r.Key = "$other" }), "$other"},
		{"no key", on(2, func(r *apigateway.Route) { r.Key = "" }), "RouteKey"},
		{"AWS_IAM", on(0, func(r *apigateway.Route) { r.AuthorizationType = "AWS_IAM" }), "AWS_IAM"},
		{"JWT", on(0, func(r *apigateway.Route) { r.AuthorizationType = "JWT" }), "JWT"},
		{"CUSTOM without an authorizer", on(0, func(r *apigateway.Route) { r.AuthorizationType = "CUSTOM" }), "authorizer"},
		{"CUSTOM elsewhere", on(2, func(r *apigateway.Route) { r.AuthorizationType = "CUSTOM" }), "$connect only"},
		{"an authorizer without CUSTOM", on(0, func(r *apigateway.Route) {
			r.Authorizer = &apigateway.Authorizer{}
		}), "CUSTOM"},
		{"a JWT authorizer", on(0, func(r *apigateway.Route) {
			r.AuthorizationType, r.Authorizer = "CUSTOM", &apigateway.Authorizer{Type: "JWT", Function: "f"}
		}), "JWT"},
		{"an identity source of the context", on(0, func(r *apigateway.Route) {
			r.AuthorizationType = "CUSTOM"
			r.Authorizer = &apigateway.Authorizer{
				Type: "REQUEST", Function: "f", IdentitySource: []string{"context.identity.sourceIp"},
			}
		}), "context.identity.sourceIp"},
		{"an API key", on(2, func(r *apigateway.Route) { r.APIKeyRequired = true }), "ApiKeyRequired"},
		{"a response to $connect", on(0, func(r *apigateway.Route) { r.Response = true }), "RouteResponse"},
		{"HTTP_PROXY", on(2, func(r *apigateway.Route) { r.Integration.Type = "HTTP_PROXY" }), "HTTP_PROXY"},
		{"no integration", on(2, func(r *apigateway.Route) { r.Integration = nil }), "integration"},
		{"no function", on(2, func(r *apigateway.Route) { r.Integration.Function = "" }), "function"},
		{"a timeout of 30 s", on(2, func(r *apigateway.Route) { r.Integration.Timeout = 30e9 }), "TimeoutInMillis"},
		{"a timeout of 49 ms", on(2, func(r *apigateway.Route) { r.Integration.Timeout = 49e6 }), "TimeoutInMillis"},
		{"a throttle without a route", func(api *apigateway.API) {
			api.RouteSettings = map[string]apigateway.Throttle{"x": {Rate: 1, Burst: 1}}
		}, `"x"`},
		{"a throttle without a burst", func(api *apigateway.API) { api.DefaultRouteSettings.Rate = 1 }, "burst"},
		{"#set", template(`#set($x = 1)`), "#set"},
		{"#if", template(`a #if(true) b #end`), "#if"},
		{"a comment", template("a ## b"), "##"},
		{"$util", template(`$util.escapeJavaScript($input.body)`), "$util.escapeJavaScript"},
		{"$input.params", template(`$input.params('x')`), "$input.params"},
		{"an index in a path", template(`$input.path('$.a[0]')`), "a[0]"},
		{"an unknown $context", template(`$context.identity.caller`), "$context.identity.caller"},
		{"a variable", template(`$x`), "$x"},
		{"a response key", func(api *apigateway.API) {
			route := mockRoute("x")
			route.Integration.Responses[0].Key = "200"
			api.Routes = append(api.Routes, route)
		}, `"200"`},
		{"a passthrough", func(api *apigateway.API) {
			route := mockRoute("x")
			route.Integration.PassthroughBehavior = "SOMETIMES"
			api.Routes = append(api.Routes, route)
		}, "SOMETIMES"},
	} {
		t.Run(test.name, func(t *testing.T) {
			api := newAPI()
			test.change(&api)
			_, err := apigateway.New(api, noopInvoker{}, apigateway.Options{})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("New: got error %v, want one that names %s", err, test.want)
			}
		})
	}
	if _, err := apigateway.New(newAPI(), noopInvoker{}, apigateway.Options{}); err != nil {
		t.Errorf("New with a valid API: got error %v, want none", err)
	}
}

func TestNew_AllErrors(t *testing.T) {
	api := newAPI()
	api.Routes[0].AuthorizationType = "AWS_IAM"
	api.Routes[2].Integration.Type = "HTTP"
	_, err := apigateway.New(api, noopInvoker{}, apigateway.Options{})
	if err == nil || !strings.Contains(err.Error(), "AWS_IAM") || !strings.Contains(err.Error(), "HTTP") {
		t.Errorf("New: got error %v, want one that names AWS_IAM and HTTP", err)
	}
}

// noopInvoker is an Invoker that always succeeds.
type noopInvoker struct{}

func (noopInvoker) Invoke(context.Context, string, []byte, string) ([]byte, error) {
	return json.RawMessage(ok), nil
}

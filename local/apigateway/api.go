package apigateway

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Route keys with a meaning of their own.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-develop-routes.html
const (
	connectRoute    = "$connect"
	disconnectRoute = "$disconnect"
	defaultRoute    = "$default"
)

// Bounds of an integration's time-out.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
const (
	minIntegrationTimeout = 50 * time.Millisecond
	maxIntegrationTimeout = 29 * time.Second
)

// API describes a WebSocket API with its one stage. Fields are named for the CloudFormation properties they come from.
type API struct {
	// ID is the API's id, ten characters on AWS, as ARNs and events name it.
	ID string
	// Stage is the stage's name: letters, digits, - and _, the first segment of every URL.
	Stage string
	// RouteSelectionExpression picks a message's route: "$request.body.action" or a text with ${request.body.x} in it.
	RouteSelectionExpression string
	// Routes are the API's routes, at most one for a key.
	Routes []Route
	// StageVariables are the stage's variables, in every event of a stage that has some.
	StageVariables map[string]string
	// DefaultRouteSettings throttles each route that RouteSettings does not name, each by itself. $disconnect is never
	// throttled.
	DefaultRouteSettings Throttle
	// RouteSettings throttles routes, by route key.
	RouteSettings map[string]Throttle
}

// Throttle limits the requests to a route, as ThrottlingRateLimit and ThrottlingBurstLimit of RouteSettings do. The zero
// value does not.
type Throttle struct {
	// Rate is in requests per second; 0 means no limit.
	Rate float64
	// Burst is the size of the token bucket, in requests; with a Rate it must be at least 1.
	Burst int
}

// Route is what happens to the messages with one route key.
type Route struct {
	// Key is $connect, $disconnect, $default or the value that RouteSelectionExpression yields for the route's messages.
	Key string
	// AuthorizationType is "" or "NONE", or on $connect "CUSTOM", which needs an Authorizer.
	AuthorizationType string
	// Authorizer decides who may connect; with AuthorizationType CUSTOM only.
	Authorizer *Authorizer
	// Integration answers the route's messages; nil on $connect and $disconnect does nothing.
	Integration *Integration
	// Response says that the route answers its client: it has both RouteResponseSelectionExpression $default and a
	// RouteResponse with the key $default.
	Response bool
	// APIKeyRequired is refused.
	APIKeyRequired bool
}

// Authorizer is a Lambda authorizer of the REQUEST type.
type Authorizer struct {
	// Type must be REQUEST.
	Type string
	// Function is the name of the authorizer's function, as Invoker knows it.
	Function string
	// Denied is the error of every invocation when API Gateway may not invoke the function; nil when it may.
	Denied error
	// IdentitySource lists what a handshake must have for the function to be asked at all:
	// "route.request.header.X" or "route.request.querystring.X".
	IdentitySource []string
}

// Integration is what a route leads to.
type Integration struct {
	// Type is AWS_PROXY (a function) or MOCK (templates).
	Type string
	// Function is the name of the function, as Invoker knows it; AWS_PROXY only.
	Function string
	// Denied is the error of every invocation when API Gateway may not invoke the function; nil when it may.
	Denied error
	// Timeout bounds the function's answer, 50 ms to 29 s of the machine's time; 0 means 29 s.
	Timeout time.Duration

	// RequestTemplates, by the value of TemplateSelectionExpression, yield the JSON whose statusCode is the mock's.
	RequestTemplates map[string]string
	// TemplateSelectionExpression picks the request template; empty picks "$default", else "application/json".
	TemplateSelectionExpression string
	// PassthroughBehavior says what becomes of a message without a request template: WHEN_NO_MATCH (or empty) takes
	// the message itself for the request, WHEN_NO_TEMPLATES does so only if there are no templates, NEVER fails.
	PassthroughBehavior string
	// Responses turn the mock's status into a reply; MOCK only.
	Responses []IntegrationResponse
}

// IntegrationResponse turns the outcome of a MOCK integration into a reply.
type IntegrationResponse struct {
	// Key is $default, or a regular expression between slashes that the status must match, like /4\d\d/.
	Key string
	// TemplateSelectionExpression picks the response template; empty picks "$default", else "application/json".
	TemplateSelectionExpression string
	// ResponseTemplates yield the reply. Without one that matches, the mock's request is the reply.
	ResponseTemplates map[string]string
}

// route is a Route made ready.
type route struct {
	key        string
	target     integration // nil does nothing
	authorizer *authorizer // nil lets everybody in
	replies    bool
	throttle   *bucket
}

var stageName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$|^\$default$`)

// compile checks the API and makes its routes ready. It reports everything wrong at once.
func (api API) compile(s *Server) (map[string]*route, selection, error) {
	var errs []error
	refuse := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if api.ID == "" {
		refuse("the API has no ID")
	}
	if !stageName.MatchString(api.Stage) {
		refuse("stage %q is not a name of letters, digits, - and _", api.Stage)
	} else if api.Stage == "$default" {
		refuse("stage $default is not emulated")
	}
	expression, err := parseSelection(api.RouteSelectionExpression)
	if err != nil {
		refuse("RouteSelectionExpression: %w", err)
	} else if api.RouteSelectionExpression == "" {
		refuse("RouteSelectionExpression is missing")
	}
	routes := make(map[string]*route, len(api.Routes))
	for _, r := range api.Routes {
		if _, ok := routes[r.Key]; ok {
			refuse("route %q: declared twice", r.Key)
		}
		compiled, err := r.compile(s)
		if err != nil {
			refuse("route %q: %w", r.Key, err)
		}
		routes[r.Key] = compiled
		if compiled != nil && r.Key != disconnectRoute {
			throttle, ok := api.RouteSettings[r.Key]
			if !ok {
				throttle = api.DefaultRouteSettings
			}
			compiled.throttle = newBucket(throttle)
		}
	}
	for key, throttle := range api.RouteSettings {
		if _, ok := routes[key]; !ok {
			refuse("RouteSettings: there is no route %q", key)
		}
		if err := throttle.check(); err != nil {
			refuse("RouteSettings of %q: %w", key, err)
		}
	}
	if err := api.DefaultRouteSettings.check(); err != nil {
		refuse("DefaultRouteSettings: %w", err)
	}
	return routes, expression, errors.Join(errs...)
}

func (r Route) compile(s *Server) (*route, error) {
	compiled := &route{key: r.Key, replies: r.Response}
	if r.Key == "" {
		return nil, errors.New("RouteKey is missing")
	}
	if strings.HasPrefix(r.Key, "$") && !slices.Contains([]string{connectRoute, disconnectRoute, defaultRoute}, r.Key) {
		return nil, errors.New("a key that starts with $ must be $connect, $disconnect or $default")
	}
	if r.APIKeyRequired {
		return nil, errors.New("ApiKeyRequired is not emulated")
	}
	if r.Response && (r.Key == connectRoute || r.Key == disconnectRoute) {
		return nil, errors.New("a RouteResponse is not emulated on this route")
	}
	switch r.AuthorizationType {
	case "", "NONE":
		if r.Authorizer != nil {
			return nil, errors.New("an authorizer needs AuthorizationType CUSTOM")
		}
	case "CUSTOM":
		if r.Key != connectRoute {
			return nil, errors.New("AuthorizationType CUSTOM is possible on $connect only")
		}
		if r.Authorizer == nil {
			return nil, errors.New("AuthorizationType CUSTOM needs an authorizer")
		}
		var err error
		if compiled.authorizer, err = r.Authorizer.compile(); err != nil {
			return nil, fmt.Errorf("authorizer: %w", err)
		}
	default:
		return nil, fmt.Errorf("AuthorizationType %s is not emulated", r.AuthorizationType)
	}
	if r.Integration == nil {
		if r.Key != connectRoute && r.Key != disconnectRoute {
			return nil, errors.New("the route has no integration")
		}
		return compiled, nil
	}
	target, err := r.Integration.compile(s)
	if err != nil {
		return nil, fmt.Errorf("integration: %w", err)
	}
	compiled.target = target
	return compiled, nil
}

func (i Integration) compile(s *Server) (integration, error) {
	if i.Timeout == 0 {
		i.Timeout = maxIntegrationTimeout
	}
	if i.Timeout < minIntegrationTimeout || i.Timeout > maxIntegrationTimeout {
		return nil, fmt.Errorf("TimeoutInMillis of %v is not between %v and %v", i.Timeout, minIntegrationTimeout, maxIntegrationTimeout)
	}
	switch i.Type {
	case "AWS_PROXY":
		if i.Function == "" {
			return nil, errors.New("AWS_PROXY needs a function")
		}
		if len(i.RequestTemplates)+len(i.Responses) > 0 {
			return nil, errors.New("AWS_PROXY has neither templates nor integration responses")
		}
		return &proxy{invoker: s.invoker, function: i.Function, denied: i.Denied, timeout: i.Timeout}, nil
	case "MOCK":
		return i.compileMock()
	}
	return nil, fmt.Errorf("integration type %q is not emulated", i.Type)
}

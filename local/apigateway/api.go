package apigateway

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

// Route keys with special meanings.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-develop-routes.html
const (
	connectRoute    = "$connect"
	disconnectRoute = "$disconnect"
	defaultRoute    = "$default"
)

// Bounds of an integration's timeout.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
const (
	minIntegrationTimeout = 50 * time.Millisecond
	maxIntegrationTimeout = 29 * time.Second
)

// API describes a WebSocket API with one stage. The fields are named after the CloudFormation properties that they come
// from.
type API struct {
	// ID is the API's id in ARNs and events; on AWS it has ten characters.
	ID string
	// Stage is the stage's name and the first segment of every URL: 1 to 128 letters, digits, - and _.
	Stage string
	// RouteSelectionExpression selects a message's route: "$request.body.action" or a text with ${request.body.x} in it.
	RouteSelectionExpression string
	// Routes are the API's routes. Each key must be unique.
	Routes []Route
	// StageVariables are the stage's variables. If there are any, every event contains them.
	StageVariables map[string]string
	// DefaultRouteSettings throttles each route that RouteSettings does not name. Each route has its own bucket.
	// $disconnect is never throttled.
	DefaultRouteSettings Throttle
	// RouteSettings throttles single routes, by route key.
	RouteSettings map[string]Throttle
}

// Throttle limits the requests to a route, as ThrottlingRateLimit and ThrottlingBurstLimit of RouteSettings do. The
// zero value sets no limit.
type Throttle struct {
	// Rate is in requests per second; 0 sets no limit.
	Rate float64
	// Burst is the size of the token bucket, in requests. If Rate is not 0, it must be at least 1.
	Burst int
}

// Route selects an integration for the messages with one route key.
type Route struct {
	// Key is $connect, $disconnect, $default or the value that RouteSelectionExpression yields for the route's messages.
	Key string
	// AuthorizationType is "", "NONE" or, on $connect only, "CUSTOM", which requires an Authorizer.
	AuthorizationType string
	// Authorizer decides which clients may connect. It requires AuthorizationType CUSTOM.
	Authorizer *Authorizer
	// Integration handles the route's messages. On $connect and $disconnect it may be nil, which does nothing.
	Integration *Integration
	// Response reports whether the route replies to its client, that is, whether it has both a
	// RouteResponseSelectionExpression of $default and a RouteResponse with the key $default.
	Response bool
	// APIKeyRequired must be false.
	APIKeyRequired bool
}

// Authorizer is a Lambda authorizer of the REQUEST type.
type Authorizer struct {
	// Type must be REQUEST.
	Type string
	// Function is the name of the authorizer's function, as passed to Invoker.
	Function string
	// Denied is the error of every invocation when API Gateway may not invoke the function; nil when it may.
	Denied error
	// IdentitySource lists what a handshake must contain, else it gets 401 and the function is not invoked. The
	// entries have the form "route.request.header.X" or "route.request.querystring.X".
	IdentitySource []string
}

// Integration is the backend of a route: a function or a mock.
type Integration struct {
	// Type is AWS_PROXY (a function) or MOCK (templates).
	Type string
	// Function is the name of the function, as passed to Invoker; AWS_PROXY only.
	Function string
	// Denied is the error of every invocation when API Gateway may not invoke the function; nil when it may.
	Denied error
	// Timeout limits the function's duration, 50 ms to 29 s in real time, not in Clock's time; 0 means 29 s.
	Timeout time.Duration

	// RequestTemplates, by the value of TemplateSelectionExpression, produce JSON whose statusCode is the mock's status.
	RequestTemplates map[string]string
	// TemplateSelectionExpression selects the request template; "" selects "$default", else "application/json".
	TemplateSelectionExpression string
	// PassthroughBehavior applies to messages without a request template: WHEN_NO_MATCH (or "") uses the message
	// itself as the request, WHEN_NO_TEMPLATES does so only if there are no templates, NEVER fails.
	PassthroughBehavior string
	// Responses turn the mock's status into a reply. The first match is used, and $default last; MOCK only.
	Responses []IntegrationResponse
}

// IntegrationResponse turns the result of a MOCK integration into a reply.
type IntegrationResponse struct {
	// Key is $default, or a regular expression between slashes that must match the whole status, like /4\d\d/.
	Key string
	// TemplateSelectionExpression selects the response template; "" selects "$default", else "application/json".
	TemplateSelectionExpression string
	// ResponseTemplates produce the reply. If none matches, the mock's request is the reply.
	ResponseTemplates map[string]string
}

// route is a validated Route.
type route struct {
	key        string
	target     integration // nil does nothing
	authorizer *authorizer // nil accepts every client
	replies    bool
	throttle   *rate.Limiter
}

// RouteError is a fault of a route.
type RouteError struct {
	// Key is the route's key.
	Key string
	// Err is the fault.
	Err error
}

func (e *RouteError) Error() string { return fmt.Sprintf("route %q: %v", e.Key, e.Err) }

func (e *RouteError) Unwrap() error { return e.Err }

// Check returns the faults of the API that New would return, each as an error of its own. Those of routes are of type
// *RouteError.
func (api API) Check() []error {
	_, _, err := api.compile(&Server{})
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return nil
}

var stageName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$|^\$default$`)

// compile validates the API and returns its routes by key. Its error contains all faults found.
func (api API) compile(s *Server) (map[string]*route, selection, error) {
	var errs []error
	refuse := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if api.ID == "" {
		refuse("the API has no ID")
	}
	if !stageName.MatchString(api.Stage) {
		refuse("stage %q: the name is not of letters, digits, - and _", api.Stage)
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
			errs = append(errs, &RouteError{r.Key, errors.New("declared twice")})
		}
		compiled, err := r.compile(s)
		if err != nil {
			errs = append(errs, &RouteError{r.Key, err})
		}
		routes[r.Key] = compiled
		if compiled != nil && r.Key != disconnectRoute {
			throttle, ok := api.RouteSettings[r.Key]
			if !ok {
				throttle = api.DefaultRouteSettings
			}
			compiled.throttle = newLimiter(throttle)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(api.RouteSettings)) {
		throttle := api.RouteSettings[key]
		if _, ok := routes[key]; !ok {
			refuse("RouteSettings: there is no route %q", key)
		}
		if err := throttle.check(); err != nil {
			errs = append(errs, &RouteError{key, fmt.Errorf("RouteSettings: %w", err)})
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
		return nil, fmt.Errorf("TimeoutInMillis of %v is not between %v and %v",
			i.Timeout, minIntegrationTimeout, maxIntegrationTimeout)
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

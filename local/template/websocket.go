package template

import "time"

// WebSocketAPI is a WebSocket API as deployed to one stage.
type WebSocketAPI struct {
	Source
	// ID is the API's id and Name its name.
	ID, Name string
	// RouteSelectionExpression chooses the route of a message, like "$request.body.action".
	RouteSelectionExpression string
	// Routes are those deployed to the stage.
	Routes []Route
	// Stage is the stage.
	Stage Stage
	// Tags are the API's.
	Tags map[string]string
}

// Stage is a stage of an API.
type Stage struct {
	Source
	// Name is the stage's, a part of the URL that clients connect to.
	Name string
	// Variables are the stage's, which functions of authorizers receive.
	Variables map[string]string
	// Default are the settings of routes that RouteSettings does not name, by route key.
	Default       RouteSettings
	RouteSettings map[string]RouteSettings
	// AccessLog is where the stage logs accesses; zero when it does not.
	AccessLog AccessLog
}

// RouteSettings are a stage's settings for routes.
type RouteSettings struct {
	// RateLimit is in requests a second and BurstLimit in requests; nil leaves the account's.
	RateLimit  *float64
	BurstLimit *int
	// DataTrace, DetailedMetrics and LoggingLevel ("OFF", "ERROR", "INFO"; empty is OFF) are what is observed.
	DataTrace, DetailedMetrics bool
	LoggingLevel               string
}

// AccessLog is an access log's configuration.
type AccessLog struct {
	// Destination is the ARN of a log group or delivery stream.
	Destination string
	// Format is one line with $context variables.
	Format string
}

// Route is a route of an API.
type Route struct {
	Source
	// ID is the route's id.
	ID string
	// Key is "$connect", "$disconnect", "$default" or a custom key.
	Key string
	// OperationName is the template's, possibly empty.
	OperationName string
	// Integration is what handles the route; nil when nothing does.
	Integration *Integration
	// Authorizer decides who may connect; nil means anyone (AuthorizationType NONE). Only $connect has one.
	Authorizer *Authorizer
	// ResponseSelectionExpression is "$default" when the route may answer, and empty when it may not.
	ResponseSelectionExpression string
	// Responses are the route's responses; without one for "$default" a client gets no answer.
	Responses []RouteResponse
}

// RouteResponse is a route's response.
type RouteResponse struct {
	Source
	// Key is "$default", the only one that API Gateway supports for WebSocket APIs.
	Key string
}

// Integration is what a route does.
type Integration struct {
	Source
	// ID is the integration's id.
	ID string
	// Type is "AWS_PROXY" (a function is invoked) or "MOCK" (the answer is made from the templates).
	Type string
	// FunctionName is the function of AWS_PROXY, in the stack; empty with MOCK.
	FunctionName string
	// Invocable is true when a permission of the function lets API Gateway invoke it for this route and stage. Without
	// one, AWS accepts the deployment and every message fails with an internal server error.
	Invocable bool
	// Timeout is 50 ms to 29 s; 29 s when the template says nothing.
	Timeout time.Duration
	// RequestTemplates, by the key that TemplateSelectionExpression selects, are MOCK's.
	RequestTemplates            map[string]string
	TemplateSelectionExpression string
	// PassthroughBehavior is "WHEN_NO_MATCH" (the default), "WHEN_NO_TEMPLATES" or "NEVER".
	PassthroughBehavior string
	// Responses are MOCK's integration responses.
	Responses []IntegrationResponse
}

// IntegrationResponse turns the outcome of an integration into the route's answer.
type IntegrationResponse struct {
	Source
	// Key is "$default" or an expression like "/5\\d\\d/" for status codes.
	Key string
	// ResponseTemplates, by the key that TemplateSelectionExpression selects, make the answer.
	ResponseTemplates           map[string]string
	TemplateSelectionExpression string
}

// Authorizer is a REQUEST authorizer: a function that decides who may connect.
type Authorizer struct {
	Source
	// ID is the authorizer's id and Name its name.
	ID, Name string
	// FunctionName is the function, in the stack.
	FunctionName string
	// Invocable is true when a permission of the function lets API Gateway invoke it. Without one, AWS accepts the
	// deployment and every connection fails with 500.
	Invocable bool
	// IdentitySources are what a request must have, like "route.request.header.Auth"; a request that lacks one is
	// refused with 401 before the function is invoked.
	IdentitySources []string
}

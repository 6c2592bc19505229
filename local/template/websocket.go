package template

import "time"

// WebSocketAPI is one stage of a WebSocket API.
type WebSocketAPI struct {
	Source
	// ID and Name are the id and the name of the API.
	ID, Name string
	// RouteSelectionExpression selects the route of a message, like "$request.body.action".
	RouteSelectionExpression string
	// Routes are the routes that are deployed to the stage.
	Routes []Route
	// Stage is the stage.
	Stage Stage
	// Tags are the tags of the API.
	Tags map[string]string
}

// Stage is a stage of an API.
type Stage struct {
	Source
	// Name is the name of the stage. It is a part of the URL to which clients connect.
	Name string
	// Variables are the stage variables. The functions of authorizers receive them.
	Variables map[string]string
	// Default has the settings of the routes that are not in RouteSettings.
	Default RouteSettings
	// RouteSettings has the settings of routes by route key.
	RouteSettings map[string]RouteSettings
	// AccessLog is the access log. The zero value is none.
	AccessLog AccessLog
}

// RouteSettings are settings of routes.
type RouteSettings struct {
	// RateLimit is in requests per second and BurstLimit in requests. nil is the limit of the account.
	RateLimit  *float64
	BurstLimit *int
	// DataTrace and DetailedMetrics enable logs and metrics. LoggingLevel is "OFF", "ERROR", "INFO" or empty, which is
	// "OFF".
	DataTrace, DetailedMetrics bool
	LoggingLevel               string
}

// AccessLog is the configuration of an access log.
type AccessLog struct {
	// Destination is the ARN of a log group or delivery stream.
	Destination string
	// Format is the format of a line, with $context variables.
	Format string
}

// Route is a route of an API.
type Route struct {
	Source
	// ID is the id of the route.
	ID string
	// Key is "$connect", "$disconnect", "$default" or a custom key.
	Key string
	// OperationName is the template's operation name, possibly empty.
	OperationName string
	// Integration is the integration of the route, nil when it has none.
	Integration *Integration
	// Authorizer authorizes connections. nil allows all (AuthorizationType NONE). Only $connect may have one.
	Authorizer *Authorizer
	// ResponseSelectionExpression is "$default" when the route may have responses, and empty when it may not.
	ResponseSelectionExpression string
	// Responses are the responses of the route. Without one for "$default" a client gets no response.
	Responses []RouteResponse
}

// RouteResponse is a response of a route.
type RouteResponse struct {
	Source
	// Key is "$default". API Gateway supports no other key for WebSocket APIs.
	Key string
}

// Integration is the integration of a route.
type Integration struct {
	Source
	// ID is the id of the integration.
	ID string
	// Type is "AWS_PROXY" (it invokes a function) or "MOCK" (the templates produce the response).
	Type string
	// FunctionName is the name of the function, which is in the stack. It is empty with MOCK.
	FunctionName string
	// Invocable is true when a permission allows API Gateway to invoke the function for this route and stage. Without a
	// permission AWS accepts the deployment, and every message fails with an internal server error.
	Invocable bool
	// Timeout is 50 ms to 29 s. The default is 29 s.
	Timeout time.Duration
	// RequestTemplates are the templates of MOCK. TemplateSelectionExpression selects one by its key.
	RequestTemplates            map[string]string
	TemplateSelectionExpression string
	// PassthroughBehavior is "WHEN_NO_MATCH" (the default), "WHEN_NO_TEMPLATES" or "NEVER".
	PassthroughBehavior string
	// Responses are the integration responses of MOCK.
	Responses []IntegrationResponse
}

// IntegrationResponse produces the response of a route from the result of the integration.
type IntegrationResponse struct {
	Source
	// Key is "$default" or an expression like "/5\\d\\d/" for status codes.
	Key string
	// ResponseTemplates produce the response. TemplateSelectionExpression selects one by its key.
	ResponseTemplates           map[string]string
	TemplateSelectionExpression string
}

// Authorizer is a REQUEST authorizer: a function that authorizes connections.
type Authorizer struct {
	Source
	// ID and Name are the id and the name of the authorizer.
	ID, Name string
	// FunctionName is the name of the function, which is in the stack.
	FunctionName string
	// Invocable is true when a permission allows API Gateway to invoke the function. Without a permission AWS accepts the
	// deployment, and every connection fails with 500.
	Invocable bool
	// IdentitySources are the values that a request must have, like "route.request.header.Auth". A request without one of
	// them fails with 401, and the function is not invoked.
	IdentitySources []string
}

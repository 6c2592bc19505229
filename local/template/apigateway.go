package template

import (
	"regexp"
	"strings"
	"time"
)

func apiGatewayTypes() map[string]*emulatedType {
	onlyHTTP := refused("it is for HTTP APIs, and only WebSocket APIs are")
	responseParameters := refused("headers of answers have no meaning on a WebSocket")
	return map[string]*emulatedType{
		"AWS::ApiGatewayV2::Api": {resourceType: resourceType{
			schema: settable(`
				ApiKeySelectionExpression Description DisableExecuteApiEndpoint DisableSchemaValidation
				IpAddressType Name ProtocolType RouteSelectionExpression Tags Version`).
				all(onlyHTTP, `
				BasePath Body BodyS3Location CorsConfiguration CredentialsArn FailOnWarnings RouteKey Target`).
				all(returned, `ApiEndpoint ApiId ExecuteApiArn`),
			required: []string{"Name", "ProtocolType", "RouteSelectionExpression"}, ref: "{api}",
			attributes: map[string]string{
				"ApiId": "{api}", "ApiEndpoint": "wss://{api}.execute-api.{region}.amazonaws.com",
				"ExecuteApiArn": "arn:aws:execute-api:{region}:{account}:{api}",
			},
		}, read: (*builder).readAPI,
		},
		"AWS::ApiGatewayV2::Stage": {resourceType: resourceType{
			schema: settable(`
				ApiId AutoDeploy DeploymentId Description RouteSettings StageName StageVariables Tags`).
				with(schema{
					"AccessLogSettings":    of(schema{"DestinationArn": known, "Format": known}),
					"ClientCertificateId":  refused("API Gateway shows no certificates here"),
					"DefaultRouteSettings": of(routeSettings),
				}),
			required: []string{"ApiId", "StageName"}, nameProperty: "StageName", namePattern: stageName, ref: "{name}",
		}, read: (*builder).readStage,
		},
		"AWS::ApiGatewayV2::Deployment": {resourceType: resourceType{
			schema: schema{"ApiId": known, "Description": known, "StageName": refused("give the DeploymentId to the stage"),
				"DeploymentId": returned},
			required: []string{"ApiId"}, ref: "{id}", attributes: map[string]string{"DeploymentId": "{id}"},
		}, read: (*builder).readDeployment,
		},
		"AWS::ApiGatewayV2::Route": {resourceType: resourceType{
			schema: settable(`
				ApiId ApiKeyRequired AuthorizationType AuthorizerId OperationName RouteKey
				RouteResponseSelectionExpression Target`).
				all(onlyHTTP, `AuthorizationScopes`).
				all(returned, `RouteId`).
				with(schema{
					"ModelSelectionExpression": refused("messages are not checked against models here"),
					"RequestModels":            refused("messages are not checked against models here"),
					"RequestParameters":        refused("parameters of $connect are not checked here; use an authorizer"),
				}),
			required: []string{"ApiId", "RouteKey"}, ref: "{id}", attributes: map[string]string{"RouteId": "{id}"},
		}, read: (*builder).readRoute,
		},
		"AWS::ApiGatewayV2::Integration": {resourceType: resourceType{
			schema: settable(`
				ApiId ConnectionType Description IntegrationMethod IntegrationType IntegrationUri
				PassthroughBehavior PayloadFormatVersion RequestTemplates TemplateSelectionExpression
				TimeoutInMillis`).
				all(onlyHTTP, `IntegrationSubtype TlsConfig`).
				all(responseParameters, `ResponseParameters`).
				all(returned, `IntegrationId`).
				with(schema{
					"ConnectionId":            refused("there are no VPC links here"),
					"ContentHandlingStrategy": refused("payloads are not converted here"),
					"CredentialsArn":          refused("functions are invoked by permission, without a role; write an AWS::Lambda::Permission"),
					"RequestParameters":       refused("requests are not mapped here"),
				}),
			required: []string{"ApiId", "IntegrationType"}, ref: "{id}", attributes: map[string]string{"IntegrationId": "{id}"},
		}, read: (*builder).readIntegration,
		},
		"AWS::ApiGatewayV2::IntegrationResponse": {resourceType: resourceType{
			schema: settable(`
				ApiId IntegrationId IntegrationResponseKey ResponseTemplates TemplateSelectionExpression`).
				all(responseParameters, `ResponseParameters`).
				all(returned, `IntegrationResponseId`).
				with(schema{
					"ContentHandlingStrategy": refused("payloads are not converted here"),
				}),
			required: []string{"ApiId", "IntegrationId", "IntegrationResponseKey"}, ref: "{id}",
			attributes: map[string]string{"IntegrationResponseId": "{id}"},
		}, read: (*builder).readIntegrationResponse,
		},
		"AWS::ApiGatewayV2::RouteResponse": {resourceType: resourceType{
			schema: schema{
				"ApiId": known, "RouteId": known, "RouteResponseKey": known,
				"ModelSelectionExpression": refused("answers are not checked against models here"),
				"ResponseModels":           refused("answers are not checked against models here"), "ResponseParameters": responseParameters,
				"RouteResponseId": returned,
			},
			required: []string{"ApiId", "RouteId", "RouteResponseKey"}, ref: "{id}",
			attributes: map[string]string{"RouteResponseId": "{id}"},
		}, read: (*builder).readRouteResponse,
		},
		"AWS::ApiGatewayV2::Authorizer": {resourceType: resourceType{
			schema: settable(`ApiId AuthorizerType AuthorizerUri IdentitySource Name`).
				all(onlyHTTP, `
				AuthorizerPayloadFormatVersion AuthorizerResultTtlInSeconds EnableSimpleResponses
				IdentityValidationExpression JwtConfiguration`).
				all(returned, `AuthorizerId`).
				with(schema{
					"AuthorizerCredentialsArn": refused("authorizers are invoked by permission, without a role; write an AWS::Lambda::Permission"),
				}),
			required: []string{"ApiId", "AuthorizerType", "Name"}, ref: "{id}", attributes: map[string]string{"AuthorizerId": "{id}"},
		}, read: (*builder).readAuthorizer,
		},
		"AWS::ApiGatewayV2::Model": {resourceType: resourceType{ // routes that use one are refused
			schema: settable(`ApiId ContentType Description Name Schema`).
				all(returned, `ModelId`),
			required: []string{"ApiId", "Name", "Schema"}, ref: "{id}", attributes: map[string]string{"ModelId": "{id}"},
		}},
	}
}

// routeSettings are the settings of a stage's routes.
var routeSettings = settable(`
	DataTraceEnabled DetailedMetricsEnabled LoggingLevel ThrottlingBurstLimit ThrottlingRateLimit`)

// https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-stages.html
var stageName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,128}$`)

// part is a piece of an API with the id of the API that it belongs to.
type part[T any] struct {
	api   string
	model T
	r     *resource
	at    properties
}

func newPart[T any](model T, r *resource, p properties) part[T] {
	return part[T]{api: p.text("ApiId"), model: model, r: r, at: p}
}

// apiParts are the pieces of all APIs, before they are put together.
type apiParts struct {
	apis                 []part[WebSocketAPI]
	stages               []part[stageOfDeployment]
	deployments          []part[string] // its id
	routes               []part[routeOfTarget]
	integrations         []part[Integration]
	integrationResponses []part[responseOf[IntegrationResponse]]
	routeResponses       []part[responseOf[RouteResponse]]
	authorizers          []part[Authorizer]
}

// stageOfDeployment is a stage and what it deploys: everything, or what one deployment holds.
type stageOfDeployment struct {
	Stage
	autoDeploy bool
	deployment string
}

// routeOfTarget is a route with the ids of what it uses.
type routeOfTarget struct {
	Route
	integration, authorizer string
}

// responseOf is a response with the id of the route or integration that it belongs to.
type responseOf[T any] struct {
	response T
	parent   string
}

func (b *builder) readAPI(r *resource, p properties) {
	p.oneOf("ProtocolType", "WEBSOCKET")
	if p.boolean("DisableExecuteApiEndpoint", false) {
		p.problem("DisableExecuteApiEndpoint", "is not emulated: the API has no custom domain here, so nobody could reach it")
	}
	api := WebSocketAPI{
		Source: b.source(r.id, r.position), ID: b.reference(r), Name: p.text("Name"),
		RouteSelectionExpression: p.text("RouteSelectionExpression"),
		Tags:                     p.tags("Tags"),
	}
	b.parts.apis = append(b.parts.apis, part[WebSocketAPI]{api: api.ID, model: api, r: r, at: p})
}

func (b *builder) readStage(r *resource, p properties) {
	s := Stage{
		Source: b.source(r.id, r.position), Name: b.name(r), Variables: p.textMap("StageVariables"),
		Default: readRouteSettings(p.part("DefaultRouteSettings")), RouteSettings: map[string]RouteSettings{},
	}
	if settings := p.part("RouteSettings"); settings.object != nil {
		for _, f := range settings.object.fields {
			of := settings.part(f.key)
			of.check(routeSettings)
			s.RouteSettings[f.key] = readRouteSettings(of)
		}
	}
	if log := p.part("AccessLogSettings"); log.object != nil {
		s.AccessLog = AccessLog{log.text("DestinationArn"), log.text("Format")}
	}
	b.parts.stages = append(b.parts.stages,
		newPart(stageOfDeployment{s, p.boolean("AutoDeploy", false), p.text("DeploymentId")}, r, p))
}

func readRouteSettings(p properties) RouteSettings {
	s := RouteSettings{
		DataTrace: p.boolean("DataTraceEnabled", false), DetailedMetrics: p.boolean("DetailedMetricsEnabled", false),
		LoggingLevel: p.oneOf("LoggingLevel", "", "OFF", "ERROR", "INFO"),
	}
	if p.has("ThrottlingRateLimit") {
		rate := p.float("ThrottlingRateLimit")
		s.RateLimit = &rate
	}
	if p.has("ThrottlingBurstLimit") {
		burst := p.between("ThrottlingBurstLimit", 0, 0, 1<<31-1)
		s.BurstLimit = &burst
	}
	return s
}

func (b *builder) readDeployment(r *resource, p properties) {
	b.parts.deployments = append(b.parts.deployments, newPart(b.reference(r), r, p))
}

func (b *builder) readRoute(r *resource, p properties) {
	route := routeOfTarget{Route: Route{
		Source: b.source(r.id, r.position), ID: b.reference(r), Key: p.text("RouteKey"), OperationName: p.text("OperationName"),
		ResponseSelectionExpression: p.text("RouteResponseSelectionExpression"),
	}, authorizer: p.text("AuthorizerId")}
	if p.boolean("ApiKeyRequired", false) {
		p.problem("ApiKeyRequired", "is not emulated: there are no API keys and usage plans here")
	}
	if expression := route.ResponseSelectionExpression; expression != "" && expression != "$default" {
		p.problem("RouteResponseSelectionExpression", "API Gateway accepts only $default")
	}
	if target := p.text("Target"); target != "" {
		id, ok := strings.CutPrefix(target, "integrations/")
		if !ok {
			p.problem("Target", "%q must be integrations/<id of the integration>", target)
		}
		route.integration = id
	}
	switch typ := p.oneOf("AuthorizationType", "NONE", "AWS_IAM", "CUSTOM", "JWT"); {
	case typ == "AWS_IAM" || typ == "JWT":
		p.problem("AuthorizationType", "%s is not emulated: use CUSTOM with a REQUEST authorizer", typ)
	case typ == "CUSTOM":
		p.require("AuthorizerId")
		if route.Key != "$connect" {
			p.problem("AuthorizationType", "only $connect can be authorized")
		}
	case route.authorizer != "":
		p.problem("AuthorizerId", "has no effect without AuthorizationType CUSTOM")
	}
	b.parts.routes = append(b.parts.routes, newPart(route, r, p))
}

// Bounds of an integration's time-out in milliseconds.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
const (
	minIntegrationTimeout = 50
	maxIntegrationTimeout = 29_000
)

func (b *builder) readIntegration(r *resource, p properties) {
	i := Integration{
		Source: b.source(r.id, r.position), ID: b.reference(r), Type: p.text("IntegrationType"),
		RequestTemplates: p.textMap("RequestTemplates"), TemplateSelectionExpression: p.text("TemplateSelectionExpression"),
		PassthroughBehavior: p.oneOf("PassthroughBehavior", "WHEN_NO_MATCH", "WHEN_NO_TEMPLATES", "NEVER"),
		Timeout: time.Duration(p.between("TimeoutInMillis", maxIntegrationTimeout, minIntegrationTimeout, maxIntegrationTimeout)) *
			time.Millisecond,
	}
	p.oneOf("ConnectionType", "INTERNET")
	p.oneOf("PayloadFormatVersion", "1.0")
	switch i.Type {
	case "AWS_PROXY":
		p.require("IntegrationUri")
		i.FunctionName = b.invokedFunction(p, "IntegrationUri")
		if i.RequestTemplates != nil {
			p.problem("RequestTemplates", "has no effect on AWS_PROXY, which passes requests as they are")
		}
	case "MOCK":
	default:
		p.problem("IntegrationType", "%q is not emulated: only AWS_PROXY and MOCK are", i.Type)
	}
	b.parts.integrations = append(b.parts.integrations, newPart(i, r, p))
}

// functionURIPattern is how API Gateway is told which function to invoke.
var functionURIPattern = regexp.MustCompile(`^arn:aws:apigateway:[a-z0-9-]+:lambda:path/2015-03-31/functions/(.*)/invocations$`)

// invokedFunction returns the name of the function that a URI stands for, or "" with the problem reported.
func (b *builder) invokedFunction(p properties, key string) string {
	uri := p.text(key)
	if uri == "" {
		return ""
	}
	match := functionURIPattern.FindStringSubmatch(uri)
	if match == nil {
		p.problem(key, "%q is not the invocation URI of a Lambda function (arn:aws:apigateway:<region>:lambda:path/2015-03-31/functions/<arn>/invocations)", uri)
		return ""
	}
	// Whether the function is in the stack is known when all resources are read.
	return match[1]
}

func (b *builder) readIntegrationResponse(r *resource, p properties) {
	response := IntegrationResponse{
		Source: b.source(r.id, r.position), Key: p.text("IntegrationResponseKey"), ResponseTemplates: p.textMap("ResponseTemplates"),
		TemplateSelectionExpression: p.text("TemplateSelectionExpression"),
	}
	b.parts.integrationResponses = append(b.parts.integrationResponses,
		newPart(responseOf[IntegrationResponse]{response, p.text("IntegrationId")}, r, p))
}

func (b *builder) readRouteResponse(r *resource, p properties) {
	response := RouteResponse{Source: b.source(r.id, r.position), Key: p.text("RouteResponseKey")}
	if response.Key != "$default" && response.Key != "" {
		p.problem("RouteResponseKey", "API Gateway accepts only $default")
	}
	b.parts.routeResponses = append(b.parts.routeResponses,
		newPart(responseOf[RouteResponse]{response, p.text("RouteId")}, r, p))
}

func (b *builder) readAuthorizer(r *resource, p properties) {
	a := Authorizer{
		Source: b.source(r.id, r.position), ID: b.reference(r), Name: p.text("Name"), IdentitySources: p.texts("IdentitySource"),
	}
	if typ := p.text("AuthorizerType"); typ != "REQUEST" {
		p.problem("AuthorizerType", "%q is not emulated: only REQUEST is, and only it exists for WebSocket APIs", typ)
	}
	p.require("AuthorizerUri")
	a.FunctionName = b.invokedFunction(p, "AuthorizerUri")
	b.parts.authorizers = append(b.parts.authorizers, newPart(a, r, p))
}

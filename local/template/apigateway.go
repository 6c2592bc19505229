package template

import (
	"regexp"
	"strings"
	"time"

	"fanfare/local/template/internal/cfn"
	"fanfare/local/template/internal/tree"
)

func apiGatewayTypes() map[string]*emulatedType {
	onlyHTTP := tree.Refused("it is for HTTP APIs, and only WebSocket APIs are")
	responseParameters := tree.Refused("headers of a response have no meaning on a WebSocket")
	return map[string]*emulatedType{
		"AWS::ApiGatewayV2::Api": {Type: cfn.Type{
			Schema: tree.Settable(`
				ApiKeySelectionExpression Description DisableExecuteApiEndpoint DisableSchemaValidation
				IpAddressType Name ProtocolType RouteSelectionExpression Tags Version`).
				All(onlyHTTP, `
				BasePath Body BodyS3Location CorsConfiguration CredentialsArn FailOnWarnings RouteKey Target`).
				All(tree.Returned, `ApiEndpoint ApiId ExecuteApiArn`),
			Required: []string{"Name", "ProtocolType", "RouteSelectionExpression"}, Ref: "{api}",
			Attributes: map[string]string{
				"ApiId": "{api}", "ApiEndpoint": "wss://{api}.execute-api.{region}.amazonaws.com",
				"ExecuteApiArn": "arn:aws:execute-api:{region}:{account}:{api}",
			},
		}, read: (*builder).readAPI,
		},
		"AWS::ApiGatewayV2::Stage": {Type: cfn.Type{
			Schema: tree.Settable(`
				ApiId AutoDeploy DeploymentId Description RouteSettings StageName StageVariables Tags`).
				With(tree.Schema{
					"AccessLogSettings":    tree.Nested(tree.Schema{"DestinationArn": tree.Accepted, "Format": tree.Accepted}),
					"ClientCertificateId":  tree.Refused("API Gateway shows no certificates here"),
					"DefaultRouteSettings": tree.Nested(routeSettings),
				}),
			Required: []string{"ApiId", "StageName"}, NameProperty: "StageName", NamePattern: stageName, Ref: "{name}",
		}, read: (*builder).readStage,
		},
		"AWS::ApiGatewayV2::Deployment": {Type: cfn.Type{
			Schema: tree.Schema{"ApiId": tree.Accepted, "Description": tree.Accepted,
				"StageName":    tree.Refused("give the DeploymentId to the stage"),
				"DeploymentId": tree.Returned},
			Required: []string{"ApiId"}, Ref: "{id}", Attributes: map[string]string{"DeploymentId": "{id}"},
		}, read: (*builder).readDeployment,
		},
		"AWS::ApiGatewayV2::Route": {Type: cfn.Type{
			Schema: tree.Settable(`
				ApiId ApiKeyRequired AuthorizationType AuthorizerId OperationName RouteKey
				RouteResponseSelectionExpression Target`).
				All(onlyHTTP, `AuthorizationScopes`).
				All(tree.Returned, `RouteId`).
				With(tree.Schema{
					"ModelSelectionExpression": tree.Refused("messages are not checked against models here"),
					"RequestModels":            tree.Refused("messages are not checked against models here"),
					"RequestParameters":        tree.Refused("parameters of $connect are not checked here; use an authorizer"),
				}),
			Required: []string{"ApiId", "RouteKey"}, Ref: "{id}", Attributes: map[string]string{"RouteId": "{id}"},
		}, read: (*builder).readRoute,
		},
		"AWS::ApiGatewayV2::Integration": {Type: cfn.Type{
			Schema: tree.Settable(`
				ApiId ConnectionType Description IntegrationMethod IntegrationType IntegrationUri
				PassthroughBehavior PayloadFormatVersion RequestTemplates TemplateSelectionExpression
				TimeoutInMillis`).
				All(onlyHTTP, `IntegrationSubtype TlsConfig`).
				All(responseParameters, `ResponseParameters`).
				All(tree.Returned, `IntegrationId`).
				With(tree.Schema{
					"ConnectionId":            tree.Refused("there are no VPC links here"),
					"ContentHandlingStrategy": tree.Refused("payloads are not converted here"),
					"CredentialsArn": tree.Refused("functions are invoked by permission, without a role; write an " +
						"AWS::Lambda::Permission"),
					"RequestParameters": tree.Refused("requests are not mapped here"),
				}),
			Required: []string{"ApiId", "IntegrationType"}, Ref: "{id}", Attributes: map[string]string{"IntegrationId": "{id}"},
		}, read: (*builder).readIntegration,
		},
		"AWS::ApiGatewayV2::IntegrationResponse": {Type: cfn.Type{
			Schema: tree.Settable(`
				ApiId IntegrationId IntegrationResponseKey ResponseTemplates TemplateSelectionExpression`).
				All(responseParameters, `ResponseParameters`).
				All(tree.Returned, `IntegrationResponseId`).
				With(tree.Schema{
					"ContentHandlingStrategy": tree.Refused("payloads are not converted here"),
				}),
			Required: []string{"ApiId", "IntegrationId", "IntegrationResponseKey"}, Ref: "{id}",
			Attributes: map[string]string{"IntegrationResponseId": "{id}"},
		}, read: (*builder).readIntegrationResponse,
		},
		"AWS::ApiGatewayV2::RouteResponse": {Type: cfn.Type{
			Schema: tree.Schema{
				"ApiId": tree.Accepted, "RouteId": tree.Accepted, "RouteResponseKey": tree.Accepted,
				"ModelSelectionExpression": tree.Refused("responses are not checked against models here"),
				"ResponseModels":           tree.Refused("responses are not checked against models here"),
				"ResponseParameters":       responseParameters,
				"RouteResponseId":          tree.Returned,
			},
			Required: []string{"ApiId", "RouteId", "RouteResponseKey"}, Ref: "{id}",
			Attributes: map[string]string{"RouteResponseId": "{id}"},
		}, read: (*builder).readRouteResponse,
		},
		"AWS::ApiGatewayV2::Authorizer": {Type: cfn.Type{
			Schema: tree.Settable(`ApiId AuthorizerType AuthorizerUri IdentitySource Name`).
				All(onlyHTTP, `
				AuthorizerPayloadFormatVersion AuthorizerResultTtlInSeconds EnableSimpleResponses
				IdentityValidationExpression JwtConfiguration`).
				All(tree.Returned, `AuthorizerId`).
				With(tree.Schema{
					"AuthorizerCredentialsArn": tree.Refused("authorizers are invoked by permission, without a role; write an " +
						"AWS::Lambda::Permission"),
				}),
			Required: []string{"ApiId", "AuthorizerType", "Name"}, Ref: "{id}",
			Attributes: map[string]string{"AuthorizerId": "{id}"},
		}, read: (*builder).readAuthorizer,
		},
		"AWS::ApiGatewayV2::Model": {Type: cfn.Type{ // routes that use a model are refused
			Schema: tree.Settable(`ApiId ContentType Description Name Schema`).
				All(tree.Returned, `ModelId`),
			Required: []string{"ApiId", "Name", "Schema"}, Ref: "{id}", Attributes: map[string]string{"ModelId": "{id}"},
		}},
	}
}

// routeSettings is the schema of the settings of a stage's routes.
var routeSettings = tree.Settable(`
	DataTraceEnabled DetailedMetricsEnabled LoggingLevel ThrottlingBurstLimit ThrottlingRateLimit`)

// https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-stages.html
var stageName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,128}$`)

// part is a part of an API with the id of the API.
type part[T any] struct {
	api   string
	model T
	r     *cfn.Resource
	at    tree.Reader
}

func newPart[T any](model T, r *cfn.Resource, p tree.Reader) part[T] {
	return part[T]{api: p.Text("ApiId"), model: model, r: r, at: p}
}

// apiParts are the parts of all APIs.
type apiParts struct {
	apis                 []part[WebSocketAPI]
	stages               []part[stageOfDeployment]
	deployments          []part[string] // by id
	routes               []part[routeOfTarget]
	integrations         []part[Integration]
	integrationResponses []part[responseOf[IntegrationResponse]]
	routeResponses       []part[responseOf[RouteResponse]]
	authorizers          []part[Authorizer]
}

// stageOfDeployment is a stage that deploys all routes (AutoDeploy) or those of one deployment.
type stageOfDeployment struct {
	Stage
	autoDeploy bool
	deployment string
}

// routeOfTarget is a route with the ids of its integration and authorizer.
type routeOfTarget struct {
	Route
	integration, authorizer string
}

// responseOf is a response with the id of its route or integration.
type responseOf[T any] struct {
	response T
	parent   string
}

func (b *builder) readAPI(r *cfn.Resource, p tree.Reader) {
	p.OneOf("ProtocolType", "WEBSOCKET")
	if p.Bool("DisableExecuteApiEndpoint", false) {
		p.Problem("DisableExecuteApiEndpoint",
			"is not emulated: the API has no custom domain here, so clients could not connect")
	}
	api := WebSocketAPI{
		Source: b.source(r.ID, r.Position), ID: b.Reference(r), Name: p.Text("Name"),
		RouteSelectionExpression: p.Text("RouteSelectionExpression"),
		Tags:                     p.Tags(),
	}
	b.parts.apis = append(b.parts.apis, part[WebSocketAPI]{api: api.ID, model: api, r: r, at: p})
}

func (b *builder) readStage(r *cfn.Resource, p tree.Reader) {
	s := Stage{
		Source: b.source(r.ID, r.Position), Name: b.Name(r), Variables: p.TextMap("StageVariables"),
		Default: readRouteSettings(p.Part("DefaultRouteSettings")), RouteSettings: map[string]RouteSettings{},
	}
	if settings := p.Part("RouteSettings"); settings.Object != nil {
		for _, f := range settings.Object.Fields {
			of := settings.Part(f.Key)
			of.Check(routeSettings)
			s.RouteSettings[f.Key] = readRouteSettings(of)
		}
	}
	if log := p.Part("AccessLogSettings"); log.Object != nil {
		s.AccessLog = AccessLog{log.Text("DestinationArn"), log.Text("Format")}
	}
	b.parts.stages = append(b.parts.stages,
		newPart(stageOfDeployment{s, p.Bool("AutoDeploy", false), p.Text("DeploymentId")}, r, p))
}

func readRouteSettings(p tree.Reader) RouteSettings {
	s := RouteSettings{
		DataTrace: p.Bool("DataTraceEnabled", false), DetailedMetrics: p.Bool("DetailedMetricsEnabled", false),
		LoggingLevel: p.OneOf("LoggingLevel", "", "OFF", "ERROR", "INFO"),
	}
	if p.Has("ThrottlingRateLimit") {
		rate := p.Float("ThrottlingRateLimit")
		if s.RateLimit = &rate; rate < 0 {
			p.Problem("ThrottlingRateLimit", "%v is negative", rate)
		}
	}
	if p.Has("ThrottlingBurstLimit") {
		burst := p.Between("ThrottlingBurstLimit", 0, 0, 1<<31-1)
		s.BurstLimit = &burst
	}
	return s
}

func (b *builder) readDeployment(r *cfn.Resource, p tree.Reader) {
	b.parts.deployments = append(b.parts.deployments, newPart(b.Reference(r), r, p))
}

func (b *builder) readRoute(r *cfn.Resource, p tree.Reader) {
	route := routeOfTarget{Route: Route{
		Source: b.source(r.ID, r.Position), ID: b.Reference(r), Key: p.Text("RouteKey"),
		OperationName:               p.Text("OperationName"),
		ResponseSelectionExpression: p.Text("RouteResponseSelectionExpression"),
	}, authorizer: p.Text("AuthorizerId")}
	if p.Bool("ApiKeyRequired", false) {
		p.Problem("ApiKeyRequired", "is not emulated: there are no API keys and usage plans here")
	}
	if expression := route.ResponseSelectionExpression; expression != "" && expression != "$default" {
		p.Problem("RouteResponseSelectionExpression", "API Gateway accepts only $default")
	}
	if target := p.Text("Target"); target != "" {
		id, ok := strings.CutPrefix(target, "integrations/")
		if !ok {
			p.Problem("Target", "%q must be integrations/<id of the integration>", target)
		}
		route.integration = id
	}
	switch typ := p.OneOf("AuthorizationType", "NONE", "AWS_IAM", "CUSTOM", "JWT"); {
	case typ == "AWS_IAM" || typ == "JWT":
		p.Problem("AuthorizationType", "%s is not emulated: use CUSTOM with a REQUEST authorizer", typ)
	case typ == "CUSTOM":
		p.Require("AuthorizerId")
		if route.Key != "$connect" && route.Key != "" {
			p.Problem("AuthorizationType", "only $connect can be authorized")
		}
	case route.authorizer != "":
		p.Problem("AuthorizerId", "has no effect without AuthorizationType CUSTOM")
	}
	b.parts.routes = append(b.parts.routes, newPart(route, r, p))
}

// Bounds of the timeout of an integration, in milliseconds.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
const (
	minIntegrationTimeout = 50
	maxIntegrationTimeout = 29_000
)

func (b *builder) readIntegration(r *cfn.Resource, p tree.Reader) {
	i := Integration{
		Source: b.source(r.ID, r.Position), ID: b.Reference(r), Type: p.Text("IntegrationType"),
		RequestTemplates: p.TextMap("RequestTemplates"), TemplateSelectionExpression: p.Text("TemplateSelectionExpression"),
		PassthroughBehavior: p.OneOf("PassthroughBehavior", "WHEN_NO_MATCH", "WHEN_NO_TEMPLATES", "NEVER"),
		Timeout: time.Millisecond * time.Duration(
			p.Between("TimeoutInMillis", maxIntegrationTimeout, minIntegrationTimeout, maxIntegrationTimeout)),
	}
	p.OneOf("ConnectionType", "INTERNET")
	p.OneOf("PayloadFormatVersion", "1.0")
	switch i.Type {
	case "AWS_PROXY":
		p.Require("IntegrationUri")
		if i.FunctionName = p.Text("IntegrationUri"); !functionARN.MatchString(i.FunctionName) {
			i.FunctionName = b.invokedFunction(p, "IntegrationUri")
		}
		if i.RequestTemplates != nil {
			p.Problem("RequestTemplates", "has no effect on AWS_PROXY, which passes requests unchanged")
		}
	case "MOCK", "": // "" is reported already
	default:
		p.Problem("IntegrationType", "%q is not emulated: only AWS_PROXY and MOCK are", i.Type)
	}
	b.parts.integrations = append(b.parts.integrations, newPart(i, r, p))
}

// functionURI matches the URI of a function in an integration or an authorizer.
var functionURI = regexp.MustCompile(
	`^arn:aws:apigateway:[a-z0-9-]+:lambda:path/2015-03-31/functions/(.*)/invocations$`)

// functionARN matches the ARN of a function, which API Gateway accepts as the URI of an integration.
var functionARN = regexp.MustCompile(`^arn:aws:lambda:[a-z0-9-]+:[0-9]{12}:function:[^:]+$`)

// invokedFunction returns the name or ARN of the function in a URI. It reports a wrong URI and returns "".
func (b *builder) invokedFunction(p tree.Reader, key string) string {
	uri := p.Text(key)
	if uri == "" {
		return ""
	}
	match := functionURI.FindStringSubmatch(uri)
	if match == nil {
		p.Problem(key, "%q is not the invocation URI of a Lambda function "+
			"(arn:aws:apigateway:<region>:lambda:path/2015-03-31/functions/<arn>/invocations)", uri)
		return ""
	}
	// assemble checks whether the template has the function.
	return match[1]
}

func (b *builder) readIntegrationResponse(r *cfn.Resource, p tree.Reader) {
	response := IntegrationResponse{
		Source: b.source(r.ID, r.Position), Key: p.Text("IntegrationResponseKey"),
		ResponseTemplates:           p.TextMap("ResponseTemplates"),
		TemplateSelectionExpression: p.Text("TemplateSelectionExpression"),
	}
	b.parts.integrationResponses = append(b.parts.integrationResponses,
		newPart(responseOf[IntegrationResponse]{response, p.Text("IntegrationId")}, r, p))
}

func (b *builder) readRouteResponse(r *cfn.Resource, p tree.Reader) {
	response := RouteResponse{Source: b.source(r.ID, r.Position), Key: p.Text("RouteResponseKey")}
	if response.Key != "$default" && response.Key != "" {
		p.Problem("RouteResponseKey", "API Gateway accepts only $default")
	}
	b.parts.routeResponses = append(b.parts.routeResponses,
		newPart(responseOf[RouteResponse]{response, p.Text("RouteId")}, r, p))
}

func (b *builder) readAuthorizer(r *cfn.Resource, p tree.Reader) {
	a := Authorizer{
		Source: b.source(r.ID, r.Position), ID: b.Reference(r), Name: p.Text("Name"),
		IdentitySources: p.Texts("IdentitySource"),
	}
	if typ := p.Text("AuthorizerType"); typ != "REQUEST" && typ != "" {
		p.Problem("AuthorizerType", "%q is not emulated: WebSocket APIs have only REQUEST", typ)
	}
	p.Require("AuthorizerUri")
	a.FunctionName = b.invokedFunction(p, "AuthorizerUri")
	b.parts.authorizers = append(b.parts.authorizers, newPart(a, r, p))
}

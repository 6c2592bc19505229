package template

import (
	"regexp"
	"strings"
)

// serverlessWebSocketAPI are the properties of AWS::Serverless::WebSocketApi.
// https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-resource-websocketapi.html
var serverlessWebSocketAPI = settable(`
	AccessLogSettings ApiKeySelectionExpression DefaultRouteSettings Description DisableExecuteApiEndpoint
	DisableSchemaValidation FailOnWarnings IpAddressType Name PropagateTags RouteSelectionExpression RouteSettings
	Routes StageName StageVariables Tags`).
	with(schema{
		"Auth": of(settable(`AuthArn AuthType IdentitySource Name`).
			with(schema{
				"InvokeRole": refused("authorizers are invoked by permission, without a role"),
			})),
		"Domain": refused("the API has no custom domain here"),
	})

// serverlessRoute are the properties of one of its routes.
var serverlessRoute = settable(`
	ApiKeyRequired FunctionArn IntegrationTimeout ModelSelectionExpression OperationName RequestModels
	RequestParameters RouteResponseSelectionExpression`)

const (
	defaultStage     = "default" // the stage that SAM names when the template does not
	webSocketTag     = "websocketapi:createdBy"
	functionURI      = "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${FunctionArn}/invocations"
	authorizerURI    = "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${AuthArn}/invocations"
	executeAPI       = "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:"
	gatewayPrincipal = "apigateway.amazonaws.com"
	invokeAction     = "lambda:InvokeFunction"
	generatedStageOf = ".Stage" // what templates append to the API's logical id to refer to the generated stage
)

// alphanumeric is what SAM accepts as the key of a custom route, as it becomes a part of logical ids.
var alphanumeric = regexp.MustCompile(`^[A-Za-z0-9]+$`)

// webSocketAPI expands an API into itself, a stage, and for each route the route, its integration and the permission to
// invoke its function. SAM generates no route responses.
func (x *expansion) webSocketAPI() {
	at := x.r.position
	id := x.r.id
	x.require("RouteSelectionExpression", "Routes")
	name := x.value("Name")
	if name == nil {
		name = at.newText(id)
	}
	tags := []field{{webSocketTag, at.newText("SAM")}}
	if own := x.value("Tags"); own != nil && own.kind == object {
		tags = append(tags, own.fields...)
	}
	api := x.add(id, "AWS::ApiGatewayV2::Api", append([]field{
		{"Name", name}, {"ProtocolType", at.newText("WEBSOCKET")}, {"Tags", at.newObject(tags...)},
	}, x.copied("ApiKeySelectionExpression", "Description", "DisableExecuteApiEndpoint", "DisableSchemaValidation", "IpAddressType",
		"RouteSelectionExpression")...)...)
	api.dependsOn, api.metadata = x.r.dependsOn, x.r.metadata

	stage := x.stageName()
	var routeIDs []string
	routes := x.part("Routes")
	if routes.object != nil {
		if len(routes.object.fields) == 0 {
			x.problem("Routes", "must have at least one route")
		}
		if x.has("Auth") && !routes.has("$connect") {
			x.problem("Auth", "needs a $connect route")
		}
		for _, f := range routes.object.fields {
			route := routes.part(f.key)
			route.position = f.value.entry()
			if made := x.route(f.key, route, stage); made != "" {
				routeIDs = append(routeIDs, made)
			}
		}
	}
	x.stage(stage, routeIDs, tags)
	if x.part("Auth").text("AuthType") == "CUSTOM" {
		x.authorizer()
	}
	for _, made := range x.made { // SAM drops the condition of a WebSocketApi; see the warning
		made.exists = true
	}
	if !x.r.exists {
		x.e.warn(at, where{id, "Condition"}, "SAM ignores the Condition of an AWS::Serverless::WebSocketApi: the API exists although it is false")
	}
}

func (x *expansion) stageName() *value {
	stage := x.value("StageName")
	if stage == nil {
		return x.r.position.newText(defaultStage)
	}
	if stage.kind == text && stage.text == "$default" {
		x.problem("StageName", "stages of WebSocket APIs cannot be named $default")
		return stage.newText(defaultStage)
	}
	return stage
}

func (x *expansion) stage(name *value, routeIDs []string, tags []field) {
	at := x.r.position
	id := x.r.id + "Stage" // a name that is computed is no part of the id
	if name.kind == text {
		id = x.r.id + name.text + "Stage"
		if name.text == defaultStage {
			id = x.r.id + "DefaultStage"
		}
	}
	if !x.boolean("PropagateTags", false) || !x.has("Tags") {
		tags = []field{{webSocketTag, at.newText("SAM")}}
	}
	stage := x.add(id, "AWS::ApiGatewayV2::Stage", append([]field{
		{"ApiId", at.newRef(x.r.id)}, {"StageName", name}, {"AutoDeploy", &value{kind: text, text: "true", line: at.line,
			column: at.column}},
		{"Tags", at.newObject(tags...)},
	}, x.copied("AccessLogSettings", "DefaultRouteSettings", "RouteSettings", "StageVariables")...)...)
	if x.has("RouteSettings") {
		stage.dependsOn = routeIDs
	}
	x.e.alias(x.r.id+generatedStageOf, id)
}

// route generates what one route consists of and returns the route's logical id, or "" when it is wrong.
func (x *expansion) route(key string, p properties, stage *value) string {
	p.check(serverlessRoute)
	p.require("FunctionArn")
	name := strings.TrimPrefix(key, "$")
	if special := map[string]bool{"$connect": true, "$disconnect": true,
		"$default": true}[key]; !special && !alphanumeric.MatchString(key) {
		x.e.problem(p.position, p.at, "SAM accepts only letters and digits in route keys, besides $connect, $disconnect and $default")
		return ""
	}
	function := p.value("FunctionArn")
	if function == nil {
		return ""
	}
	if p.has("RequestParameters") && key != "$connect" {
		p.problem("RequestParameters", "SAM accepts request parameters on $connect only")
	}
	at := p.position
	base := x.r.id + capitalized(name)
	api := at.newRef(x.r.id)
	route := []field{
		{"ApiId", api}, {"RouteKey", at.newText(key)},
		{"Target", at.newObject(field{"Fn::Join", at.newList(at.newText("/"), at.newList(at.newText("integrations"),
			at.newRef(base+"Integration")))})},
	}
	for _, property := range []string{"ApiKeyRequired", "ModelSelectionExpression", "OperationName", "RequestModels",
		"RequestParameters",
		"RouteResponseSelectionExpression"} {
		route = append(route, field{property, p.value(property)})
	}
	if auth := x.part("Auth"); key == "$connect" && auth.object != nil {
		auth.require("AuthType")
		typ := auth.oneOf("AuthType", "NONE", "AWS_IAM", "CUSTOM")
		route = append(route, field{"AuthorizationType", at.newText(typ)})
		if typ == "CUSTOM" {
			auth.require("AuthArn")
			route = append(route, field{"AuthorizerId", at.newRef(x.r.id + "ConnectAuthorizer")})
		} else if len(auth.object.fields) > 1 {
			x.problem("Auth", "SAM accepts nothing beside AuthType %s", typ)
		}
	}
	x.addAt(at, base+"Route", "AWS::ApiGatewayV2::Route", route...)
	x.addAt(at, base+"Integration", "AWS::ApiGatewayV2::Integration",
		field{"ApiId", api}, field{"IntegrationType", at.newText("AWS_PROXY")},
		field{"IntegrationUri", at.newSub(functionURI, field{"FunctionArn", function})},
		field{"TimeoutInMillis", p.value("IntegrationTimeout")})
	source := at.newSub(executeAPI + "${" + x.r.id + ".ApiId}/" + stage.text + "/" + key)
	if stage.kind != text {
		source = at.newSub(executeAPI+"${"+x.r.id+".ApiId}/${__StageName__}/"+key, field{"__StageName__", stage})
	}
	x.addAt(at, base+"Permission", "AWS::Lambda::Permission",
		field{"Action", at.newText(invokeAction)}, field{"FunctionName", function}, field{"Principal", at.newText(gatewayPrincipal)},
		field{"SourceArn", source})
	return base + "Route"
}

// capitalized writes a word as SAM does in logical ids: first letter upper case, all others lower case.
func capitalized(word string) string {
	word = strings.ToLower(word)
	return strings.ToUpper(word[:1]) + word[1:]
}

// authorizer generates the authorizer of $connect and the permission to invoke its function.
func (x *expansion) authorizer() {
	auth := x.part("Auth")
	at := auth.object.entry()
	arn := auth.value("AuthArn")
	if arn == nil {
		return // reported by route
	}
	id := x.r.id + "ConnectAuthorizer"
	name := auth.value("Name")
	if name == nil {
		name = at.newText(id)
	}
	x.addAt(at, id, "AWS::ApiGatewayV2::Authorizer",
		field{"ApiId", at.newRef(x.r.id)}, field{"AuthorizerType", at.newText("REQUEST")}, field{"Name", name},
		field{"AuthorizerUri", at.newSub(authorizerURI, field{"AuthArn", arn})}, field{"IdentitySource", auth.value("IdentitySource")})
	x.addAt(at, x.r.id+"AuthorizerPermission", "AWS::Lambda::Permission",
		field{"Action", at.newText(invokeAction)}, field{"FunctionName", arn}, field{"Principal", at.newText(gatewayPrincipal)},
		field{"SourceArn", at.newSub(executeAPI+"${__ApiId__}/authorizers/*", field{"__ApiId__", at.newRef(x.r.id)})})
}

// addAt generates a resource that stems from a part of the SAM resource.
func (x *expansion) addAt(at *value, id, typ string, fields ...field) {
	x.add(id, typ, fields...).position = at
}

package sam

import (
	"regexp"
	"slices"
	"strings"

	"fanfare/local/template/internal/tree"
)

// serverlessWebSocketAPI is the schema of AWS::Serverless::WebSocketApi.
// https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-resource-websocketapi.html
var serverlessWebSocketAPI = tree.Settable(`
	AccessLogSettings ApiKeySelectionExpression DefaultRouteSettings Description DisableExecuteApiEndpoint
	DisableSchemaValidation FailOnWarnings IpAddressType Name PropagateTags RouteSelectionExpression RouteSettings
	Routes StageName StageVariables Tags`).
	With(tree.Schema{
		"Auth": tree.Nested(tree.Settable(`AuthArn AuthType IdentitySource Name`).
			With(tree.Schema{
				"InvokeRole": tree.Refused("authorizers are invoked by permission, without a role"),
			})),
		"Domain": tree.Refused("the API has no custom domain here"),
	})

// serverlessRoute is the schema of a route of the API.
var serverlessRoute = tree.Settable(`
	ApiKeyRequired FunctionArn IntegrationTimeout ModelSelectionExpression OperationName RequestModels
	RequestParameters RouteResponseSelectionExpression`)

const (
	defaultStage     = "default" // SAM's name of a stage without a name
	webSocketTag     = "websocketapi:createdBy"
	functionURI      = functionPath + "${FunctionArn}/invocations"
	authorizerURI    = functionPath + "${AuthArn}/invocations"
	functionPath     = "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/"
	executeAPI       = "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:"
	gatewayPrincipal = "apigateway.amazonaws.com"
	invokeAction     = "lambda:InvokeFunction"
	generatedStageOf = ".Stage" // added to the API's logical id, it refers to the generated stage
)

// alphanumeric matches the keys of custom routes that SAM accepts. The key becomes a part of logical ids.
var alphanumeric = regexp.MustCompile(`^[A-Za-z0-9]+$`)

// webSocketAPI generates the API, a stage, and for each route the route, its integration and the permission to invoke
// its function. SAM generates no route responses.
func (x *expansion) webSocketAPI() {
	at := x.r.Position
	id := x.r.ID
	x.Require("RouteSelectionExpression", "Routes")
	name := x.Value("Name")
	if name == nil {
		name = at.NewText(id)
	}
	tags := []tree.Field{tree.Entry(webSocketTag, at.NewText("SAM"))}
	if own := x.Value("Tags"); own != nil && own.Kind == tree.Object {
		tags = append(tags, own.Fields...)
	}
	api := x.add(id, "AWS::ApiGatewayV2::Api", append([]tree.Field{
		tree.Entry("Name", name), tree.Entry("ProtocolType", at.NewText("WEBSOCKET")),
		tree.Entry("Tags", at.NewObject(tags...)),
	}, x.copied("ApiKeySelectionExpression", "Description", "DisableExecuteApiEndpoint", "DisableSchemaValidation",
		"IpAddressType",
		"RouteSelectionExpression")...)...)
	api.DependsOn, api.Metadata = x.r.DependsOn, x.r.Metadata

	stage := x.stageName()
	var routeIDs []string
	routes := x.Part("Routes")
	if routes.Object != nil {
		if len(routes.Object.Fields) == 0 {
			x.Problem("Routes", "must have at least one route")
		}
		if x.Has("Auth") && !routes.Has("$connect") {
			x.Problem("Auth", "needs a $connect route")
		}
		for _, f := range routes.Object.Fields {
			route := routes.Part(f.Key)
			route.Position = f.Value.KeyPosition()
			if made := x.route(f.Key, route, stage); made != "" {
				routeIDs = append(routeIDs, made)
			}
		}
	}
	x.stage(stage, routeIDs, tags)
	if x.Part("Auth").Text("AuthType") == "CUSTOM" {
		x.authorizer()
	}
	for _, made := range x.generated { // SAM ignores the condition of a WebSocketApi; see the warning
		made.Exists = true
	}
	if !x.r.Exists {
		x.e.Warn(at, tree.At(id, "Condition"),
			"SAM ignores the Condition of an AWS::Serverless::WebSocketApi: the API exists although it is false")
	}
}

// stageName returns the name of the stage, which may be a function.
func (x *expansion) stageName() *tree.Value {
	stage := x.Value("StageName")
	if stage == nil {
		return x.r.Position.NewText(defaultStage)
	}
	if stage.Kind == tree.Text && stage.Text == "$default" {
		x.Problem("StageName", "stages of WebSocket APIs cannot be named $default")
		return stage.NewText(defaultStage)
	}
	return stage
}

// stage generates the stage.
func (x *expansion) stage(name *tree.Value, routeIDs []string, tags []tree.Field) {
	at := x.r.Position
	id := x.r.ID + "Stage" // of a stage whose name is a function
	if name.Kind == tree.Text {
		id = x.r.ID + name.Text + "Stage"
		if name.Text == defaultStage {
			id = x.r.ID + "DefaultStage"
		}
	}
	if !x.Bool("PropagateTags", false) || !x.Has("Tags") {
		tags = []tree.Field{tree.Entry(webSocketTag, at.NewText("SAM"))}
	}
	stage := x.add(id, "AWS::ApiGatewayV2::Stage", append([]tree.Field{
		tree.Entry("ApiId", at.NewRef(x.r.ID)), tree.Entry("StageName", name),
		tree.Entry("AutoDeploy", at.NewLiteral("true")),
		tree.Entry("Tags", at.NewObject(tags...)),
	}, x.copied("AccessLogSettings", "DefaultRouteSettings", "RouteSettings", "StageVariables")...)...)
	if x.Has("RouteSettings") {
		stage.DependsOn = routeIDs
	}
	x.e.Alias(x.r.ID+generatedStageOf, id)
}

// route generates a route, its integration and its permission. It returns the route's logical id, "" for a wrong route.
func (x *expansion) route(key string, p tree.Reader, stage *tree.Value) string {
	p.Check(serverlessRoute)
	p.Require("FunctionArn")
	name := strings.TrimPrefix(key, "$")
	predefined := []string{"$connect", "$disconnect", "$default"}
	if !slices.Contains(predefined, key) && !alphanumeric.MatchString(key) {
		x.e.Problem(p.Position, p.At,
			"SAM accepts only letters and digits in route keys, besides $connect, $disconnect and $default")
		return ""
	}
	function := p.Value("FunctionArn")
	if function == nil {
		return ""
	}
	if p.Has("RequestParameters") && key != "$connect" {
		p.Problem("RequestParameters", "SAM accepts request parameters on $connect only")
	}
	at := p.Position
	base := x.r.ID + capitalized(name)
	api := at.NewRef(x.r.ID)
	route := []tree.Field{
		tree.Entry("ApiId", api), tree.Entry("RouteKey", at.NewText(key)),
		tree.Entry("Target", at.NewObject(tree.Entry("Fn::Join", at.NewList(
			at.NewText("/"), at.NewList(at.NewText("integrations"), at.NewRef(base+"Integration")))))),
	}
	for _, property := range []string{"ApiKeyRequired", "ModelSelectionExpression", "OperationName", "RequestModels",
		"RequestParameters",
		"RouteResponseSelectionExpression"} {
		route = append(route, tree.Entry(property, p.Value(property)))
	}
	if auth := x.Part("Auth"); key == "$connect" && auth.Object != nil {
		auth.Require("AuthType")
		typ := auth.OneOf("AuthType", "NONE", "AWS_IAM", "CUSTOM")
		route = append(route, tree.Entry("AuthorizationType", at.NewText(typ)))
		if typ == "CUSTOM" {
			auth.Require("AuthArn")
			route = append(route, tree.Entry("AuthorizerId", at.NewRef(x.r.ID+"ConnectAuthorizer")))
		} else if len(auth.Object.Fields) > 1 {
			x.Problem("Auth", "SAM accepts nothing beside AuthType %s", typ)
		}
	}
	x.addAt(at, base+"Route", "AWS::ApiGatewayV2::Route", route...)
	x.addAt(at, base+"Integration", "AWS::ApiGatewayV2::Integration",
		tree.Entry("ApiId", api), tree.Entry("IntegrationType", at.NewText("AWS_PROXY")),
		tree.Entry("IntegrationUri", at.NewSub(functionURI, tree.Entry("FunctionArn", function))),
		tree.Entry("TimeoutInMillis", p.Value("IntegrationTimeout")))
	source := at.NewSub(executeAPI + "${" + x.r.ID + ".ApiId}/" + stage.Text + "/" + key)
	if stage.Kind != tree.Text {
		source = at.NewSub(executeAPI+"${"+x.r.ID+".ApiId}/${__StageName__}/"+key, tree.Entry("__StageName__", stage))
	}
	x.addAt(at, base+"Permission", "AWS::Lambda::Permission",
		tree.Entry("Action", at.NewText(invokeAction)), tree.Entry("FunctionName", function),
		tree.Entry("Principal", at.NewText(gatewayPrincipal)),
		tree.Entry("SourceArn", source))
	return base + "Route"
}

// capitalized returns a word with the first letter in upper case and all others in lower case, as in SAM's logical ids.
func capitalized(word string) string {
	word = strings.ToLower(word)
	return strings.ToUpper(word[:1]) + word[1:]
}

// authorizer generates the authorizer of $connect and the permission to invoke its function.
func (x *expansion) authorizer() {
	auth := x.Part("Auth")
	at := auth.Object.KeyPosition()
	arn := auth.Value("AuthArn")
	if arn == nil {
		return // reported by route
	}
	id := x.r.ID + "ConnectAuthorizer"
	name := auth.Value("Name")
	if name == nil {
		name = at.NewText(id)
	}
	x.addAt(at, id, "AWS::ApiGatewayV2::Authorizer",
		tree.Entry("ApiId", at.NewRef(x.r.ID)), tree.Entry("AuthorizerType", at.NewText("REQUEST")), tree.Entry("Name", name),
		tree.Entry("AuthorizerUri", at.NewSub(authorizerURI, tree.Entry("AuthArn", arn))),
		tree.Entry("IdentitySource", auth.Value("IdentitySource")))
	x.addAt(at, x.r.ID+"AuthorizerPermission", "AWS::Lambda::Permission",
		tree.Entry("Action", at.NewText(invokeAction)), tree.Entry("FunctionName", arn),
		tree.Entry("Principal", at.NewText(gatewayPrincipal)),
		tree.Entry("SourceArn",
			at.NewSub(executeAPI+"${__ApiId__}/authorizers/*", tree.Entry("__ApiId__", at.NewRef(x.r.ID)))))
}

// addAt generates a resource at the position of a part of the SAM resource.
func (x *expansion) addAt(at *tree.Value, id, typ string, fields ...tree.Field) {
	x.add(id, typ, fields...).Position = at
}

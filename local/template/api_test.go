package template_test

import (
	"fmt"
	"strings"
	"testing"

	"fanfare/local/template"
)

// socket returns a template of a WebSocket API with one route, function, stage and permission. replacements are pairs
// of an old and a new text.
func socket(t *testing.T, replacements ...string) string {
	t.Helper()
	const uri = "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Fn.Arn}/invocations"
	source := `Transform: AWS::Serverless-2016-10-31
Resources:
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: {Name: api, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}
  Stage:
    Type: AWS::ApiGatewayV2::Stage
    Properties: {ApiId: !Ref Api, StageName: prod, AutoDeploy: true}
  Route:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Api, RouteKey: $connect, Target: !Sub 'integrations/${Integration}'}
  Integration:
    Type: AWS::ApiGatewayV2::Integration
    Properties: {ApiId: !Ref Api, IntegrationType: AWS_PROXY, IntegrationUri: !Sub '` + uri + `'}
  Permission:
    Type: AWS::Lambda::Permission
    Properties: {Action: lambda:InvokeFunction, FunctionName: !Ref Fn, Principal: apigateway.amazonaws.com, ` +
		`SourceArn: !Sub 'arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/*'}
  Fn:
    Type: AWS::Serverless::Function
    Properties: {Runtime: provided.al2023, Handler: bootstrap, CodeUri: fn}
`
	for i := 0; i < len(replacements); i += 2 {
		if !strings.Contains(source, replacements[i]) {
			t.Fatalf("got no %q in the template", replacements[i])
		}
		source = strings.Replace(source, replacements[i], replacements[i+1], 1)
	}
	return source
}

func TestLoad_APIProblems(t *testing.T) {
	const routeEnd = "Target: !Sub 'integrations/${Integration}'"
	for _, test := range []struct {
		name         string
		replacements []string
		want         []string
	}{
		{"nothing wrong", nil, nil},
		{"an HTTP API", []string{"WEBSOCKET", "HTTP"},
			[]string{`5:Api: Properties.ProtocolType: "HTTP" is not one of WEBSOCKET`}},
		{"a hidden endpoint", []string{"Name: api", "Name: api, DisableExecuteApiEndpoint: true"},
			[]string{"5:Api: Properties.DisableExecuteApiEndpoint: is not emulated"}},
		{"a direct integration", []string{"AWS_PROXY", "AWS"},
			[]string{`14:Integration: Properties.IntegrationType: "AWS" is not emulated: only AWS_PROXY and MOCK are`}},
		{"a VPC link", []string{"IntegrationType:", "ConnectionType: VPC_LINK, IntegrationType:"},
			[]string{`14:Integration: Properties.ConnectionType: "VPC_LINK" is not one of INTERNET`}},
		{"a role for the integration",
			[]string{"IntegrationType:", "CredentialsArn: arn:aws:iam::000000000000:role/x, IntegrationType:"},
			[]string{"14:Integration: Properties.CredentialsArn: is not emulated"}},
		{"too long a timeout", []string{"IntegrationType:", "TimeoutInMillis: 29001, IntegrationType:"},
			[]string{"14:Integration: Properties.TimeoutInMillis: 29001 is not between 50 and 29000"}},
		{"a function from elsewhere", []string{"${Fn.Arn}", "arn:aws:lambda:us-east-1:000000000000:function:other"},
			[]string{"14:Integration: Properties.IntegrationUri: the template has no function " +
				"arn:aws:lambda:us-east-1:000000000000:function:other"}},
		{"an alias", []string{"${Fn.Arn}", "${Fn.Arn}:live"},
			[]string{"14:Integration: Properties.IntegrationUri: the template has no function " +
				"arn:aws:lambda:us-east-1:000000000000:function:local-Fn:live"}},
		{"a queue for a function",
			[]string{"lambda:path/2015-03-31/functions/${Fn.Arn}/invocations", "sqs:path/000000000000/queue"},
			[]string{"14:Integration: Properties.IntegrationUri: " +
				"\"arn:aws:apigateway:us-east-1:sqs:path/000000000000/queue\" is not the invocation URI"}},
		{"IAM authorization", []string{routeEnd, "AuthorizationType: AWS_IAM, " + routeEnd},
			[]string{"11:Route: Properties.AuthorizationType: AWS_IAM is not emulated"}},
		{"no authorizer", []string{routeEnd, "AuthorizationType: CUSTOM, " + routeEnd},
			[]string{"9:Route: Properties: AuthorizerId is required"}},
		{"an unknown authorizer", []string{routeEnd, "AuthorizationType: CUSTOM, AuthorizerId: x, " + routeEnd},
			[]string{"11:Route: Properties.AuthorizerId: the API has no authorizer x"}},
		{"API keys", []string{routeEnd, "ApiKeyRequired: true, " + routeEnd},
			[]string{"11:Route: Properties.ApiKeyRequired: is not emulated"}},
		{"models", []string{routeEnd, "RequestModels: {}, " + routeEnd},
			[]string{"11:Route: Properties.RequestModels: is not emulated"}},
		{"a wrong target", []string{"integrations/${Integration}", "${Integration}"},
			[]string{"11:Route: Properties.Target: "}},
		{"an unknown target", []string{"integrations/${Integration}", "integrations/x"},
			[]string{"11:Route: Properties.Target: the API has no integration x"}},
		{"another expression for responses", []string{routeEnd, "RouteResponseSelectionExpression: $x, " + routeEnd},
			[]string{"11:Route: Properties.RouteResponseSelectionExpression: API Gateway accepts only $default"}},
		{"a route twice", []string{"  Integration:\n",
			"  Again:\n    Type: AWS::ApiGatewayV2::Route\n    Properties: {ApiId: !Ref Api, RouteKey: $connect}\n  " +
				"Integration:\n"}, []string{"14:Again: Properties.RouteKey: the API has two routes $connect"}},
		{"an unknown API", []string{"{ApiId: !Ref Api, RouteKey", "{ApiId: x, RouteKey"},
			[]string{"11:Route: Properties.ApiId: the template has no WebSocket API x"}},
		{"settings of no route",
			[]string{"AutoDeploy: true", "AutoDeploy: true, RouteSettings: {talk: {ThrottlingRateLimit: 1}}"},
			[]string{"8:Stage: Properties.RouteSettings.talk: the API has no such route"}},
		{"settings that do not exist",
			[]string{"AutoDeploy: true", "AutoDeploy: true, RouteSettings: {$connect: {RateLimit: 1}}"},
			[]string{"8:Stage: Properties.RouteSettings.$connect.RateLimit: unknown property"}},
		{"a rate that is no number", []string{"AutoDeploy: true",
			"AutoDeploy: true, DefaultRouteSettings: {ThrottlingRateLimit: NaN}, " +
				"RouteSettings: {$connect: {ThrottlingRateLimit: Inf}}"}, []string{
			"8:Stage: Properties.DefaultRouteSettings.ThrottlingRateLimit: must be a number, not \"NaN\"",
			"8:Stage: Properties.RouteSettings.$connect.ThrottlingRateLimit: must be a number, not \"Inf\""}},
		{"a negative rate",
			[]string{"AutoDeploy: true", "AutoDeploy: true, DefaultRouteSettings: {ThrottlingRateLimit: -1}"},
			[]string{"8:Stage: Properties.DefaultRouteSettings.ThrottlingRateLimit: -1 is negative"}},
		{"nothing deployed", []string{", AutoDeploy: true", ""},
			[]string{"6:Stage: Properties: nothing is deployed to the stage"}},
		{"an unknown deployment", []string{"AutoDeploy: true", "DeploymentId: x"},
			[]string{"8:Stage: Properties.DeploymentId: the API has no deployment x"}},
		{"both kinds of deployment", []string{"AutoDeploy: true", "AutoDeploy: true, DeploymentId: x"},
			[]string{"8:Stage: Properties.DeploymentId: cannot be given with AutoDeploy"}},
		{"one that does", []string{"AutoDeploy: true", "DeploymentId: !Ref Deployment", "  Route:\n",
			"  Deployment: {Type: AWS::ApiGatewayV2::Deployment, DependsOn: Route, Properties: {ApiId: !Ref Api}}\n  Route:\n"},
			nil},
		{"a custom domain", []string{"  Route:\n",
			"  Domain: {Type: AWS::ApiGatewayV2::DomainName, Properties: {DomainName: example.com}}\n  Route:\n"},
			[]string{"9:Domain: Type: resources of type AWS::ApiGatewayV2::DomainName are not emulated"}},
		{"a permission for nothing", []string{"FunctionName: !Ref Fn", "FunctionName: other"},
			[]string{"17:Permission: Properties.FunctionName: the template has no function other"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			expectProblems(t, socket(t, test.replacements...), template.Options{}, test.want)
		})
	}
}

// TestLoad_APIWarnings loads what AWS accepts, although it may not be meant.
func TestLoad_APIWarnings(t *testing.T) {
	deployed := []string{"AutoDeploy: true", "DeploymentId: !Ref Deployment", "  Route:\n",
		"  Deployment: {Type: AWS::ApiGatewayV2::Deployment, Properties: {ApiId: !Ref Api}}\n  Route:\n"}
	for _, test := range []struct {
		name         string
		replacements []string
		want         []string
	}{
		{"a deployment that does not wait for the route", deployed,
			[]string{"10:Route: the deployment Deployment does not depend on it"}},
		{"the ARN of the function", []string{"arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Fn.Arn}" +
			"/invocations", "${Fn.Arn}"}, nil},
		{"no code folder", []string{", CodeUri: fn", ""},
			[]string{"18:Fn: CodeUri is missing: the folder of the template is used"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			resolved, err := template.Load("dir/template.yaml", []byte(socket(t, test.replacements...)), template.Options{})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, w := range resolved.Warnings {
				w.File, w.Column = "", 0
				got = append(got, fmt.Sprintf("%d:%s: %s", w.Line, w.Resource, w.Message))
			}
			if len(got) != len(test.want) || len(got) > 0 && !strings.HasPrefix(got[0], test.want[0]) {
				t.Errorf("got warnings %q, want %q", got, test.want)
			}
			route := resolved.APIs[0].Routes[0]
			if i := route.Integration; route.Key != "$connect" || i == nil || i.FunctionName != "local-Fn" || !i.Invocable {
				t.Errorf("got route %+v, want $connect with local-Fn", route)
			}
			if f := resolved.Functions[0]; test.want != nil && strings.Contains(test.want[0], "CodeUri") && f.Folder != "dir" {
				t.Errorf("got code folder %q, want dir", f.Folder)
			}
		})
	}
}

// TestLoad_OnlyCauses checks that a wrong value is reported once, and nothing that follows from it.
func TestLoad_OnlyCauses(t *testing.T) {
	const none = "!GetAtt None.Arn"
	missing := func(at string) []string { return []string{at + ": None is neither a resource nor a parameter"} }
	function := []string{"CodeUri: fn", "CodeUri: fn, Policies: [{Statement: [{Effect: Allow, Action: 's3:Get*', " +
		"Resource: " + none + "}, {Effect: Allow, Action: 's3:Get*', Resource: [!Sub '${None.Arn}/*']}]}]"}
	for _, test := range []struct {
		name         string
		replacements []string
		want         []string
	}{
		{"resource of a policy", function,
			append(missing("20:FnRole: Properties.Policies[0].PolicyDocument.Statement[0].Resource"),
				missing("20:FnRole: Properties.Policies[0].PolicyDocument.Statement[1].Resource[0]")...)},
		{"a second problem of the policy", []string{function[0], strings.Replace(function[1], "Allow", "Perhaps", 1)},
			append(append([]string{"20:FnRole: Properties.Policies[0].PolicyDocument: policy document"},
				missing("20:FnRole: Properties.Policies[0].PolicyDocument.Statement[0].Resource")...),
				missing("20:FnRole: Properties.Policies[0].PolicyDocument.Statement[1].Resource[0]")...)},
		{"roles of a policy", []string{"  Fn:\n", "  P: {Type: AWS::IAM::Policy, Properties: {PolicyName: p, Roles: " + none +
			", PolicyDocument: {Statement: {Effect: Allow, Action: 'a:b', Resource: '*'}}}}\n  Fn:\n"},
			missing("18:P: Properties.Roles")},
		{"principal", []string{"Principal: apigateway.amazonaws.com", "Principal: " + none},
			missing("17:Permission: Properties.Principal")},
		{"no action", []string{"Action: lambda:InvokeFunction, ", ""},
			[]string{"15:Permission: Properties: Action is required"}},
		{"no route keys", []string{"RouteKey: $connect, ", "", "  Fn:\n",
			"  B: {Type: AWS::ApiGatewayV2::Route, Properties: {ApiId: !Ref Api}}\n  Fn:\n"},
			[]string{"9:Route: Properties: RouteKey is required", "18:B: Properties: RouteKey is required"}},
		{"runtime", []string{"provided.al2023", none}, missing("20:Fn: Properties.Runtime")},
		{"integration type", []string{"AWS_PROXY", none}, missing("14:Integration: Properties.IntegrationType")},
		{"no integration type", []string{"IntegrationType: AWS_PROXY, ", ""},
			[]string{"12:Integration: Properties: IntegrationType is required"}},
		{"deployment", []string{"AutoDeploy: true", "DeploymentId: " + none}, missing("8:Stage: Properties.DeploymentId")},
		{"two route keys", []string{"RouteKey: $connect",
			"RouteKey: " + none + ", AuthorizationType: CUSTOM, AuthorizerId: " + none, "  Fn:\n",
			"  B: {Type: AWS::ApiGatewayV2::Route, Properties: {ApiId: !Ref Api, RouteKey: " + none +
				"}}\n  Fn:\n"}, append(missing("11:Route: Properties.RouteKey"), append(
			missing("11:Route: Properties.AuthorizerId"), missing("18:B: Properties.RouteKey")...)...)},
		{"name of a FIFO queue", []string{"  Fn:\n",
			"  Q: {Type: AWS::SQS::Queue, Properties: {FifoQueue: true, QueueName: " + none + "}}\n  Fn:\n"},
			missing("18:Q: Properties.QueueName")},
		{"key of a table", []string{"  Fn:\n",
			"  T: {Type: AWS::DynamoDB::Table, Properties: {BillingMode: PAY_PER_REQUEST, " + defined +
				", KeySchema: " + none + "}}\n  Fn:\n"}, missing("18:T: Properties.KeySchema")},
		{"window of a mapping", []string{"CodeUri: fn",
			"CodeUri: fn, Events: {Q: {Type: SQS, Properties: {Queue: !GetAtt Q.Arn, BatchSize: 20, " +
				"MaximumBatchingWindowInSeconds: " + none + "}}}", "  Fn:\n", "  Q: {Type: AWS::SQS::Queue}\n  Fn:\n"},
			missing("21:FnQ: Properties.MaximumBatchingWindowInSeconds")},
	} {
		t.Run(test.name, func(t *testing.T) {
			expectProblems(t, socket(t, test.replacements...), template.Options{}, test.want)
		})
	}
}

// TestIntegration_Invocable checks when API Gateway may invoke a function. AWS deploys the API in any case, and
// messages fail with an internal server error when it may not.
func TestIntegration_Invocable(t *testing.T) {
	const source = "${Api}/*'"
	for _, test := range []struct {
		name         string
		replacements []string
		want         bool
	}{
		{"for every stage and route", nil, true},
		{"for this route of every stage", []string{source, "${Api}/*/$connect'"}, true},
		{"for this stage", []string{source, "${Api}/prod/$connect'"}, true},
		{"for another stage", []string{source, "${Api}/test/$connect'"}, false},
		{"for another route", []string{source, "${Api}/*/$default'"}, false},
		{"for another API", []string{source, "other/*'"}, false},
		{"for another service", []string{"Principal: apigateway", "Principal: sns"}, false},
		{"for another action", []string{"lambda:InvokeFunction", "lambda:GetFunction"}, false},
		{"for all of Lambda", []string{"lambda:InvokeFunction", "lambda:*"}, true},
		{"by the function's ARN", []string{"FunctionName: !Ref Fn", "FunctionName: !GetAtt Fn.Arn"}, true},
		{"for another account's APIs",
			[]string{"Principal: apigateway.amazonaws.com",
				"Principal: apigateway.amazonaws.com, SourceAccount: '111111111111'"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			resolved, err := template.Load("t.yaml", []byte(socket(t, test.replacements...)), template.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if got := resolved.APIs[0].Routes[0].Integration.Invocable; got != test.want {
				t.Errorf("got invocable %v, want %v", got, test.want)
			}
			if warned := len(resolved.Warnings) == 1; warned == test.want {
				t.Errorf("got warnings %v, want one exactly when the function is not invocable", resolved.Warnings)
			}
		})
	}
}

// TestLoad_TwoStages checks that an API with two stages is returned for each of them.
func TestLoad_TwoStages(t *testing.T) {
	source := socket(t, "  Route:\n",
		"  Second: {Type: AWS::ApiGatewayV2::Stage, Properties: {ApiId: !Ref Api, StageName: test, AutoDeploy: true}}\n  "+
			"Route:\n",
		"${Api}/*'", "${Api}/prod/*'")
	resolved, err := template.Load("t.yaml", []byte(source), template.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(resolved.APIs) != 2 || resolved.APIs[0].ID != resolved.APIs[1].ID {
		t.Fatalf("got APIs %+v, want 2 with the same id", resolved.APIs)
	}
	for i, want := range []bool{true, false} {
		api := resolved.APIs[i]
		if api.Routes[0].Integration.Invocable != want {
			t.Errorf("stage %s: got invocable %v, want %v", api.Stage.Name, !want, want)
		}
	}
}

func TestLoad_ServerlessAPIProblems(t *testing.T) {
	api := func(properties string) string {
		return function("  Api:\n    Type: AWS::Serverless::WebSocketApi\n    Properties:\n" + properties)
	}
	const routes = "      Routes: {$connect: {FunctionArn: !GetAtt Fn.Arn}}\n"
	const selection = "      RouteSelectionExpression: $request.body.action\n"
	for _, test := range []struct {
		name, properties string
		want             []string
	}{
		{"nothing wrong", selection + routes, nil},
		{"nothing at all", "      Name: x\n",
			[]string{"9:Api: Properties: RouteSelectionExpression is required", "9:Api: Properties: Routes is required"}},
		{"a hyphen in a route", selection + "      Routes: {send-message: {FunctionArn: !GetAtt Fn.Arn}}\n",
			[]string{"13:Api: Properties.Routes.send-message: SAM accepts only letters and digits in route keys"}},
		{"no function", selection + "      Routes: {send: {}}\n",
			[]string{"13:Api: Properties.Routes.send: FunctionArn is required"}},
		{"two routes, one id",
			selection + "      Routes: {send: {FunctionArn: !GetAtt Fn.Arn}, Send: {FunctionArn: !GetAtt Fn.Arn}}\n",
			[]string{"9:Api: SAM generates a resource ApiSendIntegration", "9:Api: SAM generates a resource ApiSendPermission",
				"9:Api: SAM generates a resource ApiSendRoute"}},
		{"a stage $default", selection + routes + "      StageName: $default\n",
			[]string{"14:Api: Properties.StageName: stages of WebSocket APIs cannot be named $default"}},
		{"authorization without $connect",
			selection + "      Routes: {$default: {FunctionArn: !GetAtt Fn.Arn}}\n      Auth: {AuthType: NONE}\n",
			[]string{"14:Api: Properties.Auth: needs a $connect route"}},
		{"IAM authorization", selection + routes + "      Auth: {AuthType: AWS_IAM}\n",
			[]string{"13:ApiConnectRoute: Properties.AuthorizationType: AWS_IAM is not emulated"}},
		{"an authorizer's role",
			selection + routes + "      Auth: {AuthType: CUSTOM, AuthArn: !GetAtt Fn.Arn, InvokeRole: x}\n",
			[]string{"14:Api: Properties.Auth.InvokeRole: is not emulated"}},
		{"a custom domain", selection + routes + "      Domain: {}\n",
			[]string{"14:Api: Properties.Domain: is not emulated"}},
	} {
		t.Run(test.name, func(t *testing.T) { expectProblems(t, api(test.properties), template.Options{}, test.want) })
	}
}

package template_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"fanfare/local/iam"
	"fanfare/local/template"
)

// load resolves a template of testdata.
func load(t *testing.T, name string, options template.Options) *template.Resolved {
	t.Helper()
	resolved, err := template.LoadFile("testdata/"+name, options)
	if err != nil {
		t.Fatal(err)
	}
	return resolved
}

// named returns the resource with a logical id.
func named[T any](t *testing.T, all []T, id string, of func(T) string) T {
	t.Helper()
	i := slices.IndexFunc(all, func(one T) bool { return of(one) == id })
	if i < 0 {
		t.Fatalf("got no %s among %d", id, len(all))
	}
	return all[i]
}

func functionNamed(t *testing.T, r *template.Resolved, id string) template.Function {
	t.Helper()
	return named(t, r.Functions, id, func(f template.Function) string { return f.LogicalID })
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\ngot  %+v\nwant %+v", what, got, want)
	}
}

func TestLoad_ChatFunction(t *testing.T) {
	resolved := load(t, "chat.yaml",
		template.Options{StackName: "chat", Parameters: map[string]string{"Environment": "production"}})
	f := functionNamed(t, resolved, "DeliverFunction")
	if f.Role == nil || f.Role.LogicalID != "DeliverFunctionRole" {
		t.Fatalf("got role %+v, want the generated one", f.Role)
	}
	var policies []string
	for _, policy := range f.Role.Policies {
		policies = append(policies, strings.TrimPrefix(policy.Name, "arn:aws:iam::aws:policy/"))
	}
	equal(t, "policies", policies, []string{
		"service-role/AWSLambdaBasicExecutionRole", "AWSXrayWriteOnlyAccess", "AWSLambdaExecute", "AmazonSQSReadOnlyAccess",
		"service-role/AWSLambdaSQSQueueExecutionRole",
	})
	twenty := 20
	f.Role, f.Invokers = nil, nil
	equal(t, "the function", f, template.Function{
		Source: template.Source{LogicalID: "DeliverFunction", File: "testdata/chat.yaml", Line: 154, Column: 3},
		Name:   "chat-DeliverFunction", ARN: "arn:aws:lambda:us-east-1:000000000000:function:chat-DeliverFunction",
		Runtime: "provided.al2023", Handler: "bootstrap", CodeURI: "functions/deliver/", Folder: "testdata/functions/deliver",
		Architecture: "arm64", MemoryMB: 512, Timeout: 10 * time.Second,
		Environment:         map[string]string{"TABLE": "chat_connections", "LEVEL": "info"},
		ReservedConcurrency: &twenty, Tracing: "Active", RecursiveLoop: "Allow",
		Logging: template.Logging{Format: "JSON", ApplicationLevel: "DEBUG", SystemLevel: "INFO",
			Group: "/aws/lambda/chat-DeliverFunction"},
		Tags: map[string]string{"lambda:createdBy": "SAM", "project": "chat"},
	})

	send := functionNamed(t, resolved, "SendFunction")
	equal(t, "Globals merged with the function's own", send.Environment, map[string]string{
		"TABLE": "chat_connections", "LEVEL": "debug",
		"QUEUE":    "https://sqs.us-east-1.amazonaws.com/000000000000/chat-Messages",
		"CALLBACK": "https://" + resolved.APIs[0].ID + ".execute-api.us-east-1.amazonaws.com/prod",
		"PATTERN":  "${NotAVariable} of chat",
	})
	equal(t, "Architectures, the one list that is replaced", send.Architecture, "x86_64")
	equal(t, "BuildMethod", send.BuildMethod, "go1.x")
	auth := functionNamed(t, resolved, "AuthFunction")
	equal(t, "Tracing Disabled", auth.Tracing, "PassThrough")
	equal(t, "policies without tracing", len(auth.Role.Policies), 1)
}

func TestLoad_ChatQueuesTablesMappings(t *testing.T) {
	resolved := load(t, "chat.yaml", template.Options{StackName: "chat", QueueEndpoint: "http://127.0.0.1:4566"})
	messages := named(t, resolved.Queues, "Messages", func(q template.Queue) string { return q.LogicalID })
	policy := messages.Attributes["Policy"]
	delete(messages.Attributes, "Policy")
	equal(t, "attributes", messages.Attributes, map[string]string{
		"VisibilityTimeout": "60",
		"RedrivePolicy":     `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:chat-dead","maxReceiveCount":5}`,
	})
	if !strings.Contains(policy, `"aws:SecureTransport":false`) || len(messages.Policy) != 1 {
		t.Errorf("got policy %s, %v, want one with aws:SecureTransport", policy, messages.Policy)
	}
	equal(t, "URL", messages.URL, "http://127.0.0.1:4566/000000000000/chat-Messages")
	equal(t, "visibility", messages.VisibilityTimeout, time.Minute)
	equal(t, "tags", messages.Tags, map[string]string{"project": "chat"})

	connections := named(t, resolved.Tables, "Connections", func(q template.Table) string { return q.LogicalID })
	connections.Source = template.Source{}
	equal(t, "table", connections, template.Table{
		Name: "chat_connections", ARN: "arn:aws:dynamodb:us-east-1:000000000000:table/chat_connections",
		Attributes: map[string]string{"connectionId": "S", "room": "S"}, PartitionKey: "connectionId",
		BillingMode:   "PAY_PER_REQUEST",
		TTLAttribute:  "expiresAt",
		GlobalIndexes: []template.Index{{Line: 211, Name: "rooms", PartitionKey: "room", Projection: "KEYS_ONLY"}},
	})
	rooms := named(t, resolved.Tables, "Rooms", func(q template.Table) string { return q.LogicalID })
	equal(t, "simple table", []string{rooms.PartitionKey, rooms.Attributes["room"], rooms.BillingMode},
		[]string{"room", "S", "PAY_PER_REQUEST"})

	if len(resolved.Mappings) != 2 {
		t.Fatalf("got %d mappings, want 2", len(resolved.Mappings))
	}
	first := resolved.Mappings[0]
	if len(first.UUID) != 36 || first.UUID == resolved.Mappings[1].UUID {
		t.Errorf("got UUIDs %q and %q, want two different ones", first.UUID, resolved.Mappings[1].UUID)
	}
	first.UUID, first.Source = "", template.Source{}
	equal(t, "mapping", first, template.EventSourceMapping{
		QueueARN: messages.ARN, FunctionName: "chat-DeliverFunction", Enabled: true, BatchSize: 5, MaximumConcurrency: 3,
		ReportBatchItemFailures: true,
	})
	equal(t, "a mapping that does not poll", resolved.Mappings[1].Enabled, false)
	equal(t, "its default batch", resolved.Mappings[1].BatchSize, 10)

	var inert []string
	for _, i := range resolved.Inert {
		inert = append(inert, i.LogicalID+" "+i.Type)
	}
	equal(t, "inert", inert, []string{"Operators AWS::SNS::Topic"}) // the alarm's condition is false
}

func TestLoad_ChatAPI(t *testing.T) {
	resolved := load(t, "chat.yaml", template.Options{APIID: func(string) string { return "abcdefghij" }})
	if len(resolved.APIs) != 1 || len(resolved.APIs[0].Routes) != 2 {
		t.Fatalf("got APIs %+v, want 1 with 2 routes", resolved.APIs)
	}
	api := resolved.APIs[0]
	equal(t, "API", []string{api.ID, api.Name, api.RouteSelectionExpression, api.Stage.Name},
		[]string{"abcdefghij", "local-chat", "$request.body.action", "prod"})
	equal(t, "throttles",
		[]any{*api.Stage.Default.RateLimit, *api.Stage.Default.BurstLimit,
			*api.Stage.RouteSettings["send-message"].RateLimit},
		[]any{100.5, 50, 10.0})
	if api.Stage.RouteSettings["send-message"].BurstLimit != nil {
		t.Error("got a burst limit, want none")
	}
	connect, send := api.Routes[0], api.Routes[1]
	if connect.Authorizer == nil || connect.Integration == nil || send.Integration == nil {
		t.Fatalf("got routes %+v and %+v, want an authorizer and integrations", connect, send)
	}
	equal(t, "authorizer",
		[]any{connect.Authorizer.FunctionName, connect.Authorizer.Invocable, connect.Authorizer.IdentitySources},
		[]any{"local-AuthFunction", true, []string{"route.request.querystring.token"}})
	equal(t, "$connect", []any{connect.Key, connect.Integration.FunctionName, connect.Integration.Invocable,
		connect.Integration.Timeout},
		[]any{"$connect", "chat-connect", true, 29 * time.Second})
	equal(t, "send-message",
		[]any{send.Key, send.Integration.Type, send.Integration.Invocable, send.Integration.Timeout, send.Authorizer == nil},
		[]any{"send-message", "AWS_PROXY", false, 5 * time.Second, true})
	if len(resolved.Warnings) != 1 ||
		!strings.Contains(resolved.Warnings[0].Error(), "SendIntegration: API Gateway may not invoke SendFunction") {
		t.Errorf("got warnings %v, want one about the missing permission", resolved.Warnings)
	}
}

func TestLoad_Echo(t *testing.T) {
	resolved := load(t, "echo.yaml", template.Options{})
	api := resolved.APIs[0]
	equal(t, "stage", []any{api.Stage.Name, api.Stage.Variables, api.Stage.AccessLog}, []any{
		"live", map[string]string{"color": "green"},
		template.AccessLog{Destination: "arn:aws:logs:us-east-1:000000000000:log-group:local-AccessLog:*",
			Format: "$context.requestId $context.routeKey"},
	})
	echo, ping := api.Routes[0], api.Routes[1]
	for _, route := range api.Routes {
		if route.ResponseSelectionExpression != "$default" || len(route.Responses) != 1 ||
			route.Responses[0].Key != "$default" {
			t.Errorf("%s: got responses %+v, want $default", route.Key, route.Responses)
		}
	}
	if !echo.Integration.Invocable { // by a permission without a SourceArn
		t.Error("got an echo that is not invocable, want invocable")
	}
	mock := *ping.Integration
	equal(t, "mock", []any{mock.Type, mock.RequestTemplates, mock.TemplateSelectionExpression, mock.PassthroughBehavior,
		len(mock.Responses)},
		[]any{"MOCK", map[string]string{"200": `{"statusCode":200}`}, "200", "WHEN_NO_MATCH", 1})
	equal(t, "its response", []any{mock.Responses[0].Key, mock.Responses[0].ResponseTemplates},
		[]any{"$default", map[string]string{"200": `{"type":"pong"}`}})

	f := resolved.Functions[0]
	equal(t, "function", []any{f.Runtime, f.Handler, f.MemoryMB, f.Timeout, f.Folder, f.Role.ARN},
		[]any{"provided.al2", "echo", 256, 3 * time.Second, "testdata/echo",
			"arn:aws:iam::000000000000:role/functions/local-EchoRole"})
	var policies []string
	for _, policy := range f.Role.Policies {
		policies = append(policies, policy.Name)
	}
	equal(t, "policies of every origin", policies, []string{
		"log", "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole",
		"arn:aws:iam::000000000000:policy/local-Shared", "more",
	})
}

func TestLoad_Rooms(t *testing.T) {
	resolved := load(t, "rooms.yaml", template.Options{})
	if len(resolved.APIs) != 2 || len(resolved.Warnings) != 0 {
		t.Fatalf("got %d APIs and warnings %v, want 2 and none", len(resolved.APIs), resolved.Warnings)
	}
	rooms, plain := resolved.APIs[0], resolved.APIs[1]
	var keys []string
	for _, route := range rooms.Routes {
		keys = append(keys, route.Key)
		if !route.Integration.Invocable || (route.Authorizer != nil) != (route.Key == "$connect") ||
			len(route.Responses) != 0 {
			t.Errorf("%s: got %+v", route.Key, route)
		}
	}
	equal(t, "routes", keys, []string{"$connect", "$disconnect", "sendMessage", "$default"})
	equal(t, "stages", []string{rooms.Stage.LogicalID, rooms.Stage.Name, plain.Stage.LogicalID, plain.Stage.Name},
		[]string{"RoomsliveStage", "live", "PlainDefaultStage", "default"})
	equal(t, "authorizer", []any{rooms.Routes[0].Authorizer.LogicalID, rooms.Routes[0].Authorizer.Invocable},
		[]any{"RoomsConnectAuthorizer", true})
	equal(t, "Globals", []any{rooms.RouteSelectionExpression, plain.RouteSelectionExpression,
		*plain.Stage.Default.BurstLimit, plain.Tags["project"]},
		[]any{"$request.body.type", "$request.body.kind", 5, "rooms"})
	equal(t, "Ref to the generated stage", functionNamed(t, resolved, "Guard").Environment["STAGE"], "live")
	equal(t, "output", resolved.Outputs[0].Value, "wss://"+rooms.ID+".execute-api.us-east-1.amazonaws.com/live")
	members := resolved.Tables[0]
	equal(t, "provisioned", []any{members.BillingMode, members.ReadUnits, members.WriteUnits, members.PartitionKey},
		[]any{"PROVISIONED", 5, 6, "id"})
}

// TestLoad_Conditions checks the resources that exist, also where SAM ignores a condition.
func TestLoad_Conditions(t *testing.T) {
	resolved := load(t, "conditions.yaml", template.Options{})
	roles := map[string]string{}
	for _, f := range resolved.Functions {
		roles[f.LogicalID] = f.Role.LogicalID
	}
	equal(t, "roles", roles, map[string]string{"Kept": "KeptRole", "Own": "Shared", "Generated": "GeneratedRole"})
	equal(t, "mappings", len(resolved.Mappings), 1)
	if len(resolved.APIs) != 1 || len(resolved.Warnings) != 1 ||
		!strings.Contains(resolved.Warnings[0].Message, "SAM ignores the Condition") {
		t.Errorf("got %d APIs and warnings %v, want 1 of each", len(resolved.APIs), resolved.Warnings)
	}
}

// TestLoad_OwnTemplate checks that this repository's own template has no problems and no warnings in every access mode.
func TestLoad_OwnTemplate(t *testing.T) {
	for _, parameters := range []map[string]string{
		{"Access": "open"}, {"Access": "listen"}, {"Access": "jwt", "TokenJwksUrl": "https://issuer.example/jwks"},
		{"Access": "jwt"},
	} {
		testOwnTemplate(t, parameters)
	}
}

func testOwnTemplate(t *testing.T, parameters map[string]string) {
	resolved, err := template.LoadFile("../../template.yaml", template.Options{Parameters: parameters})
	if err != nil {
		t.Fatal(err)
	}
	for _, warning := range resolved.Warnings {
		t.Errorf("got warning %v, want none", warning)
	}
	if len(resolved.Functions) == 0 || len(resolved.APIs) == 0 || len(resolved.Mappings) == 0 ||
		len(resolved.Tables) == 0 {
		t.Errorf("got %d functions, %d APIs, %d mappings, %d tables, want some of each", len(resolved.Functions),
			len(resolved.APIs), len(resolved.Mappings), len(resolved.Tables))
	}
}

// authorize decides on a request of a function, as package stack does.
func authorize(t *testing.T, r *template.Resolved, function, action, resource string) error {
	t.Helper()
	f := named(t, r.Functions, function, func(f template.Function) string { return f.Name })
	var policies []iam.Document
	for _, q := range r.Queues {
		if q.ARN == resource {
			policies = q.Policy
		}
	}
	return iam.Authorize(f.Role.Documents(), policies, r.Request(f, action, resource))
}

func TestRequest_Policies(t *testing.T) {
	resolved := load(t, "chat.yaml", template.Options{StackName: "chat"})
	const sqs, table = "arn:aws:sqs:us-east-1:000000000000:", "arn:aws:dynamodb:us-east-1:000000000000:table/"
	connections := "arn:aws:execute-api:us-east-1:000000000000:" + resolved.APIs[0].ID +
		"/prod/POST/@connections/{connectionId}"
	for _, test := range []struct {
		function, action, resource string
		allowed                    bool
	}{
		{"chat-SendFunction", "sqs:SendMessage", sqs + "chat-Messages", true}, // the queue's policy denies without TLS only
		{"chat-SendFunction", "sqs:SendMessage", sqs + "chat-dead", false},
		{"chat-SendFunction", "sqs:ReceiveMessage", sqs + "chat-Messages", false},
		{"chat-DeliverFunction", "sqs:ReceiveMessage", sqs + "chat-Messages", true},
		{"chat-connect", "dynamodb:PutItem", table + "chat_connections", true},
		{"chat-connect", "dynamodb:Query", table + "chat_connections/index/rooms", true},
		{"chat-connect", "dynamodb:PutItem", table + "chat-Rooms", false},
		{"chat-connect", "execute-api:ManageConnections", connections, true},
		{"chat-AuthFunction", "execute-api:ManageConnections", connections, false},
	} {
		err := authorize(t, resolved, test.function, test.action, test.resource)
		if (err == nil) != test.allowed {
			t.Errorf("%s, %s on %s: got %v, want allowed %v", test.function, test.action, test.resource, err, test.allowed)
		}
	}
	err := authorize(t, resolved, "chat-connect", "sqs:SendMessage", sqs+"chat-dead")
	want := "User: arn:aws:sts::000000000000:assumed-role/chat-ConnectFunctionRole/chat-connect is not authorized to " +
		"perform: " +
		"sqs:SendMessage on resource: arn:aws:sqs:us-east-1:000000000000:chat-dead because no identity-based policy " +
		"allows the sqs:SendMessage action"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// TestRequest_QueuePolicies checks that a queue's policy can deny what a role allows, and that its conditions see the
// caller.
func TestRequest_QueuePolicies(t *testing.T) {
	source := function(`      Policies: [AmazonSQSFullAccess]
  Open: {Type: AWS::SQS::Queue}
  Shut: {Type: AWS::SQS::Queue}
  Foreign: {Type: AWS::SQS::Queue}
  ShutPolicy:
    Type: AWS::SQS::QueuePolicy
    Properties:
      Queues: [!Ref Shut]
      PolicyDocument: {Statement: {Effect: Deny, Principal: "*", Action: "sqs:SendMessage", Resource: "*"}}
  ForeignPolicy:
    Type: AWS::SQS::QueuePolicy
    Properties:
      Queues: [!Ref Foreign, !Ref Open]
      PolicyDocument:
        Statement:
          Effect: Deny
          Principal: "*"
          Action: "sqs:SendMessage"
          Resource: !GetAtt Foreign.Arn
          Condition: {ArnEquals: {"aws:PrincipalArn": !GetAtt FnRole.Arn}}
`)
	resolved, err := template.Load("t.yaml", []byte(source), template.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for id, allowed := range map[string]bool{"Open": true, "Shut": false, "Foreign": false} {
		err := authorize(t, resolved, "local-Fn", "sqs:SendMessage", "arn:aws:sqs:us-east-1:000000000000:local-"+id)
		if (err == nil) != allowed {
			t.Errorf("SendMessage to %s: got %v, want allowed %v", id, err, allowed)
		}
	}
}

// TestTable_TimeToLive checks that items expire only with Enabled true.
func TestTable_TimeToLive(t *testing.T) {
	for enabled, want := range map[string]string{"true": "at", "false": ""} {
		source := table(defined, "BillingMode: PAY_PER_REQUEST",
			"TimeToLiveSpecification: {AttributeName: at, Enabled: "+enabled+"}")
		resolved, err := template.Load("t.yaml", []byte(source), template.Options{})
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "TTL attribute", resolved.Tables[0].TTLAttribute, want)
	}
}

func TestLoad_Parameters(t *testing.T) {
	resolved := load(t, "chat.yaml", template.Options{Parameters: map[string]string{"StageName": "live"}})
	var got []string
	for _, p := range resolved.Parameters {
		got = append(got, p.Name+"="+p.Value)
	}
	equal(t, "parameters", got, []string{"StageName=live", "Environment=test", "Regions=us-east-1, eu-central-1"})
}

func TestLoad_JSON(t *testing.T) {
	const source = `{"Resources": {"Q": {"Type": "AWS::SQS::Queue",
		"Properties": {"DelaySeconds": {"Fn::Select": [1, ["0", 7]]}}}}}`
	resolved, err := template.Load("t.json", []byte(source), template.Options{})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "attributes", resolved.Queues[0].Attributes, map[string]string{"DelaySeconds": "7"})
}

package template_test

import (
	"strings"
	"testing"

	"fanfare/local/template"
)

// outputs resolves a template and returns its outputs by name.
func outputs(t *testing.T, source string, options template.Options) map[string]string {
	t.Helper()
	resolved, err := template.Load("t.yaml", []byte(source), options)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, o := range resolved.Outputs {
		all[o.Name] = o.Value
	}
	return all
}

func TestFunctions(t *testing.T) {
	const before = `
Parameters:
  Text: {Type: String, Default: hello}
  Count: {Type: Number, Default: 3}
  Items: {Type: CommaDelimitedList, Default: "a, b ,c"}
Mappings:
  Map:
    us-east-1: {Word: east, Words: [x, y]}
Conditions:
  Yes: !Equals [!Ref Text, hello]
  No: !Not [!Condition Yes]
  Same: !Equals [!Ref Count, 3]
  Both: !And [!Condition Yes, !Condition Same, !Equals [!Join ["", !Ref Items], abc]]
  Either: !Or [!Condition No, !Equals [!FindInMap [Map, !Ref AWS::Region, Word], west]]
Resources:
  Queue: {Type: AWS::SQS::Queue}
  Table: {Type: AWS::DynamoDB::Table, Properties: {BillingMode: PAY_PER_REQUEST,
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}], KeySchema: [{AttributeName: id, KeyType: HASH}]}}
Outputs:
  O:
    Value: `
	for _, test := range []struct{ expression, want string }{
		{"plain", "plain"},
		{"12", "12"},
		{"true", "true"},
		{"2012-10-17", "2012-10-17"},
		{"!Ref Text", "hello"},
		{"{Ref: Count}", "3"},
		{"!Ref Queue", "http://127.0.0.1:4566/111122223333/chat-Queue"},
		{"!Ref AWS::AccountId", "111122223333"},
		{"!Ref AWS::Partition", "aws"},
		{"!Ref AWS::Region", "us-east-1"},
		{"!Ref AWS::StackName", "chat"},
		{"!Ref AWS::URLSuffix", "amazonaws.com"},
		{"!GetAtt Queue.Arn", "arn:aws:sqs:us-east-1:111122223333:chat-Queue"},
		{"!GetAtt [Queue, QueueName]", "chat-Queue"},
		{"{'Fn::GetAtt': [Table, Arn]}", "arn:aws:dynamodb:us-east-1:111122223333:table/chat-Table"},
		{"{'Fn::GetAtt': Table.Arn}", "arn:aws:dynamodb:us-east-1:111122223333:table/chat-Table"},
		{"!Sub '${Text}/${Queue.QueueName}/${AWS::Region}/${Count}'", "hello/chat-Queue/us-east-1/3"},
		{"!Sub ['${Text}-${More}', {More: !Select [1, !Ref Items], Text: mine}]", "mine-b"},
		{"!Sub '${!Literal} $${Text} $Text {Text}'", "${Literal} $hello $Text {Text}"},
		{"!Join ['-', [a, !Ref Text, !Ref AWS::NoValue, 1]]", "a-hello-1"},
		{"!Join [',', !Ref Items]", "a,b,c"},
		{"!Join ['+', !Split ['-', 'a-b--c']]", "a+b++c"},
		{"!Join ['.', !FindInMap [Map, us-east-1, Words]]", "x.y"},
		{"!Select [!Ref Count, [a, b, c, d]]", "d"},
		{"!Select ['0', !Split [/, a/b]]", "a"},
		{"!FindInMap [Map, !Ref AWS::Region, Word]", "east"},
		{"!If ['Yes', taken, other]", "taken"},
		{"!If ['No', taken, !If [Same, same, other]]", "same"},
		{"!If [Both, both, not]", "both"},
		{"!If [Either, either, neither]", "neither"},
		{"{'Fn::Base64': !Sub '${Text}'}", "aGVsbG8="},
	} {
		got := outputs(t, before+test.expression,
			template.Options{StackName: "chat", Account: "111122223333", QueueEndpoint: "http://127.0.0.1:4566"})
		if got["O"] != test.want {
			t.Errorf("%s = %q, want %q", test.expression, got["O"], test.want)
		}
	}
}

// TestReferences compares Ref and Fn::GetAtt with AWS's documentation of each type's return values.
func TestReferences(t *testing.T) {
	const source = `
Transform: AWS::Serverless-2016-10-31
Resources:
  Fn:
    Type: AWS::Serverless::Function
    Properties: {Runtime: provided.al2023, Handler: bootstrap, CodeUri: fn, RolePath: /chat/,
        Events: {Jobs: {Type: SQS, Properties: {Queue: !GetAtt Jobs.Arn}}}}
  Jobs: {Type: AWS::SQS::Queue, Properties: {FifoQueue: true}}
  Named: {Type: AWS::SQS::Queue, Properties: {QueueName: named}}
  Table: {Type: AWS::Serverless::SimpleTable}
  Api: {Type: AWS::ApiGatewayV2::Api, Properties: {Name: chat, ProtocolType: WEBSOCKET,
      RouteSelectionExpression: $request.body.action}}
  Stage: {Type: AWS::ApiGatewayV2::Stage, Properties: {ApiId: !Ref Api, StageName: prod, AutoDeploy: true}}
  Policy: {Type: AWS::IAM::ManagedPolicy, Properties: {PolicyDocument: {Statement: {Effect: Allow, Action: "sqs:*",
      Resource: "*"}}}}
  Logs: {Type: AWS::Logs::LogGroup}
  Topic: {Type: AWS::SNS::Topic, Properties: {TopicName: news}}
  Alarm: {Type: AWS::CloudWatch::Alarm}
  Bucket: {Type: AWS::S3::Bucket}
Outputs:
`
	const arn = ":us-east-1:000000000000:"
	lines := strings.Builder{}
	wants := map[string]string{}
	for i, test := range []struct{ expression, want string }{
		{"!Ref Fn", "local-Fn"},
		{"!GetAtt Fn.Arn", "arn:aws:lambda" + arn + "function:local-Fn"},
		{"!Ref FnRole", "local-FnRole"},
		{"!GetAtt FnRole.Arn", "arn:aws:iam::000000000000:role/chat/local-FnRole"},
		{"!GetAtt FnJobs.EventSourceMappingArn", "arn:aws:lambda" + arn + "event-source-mapping:"}, // and the UUID
		{"!Ref Jobs", "https://sqs.us-east-1.amazonaws.com/000000000000/local-Jobs.fifo"},
		{"!GetAtt Jobs.Arn", "arn:aws:sqs" + arn + "local-Jobs.fifo"},
		{"!Ref Named", "https://sqs.us-east-1.amazonaws.com/000000000000/named"},
		{"!GetAtt Named.QueueUrl", "https://sqs.us-east-1.amazonaws.com/000000000000/named"},
		{"!Ref Table", "local-Table"},
		{"!GetAtt Table.Arn", "arn:aws:dynamodb" + arn + "table/local-Table"},
		{"!Ref Api", "chatapi"},
		{"!GetAtt Api.ApiEndpoint", "wss://chatapi.execute-api.us-east-1.amazonaws.com"},
		{"!Sub 'https://${Api}.execute-api.${AWS::Region}.${AWS::URLSuffix}/${Stage}'",
			"https://chatapi.execute-api.us-east-1.amazonaws.com/prod"},
		{"!Ref Policy", "arn:aws:iam::000000000000:policy/local-Policy"},
		{"!Ref Logs", "local-Logs"},
		{"!GetAtt Logs.Arn", "arn:aws:logs" + arn + "log-group:local-Logs:*"},
		{"!Ref Topic", "arn:aws:sns" + arn + "news"},
		{"!GetAtt Topic.TopicName", "news"},
		{"!GetAtt Alarm.Arn", "arn:aws:cloudwatch" + arn + "alarm:local-Alarm"},
		{"!Ref Bucket", "local-Bucket"},
	} {
		name := "O" + string(rune('a'+i))
		lines.WriteString("  " + name + ": {Value: " + test.expression + "}\n")
		wants[name] = test.want
	}
	got := outputs(t, source+lines.String(),
		template.Options{APIID: func(id string) string { return "chat" + strings.ToLower(id) },
			Inert: []string{"AWS::S3::Bucket"}})
	if len(got) != len(wants) {
		t.Fatalf("got %d outputs, want %d", len(got), len(wants))
	}
	for name, want := range wants {
		if !strings.HasPrefix(got[name], want) || !strings.HasSuffix(want, ":") && got[name] != want {
			t.Errorf("%s = %q, want %q", name, got[name], want)
		}
	}
}

// TestLoad_StableNames checks that names are the same in every run and differ between stacks and APIs.
func TestLoad_StableNames(t *testing.T) {
	const source = `
Resources:
  A: {Type: AWS::ApiGatewayV2::Api, Properties: {Name: a, ProtocolType: WEBSOCKET,
      RouteSelectionExpression: $request.body.a}}
  B: {Type: AWS::ApiGatewayV2::Api, Properties: {Name: b, ProtocolType: WEBSOCKET,
      RouteSelectionExpression: $request.body.a}}
  AQueueOfWhichTheLogicalNameIsVeryLongSoThatItHasToBeCutAtTheLimitOfEightyCharacters: {Type: AWS::SQS::Queue}
Outputs:
  A: {Value: !Ref A}
  B: {Value: !Ref B}
  Q: {Value: !GetAtt AQueueOfWhichTheLogicalNameIsVeryLongSoThatItHasToBeCutAtTheLimitOfEightyCharacters.QueueName}
`
	first := outputs(t, source, template.Options{})
	again := outputs(t, source, template.Options{})
	other := outputs(t, source, template.Options{StackName: "other"})
	if len(first["A"]) != 10 || strings.ToLower(first["A"]) != first["A"] {
		t.Errorf("got API id %q, want 10 lower-case characters", first["A"])
	}
	if len(first["Q"]) != 80 {
		t.Errorf("got queue name %q of %d characters, want 80", first["Q"], len(first["Q"]))
	}
	if first["A"] == first["B"] || first["A"] == other["A"] {
		t.Errorf("got %v and %v, want different ids", first, other)
	}
	for name := range first {
		if first[name] != again[name] {
			t.Errorf("%s: got %q, want %q as before", name, again[name], first[name])
		}
	}
}

func TestOptions_Invalid(t *testing.T) {
	for _, options := range []template.Options{{Account: "12"}, {Region: "cn-north-1"}, {Region: "moon"},
		{StackName: "-"}} {
		if _, err := template.Load("t.yaml", []byte(queue), options); err == nil ||
			!strings.Contains(err.Error(), "template options") {
			t.Errorf("%+v: got %v, want an error of the options", options, err)
		}
	}
}

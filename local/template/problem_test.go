package template_test

import (
	"errors"
	"strings"
	"testing"

	"fanfare/local/template"
)

// problemsOf loads a template and returns its problems, each as "line:resource: property: message".
func problemsOf(t *testing.T, source string, options template.Options) []string {
	t.Helper()
	_, err := template.Load("t.yaml", []byte(source), options)
	if err == nil {
		return nil
	}
	var problems template.Problems
	if !errors.As(err, &problems) {
		t.Fatalf("got %T: %v, want Problems", err, err)
	}
	all := make([]string, len(problems))
	for i, p := range problems {
		if p.File != "t.yaml" || p.Line < 1 || p.Column < 1 || p.Message == "" {
			t.Errorf("got a problem without position or message: %#v", p)
		}
		file, rest, _ := strings.Cut(p.Error(), ":")
		line, rest, _ := strings.Cut(rest, ":")
		_, rest, _ = strings.Cut(rest, ": ")
		if file != p.File {
			t.Errorf("got %q, want the file first", p.Error())
		}
		all[i] = line + ":" + rest
	}
	return all
}

// queue is the smallest template.
const queue = "Resources:\n  Queue: {Type: AWS::SQS::Queue}\n"

// queueQ is a second resource of a template.
const queueQ = "  Q: {Type: AWS::SQS::Queue}\n"

// function returns a template with one SAM function and more properties.
func function(more string) string {
	return `Transform: AWS::Serverless-2016-10-31
Resources:
  Fn:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: provided.al2023
      Handler: bootstrap
      CodeUri: fn
` + more
}

// defined defines the key attribute of a table.
const defined = "AttributeDefinitions: [{AttributeName: id, AttributeType: S}]"

// table returns a template of a table with the key id and further properties.
func table(properties ...string) string {
	return "Resources:\n  T: {Type: AWS::DynamoDB::Table, Properties: {\n    " +
		strings.Join(append([]string{"KeySchema:\n      [{AttributeName: id, KeyType: HASH}]"}, properties...), ",\n    ") +
		"}}\n"
}

func TestProblems(t *testing.T) {
	for _, test := range []struct {
		name, template string
		options        template.Options
		want           []string // all of them, by their beginnings
	}{
		// YAML
		{"nothing", "", template.Options{}, []string{"1:not YAML: no documents in stream"}},
		{"comments only", "# nothing", template.Options{}, []string{"1:not YAML: no documents"}},
		{"not YAML", "Resources: [\n  A: {", template.Options{}, []string{"3:not YAML"}},
		{"not a map", "- a", template.Options{}, []string{"1:Resources: a template must have Resources", "1:must be a map"}},
		{"an alias", "Metadata: &m {a: b}\nMappings: *m\n" + queue, template.Options{},
			[]string{"2:CloudFormation does not support YAML aliases"}},
		{"a merge key", "Metadata: {<<: {a: b}}\n" + queue, template.Options{},
			[]string{"1:CloudFormation does not support YAML merge keys"}},
		{"a key twice", queue + "  Queue: {Type: AWS::SQS::Queue}\n", template.Options{},
			[]string{`3:the key "Queue" occurs twice`}},
		{"a null", "Metadata:\n" + queue, template.Options{}, []string{"1:null values are not allowed"}},
		{"a YAML 1.1 boolean", "Metadata: {a: yes}\n" + queue, template.Options{}, []string{"1:yes means a boolean"}},
		{"an octal number", "Metadata: {account: 000000000123}\n" + queue, template.Options{},
			[]string{"1:000000000123 means an octal number"}},
		{"an unknown tag", "Metadata: !Reff a\n" + queue, template.Options{}, []string{"1:unknown tag !Reff"}},
		{"nested too deeply", "Metadata: " + strings.Repeat("[", 200) + strings.Repeat("]", 200) + "\n" + queue,
			template.Options{}, []string{"1:nested deeper than 100 levels"}},
		{"too large", "Description: " + strings.Repeat("x", 1_000_000) + "\n" + queue, template.Options{},
			[]string{"1:the template has 1000058 bytes: more than CloudFormation's 1000000"}},
		{"binary", "Metadata: !!binary YQ==\n" + queue, template.Options{},
			[]string{"1:CloudFormation does not support !!binary"}},

		// sections
		{"an unknown section", "Resource: {}\n" + queue, template.Options{}, []string{"1:Resource: unknown property"}},
		{"a section in the wrong case", "resources: {}\n" + queue, template.Options{},
			[]string{"1:resources: unknown property: did you mean Resources?"}},
		{"rules", "Rules: {}\n" + queue, template.Options{}, []string{"1:Rules: is not emulated"}},
		{"a wrong version", "AWSTemplateFormatVersion: 2011-01-01\n" + queue, template.Options{},
			[]string{"1:AWSTemplateFormatVersion: must be"}},
		{"another transform", "Transform: [AWS::LanguageExtensions]\n" + queue, template.Options{},
			[]string{"1:Transform: AWS::LanguageExtensions is not emulated"}},
		{"a macro", "Transform: {Name: AWS::Include}\n" + queue, template.Options{},
			[]string{"1:Transform: macros are not emulated"}},
		{"no resources", "Description: empty", template.Options{}, []string{"1:Resources: a template must have Resources"}},

		// parameters
		{"no value", "Parameters:\n  Size: {Type: String, AllowedValues: [s, m], Description: of the shirt}\n" + queue,
			template.Options{},
			[]string{"2:Parameters.Size: the parameter Size has no default and was given no value; allowed are s, m (of the " +
				"shirt)"}},
		{"a value for nothing", queue, template.Options{Parameters: map[string]string{"X": "1"}},
			[]string{"1:Parameters: a value is given for X"}},
		{"not allowed", "Parameters:\n  P: {Type: String, AllowedValues: [a, b], ConstraintDescription: a or b}\n" + queue,
			template.Options{Parameters: map[string]string{"P": "c"}},
			[]string{`2:Parameters.P: the value "c" is not one of the AllowedValues a, b: a or b`}},
		{"secrets are not shown", "Parameters:\n  P: {Type: String, MinLength: 8, NoEcho: true}\n" + queue,
			template.Options{Parameters: map[string]string{"P": "secret"}},
			[]string{"2:Parameters.P: the value (NoEcho) is shorter than the MinLength 8"}},
		{"too long", "Parameters:\n  P: {Type: String, MaxLength: 2, Default: abc}\n" + queue, template.Options{},
			[]string{`2:Parameters.P: the value "abc" is longer`}},
		{"AllowedPattern and the whole value",
			"Parameters:\n  P: {Type: String, AllowedPattern: '[a-z]+', Default: abc1}\n" + queue, template.Options{},
			[]string{`2:Parameters.P: the value "abc1" does not match the AllowedPattern [a-z]+`}},
		{"a pattern of Java's", "Parameters:\n  P: {Type: String, AllowedPattern: '(?=a).', Default: a}\n" + queue,
			template.Options{},
			[]string{"2:Parameters.P: AllowedPattern: the expression cannot be evaluated here"}},
		{"not a number", "Parameters:\n  P: {Type: Number, Default: many}\n" + queue, template.Options{},
			[]string{`2:Parameters.P: the value "many" is not a number`}},
		{"too small", "Parameters:\n  P: {Type: Number, Default: 1, MinValue: 2}\n" + queue, template.Options{},
			[]string{`2:Parameters.P: the value "1" is less than the MinValue 2`}},
		{"one of a list is too large", "Parameters:\n  P: {Type: List<Number>, Default: '1, 9', MaxValue: 8}\n" + queue,
			template.Options{},
			[]string{`2:Parameters.P: the value "1, 9" is more than the MaxValue 8`}},
		{"a parameter in SSM", "Parameters:\n  P: {Type: 'AWS::SSM::Parameter::Value<String>', Default: x}\n" + queue,
			template.Options{},
			[]string{"2:Parameters.P: Type: parameters of type AWS::SSM::Parameter::Value<String> are not emulated"}},

		// functions and references
		{"a reference to nothing", queue + "Outputs:\n  O: {Value: !Ref Nothing}\n", template.Options{},
			[]string{"4:Outputs.O: Value: Nothing is neither a resource nor a parameter"}},
		{"also where a condition hides it",
			"Conditions: {Never: !Equals [a, b]}\n" + queue + "Outputs:\n  O: {Value: !If [Never, !Ref Nothing, x]}\n",
			template.Options{}, []string{"5:Outputs.O: Value: Nothing is neither"}},
		{"also inside Sub", "Conditions: {Never: !Equals [a, b]}\n" + queue +
			"Outputs:\n  O: {Value: !If [Never, !Sub ['${Nothing.Arn}${a}${!b}', {a: x}], x]}\n",
			template.Options{}, []string{"5:Outputs.O: Value: Nothing is neither"}},
		{"a resource with a false condition",
			"Conditions: {Never: !Equals [a, b]}\nResources:\n  A: {Type: AWS::SQS::Queue, Condition: Never}\n  B: {Type: " +
				"AWS::SQS::Queue, Properties: {QueueName: !Ref A}}\n",
			template.Options{}, []string{"4:B: Properties.QueueName: A does not exist, as its condition is false"}},
		{"an unknown attribute", queue + "Outputs:\n  O: {Value: !GetAtt Queue.ARN}\n", template.Options{},
			[]string{`4:Outputs.O: Value: Queue, of type AWS::SQS::Queue, has no attribute "ARN"`}},
		{"an unknown pseudo parameter", queue + "Outputs:\n  O: {Value: !Ref AWS::Zone}\n", template.Options{},
			[]string{"4:Outputs.O: Value: unknown pseudo parameter AWS::Zone"}},
		{"an import", queue + "Outputs:\n  O: {Value: !ImportValue x}\n", template.Options{},
			[]string{"4:Outputs.O: Value: Fn::ImportValue is not emulated"}},
		{"a function of another transform", queue + "Outputs:\n  O: {Value: !ToJsonString {a: b}}\n", template.Options{},
			[]string{"4:Outputs.O: Value: Fn::ToJsonString is not emulated"}},
		{"an unknown function", queue + "Outputs:\n  O: {Value: {'Fn::Magic': x}}\n", template.Options{},
			[]string{"4:Outputs.O: Value: unknown function Fn::Magic"}},
		{"a function with company", queue + "Outputs:\n  O: {Value: {'Fn::Sub': x, b: c}}\n", template.Options{},
			[]string{"4:Outputs.O: Value.Fn::Sub: Fn::Sub must be the only entry"}},
		{"a dynamic reference", queue + "Outputs:\n  O: {Value: '{{resolve:ssm:x}}'}\n", template.Options{},
			[]string{"4:Outputs.O: Value: dynamic references"}},
		{"a condition function in a resource", queue + "Outputs:\n  O: {Value: !Equals [a, b]}\n", template.Options{},
			[]string{"4:Outputs.O: Value: Fn::Equals can be used only in Conditions"}},
		{"an output that is a list", queue + "Outputs:\n  O: {Value: [a]}\n", template.Options{},
			[]string{"4:Outputs.O: Value: an output's value must be a string"}},
		{"Sub that is never closed", queue + "Outputs:\n  O: {Value: !Sub 'a${b'}\n", template.Options{},
			[]string{"4:Outputs.O: Value: Fn::Sub: ${b has no closing brace"}},
		{"Sub with an odd name", queue + "Outputs:\n  O: {Value: !Sub '${a b}'}\n", template.Options{},
			[]string{"4:Outputs.O: Value: Fn::Sub: ${a b}: names contain only"}},
		{"Sub of nothing", queue + "Outputs:\n  O: {Value: !Sub '${Nothing.Arn}'}\n", template.Options{},
			[]string{"4:Outputs.O: Value: Nothing is neither"}},
		{"Select out of range", queue + "Outputs:\n  O: {Value: !Select [2, [a, b]]}\n", template.Options{},
			[]string{"4:Outputs.O: Value: Fn::Select: there is no item 2 in a list of 2"}},
		{"an unknown map", queue + "Outputs:\n  O: {Value: !FindInMap [M, a, b]}\n", template.Options{},
			[]string{`4:Outputs.O: Value: Fn::FindInMap: the map of Fn::FindInMap, "M", is not in Mappings`}},
		{"If of an unknown condition", queue + "Outputs:\n  O: {Value: !If [C, a, b]}\n", template.Options{},
			[]string{`4:Outputs.O: Value: there is no condition "C"`}},
		{"a condition about a resource", "Conditions: {C: !Equals [!Ref Queue, x]}\n" + queue, template.Options{},
			[]string{"1:Conditions.C: Queue is neither a resource nor a parameter"}},
		{"conditions in a circle", "Conditions:\n  A: !Not [!Condition B]\n  B: !Not [!Condition A]\n" + queue,
			template.Options{}, []string{`3:Conditions.B: the condition "A" depends on itself`}},
		{"Or of one", "Conditions: {C: !Or [!Equals [a, b]]}\n" + queue, template.Options{},
			[]string{"1:Conditions.C: Fn::Or needs a list of 2 to 10 arguments"}},
		{"a mapping that computes", "Mappings: {M: {a: {b: {c: d}}}}\n" + queue, template.Options{},
			[]string{"1:Mappings.M: a.b: must be a string or a list of strings"}},

		// resources
		{"an unknown type", "Resources:\n  B: {Type: AWS::S3::Bucket}\n", template.Options{},
			[]string{"2:B: Type: resources of type AWS::S3::Bucket are not emulated"}},
		{"a custom resource", "Resources:\n  B: {Type: Custom::Thing}\n", template.Options{},
			[]string{"2:B: Type: custom resources are not emulated"}},
		{"no type", "Resources:\n  B: {Properties: {}}\n", template.Options{}, []string{"2:B: Type is required"}},
		{"an unknown property", "Resources:\n  Q:\n    Type: AWS::SQS::Queue\n    Properties:\n      visibilityTimeout: 3\n",
			template.Options{},
			[]string{"5:Q: Properties.visibilityTimeout: unknown property: did you mean VisibilityTimeout?"}},
		{"an unknown attribute of a resource", "Resources:\n  Q: {Type: AWS::SQS::Queue, Propertys: {}}\n",
			template.Options{}, []string{"2:Q: Propertys: unknown property"}},
		{"a word for a number", "Resources:\n  Q: {Type: AWS::SQS::Queue, Properties: {DelaySeconds: soon}}\n",
			template.Options{}, []string{`2:Q: Properties.DelaySeconds: must be an integer, not "soon"`}},
		{"DependsOn nothing", "Resources:\n  Q: {Type: AWS::SQS::Queue, DependsOn: [P]}\n", template.Options{},
			[]string{"2:Q: DependsOn: P is not a resource"}},
		{"a circle", "Resources:\n  A: {Type: AWS::SQS::Queue, DependsOn: B}\n  B: {Type: AWS::SQS::Queue, Properties: " +
			"{QueueName: !Sub 'x-${A.QueueName}'}}\n", template.Options{},
			[]string{"2:A: circular dependency between resources: A -> B -> A"}},
		{"a name that depends on itself",
			"Resources:\n  A: {Type: AWS::SQS::Queue, Properties: {QueueName: !GetAtt A.QueueName}}\n", template.Options{},
			[]string{"2:A: circular dependency between resources: A -> A",
				"2:A: Properties.QueueName: the name of A depends on itself"}},
		{"one name for two", "Resources:\n  A: {Type: AWS::SQS::Queue, Properties: {QueueName: q}}\n  B: {Type: " +
			"AWS::SQS::Queue, Properties: {QueueName: q}}\n", template.Options{},
			[]string{"3:B: A has the same name, q"}},
		{"a wrong name", "Resources:\n  A: {Type: AWS::SQS::Queue, Properties: {QueueName: a.b}}\n", template.Options{},
			[]string{`2:A: Properties.QueueName: "a.b" is not a valid name`}},
		{"FIFO without .fifo", "Resources:\n  A: {Type: AWS::SQS::Queue, Properties: {QueueName: a, FifoQueue: true}}\n",
			template.Options{}, []string{"2:A: Properties.QueueName: the name of a FIFO queue"}},
		{"a parameter of the same name", "Parameters: {Queue: {Type: String, Default: x}}\n" + queue, template.Options{},
			[]string{"3:Queue: a parameter has the same name"}},
		{"a name with a hyphen", "Resources:\n  A-B: {Type: AWS::SQS::Queue}\n", template.Options{},
			[]string{"2:Resources.A-B: names must be letters and digits only"}},
		{"a topic for a queue", "Resources:\n  S: {Type: AWS::SNS::Subscription, Properties: {Protocol: sqs}}\n",
			template.Options{}, []string{"2:S: Properties.Protocol: topics are not emulated"}},

		{"two policies for a queue",
			queue + "  P: {Type: AWS::SQS::QueuePolicy, Properties: {Queues: [!Ref Queue], PolicyDocument: {Statement: " +
				"{Effect: Allow, Principal: '*', Action: 'sqs:*', Resource: '*'}}}}\n" +
				"  Q: {Type: AWS::SQS::QueuePolicy, Properties: {Queues: [!Ref Queue], PolicyDocument: {Statement: {Effect: " +
				"Allow, Principal: '*', Action: 'sqs:*', Resource: '*'}}}}\n", template.Options{},
			[]string{"4:Q: Properties.Queues: the queue local-Queue has another policy"}},
		{"a policy for no queue",
			"Resources:\n  P: {Type: AWS::SQS::QueuePolicy, Properties: {Queues: [x], PolicyDocument: {Statement: {Effect: " +
				"Allow, Principal: '*', Action: 'sqs:*', Resource: '*'}}}}\n", template.Options{},
			[]string{"2:P: Properties.Queues: x is not the URL of a queue"}},

		// tables
		{"a definition of no key",
			table("AttributeDefinitions: [{AttributeName: id, AttributeType: S}, {AttributeName: age, AttributeType: N}]",
				"BillingMode: PAY_PER_REQUEST"), template.Options{},
			[]string{"5:T: Properties.AttributeDefinitions: age is not a key of the table or of an index"}},
		{"a key without definition", table("AttributeDefinitions: []", "BillingMode: PAY_PER_REQUEST"), template.Options{},
			[]string{"4:T: Properties.KeySchema[0].AttributeName: id is not in AttributeDefinitions"}},
		{"units on demand", table(defined, "BillingMode: PAY_PER_REQUEST",
			"ProvisionedThroughput: {ReadCapacityUnits: 1, WriteCapacityUnits: 1}"), template.Options{},
			[]string{"7:T: Properties.ProvisionedThroughput: cannot be given with BillingMode PAY_PER_REQUEST"}},
		{"no units", table(defined), template.Options{}, []string{"2:T: Properties: ProvisionedThroughput is required"}},
		{"a local index of another key",
			table(defined, "BillingMode: PAY_PER_REQUEST",
				"LocalSecondaryIndexes: [{IndexName: i, Projection: {ProjectionType: ALL}, KeySchema: [{AttributeName: age, "+
					"KeyType: HASH}]}]"), template.Options{},
			[]string{"7:T: Properties.LocalSecondaryIndexes[0].KeySchema: a local index must have the table's partition key, id",
				"7:T: Properties.LocalSecondaryIndexes[0].KeySchema[0].AttributeName: age is not in AttributeDefinitions"}},
		{"an unknown property far inside",
			table(defined, "BillingMode: PAY_PER_REQUEST", "TimeToLiveSpecification: {Attribute: x, Enabled: false}"),
			template.Options{},
			[]string{"7:T: Properties.TimeToLiveSpecification.Attribute: unknown property"}},
		{"a stream's ARN", table(defined, "BillingMode: PAY_PER_REQUEST") + "Outputs:\n  O: {Value: !GetAtt T.StreamArn}\n",
			template.Options{},
			[]string{"8:Outputs.O: Value: the attribute StreamArn of T is not emulated: tables have no streams here"}},

		// functions of Lambda
		{"SAM without its transform", strings.TrimPrefix(function(""), "Transform: AWS::Serverless-2016-10-31\n"),
			template.Options{},
			[]string{"2:Fn: Properties: a resource of type AWS::Serverless::Function needs Transform"}},
		{"another runtime", strings.Replace(function(""), "provided.al2023", "nodejs22.x", 1), template.Options{},
			[]string{`6:Fn: Properties.Runtime: runtime "nodejs22.x" is not emulated: only provided.al2023 and `}},
		{"code in S3", strings.Replace(function(""), "fn\n", "s3://bucket/key\n", 1), template.Options{},
			[]string{"8:Fn: Properties.Code: s3://bucket/key is not a local folder"}},
		{"a refused property", function("      VpcConfig: {}\n"), template.Options{},
			[]string{"9:Fn: Properties.VpcConfig: is not emulated: functions run on this machine's loopback"}},
		{"asynchronous invocations", function("      EventInvokeConfig: {}\n"), template.Options{},
			[]string{"9:Fn: Properties.EventInvokeConfig: is not emulated"}},
		{"another event", function("      Events: {E: {Type: Schedule, Properties: {}}}\n"), template.Options{},
			[]string{`9:Fn: Properties.Events.E.Type: events of type "Schedule" are not emulated`}},
		{"too long a timeout", function("      Timeout: 901\n"), template.Options{},
			[]string{"9:Fn: Properties.Timeout: 901 is not between 1 and 900"}},
		{"a reserved variable", function("      Environment: {Variables: {AWS_REGION: here}}\n"), template.Options{},
			[]string{"9:Fn: Properties.Environment.Variables.AWS_REGION: Lambda reserves"}},
		{"too many variables", function("      Environment: {Variables: {LONG: " + strings.Repeat("x", 4093) + "}}\n"),
			template.Options{}, []string{"9:Fn: Properties.Environment.Variables: the variables have 4097 bytes"}},
		{"an unknown policy template", function("      Policies: [{MagicPolicy: {}}]\n"), template.Options{},
			[]string{"9:Fn: Properties.Policies[0]: the policy template MagicPolicy is not known here"}},
		{"a policy template without a parameter", function("      Policies: [{SQSPollerPolicy: {}}]\n"), template.Options{},
			[]string{"9:Fn: Properties.Policies[0].SQSPollerPolicy: QueueName is required"}},
		{"an unknown managed policy", function("      Policies: [MagicAccess]\n"), template.Options{},
			[]string{"3:FnRole: Properties.ManagedPolicyArns[1]: the managed policy MagicAccess is neither"}},
		{"a condition that cannot be evaluated",
			function("      Policies:\n        Statement: {Effect: Allow, Action: 'sqs:*', Resource: '*', Condition: " +
				"{DateLessThan: {'aws:CurrentTime': x}}}\n"), template.Options{},
			[]string{"10:FnRole: Properties.Policies[0].PolicyDocument: policy document: statement 1: Condition DateLessThan " +
				"of aws:CurrentTime"}},
		{"a role from elsewhere", function("      Role: arn:aws:iam::000000000000:role/x\n"), template.Options{},
			[]string{"9:Fn: Properties.Role: the role arn:aws:iam::000000000000:role/x is not in the template"}},
		{"a role that Lambda may not assume",
			function("      Role: !GetAtt R.Arn\n  R:\n    Type: AWS::IAM::Role\n    Properties:\n      " +
				"AssumeRolePolicyDocument: {Statement: {Effect: Allow, Principal: {Service: ec2.amazonaws.com}, Action: " +
				"'sts:AssumeRole'}}\n"),
			template.Options{},
			[]string{"9:Fn: Properties.Role: The role defined for the function cannot be assumed by Lambda"}},
		{"a generated resource exists", function("  FnRole: {Type: AWS::SQS::Queue}\n"), template.Options{}, []string{
			"3:Fn: SAM generates a resource FnRole, but the template has another of that name",
			"3:Fn: Properties.Role: the role arn:aws:sqs:us-east-1:000000000000:local-FnRole is not in the template",
		}},
		{"unknown Globals", "Globals: {Function: {Role: x}, Queue: {}}\n" + function(""), template.Options{},
			[]string{"1:Globals: Function.Role: SAM does not take", "1:Globals: Queue: SAM has no Globals for Queue"}},
		{"an unknown global is ignored",
			"Globals: {Function: {Timeout: 5}}\n" + function("    IgnoreGlobals: [MemorySize]\n"), template.Options{},
			[]string{"10:Fn: IgnoreGlobals: MemorySize is not in Globals"}},

		// event source mappings
		{"a source other than a queue",
			function("      Events: {E: {Type: SQS, Properties: {Queue: arn:aws:sqs:us-east-1:000000000000:other}}}\n"),
			template.Options{},
			[]string{"9:FnE: Properties.EventSourceArn: arn:aws:sqs:us-east-1:000000000000:other is not the ARN of a queue"}},
		{"visibility below the timeout",
			function("      Timeout: 31\n      Events: {E: {Type: SQS, Properties: {Queue: !GetAtt Q.Arn}}}\n" + queueQ),
			template.Options{},
			[]string{"10:FnE: Properties.EventSourceArn: Queue visibility timeout: 30 seconds is less than Function timeout: " +
				"31 seconds"}},
		{"a large batch without a window",
			function("      Events: {E: {Type: SQS, Properties: {Queue: !GetAtt Q.Arn, BatchSize: 11}}}\n" + queueQ),
			template.Options{},
			[]string{"9:FnE: Properties.BatchSize: more than 10 messages need MaximumBatchingWindowInSeconds"}},
		{"filters", function("      Events: {E: {Type: SQS, Properties: {Queue: !GetAtt Q.Arn, FilterCriteria: {}}}}\n" +
			queueQ), template.Options{},
			[]string{"9:FnE: Properties.FilterCriteria: is not emulated"}},
		{"a role that may not poll", function(`      Role: !GetAtt R.Arn
      Events: {E: {Type: SQS, Properties: {Queue: !GetAtt Q.Arn}}}
  Q: {Type: AWS::SQS::Queue}
  R:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument: {Statement: {Effect: Allow, Principal: {Service: lambda.amazonaws.com},
          Action: 'sts:AssumeRole'}}
      Policies: [{PolicyName: p, PolicyDocument: {Statement: {Effect: Allow, Action: 'sqs:ReceiveMessage',
          Resource: '*'}}}]
`), template.Options{}, []string{
			"10:FnE: Properties.EventSourceArn: The provided execution role does not have permissions to call DeleteMessage " +
				"on SQS: User: arn:aws:sts::000000000000:assumed-role/local-R/local-Fn is not authorized to perform: " +
				"sqs:DeleteMessage on resource: arn:aws:sqs:us-east-1:000000000000:local-Q because no identity-based policy " +
				"allows",
			"10:FnE: Properties.EventSourceArn: The provided execution role does not have permissions to call " +
				"GetQueueAttributes on SQS",
		}},
	} {
		t.Run(test.name, func(t *testing.T) { expectProblems(t, test.template, test.options, test.want) })
	}
}

// expectProblems checks that a template has exactly these problems, given by their beginnings, in this order.
func expectProblems(t *testing.T, source string, options template.Options, want []string) {
	t.Helper()
	got := problemsOf(t, source, options)
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(want):
			t.Errorf("got also %q", got[i])
		case i >= len(got):
			t.Errorf("got nothing, want %q", want[i])
		case !strings.HasPrefix(got[i], want[i]):
			t.Errorf("got  %q\nwant %q", got[i], want[i])
		}
	}
}

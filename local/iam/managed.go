package iam

import (
	"maps"
	"slices"
	"strings"
)

// managedPolicies are the supported managed policies of AWS, by the path after ":policy/". Wide ones have only the
// statements about emulated services.
// https://docs.aws.amazon.com/aws-managed-policy/latest/reference/policy-list.html
var managedPolicies = map[string][]Statement{
	"AdministratorAccess": {allow("*", "*")},
	"AmazonAPIGatewayInvokeFullAccess": {allow("arn:aws:execute-api:*:*:*", "execute-api:Invoke",
		"execute-api:ManageConnections")},
	"AmazonDynamoDBFullAccess":     {allow("*", "dynamodb:*")},
	"AmazonDynamoDBFullAccess_v2":  {allow("*", "dynamodb:*")},
	"AmazonDynamoDBReadOnlyAccess": {allow("*", dynamoDBReads...)},
	"AmazonSQSFullAccess":          {allow("*", "sqs:*")},
	"AmazonSQSReadOnlyAccess":      {allow("*", sqsReads...)},
	"AWSLambdaExecute": {
		allow("arn:aws:logs:*:*:*", "logs:*"), allow("arn:aws:s3:::*", "s3:GetObject", "s3:PutObject"),
	},
	"AWSXRayDaemonWriteAccess": {allow("*", xrayWrites...)},
	"AWSXrayWriteOnlyAccess":   {allow("*", xrayWrites...)},
	"CloudWatchLambdaInsightsExecutionRolePolicy": {
		allow("*", "logs:CreateLogGroup"),
		allow("arn:aws:logs:*:*:log-group:/aws/lambda-insights:*", "logs:CreateLogStream", "logs:PutLogEvents"),
	},
	"CloudWatchLogsFullAccess":                          {allow("*", "logs:*")},
	"service-role/AmazonAPIGatewayPushToCloudWatchLogs": {allow("*", "logs:*")},
	"service-role/AWSLambdaBasicExecutionRole":          {allow("*", logWrites...)},
	"service-role/AWSLambdaDynamoDBExecutionRole":       {allow("*", append(streamReads, logWrites...)...)},
	"service-role/AWSLambdaRole":                        {allow("*", "lambda:InvokeFunction")},
	"service-role/AWSLambdaSQSQueueExecutionRole":       {allow("*", append(queuePolls, logWrites...)...)},
	"service-role/AWSLambdaVPCAccessExecutionRole":      {allow("*", logWrites...)},
}

var (
	logWrites   = []string{"logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"}
	queuePolls  = []string{"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
	streamReads = []string{"dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator",
		"dynamodb:ListStreams"}
	dynamoDBReads = []string{
		"dynamodb:BatchGetItem", "dynamodb:Describe*", "dynamodb:List*", "dynamodb:GetItem",
		"dynamodb:GetResourcePolicy", "dynamodb:Query", "dynamodb:Scan", "dynamodb:PartiQLSelect",
	}
	sqsReads = []string{"sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:ListDeadLetterSourceQueues", "sqs:ListQueues",
		"sqs:ListMessageMoveTasks", "sqs:ListQueueTags"}
	xrayWrites = []string{"xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules",
		"xray:GetSamplingTargets", "xray:GetSamplingStatisticSummaries"}
)

// allow returns a statement that allows actions on a resource.
func allow(resource string, actions ...string) Statement {
	return Statement{Actions: slices.Clone(actions), Resources: []string{resource}}
}

// Managed returns a managed policy of AWS by its ARN, "arn:aws:iam::aws:policy/...", and reports whether it is
// supported.
func Managed(arn string) (Document, bool) {
	name, ok := strings.CutPrefix(arn, managedPrefix)
	if !ok {
		return Document{}, false
	}
	statements, ok := managedPolicies[name]
	return Document{Version: "2012-10-17", Statements: slices.Clone(statements)}, ok
}

// ManagedARN returns the ARN of a managed policy of AWS by its name without path, like "AWSLambdaRole", as SAM accepts
// it. It reports whether the policy is supported.
func ManagedARN(name string) (string, bool) {
	for path := range managedPolicies {
		if path[strings.LastIndexByte(path, '/')+1:] == name {
			return managedPrefix + path, true
		}
	}
	return "", false
}

// ManagedNames returns the names of the supported managed policies, sorted.
func ManagedNames() []string { return slices.Sorted(maps.Keys(managedPolicies)) }

const managedPrefix = "arn:aws:iam::aws:policy/"

package template

import (
	"maps"
	"slices"
	"strings"
)

// policyStatement is one statement of a SAM policy template. Resources are ARNs without "arn:${AWS::Partition}:" in
// which <Name> stands for a parameter of the template; one that consists of a parameter alone is a whole ARN.
type policyStatement struct {
	actions   []string
	resources []string
}

// policyTemplates are SAM's policy templates for what functions of such a system use; the rest are refused by name.
// https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/serverless-policy-template-list.html
var policyTemplates = map[string][]policyStatement{
	"AWSSecretsManagerGetSecretValuePolicy": {{[]string{"secretsmanager:GetSecretValue"}, []string{"<SecretArn>"}}},
	"CloudWatchPutMetricPolicy":             {{[]string{"cloudwatch:PutMetricData"}, []string{"*"}}},
	"DynamoDBCrudPolicy": {{[]string{"dynamodb:GetItem", "dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:Scan",
		"dynamodb:Query",
		"dynamodb:UpdateItem", "dynamodb:BatchWriteItem", "dynamodb:BatchGetItem", "dynamodb:DescribeTable",
		"dynamodb:ConditionCheckItem"}, tableAndIndexes}},
	"DynamoDBReadPolicy": {{[]string{"dynamodb:GetItem", "dynamodb:Scan", "dynamodb:Query", "dynamodb:BatchGetItem",
		"dynamodb:DescribeTable"}, tableAndIndexes}},
	"DynamoDBReconfigurePolicy": {{[]string{"dynamodb:UpdateTable"}, tableAndIndexes[:1]}},
	"DynamoDBWritePolicy":       {{[]string{"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:BatchWriteItem"}, tableAndIndexes}},
	"EventBridgePutEventsPolicy": {{[]string{"events:PutEvents"},
		[]string{"events:${AWS::Region}:${AWS::AccountId}:event-bus/<EventBusName>"}}},
	"KMSDecryptPolicy": {{[]string{"kms:Decrypt"}, kmsKey}},
	"KMSEncryptPolicy": {{[]string{"kms:Encrypt"}, kmsKey}},
	"LambdaInvokePolicy": {{[]string{"lambda:InvokeFunction"},
		[]string{"lambda:${AWS::Region}:${AWS::AccountId}:function:<FunctionName>*"}}},
	"SNSPublishMessagePolicy": {{[]string{"sns:Publish"}, []string{"sns:${AWS::Region}:${AWS::AccountId}:<TopicName>"}}},
	"SQSPollerPolicy": {{[]string{"sqs:ChangeMessageVisibility", "sqs:ChangeMessageVisibilityBatch", "sqs:DeleteMessage",
		"sqs:DeleteMessageBatch", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"}, sqsQueue}},
	"SQSSendMessagePolicy": {{[]string{"sqs:SendMessage*"}, sqsQueue}},
	"SSMParameterReadPolicy": {
		{[]string{"ssm:DescribeParameters"}, []string{"*"}},
		{[]string{"ssm:GetParameters", "ssm:GetParameter", "ssm:GetParametersByPath"},
			[]string{"ssm:${AWS::Region}:${AWS::AccountId}:parameter/<ParameterName>"}},
	},
	"S3ReadPolicy": {{[]string{"s3:GetObject", "s3:ListBucket", "s3:GetBucketLocation", "s3:GetObjectVersion",
		"s3:GetLifecycleConfiguration"}, s3Bucket}},
	"S3WritePolicy": {{[]string{"s3:PutObject", "s3:PutObjectAcl", "s3:PutLifecycleConfiguration"}, s3Bucket}},
}

var (
	tableAndIndexes = []string{
		"dynamodb:${AWS::Region}:${AWS::AccountId}:table/<TableName>",
		"dynamodb:${AWS::Region}:${AWS::AccountId}:table/<TableName>/index/*",
	}
	kmsKey   = []string{"kms:${AWS::Region}:${AWS::AccountId}:key/<KeyId>"}
	sqsQueue = []string{"sqs:${AWS::Region}:${AWS::AccountId}:<QueueName>"}
	s3Bucket = []string{"s3:::<BucketName>", "s3:::<BucketName>/*"}
)

// policyTemplate expands {Name: {Parameter: value}} into a policy document, or returns nil with the problem reported.
func policyTemplate(report *report, entry *value, at where) *value {
	name := entry.fields[0].key
	statements, ok := policyTemplates[name]
	if !ok {
		report.problem(entry, at, "the policy template %s is not known here (known are %s)", name,
			strings.Join(slices.Sorted(maps.Keys(policyTemplates)), ", "))
		return nil
	}
	p := report.properties(entry.fields[0].value, at.field(name))
	parameters := schema{}
	document := make([]*value, len(statements))
	for i, statement := range statements {
		resources := make([]*value, len(statement.resources))
		for j, resource := range statement.resources {
			resources[j] = entry.newText(resource)
			if before, rest, found := strings.Cut(resource, "<"); found {
				parameter, after, _ := strings.Cut(rest, ">")
				parameters[parameter] = known
				p.require(parameter)
				given := p.value(parameter)
				if given == nil {
					return nil
				}
				if resource != "<"+parameter+">" {
					given = entry.newSub("arn:${AWS::Partition}:"+before+"${"+parameter+"}"+after, field{parameter, given})
				}
				resources[j] = given
			}
		}
		actions := make([]*value, len(statement.actions))
		for j, action := range statement.actions {
			actions[j] = entry.newText(action)
		}
		document[i] = entry.newObject(
			field{"Effect", entry.newText("Allow")}, field{"Action", single(actions)}, field{"Resource", single(resources)})
	}
	p.check(parameters)
	return entry.newObject(field{"Statement", entry.newList(document...)})
}

// single returns a list of one as its item, which policies take for the same.
func single(items []*value) *value {
	if len(items) == 1 {
		return items[0]
	}
	return items[0].newList(items...)
}

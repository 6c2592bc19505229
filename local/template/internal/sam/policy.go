package sam

import (
	"maps"
	"slices"
	"strings"

	"fanfare/local/template/internal/tree"
)

// policyStatement is a statement of a SAM policy template. Resources are ARNs without "arn:${AWS::Partition}:". <Name>
// is a parameter of the policy template. A resource that is only a parameter is a whole ARN.
type policyStatement struct {
	actions   []string
	resources []string
}

// policyTemplates are the supported policy templates of SAM.
// https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/serverless-policy-template-list.html
var policyTemplates = map[string][]policyStatement{
	"AWSSecretsManagerGetSecretValuePolicy": {{[]string{"secretsmanager:GetSecretValue"}, []string{"<SecretArn>"}}},
	"CloudWatchPutMetricPolicy":             {{[]string{"cloudwatch:PutMetricData"}, []string{"*"}}},
	"DynamoDBCrudPolicy": {{[]string{"dynamodb:GetItem", "dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:Scan",
		"dynamodb:Query", "dynamodb:UpdateItem", "dynamodb:BatchWriteItem", "dynamodb:BatchGetItem",
		"dynamodb:DescribeTable", "dynamodb:ConditionCheckItem"}, tableAndIndexes}},
	"DynamoDBReadPolicy": {{[]string{"dynamodb:GetItem", "dynamodb:Scan", "dynamodb:Query", "dynamodb:BatchGetItem",
		"dynamodb:DescribeTable"}, tableAndIndexes}},
	"DynamoDBReconfigurePolicy": {{[]string{"dynamodb:UpdateTable"}, tableAndIndexes[:1]}},
	"DynamoDBWritePolicy": {{[]string{"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:BatchWriteItem"},
		tableAndIndexes}},
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

// policyTemplate expands {Name: {Parameter: value}} into a policy document. It reports an unknown template or a missing
// parameter and returns nil.
func policyTemplate(report *tree.Report, entry *tree.Value, at tree.Place) *tree.Value {
	name := entry.Fields[0].Key
	statements, ok := policyTemplates[name]
	if !ok {
		report.Problem(entry, at, "the policy template %s is not known here (known are %s)", name,
			strings.Join(slices.Sorted(maps.Keys(policyTemplates)), ", "))
		return nil
	}
	p := report.Reader(entry.Fields[0].Value, at.Field(name))
	parameters := tree.Schema{}
	document := make([]*tree.Value, len(statements))
	for i, statement := range statements {
		resources := make([]*tree.Value, len(statement.resources))
		for j, resource := range statement.resources {
			resources[j] = entry.NewText(resource)
			if before, rest, found := strings.Cut(resource, "<"); found {
				parameter, after, _ := strings.Cut(rest, ">")
				parameters[parameter] = tree.Accepted
				p.Require(parameter)
				given := p.Value(parameter)
				if given == nil {
					return nil
				}
				if resource != "<"+parameter+">" {
					given = entry.NewSub("arn:${AWS::Partition}:"+before+"${"+parameter+"}"+after, tree.Entry(parameter, given))
				}
				resources[j] = given
			}
		}
		actions := make([]*tree.Value, len(statement.actions))
		for j, action := range statement.actions {
			actions[j] = entry.NewText(action)
		}
		document[i] = entry.NewObject(
			tree.Entry("Effect", entry.NewText("Allow")), tree.Entry("Action", single(actions)),
			tree.Entry("Resource", single(resources)))
	}
	p.Check(parameters)
	return entry.NewObject(tree.Entry("Statement", entry.NewList(document...)))
}

// single returns the item of a list of one item, and other lists as they are, because SAM writes policies so.
func single(items []*tree.Value) *tree.Value {
	if len(items) == 1 {
		return items[0]
	}
	return items[0].NewList(items...)
}

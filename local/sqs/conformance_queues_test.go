package sqs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"fanfare/local/awsapi"
)

func TestConform_DeadLetters(t *testing.T) {
	a := open(t)
	dead := a.create()
	arn := a.attribute(dead, "QueueArn")
	url := a.create("VisibilityTimeout=0", fmt.Sprintf(`RedrivePolicy={"deadLetterTargetArn":%q,"maxReceiveCount":"2"}`,
		arn))
	_, err := a.client.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("x"),
		MessageAttributes: map[string]types.MessageAttributeValue{"k": text("v")}})
	if err != nil {
		t.Fatal(err)
	}
	first := a.one(url, 0)
	a.one(url, 0)
	a.none(url)
	m := a.one(dead, 2)
	if *m.MessageId != *first.MessageId || *m.MessageAttributes["k"].StringValue != "v" {
		t.Errorf("dead letter: got %s %v", *m.MessageId, m.MessageAttributes)
	}
	if m.Attributes["SentTimestamp"] != first.Attributes["SentTimestamp"] {
		t.Errorf("SentTimestamp: sent %s, got %s in the dead-letter queue", first.Attributes["SentTimestamp"],
			m.Attributes["SentTimestamp"])
	}
	if m.Attributes["ApproximateReceiveCount"] != "3" || m.Attributes["DeadLetterQueueSourceArn"] != a.attribute(url,
		"QueueArn") {
		t.Errorf("attributes of the dead letter: got %v", m.Attributes)
	}
	sources, err := a.client.ListDeadLetterSourceQueues(t.Context(), &sqs.ListDeadLetterSourceQueuesInput{QueueUrl: &dead})
	if err != nil || len(sources.QueueUrls) != 1 || sources.QueueUrls[0] != url {
		t.Errorf("source queues: got %v, %v", sources, err)
	}
}

func TestConform_CreateQueue(t *testing.T) {
	a := open(t)
	url := a.create("DelaySeconds=1", "VisibilityTimeout=20")
	name := url[strings.LastIndex(url, "/")+1:]
	create := func(name string, attributes map[string]string) (string, error) {
		out, err := a.client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes})
		if err != nil {
			return "", err
		}
		return *out.QueueUrl, nil
	}
	for _, same := range []map[string]string{nil, {"DelaySeconds": "1"},
		{"DelaySeconds": "1", "VisibilityTimeout": "20"}} {
		if again, err := create(name, same); again != url || err != nil {
			t.Errorf("create again with %v: got %s, %v", same, again, err)
		}
	}
	_, err := create(name, map[string]string{"DelaySeconds": "2"})
	a.refused(err, "QueueAlreadyExists", "A queue already exists with the same name and a different value for "+
		"attribute DelaySeconds")
	if _, ok := errors.AsType[*types.QueueNameExists](err); !ok {
		t.Errorf("got %T, want QueueNameExists", err)
	}
	for attribute, value := range map[string]string{"VisibilityTimeout": "43201", "DelaySeconds": "-1",
		"MaximumMessageSize": "1023", "MessageRetentionPeriod": "59", "ReceiveMessageWaitTimeSeconds": "x"} {
		_, err := create("t-"+awsapi.NewUUID(), map[string]string{attribute: value})
		a.refused(err, "InvalidAttributeValue", "Invalid value for the parameter "+attribute)
	}
	_, err = create("t-"+awsapi.NewUUID(), map[string]string{"Colour": "red"})
	a.refused(err, "InvalidAttributeName", "Unknown Attribute Colour.")
	_, err = create("no spaces", nil)
	a.refused(err, "InvalidParameterValue", "Can only include alphanumeric characters, hyphens, or underscores. 1 to "+
		"80 in length")
	_, err = create("t-"+awsapi.NewUUID(), map[string]string{"RedrivePolicy": `{"deadLetterTargetArn":"dummy",` +
		`"maxReceiveCount":42}`})
	a.refused(err, "InvalidParameterValue", "Invalid value for deadLetterTargetArn.")
	arn := a.attribute(url, "QueueArn")
	for _, count := range []string{"0", "1001"} {
		_, err = create("t-"+awsapi.NewUUID(), map[string]string{"RedrivePolicy": fmt.Sprintf(`{"deadLetterTargetArn":%q,`+
			`"maxReceiveCount":%s}`, arn, count)})
		a.refused(err, "InvalidParameterValue", "")
	}
}

func TestConform_QueueAttributes(t *testing.T) {
	a := open(t)
	url := a.create()
	out, err := a.client.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: &url,
		AttributeNames: []types.QueueAttributeName{"All"}})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"DelaySeconds": "0", "MaximumMessageSize": "1048576", "MessageRetentionPeriod": "345600",
		"ReceiveMessageWaitTimeSeconds": "0", "VisibilityTimeout": "30", "SqsManagedSseEnabled": "true",
		"ApproximateNumberOfMessages": "0", "ApproximateNumberOfMessagesNotVisible": "0",
		"ApproximateNumberOfMessagesDelayed": "0"}
	got := maps.Clone(out.Attributes)
	for _, name := range []string{"QueueArn", "CreatedTimestamp", "LastModifiedTimestamp"} {
		if got[name] == "" {
			t.Errorf("%s: got none, want a value", name)
		}
		delete(got, name)
	}
	if !maps.Equal(got, want) {
		t.Errorf("attributes of a new queue: got %v, want %v", got, want)
	}
	set := func(attributes map[string]string) error {
		_, err := a.client.SetQueueAttributes(t.Context(), &sqs.SetQueueAttributesInput{QueueUrl: &url,
			Attributes: attributes})
		return err
	}
	if err := set(map[string]string{"VisibilityTimeout": "69", "DelaySeconds": "420",
		"Policy": `{ "Version":"2012-10-17" }`}); err != nil {
		t.Error(err)
	}
	if a.attribute(url, "VisibilityTimeout") != "69" || a.attribute(url, "DelaySeconds") != "420" ||
		a.attribute(url, "Policy") == "" {
		t.Error("got other attributes than were set")
	}
	if err := set(map[string]string{"Policy": ""}); err != nil || a.attribute(url, "Policy") != "" {
		t.Errorf("remove the policy: got %v, want no policy", err)
	}
	a.refused(set(map[string]string{"FifoQueue": "true"}), "InvalidAttributeName", "Unknown Attribute FifoQueue.")
	if err := set(map[string]string{"KmsMasterKeyId": "testKeyId", "KmsDataKeyReusePeriodSeconds": "6000"}); err != nil {
		t.Error(err)
	}
	if a.attribute(url, "SqsManagedSseEnabled") != "false" || a.attribute(url, "KmsDataKeyReusePeriodSeconds") != "6000" {
		t.Error("encryption with a KMS key: got SQS's own, want the key")
	}
	a.refused(set(map[string]string{"SqsManagedSseEnabled": "true"}), "InvalidAttributeName",
		"You can use one type of server-side encryption")
	_, err = a.client.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: &url,
		AttributeNames: []types.QueueAttributeName{"Nonsense"}})
	a.refused(err, "InvalidAttributeName", "Nonsense")
}

func TestConform_Counts(t *testing.T) {
	a := open(t)
	url := a.create("VisibilityTimeout=60")
	for range 6 {
		a.send(url, "x")
	}
	a.one(url, 0, func(in *sqs.ReceiveMessageInput) { in.MaxNumberOfMessages = 1 })
	for name, want := range map[string]string{"ApproximateNumberOfMessages": "5",
		"ApproximateNumberOfMessagesNotVisible": "1", "ApproximateNumberOfMessagesDelayed": "0"} {
		if got := a.attribute(url, name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	if _, err := a.client.PurgeQueue(t.Context(), &sqs.PurgeQueueInput{QueueUrl: &url}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"} {
		if got := a.attribute(url, name); got != "0" {
			t.Errorf("%s after the purge: got %s, want 0", name, got)
		}
	}
	_, err := a.client.PurgeQueue(t.Context(), &sqs.PurgeQueueInput{QueueUrl: &url})
	a.refused(err, "AWS.SimpleQueueService.PurgeQueueInProgress", "every 60 seconds")
}

func TestConform_NoSuchQueue(t *testing.T) {
	a := open(t)
	url := a.create()
	if _, err := a.client.DeleteQueue(t.Context(), &sqs.DeleteQueueInput{QueueUrl: &url}); err != nil {
		t.Fatal(err)
	}
	err := a.sendError(url, "x")
	a.refused(err, "AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist.")
	if _, ok := errors.AsType[*types.QueueDoesNotExist](err); !ok {
		t.Errorf("got %T, want QueueDoesNotExist", err)
	}
	name := url[strings.LastIndex(url, "/")+1:]
	_, err = a.client.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: &name})
	a.refused(err, "AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist.")
	_, err = a.client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &name})
	a.refused(err, "AWS.SimpleQueueService.QueueDeletedRecently", "60 seconds")
}

func TestConform_ListQueues(t *testing.T) {
	a := open(t)
	prefix := "list-" + awsapi.NewUUID()[:8]
	var want []string
	for i := range 5 {
		name := fmt.Sprintf("%s-%d", prefix, i)
		out, err := a.client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &name})
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, *out.QueueUrl)
		t.Cleanup(func() { a.client.DeleteQueue(context.Background(), &sqs.DeleteQueueInput{QueueUrl: out.QueueUrl}) })
	}
	var got []string
	pages := sqs.NewListQueuesPaginator(a.client, &sqs.ListQueuesInput{QueueNamePrefix: &prefix, MaxResults: aws.Int32(2)})
	count := 0
	for ; pages.HasMorePages(); count++ {
		out, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, out.QueueUrls...)
	}
	if !slices.Equal(got, want) || count != 3 {
		t.Errorf("got %v in %d pages, want %v in 3", got, count, want)
	}
}

package sqs

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

func TestConform_SendReceiveDelete(t *testing.T) {
	a := open(t)
	url := a.create()
	id := a.send(url, "héllo\n\U0001F600")
	m := a.one(url, 0)
	if *m.MessageId != id || *m.Body != "héllo\n\U0001F600" || len(id) != 36 {
		t.Errorf("got message %s %q, want %s with the body sent", *m.MessageId, *m.Body, id)
	}
	for _, name := range []string{"SenderId", "SentTimestamp", "ApproximateReceiveCount",
		"ApproximateFirstReceiveTimestamp"} {
		if m.Attributes[name] == "" {
			t.Errorf("%s: got none, want a value", name)
		}
	}
	if m.Attributes["ApproximateReceiveCount"] != "1" {
		t.Errorf("receive count: got %s, want 1", m.Attributes["ApproximateReceiveCount"])
	}
	a.none(url)
	a.delete(url, m)
	a.delete(url, m) // a second deletion is no error
	if n := a.attribute(url, "ApproximateNumberOfMessagesNotVisible"); n != "0" {
		t.Errorf("in flight: got %s, want 0", n)
	}
}

func TestConform_Batch(t *testing.T) {
	a := open(t)
	url := a.create()
	var in sqs.SendMessageBatchInput
	in.QueueUrl = &url
	for i := range 10 {
		in.Entries = append(in.Entries, types.SendMessageBatchRequestEntry{Id: aws.String(fmt.Sprint(i)),
			MessageBody: aws.String(fmt.Sprint("body ", i))})
	}
	in.Entries[3].MessageBody = aws.String("bad \x01")
	in.Entries[5].DelaySeconds = 901
	out, err := a.client.SendMessageBatch(t.Context(), &in)
	if err != nil {
		t.Fatal(err)
	}
	failed := map[string]string{}
	for _, f := range out.Failed {
		failed[*f.Id] = *f.Code
		if !f.SenderFault {
			t.Errorf("entry %s: got SenderFault false, want true", *f.Id)
		}
	}
	if want := map[string]string{"3": "InvalidMessageContents", "5": "InvalidParameterValue"}; !maps.Equal(failed, want) {
		t.Errorf("failed entries: got %v, want %v", failed, want)
	}
	messages := a.receive(url, 1)
	if len(messages) != 8 || len(out.Successful) != 8 {
		t.Fatalf("got %d accepted, %d received, want 8", len(out.Successful), len(messages))
	}
	var deletion sqs.DeleteMessageBatchInput
	deletion.QueueUrl = &url
	for i, m := range messages {
		deletion.Entries = append(deletion.Entries, types.DeleteMessageBatchRequestEntry{Id: aws.String(fmt.Sprint(i)),
			ReceiptHandle: m.ReceiptHandle})
	}
	deletion.Entries[0].ReceiptHandle = aws.String("nonsense")
	deleted, err := a.client.DeleteMessageBatch(t.Context(), &deletion)
	if err != nil {
		t.Fatal(err)
	}
	if len(deleted.Successful) != 7 || len(deleted.Failed) != 1 || *deleted.Failed[0].Code != "ReceiptHandleIsInvalid" {
		t.Errorf("got %d deleted, failed %+v, want 7 and ReceiptHandleIsInvalid", len(deleted.Successful), deleted.Failed)
	}
}

func TestConform_BatchRefused(t *testing.T) {
	a := open(t)
	url := a.create()
	entry := func(id, body string) types.SendMessageBatchRequestEntry {
		return types.SendMessageBatchRequestEntry{Id: &id, MessageBody: &body}
	}
	eleven := make([]types.SendMessageBatchRequestEntry, 11)
	for i := range eleven {
		eleven[i] = entry(fmt.Sprint(i), "x")
	}
	half := strings.Repeat("x", MaxMessageBytes/2)
	for name, c := range map[string]struct {
		entries    []types.SendMessageBatchRequestEntry
		code, part string
	}{
		"empty":  {[]types.SendMessageBatchRequestEntry{}, "AWS.SimpleQueueService.EmptyBatchRequest", ""},
		"eleven": {eleven, "AWS.SimpleQueueService.TooManyEntriesInBatchRequest", "You have sent 11."},
		"same id": {[]types.SendMessageBatchRequestEntry{entry("a", "x"), entry("a", "y")},
			"AWS.SimpleQueueService.BatchEntryIdsNotDistinct", ""},
		"wrong id": {[]types.SendMessageBatchRequestEntry{entry("a:b", "x")}, "AWS.SimpleQueueService.InvalidBatchEntryId",
			"at most 80 letters"},
		"long id": {[]types.SendMessageBatchRequestEntry{entry(strings.Repeat("a", 81), "x")},
			"AWS.SimpleQueueService.InvalidBatchEntryId", ""},
		"too large": {[]types.SendMessageBatchRequestEntry{entry("a", half), entry("b", half+"x")},
			"AWS.SimpleQueueService.BatchRequestTooLong", "You have sent 1048577 bytes."},
	} {
		t.Run(name, func(t *testing.T) {
			a.T = t
			_, err := a.client.SendMessageBatch(t.Context(), &sqs.SendMessageBatchInput{QueueUrl: &url, Entries: c.entries})
			a.refused(err, c.code, c.part)
		})
	}
	a.T = t
	a.none(url)
}

func TestConform_Size(t *testing.T) {
	a := open(t)
	url := a.create()
	whole := strings.Repeat("x", MaxMessageBytes)
	if err := a.sendError(url, whole); err != nil {
		t.Fatal(err)
	}
	if m := a.one(url, 1); *m.Body != whole {
		t.Error("body of 1 MiB: got another body, want the body sent")
	}
	a.refused(a.sendError(url, whole+"x"), "InvalidParameterValue", "Message must be shorter than 1048576 bytes.")

	// The name, the type and the value of attributes count. The trace header does not.
	trace := types.MessageSystemAttributeValue{DataType: aws.String("String"),
		StringValue: aws.String("Root=1-5759e988-bd862e3fe1be46a994272793")}
	in := &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String(whole[:MaxMessageBytes-10]),
		MessageAttributes:       map[string]types.MessageAttributeValue{"ab": text("cd")},
		MessageSystemAttributes: map[string]types.MessageSystemAttributeValue{"AWSTraceHeader": trace}}
	if _, err := a.client.SendMessage(t.Context(), in); err != nil {
		t.Error(err)
	}
	in.MessageBody = aws.String(whole[:MaxMessageBytes-9])
	_, err := a.client.SendMessage(t.Context(), in)
	a.refused(err, "InvalidParameterValue", "Message must be shorter than 1048576 bytes.")

	small := a.create("MaximumMessageSize=1024")
	a.refused(a.sendError(small, whole[:1025]), "InvalidParameterValue", "Message must be shorter than 1024 bytes.")
}

func TestConform_Contents(t *testing.T) {
	a := open(t)
	url := a.create()
	for _, good := range []string{"\t\n\r ~\u007f\u0085", "\ud7ff\ue000\ufffd", "\U00010000\U0010ffff", "<>&\u2028"} {
		if err := a.sendError(url, good); err != nil {
			t.Errorf("%q: got %v, want nil", good, err)
		}
	}
	for _, bad := range []string{"\x00", "a\x08", "\x0b", "\x1f", "\ufffe", "b\uffff"} {
		a.refused(a.sendError(url, bad), "InvalidMessageContents", "")
	}
	a.refused(a.sendError(url, ""), "MissingParameter", "The request must contain the parameter MessageBody.")
}

func TestConform_MessageAttributes(t *testing.T) {
	a := open(t)
	url := a.create()
	binary := types.MessageAttributeValue{DataType: aws.String("Binary"),
		BinaryValue: []byte("traceparent\x1e00-774062d6c37081a5a0b9b5b88e30627c-2d2482211f6489da-01")}
	number := types.MessageAttributeValue{DataType: aws.String("Number.int"), StringValue: aws.String("42")}
	send := func(attributes map[string]types.MessageAttributeValue) (*sqs.SendMessageOutput, error) {
		return a.client.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("msg"),
			MessageAttributes: attributes})
	}

	// The digests were recorded from AWS.
	for md5, attributes := range map[string]map[string]types.MessageAttributeValue{
		"8cbe4db156db8a94db8b801b7addb984": {"attr1": binary},
		"4c360f3fdafd970e05fae2f149d997f5": {"General": text("Kenobi"), "Hello": text("There"), "Help.Me": text("Me")},
	} {
		out, err := send(attributes)
		if err != nil {
			t.Fatal(err)
		}
		if *out.MD5OfMessageAttributes != md5 {
			t.Errorf("MD5 of attributes: got %s, want %s", *out.MD5OfMessageAttributes, md5)
		}
	}
	for _, m := range a.receive(url, 1) {
		if v := m.MessageAttributes["attr1"]; v.BinaryValue != nil && !bytes.Equal(v.BinaryValue, binary.BinaryValue) {
			t.Errorf("binary value: got %q, want %q", v.BinaryValue, binary.BinaryValue)
		}
		a.delete(url, m)
	}

	eleven := map[string]types.MessageAttributeValue{}
	for i := range 11 {
		eleven[fmt.Sprint("n", i)] = number
	}
	ten := maps.Clone(eleven)
	delete(ten, "n0")
	if _, err := send(ten); err != nil {
		t.Error(err)
	}
	for name, c := range map[string]struct {
		attributes map[string]types.MessageAttributeValue
		part       string
	}{
		"eleven": {eleven, "Number of message attributes [11] exceeds the allowed maximum [10]."},
		"empty string": {map[string]types.MessageAttributeValue{"ErrorDetails": text("")},
			"must contain a non-empty value of type 'String'"},
		"empty type": {map[string]types.MessageAttributeValue{"a": {DataType: aws.String(""),
			StringValue: aws.String("x")}}, ""},
		"wrong type": {map[string]types.MessageAttributeValue{"a": {DataType: aws.String("Text"),
			StringValue: aws.String("x")}}, ""},
		"not a number": {map[string]types.MessageAttributeValue{"a": {DataType: aws.String("Number"),
			StringValue: aws.String("x")}}, ""},
		"reserved name": {map[string]types.MessageAttributeValue{"AWS.x": text("x")}, ""},
		"final period":  {map[string]types.MessageAttributeValue{"x.": text("x")}, ""},
		"two periods":   {map[string]types.MessageAttributeValue{"x..y": text("x")}, ""},
		"wrong name":    {map[string]types.MessageAttributeValue{"x y": text("x")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a.T = t
			_, err := a.client.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("x"),
				MessageAttributes: c.attributes})
			a.refused(err, "InvalidParameterValue", c.part)
		})
	}
}

func TestConform_AttributeSelection(t *testing.T) {
	a := open(t)
	url := a.create("VisibilityTimeout=0")
	_, err := a.client.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("msg"),
		MessageAttributes: map[string]types.MessageAttributeValue{"General": text("Kenobi"), "Hello": text("There"),
			"Help.Me": text("Me")}})
	if err != nil {
		t.Fatal(err)
	}
	// The answers of AWS, with its digests of the selected attributes.
	for _, c := range []struct {
		asked []string
		names string
		md5   string
	}{
		{nil, "", ""},
		{[]string{"All"}, "General Hello Help.Me", "4c360f3fdafd970e05fae2f149d997f5"},
		{[]string{".*"}, "General Hello Help.Me", "4c360f3fdafd970e05fae2f149d997f5"},
		{[]string{"Foo", "Help"}, "", ""},
		{[]string{"Hello", "General"}, "General Hello", "fca026605781cb4126a1e9044df24232"},
		{[]string{"Foo", "Hello"}, "Hello", "a311262e065454b75da111d535b8dacd"},
		{[]string{"Hel.*"}, "Hello Help.Me", "83fee93c1bcd8b9a5a923ffacdc636c7"},
		{[]string{"AWS."}, "", ""},
		{[]string{"..foo"}, "", ""},
	} {
		m := a.one(url, 2, func(in *sqs.ReceiveMessageInput) { in.MessageAttributeNames = c.asked })
		names := strings.Join(slices.Sorted(maps.Keys(m.MessageAttributes)), " ")
		if names != c.names || aws.ToString(m.MD5OfMessageAttributes) != c.md5 {
			t.Errorf("asked for %q: got %q with digest %s, want %q with %s", c.asked, names,
				aws.ToString(m.MD5OfMessageAttributes), c.names, c.md5)
		}
	}
	legacy := a.one(url, 2, func(in *sqs.ReceiveMessageInput) {
		//lint:ignore SA1019 older clients still send it
		in.MessageSystemAttributeNames = nil
		//nolint:staticcheck // the deprecated name must work
		in.AttributeNames = []types.QueueAttributeName{"ApproximateReceiveCount"}
	})
	if len(legacy.Attributes) != 1 || legacy.Attributes["ApproximateReceiveCount"] != "10" {
		t.Errorf("legacy AttributeNames: got %v, want only a receive count of 10", legacy.Attributes)
	}
}

func TestConform_Visibility(t *testing.T) {
	a := open(t)
	url := a.create("VisibilityTimeout=1")
	a.send(url, "x")
	first := a.one(url, 0)
	second := a.one(url, 20) // visible again after its timeout
	if *second.ReceiptHandle == *first.ReceiptHandle || second.Attributes["ApproximateReceiveCount"] != "2" {
		t.Errorf("second receive count: got %s, want 2", second.Attributes["ApproximateReceiveCount"])
	}
	change := func(m types.Message, seconds int32) error {
		_, err := a.client.ChangeMessageVisibility(t.Context(), &sqs.ChangeMessageVisibilityInput{QueueUrl: &url,
			ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: seconds})
		return err
	}
	if err := change(second, 0); err != nil {
		t.Error(err)
	}
	third := a.one(url, 0, hide(600)) // visible at once, counted once
	if third.Attributes["ApproximateReceiveCount"] != "3" {
		t.Errorf("receive count after visibility 0: got %s, want 3", third.Attributes["ApproximateReceiveCount"])
	}
	a.refused(change(third, 43_201), "InvalidParameterValue", "43201")
	a.refused(change(third, 43_200), "InvalidParameterValue", "Total VisibilityTimeout for the message is beyond the "+
		"limit [43200 seconds]")
	a.delete(url, third)
	a.refused(change(third, 1), "InvalidParameterValue", "Message does not exist or is not available for visibility "+
		"timeout change")
	a.refused(change(types.Message{ReceiptHandle: aws.String("INVALID")}, 1), "ReceiptHandleIsInvalid", "")
}

func TestConform_VisibilityBatch(t *testing.T) {
	a := open(t)
	url := a.create()
	a.send(url, "x")
	m := a.one(url, 0)
	out, err := a.client.ChangeMessageVisibilityBatch(t.Context(), &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &url,
		Entries: []types.ChangeMessageVisibilityBatchRequestEntry{
			{Id: aws.String("good"), ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: 0},
			{Id: aws.String("bad"), ReceiptHandle: aws.String("INVALID"), VisibilityTimeout: 0},
		}})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Successful) != 1 || len(out.Failed) != 1 || *out.Failed[0].Code != "ReceiptHandleIsInvalid" {
		t.Errorf("got successful %v, failed %v", out.Successful, out.Failed)
	}
	a.one(url, 0)
}

// An expired receipt handle still deletes the message, unless it was received again.
func TestConform_DeleteWithExpiredHandle(t *testing.T) {
	a := open(t)
	url := a.create("VisibilityTimeout=0")
	a.send(url, "x")
	m := a.one(url, 0)
	a.delete(url, m)
	a.none(url)
}

func TestConform_Delay(t *testing.T) {
	a := open(t)
	url := a.create("DelaySeconds=900")
	send := func(body string, delay int32) {
		_, err := a.client.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: &body,
			DelaySeconds: delay})
		if err != nil {
			t.Fatal(err)
		}
	}
	send("queue's delay", 0) // the SDK does not send a zero
	send("long", 899)
	a.none(url)
	if n := a.attribute(url, "ApproximateNumberOfMessagesDelayed"); n != "2" {
		t.Errorf("delayed messages: got %s, want 2", n)
	}
	send("short", 1)
	if m := a.one(url, 20); *m.Body != "short" {
		t.Errorf("received %q", *m.Body)
	}
}

func TestConform_LongPoll(t *testing.T) {
	a := open(t)
	url := a.create()
	const pollers = 4
	got := make(chan string, pollers)
	for range pollers {
		go func() {
			out, err := a.client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url, WaitTimeSeconds: 20,
				MaxNumberOfMessages: 1})
			if err != nil || len(out.Messages) != 1 {
				got <- fmt.Sprint("failed: ", err)
				return
			}
			got <- *out.Messages[0].Body
		}()
	}
	bodies := map[string]bool{}
	for i := range pollers {
		a.send(url, fmt.Sprint(i))
	}
	for range pollers {
		bodies[<-got] = true
	}
	if len(bodies) != pollers || !bodies["0"] || !bodies["3"] {
		t.Errorf("four pollers: got %v", bodies)
	}
}

func TestConform_ReceiveBounds(t *testing.T) {
	a := open(t)
	url := a.create()
	for _, c := range []struct {
		in   sqs.ReceiveMessageInput
		part string
	}{
		{sqs.ReceiveMessageInput{MaxNumberOfMessages: 11}, "Value 11 for parameter MaxNumberOfMessages is invalid. " +
			"Reason: Must be between 1 and 10, if provided."},
		{sqs.ReceiveMessageInput{WaitTimeSeconds: 21}, "Value 21 for parameter WaitTimeSeconds is invalid. Reason: Must " +
			"be >= 0 and <= 20, if provided."},
		{sqs.ReceiveMessageInput{WaitTimeSeconds: -1}, "Value -1 for parameter WaitTimeSeconds is invalid."},
		{sqs.ReceiveMessageInput{VisibilityTimeout: 43_201}, "43201"},
	} {
		c.in.QueueUrl = &url
		_, err := a.client.ReceiveMessage(t.Context(), &c.in)
		a.refused(err, "InvalidParameterValue", c.part)
	}
}

func TestConform_FairQueue(t *testing.T) {
	a := open(t)
	url := a.create()
	send := func(group string) error {
		_, err := a.client.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url,
			MessageBody: aws.String("message"), MessageGroupId: &group})
		return err
	}
	if err := send("test"); err != nil {
		t.Fatal(err)
	}
	if m := a.one(url, 0); m.Attributes["MessageGroupId"] != "test" {
		t.Errorf("attributes: got %v", m.Attributes)
	}
	for _, bad := range []string{"", "group 123", strings.Repeat("a", 129)} {
		a.refused(send(bad), "InvalidParameterValue", "MessageGroupId can only include alphanumeric and punctuation "+
			"characters. 1 to 128 in length.")
	}
}

func TestConform_TraceHeader(t *testing.T) {
	a := open(t)
	url := a.create()
	const explicit = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
	out, err := a.client.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("test"),
		MessageSystemAttributes: map[string]types.MessageSystemAttributeValue{
			"AWSTraceHeader": {DataType: aws.String("String"), StringValue: aws.String(explicit)}}})
	if err != nil {
		t.Fatal(err)
	}
	if out.MD5OfMessageSystemAttributes == nil {
		t.Error("digest of the system attributes: got none")
	}
	if m := a.one(url, 0); m.Attributes["AWSTraceHeader"] != explicit {
		t.Errorf("attributes: got %v", m.Attributes)
	}
}

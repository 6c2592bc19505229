package eventsource

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"fanfare/local/sqs"
)

func TestBatch_Event(t *testing.T) {
	const md5 = "e4e68fb7bd0e697a0ae8f1bb342846b3"
	messages := []sqs.Message{
		{
			ID: "059f36b4-87a3-44ab-83d2-661975830a7d", ReceiptHandle: "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a",
			Body: `say "<hello>" & go`, MD5OfBody: md5, MD5OfMessageAttributes: "d25a6aea97eb8f585bfa92d314504a92",
			Attributes: map[string]string{
				"ApproximateReceiveCount": "1", "SentTimestamp": "1545082649183", "SenderId": "AIDAIENQZJOLO23YVJ4VO",
				"ApproximateFirstReceiveTimestamp": "1545082649185",
				"AWSTraceHeader": "Root=1-68c563c1-1c676b964b597a606c1dfd90;Parent=713749d60fdfaa5e;Sampled=0;" +
					"Lineage=1:283dea05:0",
			},
			MessageAttributes: map[string]sqs.MessageAttribute{
				"myAttribute": {DataType: "String", StringValue: "myValue"},
				"number":      {DataType: "Number", StringValue: "123"},
				"binary":      {DataType: "Binary.png", BinaryValue: []byte{0, 1, 255}},
			},
		},
		{
			ID: "2e1424d4-f796-459a-8184-9c92662be6da", ReceiptHandle: "AQEBzWwaftRI0KuVm4tP", Body: "plain", MD5OfBody: md5,
			Attributes: map[string]string{
				"ApproximateReceiveCount": "2", "SentTimestamp": "1545082650636", "SenderId": "AIDAIENQZJOLO23YVJ4VO",
				"ApproximateFirstReceiveTimestamp": "1545082650649",
			},
		},
	}
	var b batch
	const arn, region = "arn:aws:sqs:us-east-2:123456789012:my-queue", "us-east-2"
	for _, m := range messages {
		if !b.add(m, encode(m, arn, region)) {
			t.Fatalf("add of message %s: got false, want true", m.ID)
		}
	}
	event := b.event()
	if len(event) != b.size {
		t.Errorf("size of the event: got %d, want %d", b.size, len(event))
	}
	golden, err := os.ReadFile("testdata/event.json")
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	if err := json.Compact(&want, golden); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(event, want.Bytes()) {
		t.Errorf("got %s, want %s", event, want.Bytes())
	}

	// The event survives decoding and encoding by aws-lambda-go's types.
	var typed events.SQSEvent
	if err := json.Unmarshal(event, &typed); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(typed)
	if err != nil {
		t.Fatal(err)
	}
	var one, two map[string]any
	if err := json.Unmarshal(event, &one); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(again, &two); err != nil {
		t.Fatal(err)
	}
	for _, record := range two["Records"].([]any) { // aws-lambda-go writes an absent value as ""
		if r := record.(map[string]any); r["md5OfMessageAttributes"] == "" {
			delete(r, "md5OfMessageAttributes")
		}
	}
	if !reflect.DeepEqual(one, two) {
		t.Errorf("after aws-lambda-go's types: got %s, want %s", again, event)
	}
}

package queue_test

import (
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"fanfare/pkg/broadcast"
	"fanfare/pkg/queue"
)

// continuation returns the event of a continuation in which one attribute differs.
func continuation(name, value string) events.SQSEvent {
	attributes := map[string]events.SQSMessageAttribute{}
	for name, value := range map[string]string{
		"broadcast": "m", "sentAt": "7", "segment": "1/4", "startKey": "k=", "stretch": "2", "hop": "11",
	} {
		attributes[name] = events.SQSMessageAttribute{DataType: "String", StringValue: &value}
	}
	attributes[name] = events.SQSMessageAttribute{DataType: "String", StringValue: &value}
	return events.SQSEvent{Records: []events.SQSMessage{{MessageId: "id", Body: "x", MessageAttributes: attributes,
		EventSourceARN: continuationARN}}}
}

func TestReadBroadcasts_Bounds(t *testing.T) {
	for _, test := range []struct {
		name, value string
		ok          bool
	}{
		{"segment", "0/1", true}, {"segment", "3/4", true}, {"segment", "4/4", false}, {"segment", "-1/4", false},
		{"segment", "0/0", false}, {"segment", "1", false}, {"segment", "a/b", false},
		{"stretch", "0", true}, {"stretch", "-1", false}, {"stretch", "", false}, {"stretch", "x", false},
		{"hop", "0", true}, {"hop", "-1", false}, {"hop", "", false},
		{"sentAt", "0", true}, {"sentAt", "", false}, {"sentAt", "0x7", false},
	} {
		r := queue.ReadBroadcasts(continuation(test.name, test.value), continuationARN, "")[0]
		if (r.Unreadable == nil) != test.ok {
			t.Errorf("%s %q: got %v, want ok = %v", test.name, test.value, r.Unreadable, test.ok)
		}
		if r.Unreadable == nil {
			continue
		}
		class, reason := broadcast.ClassOf(r.Unreadable)
		if class != broadcast.ClassPermanent || reason != broadcast.ReasonMalformed {
			t.Errorf("%s %q: got %v, %q, want permanent, malformed", test.name, test.value, class, reason)
		}
	}
}

// SQS's time of acceptance counts. An event without it gets the present time.
func TestReadBroadcasts_SentAt(t *testing.T) {
	read := func(sent string) time.Time {
		message := events.SQSMessage{MessageId: "id", Body: "x", Attributes: map[string]string{"SentTimestamp": sent}}
		event := events.SQSEvent{Records: []events.SQSMessage{message}}
		return queue.ReadBroadcasts(event, continuationARN, "")[0].Message.SentAt
	}
	if got, want := read("1700000000123"), time.UnixMilli(1_700_000_000_123); !got.Equal(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	before := time.Now()
	if got := read(""); got.Before(before) || got.After(time.Now()) {
		t.Errorf("without a timestamp: got %v, want now, %v", got, before)
	}
}

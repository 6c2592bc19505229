package eventsource

import (
	"bytes"
	"encoding/json"

	"fanfare/local/sqs"
)

// record is a message in an event. Source: docs.aws.amazon.com/lambda/latest/dg/with-sqs.html. The order of members
// follows captured events.
type record struct {
	MessageID              string                     `json:"messageId"`
	ReceiptHandle          string                     `json:"receiptHandle"`
	Body                   string                     `json:"body"`
	Attributes             map[string]string          `json:"attributes"`
	MessageAttributes      map[string]recordAttribute `json:"messageAttributes"` // {} without attributes
	MD5OfBody              string                     `json:"md5OfBody"`
	MD5OfMessageAttributes string                     `json:"md5OfMessageAttributes,omitempty"`
	EventSource            string                     `json:"eventSource"`
	EventSourceARN         string                     `json:"eventSourceARN"`
	AWSRegion              string                     `json:"awsRegion"`
}

type recordAttribute struct {
	StringValue      *string  `json:"stringValue,omitempty"`
	BinaryValue      []byte   `json:"binaryValue,omitempty"`
	StringListValues []string `json:"stringListValues"` // always []: SQS has no list values
	BinaryListValues []string `json:"binaryListValues"`
	DataType         string   `json:"dataType"`
}

const (
	eventHead = `{"Records":[`
	eventTail = `]}`
)

// encode returns a message as the JSON of a record.
func encode(m sqs.Message, queueARN, region string) []byte {
	r := record{
		MessageID: m.ID, ReceiptHandle: m.ReceiptHandle, Body: m.Body, Attributes: m.Attributes,
		MessageAttributes: make(map[string]recordAttribute, len(m.MessageAttributes)),
		MD5OfBody:         m.MD5OfBody, MD5OfMessageAttributes: m.MD5OfMessageAttributes,
		EventSource: "aws:sqs", EventSourceARN: queueARN, AWSRegion: region,
	}
	for name, a := range m.MessageAttributes {
		out := recordAttribute{StringListValues: []string{}, BinaryListValues: []string{}, DataType: a.DataType}
		if len(a.BinaryValue) > 0 {
			out.BinaryValue = a.BinaryValue
		} else {
			out.StringValue = &a.StringValue
		}
		r.MessageAttributes[name] = out
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false) // as on AWS; escaping would also make a body of "<" six times as large
	if err := encoder.Encode(r); err != nil {
		panic(err) // strings and bytes always marshal
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'})
}

// batch holds the messages of one invocation.
type batch struct {
	messages []sqs.Message
	records  [][]byte
	size     int // of the event, in bytes
}

// add adds a message. It returns false if the event would become too large; the first message always fits.
func (b *batch) add(m sqs.Message, r []byte) bool {
	size := b.size + len(r) + 1
	if len(b.messages) == 0 {
		size = len(eventHead) + len(r) + len(eventTail)
	} else if size >= maxPayload {
		return false
	}
	b.messages, b.records, b.size = append(b.messages, m), append(b.records, r), size
	return true
}

// event returns the invocation's payload.
func (b *batch) event() []byte {
	out := make([]byte, 0, b.size)
	out = append(out, eventHead...)
	out = append(out, bytes.Join(b.records, []byte{','})...)
	return append(out, eventTail...)
}

// trace returns the trace header of the first message that has one.
func (b *batch) trace() string {
	for _, m := range b.messages {
		if header := m.Attributes["AWSTraceHeader"]; header != "" {
			return header
		}
	}
	return ""
}

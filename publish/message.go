package publish

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	// MaxBytes is the size of the largest payload that a client can receive.
	// Source: the Data member of PostToConnection, API model of apigatewaymanagementapi (2018-11-29).
	MaxBytes = 131_072

	// MaxQueueBytes is the size of the largest SQS message, and of the largest SendMessageBatch, attributes included.
	// Source: SQS developer guide, "Amazon SQS message quotas".
	MaxQueueBytes = 1_048_576

	// MaxQueueEntries is the largest number of messages in one SendMessageBatch. Source: as above.
	MaxQueueEntries = 10
)

// Attributes of a message on the broadcast queue. Both are strings and optional.
const (
	AttributeEncoding = "encoding" // EncodingBase64 if the body is the base64 of the payload
	AttributeExclude  = "exclude"  // ids of connections that do not receive the message, comma separated
)

// EncodingBase64 is the only value of AttributeEncoding.
const EncodingBase64 = "base64"

var (
	// ErrEmpty means that a payload is empty.
	ErrEmpty = errors.New("the payload is empty")
	// ErrTooLarge means that a payload is larger than MaxBytes.
	ErrTooLarge = fmt.Errorf("the payload is larger than %d bytes", MaxBytes)
	// ErrNotUTF8 means that a payload is not valid UTF-8. API Gateway sends text frames only, and a client must close the
	// connection when it receives a text frame that is not UTF-8. Source: RFC 6455, section 8.1.
	ErrNotUTF8 = errors.New("the payload is not UTF-8 text")
)

// Message is a message for the broadcast queue.
type Message struct {
	// Payload is sent to the clients unchanged, as a text frame; 1 to MaxBytes bytes of UTF-8.
	Payload []byte
	// Exclude lists the ids of connections that do not receive the message.
	Exclude []string
}

// Encode returns the body and the string attributes of the SQS message. It adds no empty attributes, as SQS refuses
// them. It does not check the payload.
func (m Message) Encode() (body string, attributes map[string]string) {
	attributes = make(map[string]string)
	body = string(m.Payload)
	if !Carriable(m.Payload) {
		body = base64.StdEncoding.EncodeToString(m.Payload)
		attributes[AttributeEncoding] = EncodingBase64
	}
	if exclude := strings.Join(m.Exclude, ","); exclude != "" {
		attributes[AttributeExclude] = exclude
	}
	return body, attributes
}

// Decode reads a message from the broadcast queue. Exclude is in ascending order. Other attributes are ignored. The
// errors are those of DecodePayload.
func Decode(body string, attributes map[string]string) (Message, error) {
	payload, err := DecodePayload(body, attributes[AttributeEncoding])
	if err != nil {
		return Message{}, err
	}
	m := Message{Payload: payload}
	for id := range strings.SplitSeq(attributes[AttributeExclude], ",") {
		if id = strings.TrimSpace(id); id != "" {
			m.Exclude = append(m.Exclude, id)
		}
	}
	slices.Sort(m.Exclude)
	return m, nil
}

// DecodePayload returns the payload of a text: the text itself, or its decoded base64 if encoding is EncodingBase64.
// The error wraps ErrEmpty, ErrTooLarge or ErrNotUTF8 if no client can receive the payload; every other error means
// that the text is malformed.
func DecodePayload(text, encoding string) ([]byte, error) {
	payload := []byte(text)
	switch encoding {
	case "":
	case EncodingBase64:
		decoded, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("decode the payload as base64: %w", err)
		}
		payload = decoded
	default:
		return nil, fmt.Errorf("decode the payload: unknown encoding %q", encoding)
	}
	if err := check(payload); err != nil {
		return nil, err
	}
	return payload, nil
}

// check returns an error if no client can receive the payload.
func check(payload []byte) error {
	if len(payload) == 0 {
		return ErrEmpty
	}
	if len(payload) > MaxBytes {
		return fmt.Errorf("%w: it has %d bytes", ErrTooLarge, len(payload))
	}
	if !utf8.Valid(payload) {
		return ErrNotUTF8
	}
	return nil
}

// Carriable reports whether SQS accepts the payload as a message body. SQS allows the characters
// #x9 #xA #xD #x20-#xD7FF #xE000-#xFFFD #x10000-#x10FFFF. Source: SendMessage in the SQS API reference.
func Carriable(payload []byte) bool {
	if !utf8.Valid(payload) {
		return false
	}
	for _, r := range string(payload) {
		if (r < 0x20 && r != '\t' && r != '\n' && r != '\r') || r == 0xFFFE || r == 0xFFFF {
			return false
		}
	}
	return len(payload) > 0
}

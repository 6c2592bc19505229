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

	// MaxIDBytes is the size of the longest broadcast id that a publisher may choose.
	MaxIDBytes = 128

	// MaxExclude is the largest number of excluded connections, and MaxExcludeBytes the largest size of the attribute.
	// With them a message fits on every queue that it passes.
	MaxExclude      = 1000
	MaxExcludeBytes = 65_536
)

// Attributes of a message on the broadcast queue. All are strings and optional. Other attributes are ignored, except
// those that CheckAttribute refuses.
const (
	AttributeEncoding = "encoding"    // EncodingBase64 if the body is the base64 of the payload
	AttributeExclude  = "exclude"     // ids of connections that do not receive the message, comma separated
	AttributeID       = "broadcastId" // the broadcast's id; see CheckID
)

// AttributeTruncated marks a message whose end was cut off on its way to a dead-letter queue.
const AttributeTruncated = "truncated"

// ClientIDPrefix begins the ids of broadcasts that clients publish. Backends must not use it.
const ClientIDPrefix = "c-"

// reserved holds names that steer the dispatcher on other queues, or mark a message that is not complete. A publisher
// must not use them.
var reserved = []string{"broadcast", "sentAt", "segment", "startKey", "stretch", "hop", AttributeTruncated}

// EncodingBase64 is the only value of AttributeEncoding.
const EncodingBase64 = "base64"

var (
	// ErrEmpty means that a payload is empty.
	ErrEmpty = errors.New("the payload is empty")
	// ErrTooLarge means that a payload is larger than MaxBytes.
	ErrTooLarge = fmt.Errorf("the payload is larger than %d bytes", MaxBytes)
	// ErrID means that a broadcast id has a wrong form.
	ErrID = fmt.Errorf("a broadcast id must be 1 to %d characters of A-Za-z0-9._:-", MaxIDBytes)
	// ErrExclude means that a message excludes too many connections.
	ErrExclude = fmt.Errorf("a message may exclude at most %d connections in %d bytes", MaxExclude, MaxExcludeBytes)
	// ErrNotUTF8 means that a payload is not valid UTF-8. API Gateway sends text frames only, and a client must close the
	// connection when it receives a text frame that is not UTF-8. Source: RFC 6455, section 8.1.
	ErrNotUTF8 = errors.New("the payload is not UTF-8 text")
)

// Message is a message for the broadcast queue.
type Message struct {
	// Payload is sent to the clients unchanged, as a text frame; 1 to MaxBytes bytes of UTF-8.
	Payload []byte
	// Exclude lists the ids of connections that do not receive the message; at most MaxExclude.
	Exclude []string
	// ID is the broadcast's id. Publishing the same id and payload again within a day has no effect. Empty means that SQS
	// chooses the id.
	ID string
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
	if m.ID != "" {
		attributes[AttributeID] = m.ID
	}
	return body, attributes
}

// Decode reads a message from the broadcast queue. Exclude is in ascending order. Other attributes are ignored. The
// errors wrap ErrID or ErrExclude, or are those of DecodePayload.
func Decode(body string, attributes map[string]string) (Message, error) {
	m := Message{ID: attributes[AttributeID]}
	if m.ID != "" {
		if err := CheckID(m.ID); err != nil {
			return Message{}, fmt.Errorf("read attribute %s (%.64q): %w", AttributeID, m.ID, err)
		}
	}
	var err error
	if m.Exclude, err = decodeExclude(attributes[AttributeExclude]); err != nil {
		return Message{}, fmt.Errorf("read attribute %s: %w", AttributeExclude, err)
	}
	if m.Payload, err = DecodePayload(body, attributes[AttributeEncoding]); err != nil {
		return Message{}, err
	}
	return m, nil
}

func decodeExclude(text string) ([]string, error) {
	var exclude []string
	if len(text) > MaxExcludeBytes {
		return nil, fmt.Errorf("%w: it has %d bytes", ErrExclude, len(text))
	}
	for id := range strings.SplitSeq(text, ",") {
		if id = strings.TrimSpace(id); id != "" {
			exclude = append(exclude, id)
		}
	}
	if len(exclude) > MaxExclude {
		return nil, fmt.Errorf("%w: it has %d", ErrExclude, len(exclude))
	}
	slices.Sort(exclude)
	return exclude, nil
}

// CheckID returns ErrID unless the id may be the id of a broadcast: 1 to MaxIDBytes characters of A-Za-z0-9._:-.
func CheckID(id string) error {
	allowed := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._:-", r)
	}
	if id == "" || len(id) > MaxIDBytes || strings.TrimFunc(id, allowed) != "" {
		return ErrID
	}
	return nil
}

// CheckAttribute returns an error for an attribute that a publisher has set by mistake: one of the three of this
// package with another type than String, another spelling of one of them, or a reserved name. Two names are spellings
// of one if they are equal after lower-casing and removing '-', '_', '.' and a final s.
func CheckAttribute(name, dataType string) error {
	if slices.Contains(reserved, name) {
		return fmt.Errorf("attribute %s is reserved", name)
	}
	for _, known := range []string{AttributeEncoding, AttributeExclude, AttributeID} {
		switch {
		case name == known && dataType != "String":
			return fmt.Errorf("attribute %s has the type %.64s, not String", name, dataType)
		case name != known && spelling(name) == spelling(known):
			return fmt.Errorf("attribute %s is unknown, and similar to %s", name, known)
		}
	}
	return nil
}

// spelling returns a text that is equal for similar names.
func spelling(name string) string {
	return strings.TrimSuffix(strings.NewReplacer("-", "", "_", "", ".", "").Replace(strings.ToLower(name)), "s")
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
		return nil, fmt.Errorf("decode the payload: unknown encoding %.64q", encoding)
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

package broadcast

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"
)

// EncodingBase64 marks a payload that is written as base64, on either queue.
const EncodingBase64 = "base64"

// Message is one broadcast: what a publisher sent and every client receives.
type Message struct {
	// ID is the broadcast's id: the SQS MessageId that the publisher was given.
	ID string
	// Payload is posted as it is, 1 to [MaxPayloadBytes] bytes.
	Payload []byte
	// SentAt is when SQS accepted the message.
	SentAt time.Time
	// Exclude are connections that shall not receive it, usually its publisher's; in ascending order.
	Exclude []string
}

// Excludes reports whether the connection shall not receive the message.
func (m Message) Excludes(connectionID string) bool {
	_, found := slices.BinarySearch(m.Exclude, connectionID)
	return found
}

// wireMessage is a message within a batch on the send queue.
type wireMessage struct {
	ID       string   `json:"id"`
	Payload  string   `json:"payload"`
	Encoding string   `json:"encoding,omitempty"`
	SentAt   int64    `json:"sentAt"` // epoch milliseconds
	Exclude  []string `json:"exclude,omitempty"`
}

// MarshalJSON writes the message as the send queue carries it. JSON escapes the control characters that SQS refuses, but
// not the noncharacters: a payload with these, one that is not valid UTF-8, and one that JSON would blow up beyond its
// base64 are written as base64.
func (m Message) MarshalJSON() ([]byte, error) {
	w := wireMessage{ID: m.ID, Payload: string(m.Payload), SentAt: m.SentAt.UnixMilli(), Exclude: m.Exclude}
	if !utf8.Valid(m.Payload) || bytes.ContainsAny(m.Payload, "\ufffe\uffff") || jsonLen(m.Payload) > base64.StdEncoding.EncodedLen(len(m.Payload)) {
		w.Payload, w.Encoding = base64.StdEncoding.EncodeToString(m.Payload), EncodingBase64
	}
	return marshal(w)
}

// UnmarshalJSON reads a message of a batch; a payload that cannot be posted is an error.
func (m *Message) UnmarshalJSON(data []byte) error {
	var w wireMessage
	if err := json.Unmarshal(data, &w); err != nil {
		return err
	}
	payload, err := DecodePayload(w.Payload, w.Encoding)
	if err != nil {
		return err
	}
	if w.ID == "" {
		return fmt.Errorf("a message has no id")
	}
	slices.Sort(w.Exclude)
	*m = Message{ID: w.ID, Payload: payload, SentAt: time.UnixMilli(w.SentAt).UTC(), Exclude: w.Exclude}
	return nil
}

// DecodePayload returns the payload that text stands for: text itself, or what its base64 decodes to when encoding is
// [EncodingBase64]. It returns a permanent error when that is nothing that can ever be posted.
func DecodePayload(text, encoding string) ([]byte, error) {
	payload := []byte(text)
	switch encoding {
	case "":
	case EncodingBase64:
		decoded, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil {
			return nil, Permanent(ReasonMalformed, fmt.Errorf("the payload is marked as base64 and is not: %w", err))
		}
		payload = decoded
	default:
		return nil, Permanent(ReasonMalformed, fmt.Errorf("unknown encoding %q: leave it out or use %q", encoding, EncodingBase64))
	}
	if len(payload) == 0 {
		return nil, Permanent(ReasonMalformed, fmt.Errorf("the payload is empty"))
	}
	if len(payload) > MaxPayloadBytes {
		return nil, Permanent(ReasonTooLarge, fmt.Errorf("the payload has %d bytes, and at most %d can be posted", len(payload), MaxPayloadBytes))
	}
	return payload, nil
}

// EncodePayload returns the text that carries the payload on an SQS queue, and its encoding: the payload itself where
// SQS allows its characters, else its base64.
func EncodePayload(payload []byte) (text, encoding string) {
	if Carriable(payload) {
		return string(payload), ""
	}
	return base64.StdEncoding.EncodeToString(payload), EncodingBase64
}

// Carriable reports whether SQS can carry the payload as a message body as it is. SQS allows
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

// WireLen returns how many bytes the message takes within a batch on the send queue.
func (m Message) WireLen() int {
	data, err := m.MarshalJSON()
	if err != nil {
		panic(err) // strings and a number always marshal
	}
	return len(data)
}

// jsonLen returns the length of the payload as a JSON string, of which the two quotes are left out.
func jsonLen(payload []byte) int {
	n := len(payload)
	for _, b := range payload {
		switch {
		case b == '"' || b == '\\' || b == '\n' || b == '\r' || b == '\t' || b == '\b' || b == '\f':
			n++
		case b < 0x20:
			n += 5
		}
	}
	return n
}

// marshal is json.Marshal without the escapes for HTML, which the queues do not need.
func marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

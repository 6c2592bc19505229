package broadcast

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"time"
	"unicode/utf8"

	"fanfare/publish"
)

// Message is one broadcast.
type Message struct {
	// ID is the broadcast's id: the SQS MessageId that the publisher received.
	ID string
	// Payload is posted unchanged, as a text frame; 1 to [MaxPayloadBytes] bytes of UTF-8.
	Payload []byte
	// SentAt is the time at which SQS accepted the message.
	SentAt time.Time
	// Exclude lists connections that do not receive the message, usually its publisher's; in ascending order.
	Exclude []string
}

// Excludes reports whether the message excludes the connection.
func (m Message) Excludes(connectionID string) bool {
	_, found := slices.BinarySearch(m.Exclude, connectionID)
	return found
}

// wireMessage is the JSON form of a message within a batch on the send queue.
type wireMessage struct {
	ID       string   `json:"id"`
	Payload  string   `json:"payload"`
	Encoding string   `json:"encoding,omitempty"`
	SentAt   int64    `json:"sentAt"` // epoch milliseconds
	Exclude  []string `json:"exclude,omitempty"`
}

// MarshalJSON returns the message in the form of the send queue. JSON escapes the control characters that SQS refuses,
// but not the noncharacters U+FFFE and U+FFFF. A payload with these, and one whose JSON would be longer than
// its base64, are written as base64. So is one that is not UTF-8, because JSON would change it and hide the error;
// UnmarshalJSON refuses it.
func (m Message) MarshalJSON() ([]byte, error) {
	w := wireMessage{ID: m.ID, Payload: string(m.Payload), SentAt: m.SentAt.UnixMilli(), Exclude: m.Exclude}
	if !utf8.Valid(m.Payload) || bytes.ContainsAny(m.Payload, "\ufffe\uffff") ||
		jsonLen(m.Payload) > base64.StdEncoding.EncodedLen(len(m.Payload)) {
		w.Payload, w.Encoding = base64.StdEncoding.EncodeToString(m.Payload), publish.EncodingBase64
	}
	return marshal(w)
}

// UnmarshalJSON reads a message of a batch. A payload that cannot be posted is an error.
func (m *Message) UnmarshalJSON(data []byte) error {
	var w wireMessage
	if err := json.Unmarshal(data, &w); err != nil {
		return err
	}
	payload, err := publish.DecodePayload(w.Payload, w.Encoding)
	if err != nil {
		return err
	}
	if w.ID == "" {
		return errors.New("a message has no id")
	}
	slices.Sort(w.Exclude)
	*m = Message{ID: w.ID, Payload: payload, SentAt: time.UnixMilli(w.SentAt).UTC(), Exclude: w.Exclude}
	return nil
}

// WireLen returns the size of the message within a batch on the send queue, in bytes.
func (m Message) WireLen() int {
	data, err := m.MarshalJSON()
	if err != nil {
		panic(err) // strings and a number always marshal
	}
	return len(data)
}

// jsonLen returns the length of the payload as a JSON string, without the two quotes.
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

// marshal works as json.Marshal does, without the escapes for HTML, which the queues do not need.
func marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

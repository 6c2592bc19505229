package publish_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"fanfare/publish"
)

func ExampleMessage_Encode() {
	message := publish.Message{Payload: []byte("a\x00b"), Exclude: []string{"L0SM9cOFvHcCIhw=", "L0SM8dPGvHcCIhw="}}
	body, attributes := message.Encode()
	fmt.Println(body)
	fmt.Println(attributes[publish.AttributeEncoding])
	fmt.Println(attributes[publish.AttributeExclude])
	// Output:
	// YQBi
	// base64
	// L0SM9cOFvHcCIhw=,L0SM8dPGvHcCIhw=
}

func ExampleDecode() {
	message, err := publish.Decode("aGVsbG8=", map[string]string{"encoding": "base64", "exclude": "b=, a=,"})
	fmt.Printf("%s %q %v\n", message.Payload, message.Exclude, err)
	// Output: hello ["a=" "b="] <nil>
}

func TestMessage_EncodeDecode(t *testing.T) {
	for _, test := range []struct {
		name, payload, encoding string
	}{
		{"text", "hello", ""},
		{"characters that SQS allows", "\t\n\r \u007f\ud7ff\ue000\ufffd🎺", ""},
		{"a control character", "a\x00b", "base64"},
		{"a noncharacter", "\uffff", "base64"},
	} {
		t.Run(test.name, func(t *testing.T) {
			want := publish.Message{Payload: []byte(test.payload), Exclude: []string{"a=", "b="}}
			body, attributes := want.Encode()
			if got := attributes["encoding"]; got != test.encoding {
				t.Errorf("got encoding %q, want %q", got, test.encoding)
			}
			if !publish.Carriable([]byte(body)) {
				t.Errorf("got body %q, want one that SQS carries", body)
			}
			got, err := publish.Decode(body, attributes)
			if err != nil || string(got.Payload) != test.payload || !slices.Equal(got.Exclude, want.Exclude) {
				t.Errorf("got %q, %v, want %q", got, err, want)
			}
		})
	}
}

func TestDecodePayload_Errors(t *testing.T) {
	for _, test := range []struct {
		name, text, encoding string
		want                 error // nil: malformed
		contains             string
	}{
		{"empty", "", "", publish.ErrEmpty, "empty"},
		{"too large", strings.Repeat("x", publish.MaxBytes+1), "", publish.ErrTooLarge, "it has 131073 bytes"},
		{
			"too large once decoded", strings.Repeat("QUJD", publish.MaxBytes/3+1), "base64",
			publish.ErrTooLarge, "131072 bytes",
		},
		{"not UTF-8", "a\xc3", "", publish.ErrNotUTF8, "not UTF-8 text"},
		{"not UTF-8 once decoded", "gqP//g==", "base64", publish.ErrNotUTF8, "not UTF-8 text"},
		{"malformed base64", "%%%", "base64", nil, "decode the payload as base64"},
		{"base64 of nothing", "", "base64", publish.ErrEmpty, "empty"},
		{"unknown encoding", "abc", "gzip", nil, `unknown encoding "gzip"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := publish.DecodePayload(test.text, test.encoding)
			if err == nil {
				t.Fatal("got no error, want one")
			}
			if test.want != nil && !errors.Is(err, test.want) ||
				test.want == nil && (errors.Is(err, publish.ErrEmpty) || errors.Is(err, publish.ErrTooLarge) ||
					errors.Is(err, publish.ErrNotUTF8)) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if !strings.Contains(err.Error(), test.contains) {
				t.Errorf("got %q, want it to contain %q", err, test.contains)
			}
		})
	}
}

func TestCheckID(t *testing.T) {
	for id, valid := range map[string]bool{
		"a": true, "order-7:2026.11_x": true, "c-1": true, strings.Repeat("x", publish.MaxIDBytes): true,
		"": false, strings.Repeat("x", publish.MaxIDBytes+1): false,
		"a b": false, "a/b": false, "a\n": false, " a": false, "ä": false, "a,b": false, "a b c": false,
	} {
		if err := publish.CheckID(id); (err == nil) != valid {
			t.Errorf("%.20q: got %v, want valid = %v", id, err, valid)
		}
	}
}

func TestCheckAttribute(t *testing.T) {
	for _, test := range []struct {
		name, dataType string
		valid          bool
	}{
		{"encoding", "String", true},
		{"exclude", "String", true},
		{"broadcastId", "String", true},
		{"traceparent", "String", true},
		{"tenant", "Number", true},
		{"id", "Binary", true},
		{"reason", "String", true}, // a letter that SQS itself has sent back has it

		{"encoding", "Binary", false},
		{"exclude", "Number", false},
		{"exclude", "String.list", false},
		{"broadcastId", "Number.int", false},

		{"Encoding", "String", false},
		{"encodings", "String", false},
		{"excludes", "String", false},
		{"EXCLUDE", "Binary", false},
		{"ex-clude", "String", false},
		{"broadcastID", "String", false},
		{"broadcast_id", "String", false},
		{"broadcast.ids", "Number", false},
		{"Broadcast-Id", "String", false},

		{"broadcast", "String", false},
		{"sentAt", "Number", false},
		{"segment", "String", false},
		{"startKey", "Binary", false},
		{"stretch", "String", false},
		{"hop", "String", false},
		{"truncated", "String", false},
	} {
		err := publish.CheckAttribute(test.name, test.dataType)
		if (err == nil) != test.valid || err != nil && !strings.Contains(err.Error(), test.name) {
			t.Errorf("%s of type %s: got %v, want valid = %v, and an error with the name",
				test.name, test.dataType, err, test.valid)
		}
	}
}

func TestDecode_Limits(t *testing.T) {
	many := strings.TrimSuffix(strings.Repeat("a=,", publish.MaxExclude), ",")
	long := strings.Repeat("x", publish.MaxExcludeBytes)
	for _, test := range []struct {
		name       string
		attributes map[string]string
		want       error
	}{
		{"the largest number of exclusions", map[string]string{"exclude": many}, nil},
		{"one exclusion too many", map[string]string{"exclude": many + ",b="}, publish.ErrExclude},
		{"the longest exclusions", map[string]string{"exclude": long}, nil},
		{"exclusions that are too long", map[string]string{"exclude": long + "x"}, publish.ErrExclude},
		{"an id", map[string]string{"broadcastId": "order-7"}, nil},
		{"a bad id", map[string]string{"broadcastId": strings.Repeat("x/", 10_000)}, publish.ErrID},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, err := publish.Decode("x", test.attributes)
			if !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if err != nil && len(err.Error()) > 300 {
				t.Errorf("got an error of %d bytes, want at most 300", len(err.Error()))
			}
			if want := test.attributes["broadcastId"]; err == nil && m.ID != want {
				t.Errorf("got id %q, want %q", m.ID, want)
			}
		})
	}
}

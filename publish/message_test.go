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

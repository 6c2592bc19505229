package broadcast_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"testing"

	"fanfare/pkg/broadcast"
)

// A payload is written as text unless its base64 is shorter, for every character and up to the very byte.
func TestMessage_ShorterEncoding(t *testing.T) {
	texts, encoded := 0, 0
	for c := range byte(0x80) {
		for special := range 8 {
			for plain := range 30 {
				payload := append(bytes.Repeat([]byte{c}, special), bytes.Repeat([]byte("x"), plain)...)
				if len(payload) == 0 {
					continue
				}
				var text bytes.Buffer
				encoder := json.NewEncoder(&text)
				encoder.SetEscapeHTML(false)
				if err := encoder.Encode(string(payload)); err != nil {
					t.Fatal(err)
				}
				asText := text.Len() - len("\"\"\n")
				want := asText > base64.StdEncoding.EncodedLen(len(payload))
				data, err := broadcast.Message{ID: "m", Payload: payload}.MarshalJSON()
				if err != nil {
					t.Fatal(err)
				}
				var wire struct{ Encoding string }
				if err := json.Unmarshal(data, &wire); err != nil || (wire.Encoding == "base64") != want {
					t.Fatalf("%q: got %s, %v, want base64 = %v", payload, data, err, want)
				}
				if want {
					encoded++
				} else {
					texts++
				}
			}
		}
	}
	if texts == 0 || encoded == 0 {
		t.Errorf("got %d texts and %d base64, want both", texts, encoded)
	}
}

func TestMessage_ExcludeUnsorted(t *testing.T) {
	var m broadcast.Message
	if err := json.Unmarshal([]byte(`{"id":"m","payload":"x","sentAt":0,"exclude":["c=","a=","b="]}`), &m); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]bool{"a=": true, "b=": true, "c=": true, "d=": false} {
		if got := m.Excludes(id); got != want {
			t.Errorf("%s: got %v, want %v", id, got, want)
		}
	}
}

func TestClassOf_Nil(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("got no panic, want one")
		}
	}()
	broadcast.ClassOf(nil)
}

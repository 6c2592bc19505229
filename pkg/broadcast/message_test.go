package broadcast_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"fanfare/pkg/broadcast"
	"fanfare/publish"
)

func TestMessage_JSON(t *testing.T) {
	for name, payload := range map[string]string{
		"text":                      "hello",
		"json":                      `{"action":"unknown","n":1}`,
		"html":                      "<b>&</b>",
		"line separators":           "a\u2028b\u2029c",
		"control characters":        "a\x00b\x1bc",
		"nothing but controls":      strings.Repeat("\x01", 1000),
		"a lone surrogate's escape": `{"s":"\ud800"}`,
		"the largest":               strings.Repeat("x", broadcast.MaxPayloadBytes),
		"astral":                    "🎺",
		"noncharacters":             "\ufffe \uffff",
		"quotes and backslashes":    `"\"`,
	} {
		t.Run(name, func(t *testing.T) {
			want := broadcast.Message{
				ID: "m-1", Payload: []byte(payload), SentAt: time.UnixMilli(1_700_000_000_123).UTC(), Exclude: []string{"a=", "b="},
			}
			data, err := json.Marshal(want)
			if err != nil {
				t.Fatal(err)
			}
			if !publish.Carriable(data) {
				t.Errorf("got %.100s, want text that SQS carries", data)
			}
			var got broadcast.Message
			if err := json.Unmarshal(data, &got); err != nil {
				t.Fatal(err)
			}
			if got.ID != want.ID || string(got.Payload) != payload || !got.SentAt.Equal(want.SentAt) ||
				!slices.Equal(got.Exclude, want.Exclude) {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if got, limit := want.WireLen(), 2*len(payload)+200; got > limit {
				t.Errorf("payload of %d bytes: got %d bytes on the queue, want at most %d", len(payload), got, limit)
			}
		})
	}
}

func TestBatch_EncodeDecode(t *testing.T) {
	want := broadcast.Batch{
		ID: "0/4.0.7~1", Attempt: 2, Reason: broadcast.ReasonThrottled, Full: 1, Redriven: true, Confirmations: 1,
		Messages:    []broadcast.Message{{ID: "m-1", Payload: []byte("hello"), SentAt: time.UnixMilli(5).UTC()}},
		Connections: []string{"a=", "b="}, Settling: []string{"c="},
		Suspect:      []string{"b="},
		DispatchedAt: time.UnixMilli(1_700_000_000_123).UTC(),
	}
	body, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	const wire = `{"id":"0/4.0.7~1","attempt":2,"messages":[{"id":"m-1","payload":"hello","sentAt":5}],` +
		`"connections":["a=","b="],"settling":["c="],"suspect":["b="],"confirmations":1,` +
		`"reason":"throttled","full":1,"redriven":true,` +
		`"dispatchedAt":1700000000123}`
	if body != wire {
		t.Errorf("Encode:\n got %s\nwant %s", body, wire)
	}
	got, err := broadcast.DecodeBatch(body)
	if err != nil {
		t.Fatal(err)
	}
	again, err := got.Encode()
	if err != nil || again != body || !got.DispatchedAt.Equal(want.DispatchedAt) {
		t.Errorf("decoded and encoded:\n got %s, %v\nwant %s", again, err, body)
	}
}

// A payload that is not UTF-8 would close every client's connection.
func TestDecodeBatch_NotUTF8(t *testing.T) {
	b := broadcast.Batch{
		ID: "b", Messages: []broadcast.Message{{ID: "m", Payload: []byte("\x82\xa3\xff\xfe")}}, Connections: []string{"a="},
	}
	body, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	_, err = broadcast.DecodeBatch(body)
	if err == nil {
		t.Fatal("got no error, want one")
	}
	if class, reason := broadcast.ClassOf(err); class != broadcast.ClassPermanent || reason != broadcast.ReasonNotUTF8 {
		t.Errorf("got %v, %q for %v, want permanent, not_utf8", class, reason, err)
	}
}

func TestDecodeBatch_Malformed(t *testing.T) {
	const message = `{"id":"m","payload":"x","sentAt":1}`
	for name, body := range map[string]string{
		"no JSON":                "hello",
		"another JSON":           `{"Type":"Notification"}`,
		"a list":                 `[]`,
		"no id":                  `{"messages":[` + message + `],"connections":["a="]}`,
		"no messages":            `{"id":"b","messages":[],"connections":["a="]}`,
		"no connections":         `{"id":"b","messages":[` + message + `],"connections":[]}`,
		"a message without id":   `{"id":"b","messages":[{"payload":"x"}],"connections":["a="]}`,
		"an empty payload":       `{"id":"b","messages":[{"id":"m","payload":""}],"connections":["a="]}`,
		"malformed base64":       `{"id":"b","messages":[{"id":"m","payload":"%","encoding":"base64"}],"connections":["a="]}`,
		"a negative attempt":     `{"id":"b","attempt":-1,"messages":[` + message + `],"connections":["a="]}`,
		"a negative count":       `{"id":"b","full":-1,"messages":[` + message + `],"connections":["a="]}`,
		"negative confirmations": `{"id":"b","confirmations":-1,"messages":[` + message + `],"connections":["a="]}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := broadcast.DecodeBatch(body)
			if err == nil {
				t.Fatal("got no error, want one")
			}
			class, reason := broadcast.ClassOf(err)
			if class != broadcast.ClassPermanent || reason != broadcast.ReasonMalformed {
				t.Errorf("got %v, %q for %v, want permanent, malformed", class, reason, err)
			}
		})
	}
}

func TestBatch_EncodeTooLarge(t *testing.T) {
	b := broadcast.Batch{ID: "b", Connections: []string{strings.Repeat("x", broadcast.MaxQueueBytes)}}
	if _, err := b.Encode(); err == nil {
		t.Error("got no error, want one")
	}
}

func FuzzDecodeBatch(f *testing.F) {
	seeds := []string{
		`{"id":"b","attempt":0,"messages":[{"id":"m","payload":"x","sentAt":1}],"connections":["a="]}`,
		`{"id":"b","messages":[{"id":"m","payload":"AAE=","encoding":"base64","sentAt":1,"exclude":["a="]}],` +
			`"connections":[],"settling":["c="],"dispatchedAt":3}`,
		`{}`, ``, `null`, `{"id":1}`,
	}
	if _, err := broadcast.DecodeBatch(seeds[0]); err != nil {
		f.Fatalf("first seed: got %v, want a batch", err)
	}
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		b, err := broadcast.DecodeBatch(body)
		if err != nil {
			var failure *broadcast.Failure
			if !errors.As(err, &failure) || failure.Class != broadcast.ClassPermanent {
				t.Fatalf("got %v, want a permanent error", err)
			}
			return
		}
		first, err := b.Encode()
		if err != nil {
			return // the encoded batch is larger and may exceed the limit
		}
		again, err := broadcast.DecodeBatch(first)
		if err != nil {
			t.Fatalf("decode %s: got %v, want no error", first, err)
		}
		if second, _ := again.Encode(); second != first {
			t.Fatalf("encoded twice:\n got %s\nwant %s", second, first)
		}
	})
}

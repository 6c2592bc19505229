package broadcast_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"fanfare/pkg/broadcast"
)

func TestMessageSurvivesTheSendQueue(t *testing.T) {
	for name, payload := range map[string]string{
		"text":                      "hello",
		"json":                      `{"action":"unknown","n":1}`,
		"html":                      "<b>&</b>",
		"line separators":           "a\u2028b\u2029c",
		"control characters":        "a\x00b\x1bc",
		"nothing but controls":      strings.Repeat("\x01", 1000),
		"a lone surrogate's escape": `{"s":"\ud800"}`,
		"not UTF-8":                 "\xff\xfe",
		"the largest":               strings.Repeat("x", broadcast.MaxPayloadBytes),
		"astral":                    "🎺",
		"noncharacters":             "\ufffe \uffff",
		"quotes and backslashes":    `"\"`,
	} {
		t.Run(name, func(t *testing.T) {
			want := broadcast.Message{ID: "m-1", Payload: []byte(payload), SentAt: time.UnixMilli(1_700_000_000_123).UTC(), Exclude: []string{"a=", "b="}}
			data, err := json.Marshal(want)
			if err != nil {
				t.Fatal(err)
			}
			if !broadcast.Carriable(data) {
				t.Errorf("SQS cannot carry %.100s", data)
			}
			var got broadcast.Message
			if err := json.Unmarshal(data, &got); err != nil {
				t.Fatal(err)
			}
			if got.ID != want.ID || string(got.Payload) != payload || !got.SentAt.Equal(want.SentAt) || !slices.Equal(got.Exclude, want.Exclude) {
				t.Errorf("got %+v", got)
			}
			if most := 2*len(payload) + 200; want.WireLen() > most {
				t.Errorf("%d bytes of payload take %d on the queue, more than %d", len(payload), want.WireLen(), most)
			}
		})
	}
}

func TestPayloadSurvivesTheBroadcastQueue(t *testing.T) {
	for _, test := range []struct {
		name, payload, encoding string
	}{
		{"text", "hello", ""},
		{"what SQS allows", "\t\n\r \u007f\ud7ff\ue000\ufffd🎺", ""},
		{"a control character", "a\x00b", "base64"},
		{"a noncharacter", "\uffff", "base64"},
		{"not UTF-8", "\xc3", "base64"},
	} {
		t.Run(test.name, func(t *testing.T) {
			text, encoding := broadcast.EncodePayload([]byte(test.payload))
			if encoding != test.encoding {
				t.Errorf("encoding %q, want %q", encoding, test.encoding)
			}
			if !broadcast.Carriable([]byte(text)) {
				t.Errorf("SQS cannot carry %q", text)
			}
			got, err := broadcast.DecodePayload(text, encoding)
			if err != nil || string(got) != test.payload {
				t.Errorf("came back as %q, %v", got, err)
			}
		})
	}
}

func TestPayloadThatCanNeverBePostedIsPermanent(t *testing.T) {
	for _, test := range []struct {
		name, text, encoding, reason, says string
	}{
		{"empty", "", "", broadcast.ReasonMalformed, "empty"},
		{"too large", strings.Repeat("x", broadcast.MaxPayloadBytes+1), "", broadcast.ReasonTooLarge, "131073 bytes"},
		{"too large once decoded", strings.Repeat("QUJD", broadcast.MaxPayloadBytes/3+1), "base64", broadcast.ReasonTooLarge, "at most 131072"},
		{"malformed base64", "%%%", "base64", broadcast.ReasonMalformed, "marked as base64 and is not"},
		{"base64 of nothing", "", "base64", broadcast.ReasonMalformed, "empty"},
		{"unknown encoding", "abc", "gzip", broadcast.ReasonMalformed, `unknown encoding "gzip"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := broadcast.DecodePayload(test.text, test.encoding)
			if err == nil {
				t.Fatal("accepted")
			}
			if fate, reason := broadcast.FateOf(err); fate != broadcast.FatePermanent || reason != test.reason {
				t.Errorf("fate %v for %q, want permanent for %q", fate, reason, test.reason)
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("%q does not say %q", err, test.says)
			}
		})
	}
}

func TestBatchSurvivesTheSendQueue(t *testing.T) {
	want := broadcast.Batch{
		ID: "0/4.0.7~1", Attempt: 2, Reason: broadcast.ReasonThrottled, Full: 1, Redriven: true,
		Messages:    []broadcast.Message{{ID: "m-1", Payload: []byte("hello"), SentAt: time.UnixMilli(5).UTC()}},
		Connections: []string{"a=", "b="}, Settling: []string{"c="},
		DispatchedAt: time.UnixMilli(1_700_000_000_123).UTC(),
	}
	body, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	const wire = `{"id":"0/4.0.7~1","attempt":2,"messages":[{"id":"m-1","payload":"hello","sentAt":5}],` +
		`"connections":["a=","b="],"settling":["c="],"reason":"throttled","full":1,"redriven":true,"dispatchedAt":1700000000123}`
	if body != wire {
		t.Errorf("on the queue:\n got %s\nwant %s", body, wire)
	}
	got, err := broadcast.DecodeBatch(body)
	if err != nil {
		t.Fatal(err)
	}
	again, err := got.Encode()
	if err != nil || again != body || !got.DispatchedAt.Equal(want.DispatchedAt) {
		t.Errorf("came back as %s, %v", again, err)
	}
}

func TestWhatIsNoBatchIsPermanent(t *testing.T) {
	const message = `{"id":"m","payload":"x","sentAt":1}`
	for name, body := range map[string]string{
		"no JSON":              "hello",
		"another JSON":         `{"Type":"Notification"}`,
		"a list":               `[]`,
		"no id":                `{"messages":[` + message + `],"connections":["a="]}`,
		"no messages":          `{"id":"b","messages":[],"connections":["a="]}`,
		"no connections":       `{"id":"b","messages":[` + message + `],"connections":[]}`,
		"a message without id": `{"id":"b","messages":[{"payload":"x"}],"connections":["a="]}`,
		"an empty payload":     `{"id":"b","messages":[{"id":"m","payload":""}],"connections":["a="]}`,
		"malformed base64":     `{"id":"b","messages":[{"id":"m","payload":"%","encoding":"base64"}],"connections":["a="]}`,
		"a negative attempt":   `{"id":"b","attempt":-1,"messages":[` + message + `],"connections":["a="]}`,
		"a negative count":     `{"id":"b","full":-1,"messages":[` + message + `],"connections":["a="]}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := broadcast.DecodeBatch(body)
			if err == nil {
				t.Fatal("accepted")
			}
			if fate, _ := broadcast.FateOf(err); fate != broadcast.FatePermanent {
				t.Errorf("fate %v, want permanent: %v", fate, err)
			}
		})
	}
}

func TestBatchThatSQSCannotCarryIsNotEncoded(t *testing.T) {
	b := broadcast.Batch{ID: "b", Connections: []string{strings.Repeat("x", broadcast.MaxQueueBytes)}}
	if _, err := b.Encode(); err == nil {
		t.Error("encoded")
	}
}

func FuzzDecodeBatch(f *testing.F) {
	seeds := []string{
		`{"id":"b","attempt":0,"messages":[{"id":"m","payload":"x","sentAt":1}],"connections":["a="]}`,
		`{"id":"b","messages":[{"id":"m","payload":"AAE=","encoding":"base64","sentAt":1,"exclude":["a="]}],"connections":[],"settling":["c="],"dispatchedAt":3}`,
		`{}`, ``, `null`, `{"id":1}`,
	}
	if _, err := broadcast.DecodeBatch(seeds[0]); err != nil {
		f.Fatalf("the corpus has no batch to start from: %v", err)
	}
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		b, err := broadcast.DecodeBatch(body)
		if err != nil {
			var failure *broadcast.Failure
			if !errors.As(err, &failure) || failure.Fate != broadcast.FatePermanent {
				t.Fatalf("not permanent: %v", err)
			}
			return
		}
		first, err := b.Encode()
		if err != nil {
			return // larger than it was
		}
		again, err := broadcast.DecodeBatch(first)
		if err != nil {
			t.Fatalf("%s does not decode: %v", first, err)
		}
		if second, _ := again.Encode(); second != first {
			t.Fatalf("not stable:\n%s\n%s", first, second)
		}
	})
}

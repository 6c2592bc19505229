package sqs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

var requestSeeds = []string{
	`{}`, `null`, `[1,-0.5e+3,0,true,false,null,"",[],{}]`, ` { "a" : "\u00e9\ud83d\ude00\"\\\/\b\f\n\r\t" } `,
	`"\ud800"`, `"\\ud800\ud800"`, `"\udc00\ud800\ud800\udc00"`, `"\uD800x"`, `{"a":1,"a":2}`, `01`, `1.`, `-`, `"` +
		"\x01" +
		`"`, "\"\xff\"", `"\u12"`, `[1,]`, `{"a"}`,
	strings.Repeat("[", 20) + strings.Repeat("]", 20),
	`{"QueueUrl":"http://x/000000000000/q","MessageBody":"x","MessageAttributes":{"a":{"DataType":"Binary",` +
		`"BinaryValue":"AA=="}}}`,
}

// FuzzParse compares the request parser with encoding/json.
func FuzzParse(f *testing.F) {
	if len(requestSeeds) == 0 {
		f.Fatal("no seeds")
	}
	for _, seed := range requestSeeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := parse(data)
		valid := json.Valid(data) && utf8.Valid(data)
		if err == nil && !valid {
			t.Fatalf("got nil for %q, want an error", data)
		}
		if err != nil {
			if valid && !strings.Contains(err.Message, "duplicate") && !strings.Contains(err.Message, "nested") {
				t.Fatalf("%q: got %v, want nil", data, err)
			}
			return
		}
		decoder := json.NewDecoder(bytes.NewReader(data))
		decoder.UseNumber()
		var want any
		if err := decoder.Decode(&want); err != nil {
			t.Fatal(err)
		}
		if plain := plainValue(got); !reflect.DeepEqual(plain, want) {
			// encoding/json takes names that differ only in a lone surrogate for one name
			if !strings.Contains(strings.ToLower(string(data)), `\ud`) {
				t.Fatalf("%q: got %#v, want %#v", data, plain, want)
			}
		}
	})
}

// plainValue returns v as encoding/json does, with lone surrogates replaced.
func plainValue(v value) any {
	switch v.kind {
	case kindBoolean:
		return v.text == "true"
	case kindNumber:
		return json.Number(v.text)
	case kindString:
		return replaceSurrogates(v.text)
	case kindList:
		list := []any{}
		for _, item := range v.items {
			list = append(list, plainValue(item))
		}
		return list
	case kindObject:
		object := map[string]any{}
		for _, m := range v.members {
			object[replaceSurrogates(m.name)] = plainValue(m.value)
		}
		return object
	}
	return nil
}

func replaceSurrogates(text string) string {
	var b strings.Builder
	for text != "" {
		if _, ok := surrogateAt(text); ok {
			b.WriteRune(utf8.RuneError)
			text = text[3:]
			continue
		}
		_, size := utf8.DecodeRuneInString(text)
		b.WriteString(text[:size])
		text = text[size:]
	}
	return b.String()
}

var operationSeeds = [][2]string{
	{"SendMessage", `{"QueueUrl":"http://x/000000000000/q","MessageBody":"\ud800x","DelaySeconds":1}`},
	{"SendMessage", `{"QueueUrl":"http://x/000000000000/q","MessageBody":"x",` +
		`"MessageAttributes":{"a":{"DataType":"Number.x","StringValue":"1e3"}}}`},
	{"SendMessageBatch", `{"QueueUrl":"http://x/000000000000/q","Entries":[{"Id":"1","MessageBody":"x",` +
		`"MessageGroupId":"g"},{"Id":"2","MessageBody":"\u0001"}]}`},
	{"ReceiveMessage", `{"QueueUrl":"http://x/000000000000/q","MaxNumberOfMessages":10,"AttributeNames":["All"],` +
		`"MessageAttributeNames":["a.*"],"VisibilityTimeout":0}`},
	{"DeleteMessageBatch", `{"QueueUrl":"http://x/000000000000/q","Entries":[{"Id":"1",` +
		`"ReceiptHandle":"AQEBAWDwZb+i8Vu7AAAAAAAAAAEAAAAB"}]}`},
	{"ChangeMessageVisibility", `{"QueueUrl":"http://x/000000000000/q","ReceiptHandle":"AQEB","VisibilityTimeout":1}`},
	{"CreateQueue", `{"QueueName":"n","Attributes":{"RedrivePolicy":"{` +
		`\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:q\",\"maxReceiveCount\":1}"}}`},
	{"SetQueueAttributes", `{"QueueUrl":"http://x/000000000000/q","Attributes":{"Policy":"{}",` +
		`"RedriveAllowPolicy":"{\"redrivePermission\":\"denyAll\"}"}}`},
	{"GetQueueAttributes", `{"QueueUrl":"http://x/000000000000/q","AttributeNames":["All"]}`},
	{"ListQueues", `{"MaxResults":1,"NextToken":"cQ=="}`},
	{"PurgeQueue", `{"QueueUrl":"http://x/000000000000/q"}`},
	{"DeleteQueue", `{"QueueUrl":"http://x/000000000000/q"}`},
}

// FuzzOperations sends arbitrary requests to a server with one message. Each must be answered with JSON, a success or
// an error of the client, and the lists, heaps and counts of the queue must agree.
func FuzzOperations(f *testing.F) {
	if len(operationSeeds) == 0 {
		f.Fatal("no seeds")
	}
	for _, seed := range operationSeeds {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, operation, body string) {
		if strings.Contains(body, "WaitTimeSeconds") {
			t.Skip("would wait")
		}
		s := New(Options{})
		defer s.Close()
		mustCreate(t, s, "q")
		mustSend(t, s, "q", "first")
		r := request("", body)
		r.Header["X-Amz-Target"] = []string{"AmazonSQS." + operation}
		w := answer(s, r)
		switch {
		case w.Code == http.StatusOK && w.Body.Len() > 0 && !json.Valid(w.Body.Bytes()):
			t.Errorf("got %q, want JSON", w.Body)
		case w.Code != http.StatusOK && (w.Code != http.StatusBadRequest || wireError(t, w).Code == ""):
			t.Errorf("got %d %q, want 200 or an error of the client", w.Code, w.Body)
		}
		for _, q := range s.all() {
			if err := checkQueue(q); err != nil {
				t.Error(err)
			}
		}
	})
}

// checkQueue checks that the lists, heaps and counts of a queue agree.
func checkQueue(q *queue) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	listed := 0
	for m := q.first; m != nil; m = m.next {
		if m.state != visible || m.next == nil && q.last != m {
			return fmt.Errorf("the list of visible messages is broken at %d", m.number)
		}
		listed++
	}
	if listed != q.counts[visible] || q.byDue.Len() != q.counts[delayed]+q.counts[inFlight] ||
		len(q.messages) != listed+q.byDue.Len() || q.byAge.Len() != len(q.messages) {
		return fmt.Errorf("counts %v, %d visible, %d not, %d by age, %d in all", q.counts, listed, q.byDue.Len(),
			q.byAge.Len(), len(q.messages))
	}
	for _, h := range []*timeHeap{&q.byDue, &q.byAge} {
		for i, m := range h.messages {
			if *h.index(m) != i || q.messages[m.number] != m {
				return fmt.Errorf("message %d has a wrong index", m.number)
			}
		}
	}
	return nil
}

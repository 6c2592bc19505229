package sqs

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"fanfare/local/awsapi"
)

func request(operation, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:4566/", strings.NewReader(body))
	r.Header.Set("Content-Type", awsapi.JSON10)
	r.Header.Set("X-Amz-Target", "AmazonSQS."+operation)
	return r
}

func answer(s *Server, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// do executes an operation that must succeed, and returns its result.
func do(t testing.TB, s *Server, operation, body string) map[string]any {
	t.Helper()
	w := answer(s, request(operation, body))
	if w.Code != http.StatusOK {
		t.Fatalf("%s: got %d %s, want 200", operation, w.Code, w.Body)
	}
	result := map[string]any{}
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &result); err != nil {
			t.Fatal(err)
		}
	}
	return result
}

// refusal executes an operation that must fail, and returns its error as received.
func refusal(t testing.TB, s *Server, operation, body string) *Error {
	t.Helper()
	return wireError(t, answer(s, request(operation, body)))
}

func wireError(t testing.TB, w *httptest.ResponseRecorder) *Error {
	t.Helper()
	var e struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	if w.Code == http.StatusOK {
		t.Fatalf("got success %s, want an error", w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil {
		t.Fatalf("decode error %s: %v", w.Body, err)
	}
	shape, ok := strings.CutPrefix(e.Type, "com.amazonaws.sqs#")
	code, fault, _ := strings.Cut(w.Header().Get("x-amzn-query-error"), ";")
	if want := map[bool]string{true: "Receiver", false: "Sender"}[w.Code >= 500]; !ok || fault != want {
		t.Errorf("got status %d, __type %q and x-amzn-query-error %q", w.Code, e.Type, w.Header().Get("x-amzn-query-error"))
	}
	return &Error{Status: w.Code, Type: shape, Code: code, Message: e.Message}
}

func TestServeHTTP_Errors(t *testing.T) {
	s := New(Options{})
	defer s.Close()
	mustCreate(t, s, "q")
	const q = `"QueueUrl":"http://127.0.0.1:4566/000000000000/q"`
	for _, c := range []struct{ operation, body, shape, part string }{
		{"SendMessages", `{}`, "UnknownOperationException", "SendMessages"},
		{"AddPermission", `{}`, "UnsupportedOperation", "AddPermission"},
		{"SendMessage", `{` + q + `,"MessageBody":"x","messageBody":"x"}`, "UnsupportedOperation", `"messageBody"`},
		{"SendMessageBatch", `{` + q + `,"Entries":[{"Id":"1","MessageBody":"x","Delay":1}]}`, "UnsupportedOperation",
			`"Delay"`},
		{"SendMessage", `{` + q + `,"MessageBody":"x","MessageAttributes":{"a":{"DataType":"String","StringValue":"x",` +
			`"Value":1}}}`, "UnsupportedOperation", `"Value"`},
		{"SendMessage", `{` + q + `,"MessageBody":1}`, "SerializationException",
			"MessageBody must be a string, not a number"},
		{"SendMessage", `{` + q + `,"MessageBody":"x","DelaySeconds":"1"}`, "SerializationException",
			"DelaySeconds must be a number"},
		{"SendMessage", `{` + q + `,"MessageBody":"x","DelaySeconds":1.5}`, "SerializationException", "32-bit integer"},
		{"SendMessage", `{` + q + `,"MessageBody":"x","MessageBody":"y"}`, "SerializationException",
			"duplicate object member name"},
		{"SendMessage", `{` + q + `,"MessageBody":"x"`, "SerializationException", "unexpected EOF"},
		{"SendMessage", `{` + q + `,"MessageBody":"x"} x`, "SerializationException", "invalid character"},
		{"SendMessage", strings.Repeat("[", 18) + strings.Repeat("]", 18), "SerializationException",
			"nested more than 16 levels deep"},
		{"SendMessage", `[]`, "SerializationException", "an object"},
		{"SendMessage", "{" + q + `,"MessageBody":"` + "\xff" + `"}`, "SerializationException", "UTF-8"},
		{"SendMessage", `{"MessageBody":"x"}`, "MissingRequiredParameterException", "QueueUrl"},
		{"SendMessage", `{` + q + `,"MessageBody":null}`, "MissingRequiredParameterException", "MessageBody"},
		{"SendMessage", `{` + q + `,"MessageBody":"\ud800"}`, "InvalidMessageContents", "'#xD800'"},
		{"SendMessage", `{` + q + `,"MessageBody":"x\udc00\ud800y"}`, "InvalidMessageContents", "'#xDC00'"},
		{"SendMessage", `{` + q + `,"MessageBody":"x","MessageDeduplicationId":"x"}`, "InvalidParameterValueException",
			"not valid for this queue type"},
		{"SendMessage", `{` + q + `,"MessageBody":"x","MessageAttributes":{"a":{"DataType":"Binary","BinaryValue":"%"}}}`,
			"SerializationException", "base64"},
		{"SendMessage", `{` + q + `,"MessageBody":"x","MessageAttributes":{"a":{"DataType":"String",` +
			`"StringListValues":["x"]}}}`, "UnsupportedOperation", "list values"},
		{"SendMessage", `{` + q + `,"MessageBody":"x","MessageSystemAttributes":{"SenderId":{"DataType":"String",` +
			`"StringValue":"x"}}}`, "InvalidParameterValueException", "SenderId"},
		{"SendMessage", `{"QueueUrl":"q","MessageBody":"x"}`, "InvalidAddress", "q"},
		{"SendMessage", `{"QueueUrl":"http://x/111111111111/q","MessageBody":"x"}`, "QueueDoesNotExist", ""},
		{"SendMessage", `{"QueueUrl":"http://x/000000000000/q.fifo","MessageBody":"x"}`, "UnsupportedOperation", "FIFO"},
		{"CreateQueue", `{"QueueName":"q.fifo","Attributes":{"FifoQueue":"true"}}`, "UnsupportedOperation",
			"FIFO queues are not emulated: q.fifo"},
		{"CreateQueue", `{"QueueName":"q.fifo"}`, "InvalidParameterValueException", ""},
		{"CreateQueue", `{"QueueName":"n","tags":{"x":"y"}}`, "UnsupportedOperation", "Tags are not emulated."},
		{"CreateQueue", `{"QueueName":"n","Attributes":{"Policy":"\ud800"}}`, "InvalidParameterValueException", "surrogate"},
		{"StartMessageMoveTask", `{"SourceArn":"x"}`, "UnsupportedOperation", "StartMessageMoveTask is not emulated."},
		{"TagQueue", `{` + q + `,"Tags":{"x":"y"}}`, "UnsupportedOperation", "TagQueue is not emulated."},
		{"ReceiveMessage", `{` + q + `,"ReceiveRequestAttemptId":"x"}`, "InvalidParameterValueException",
			"ReceiveRequestAttemptId"},
		{"ReceiveMessage", `{` + q + `,"MessageSystemAttributeNames":["Nonsense"]}`, "InvalidAttributeName", "Nonsense"},
		{"ListQueues", `{"MaxResults":0}`, "InvalidParameterValueException", "MaxResults"},
		{"GetQueueUrl", `{"QueueName":"q","QueueOwnerAWSAccountId":"111111111111"}`, "QueueDoesNotExist", ""},
	} {
		e := refusal(t, s, c.operation, c.body)
		if e.Status != http.StatusBadRequest || e.Type != c.shape || !strings.Contains(e.Message, c.part) {
			t.Errorf("%s %s\n got %d %s: %s\nwant %s: …%s…", c.operation, c.body, e.Status, e.Type, e.Message, c.shape, c.part)
		}
	}
	if n := s.queue("q").messageCounts(); n != [3]int{} {
		t.Errorf("messages after refused requests: got %v, want none", n)
	}
}

func TestServeHTTP_Success(t *testing.T) {
	s := New(Options{Endpoint: "http://localhost:4566/", Region: "eu-west-1", Account: "123456789012"})
	defer s.Close()
	if arn := mustCreate(t, s, "q"); arn != "arn:aws:sqs:eu-west-1:123456789012:q" {
		t.Errorf("ARN: got %s", arn)
	}
	if got := do(t, s, "GetQueueUrl", `{"QueueName":"q"}`)["QueueUrl"]; got != "http://localhost:4566/123456789012/q" {
		t.Errorf("queue URL: got %s", got)
	}
	// Escapes, and the host of another server.
	w := answer(s, request("SendMessage", `{"QueueUrl":"https://sqs.eu-west-1.amazonaws.com/123456789012/q",`+
		`"MessageBody":"\u0041\ud83d\ude00\n<&>"}`))
	if w.Code != http.StatusOK || len(w.Header().Get("X-Amzn-RequestId")) != 36 ||
		w.Header().Get("Content-Type") != awsapi.JSON10 {
		t.Errorf("got %d %v", w.Code, w.Header())
	}
	w = answer(s, request("ReceiveMessage", `{"QueueUrl":"x://y/123456789012/q"}`))
	if !strings.Contains(w.Body.String(), `"Body":"A😀\n<&>"`) {
		t.Errorf("got %s, want the text without escapes", w.Body)
	}
	if w := answer(s, request("ReceiveMessage", `{"QueueUrl":"x://y/123456789012/q"}`)); w.Body.String() != "{}" {
		t.Errorf("empty receive: got %s, want {}", w.Body)
	}
	if w := answer(s, request("PurgeQueue", `{"QueueUrl":"x://y/123456789012/q"}`)); w.Code != http.StatusOK ||
		w.Body.Len() != 0 {
		t.Errorf("operation without a result: got %d %q, want 200 and no body", w.Code, w.Body)
	}
}

func TestServeHTTP_TraceHeader(t *testing.T) {
	s := New(Options{})
	defer s.Close()
	arn := mustCreate(t, s, "q")
	r := request("SendMessageBatch", `{"QueueUrl":"http://x/000000000000/q","Entries":[{"Id":"1","MessageBody":"1"},
		{"Id":"2","MessageBody":"2","MessageSystemAttributes":
			{"AWSTraceHeader":{"DataType":"String","StringValue":"Root=own"}}}]}`)
	const trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1;Lineage=1:a87bd80c:1"
	r.Header.Set("X-Amzn-Trace-Id", trace+"%20")
	if w := answer(s, r); w.Code != http.StatusOK {
		t.Fatal(w.Body)
	}
	messages := mustReceive(t, s, arn, 10, 0)
	if got := messages[0].Attributes["AWSTraceHeader"]; got != trace+" " {
		t.Errorf("first message: got %q", got)
	}
	if got := messages[1].Attributes["AWSTraceHeader"]; got != "Root=own" {
		t.Errorf("second message: got %q, want Root=own", got)
	}
}

func TestServeHTTP_QueryProtocol(t *testing.T) {
	s := New(Options{})
	defer s.Close()
	form := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("Action=ListQueues&Version=2012-11-05"))
	form.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	for _, r := range []*http.Request{form, httptest.NewRequest(http.MethodGet, "/?Action=ListQueues", nil)} {
		w := answer(s, r)
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "The query protocol is not emulated") {
			t.Errorf("got %d %s, want 400", w.Code, w.Body)
		}
	}
	if e := wireError(t, answer(s, httptest.NewRequest(http.MethodGet, "/", nil))); e.Type != "UnsupportedOperation" {
		t.Errorf("GET: got %v, want UnsupportedOperation", e)
	}
}

func TestServeHTTP_OversizedRequest(t *testing.T) {
	s := New(Options{})
	defer s.Close()
	if e := refusal(t, s, "SendMessage", strings.Repeat(" ", maxRequestBytes+1)); e.Type != "SerializationException" {
		t.Errorf("got %v, want SerializationException", e)
	}
}

func TestAuthorize(t *testing.T) {
	var asked []string
	var denial error
	s := New(Options{Authorize: func(key, action, resource string) error {
		asked = append(asked, fmt.Sprint(key, " ", action, " ", resource))
		return denial
	}})
	defer s.Close()
	dead := mustCreate(t, s, "dead")
	mustCreate(t, s, "q", fmt.Sprintf(`RedrivePolicy={"deadLetterTargetArn":%q,"maxReceiveCount":1}`, dead))
	const url, arn = `"QueueUrl":"http://x/000000000000/q"`, "arn:aws:sqs:us-east-1:000000000000:"
	signed := func(operation, body string) *http.Request {
		r := request(operation, body)
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKID/20261123/us-east-1/sqs/aws4_request, "+
			"SignedHeaders=host, Signature=00")
		return r
	}
	for _, c := range []struct {
		operation, body string
		want            string
	}{
		{"SendMessage", `{` + url + `,"MessageBody":"x"}`, "AKID sqs:SendMessage " + arn + "q"},
		{"SendMessageBatch", `{` + url + `,"Entries":[{"Id":"1","MessageBody":"x"}]}`, "AKID sqs:SendMessage " + arn + "q"},
		{"ReceiveMessage", `{` + url + `}`, "AKID sqs:ReceiveMessage " + arn + "q"},
		{"DeleteMessageBatch", `{` + url + `,"Entries":[{"Id":"1","ReceiptHandle":"x"}]}`, "AKID sqs:DeleteMessage " + arn +
			"q"},
		{"ChangeMessageVisibilityBatch", `{` + url + `,"Entries":[{"Id":"1","ReceiptHandle":"x","VisibilityTimeout":0}]}`,
			"AKID sqs:ChangeMessageVisibility " + arn + "q"},
		{"GetQueueUrl", `{"QueueName":"missing"}`, "AKID sqs:GetQueueUrl " + arn + "missing"},
		{"ListQueues", `{}`, "AKID sqs:ListQueues *"},
		{"CreateQueue", `{"QueueName":"new"}`, "AKID sqs:CreateQueue " + arn + "new"},
	} {
		asked = nil
		answer(s, signed(c.operation, c.body))
		if got := strings.Join(asked, "|"); got != c.want {
			t.Errorf("%s: got %s, want %s", c.operation, got, c.want)
		}
	}
	denial = errors.New("User: x is not authorized to perform: sqs:sendmessage on resource: q")
	before := s.queue("q").messageCounts()
	e := wireError(t, answer(s, signed("SendMessage", `{`+url+`,"MessageBody":"x"}`)))
	if e.Status != http.StatusForbidden || e.Type != "AccessDeniedException" || e.Code != "AccessDenied" ||
		e.Message != denial.Error() {
		t.Errorf("denied: got %+v", e)
	}
	if s.queue("q").messageCounts() != before {
		t.Error("after a denied send: got another count")
	}
	for name, op := range operations {
		if want := "sqs:" + strings.TrimSuffix(name, "Batch"); op.run != nil && op.action != want {
			t.Errorf("action of %s: got %s, want %s", name, op.action, want)
		}
	}
	asked = nil
	answer(s, request("ListQueues", `{}`))
	if asked[0] != " sqs:ListQueues *" {
		t.Errorf("unsigned: got %q", asked)
	}
}

package emulator

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"fanfare/local/apigateway"
	"fanfare/local/stack"
	"fanfare/test/localtest"
	"fanfare/test/wsclient"
)

// request makes a request of the local AWS and returns the status and the trimmed body of the response. header holds
// names and values in turn.
func request(t *testing.T, s *localtest.Stack, method, path, body string, header ...string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.Endpoint+path, strings.NewReader(body))
	must(t, err)
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	must(t, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	must(t, err)
	return response.StatusCode, strings.TrimSpace(string(answer))
}

// startEcho runs the template of the application echo.
func startEcho(t *testing.T, o stack.Options) *localtest.Stack {
	t.Helper()
	programs := map[string]string{"echo": "echo/echo.py"}
	return start(t, application(t, exampleTemplate(t, "echo.yaml"), programs), o)
}

func TestControl_Requests(t *testing.T) {
	t.Parallel()
	s := startEcho(t, stack.Options{})
	const set = `{"seed":7,"apigateway.gone":0.25,"lambda.Functions":["Echo"],"lambda.KillWithin":"20ms"}`
	faults := `{"apigateway.Gone":"0.25","apigateway.Seed":"7","dynamodb.Seed":"7","lambda.Functions":"` +
		s.Resolved.Functions[0].Name + `","lambda.KillWithin":"20ms","lambda.Seed":"7","sqs.Seed":"7"}`
	for _, test := range []struct {
		method, path, body string
		header             []string
		status             int
		answer             string
	}{
		{"GET", "/_local/faults", "", nil, 200, `{}`},
		{"POST", "/_local/faults", set, nil, 200, faults},
		{"POST", "/_local/faults", `{"apigateway.Gone":0,"sqs.Nonsense":1}`, nil, 400, `no fault \"sqs.Nonsense\"`},
		{"POST", "/_local/faults", `{"apigateway.Gone":true}`, nil, 400, "neither a number"},
		{"POST", "/_local/faults", `{"apigateway.Gone":0.6,"apigateway.Reset":0.6}`, nil, 400, "not between 0 and 1"},
		{"POST", "/_local/faults", `{"lambda.Functions":"Missing"}`, nil, 400, `\"Missing\" is not in the template`},
		{"POST", "/_local/faults", `{"sqs.Queues":"Missing"}`, nil, 400, `\"Missing\" is not in the template`},
		{"POST", "/_local/faults", `{"sqs.Operations":"Scan"}`, nil, 400, `\"Scan\" is not one of`},
		{"POST", "/_local/faults", `[]`, nil, 400, "not the JSON object"},
		{"POST", "/_local/faults", `{} {}`, nil, 400, "something follows"},
		{"POST", "/_local/faults", `{"apigateway.Gone":1}`, []string{"Origin", "https://example.com"}, 403, "web pages"},
		{"GET", "/_local/faults", "", nil, 200, `"apigateway.Gone":"0.25"`}, // a refused request changes nothing
		{"DELETE", "/_local/faults", "", nil, 200, `{}`},
		{"POST", "/_local/kill", `{"function":"Missing"}`, nil, 400, "no function"},
		{"POST", "/_local/kill", `{"funktion":"Echo"}`, nil, 400, "unknown field"},
		{"POST", "/_local/kill", `{"function":"Echo"}`, nil, 200, `{"killed":0}`},
		{"GET", "/_local/traces", "", nil, 404, "--xray"},
		{"GET", "/_local/nonsense", "", nil, 404, "GET /_local/nonsense"},
	} {
		status, answer := request(t, s, test.method, test.path, test.body, test.header...)
		if status != test.status || !strings.Contains(answer, test.answer) {
			t.Errorf("%s %s %s: got %d %s, want %d %s",
				test.method, test.path, test.body, status, answer, test.status, test.answer)
		}
	}
}

// A fault that is set while the stack runs takes effect, and so does the kill of a process in an invocation.
func TestControl_FaultsTakeEffect(t *testing.T) {
	t.Parallel()
	s := startEcho(t, stack.Options{})
	c := wsclient.Connect(t, s.WebSocket, wsclient.Options{})
	answer := func(text string) string {
		t.Helper()
		c.MustSend(t, text)
		return c.MustNext(t)
	}
	if got := answer("hello"); got != "green: hello" {
		t.Fatalf("got %q, want the echo", got)
	}
	if status, text := request(t, s, "POST", "/_local/faults", `{"lambda.Throttle":1}`); status != 200 {
		t.Fatal(text)
	}
	if got := answer("hello"); !strings.Contains(got, "Internal server error") {
		t.Errorf("throttled: got %q, want an error", got)
	}
	if status, text := request(t, s, "DELETE", "/_local/faults", ""); status != 200 {
		t.Fatal(text)
	}
	c.MustSend(t, "sleep")
	localtest.Eventually(t, "the function sleeps", func() bool { return strings.Contains(s.LogText(), "sleeping") })
	status, text := request(t, s, "POST", "/_local/kill", `{"function":"Echo"}`)
	if status != 200 || text != `{"killed":1}` {
		t.Errorf("kill: got %d %s, want 1 killed", status, text)
	}
	if got := c.MustNext(t); !strings.Contains(got, "Internal server error") {
		t.Errorf("killed: got %q, want an error", got)
	}
	if got := answer("hello"); got != "green: hello" {
		t.Errorf("after the kill: got %q, want the echo", got)
	}
}

func TestStack_QuotasAndLatency(t *testing.T) {
	t.Parallel()
	s := startEcho(t, stack.Options{
		Quotas:  stack.Quotas{Connections: apigateway.Throttle{Rate: 0.001, Burst: 2}},
		Latency: stack.Latency{SQS: 90 * time.Millisecond, DynamoDB: 90 * time.Millisecond},
	})
	for range 2 {
		wsclient.Connect(t, s.WebSocket, wsclient.Options{})
	}
	if got := status(t, s.WebSocket, wsclient.Options{}); got != http.StatusTooManyRequests {
		t.Errorf("third connection: got status %d, want 429", got)
	}
	got, answer := request(t, s, "POST", "/", "{}", "X-Amz-Target", "AmazonSQS.ListQueues")
	if got == http.StatusBadRequest && strings.Contains(answer, "is not emulated") {
		t.Errorf("SQS with latency: got %d %s, want an answer of the service", got, answer)
	}
	got, answer = request(t, s, "POST", "/", "{}", "X-Amz-Target", "Kinesis_20131202.ListStreams")
	if got != http.StatusBadRequest || !strings.Contains(answer, "Kinesis_20131202") {
		t.Errorf("another service: got %d %s, want 400 with its name", got, answer)
	}
}

package emulator

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"fanfare/local/apigateway"
	"fanfare/local/stack"
)

// ask makes a request of the control and returns the status and the answer.
func (w *world) ask(t *testing.T, method, path, body string, header ...string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, w.AWSEndpoint+path, strings.NewReader(body))
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

func TestFaultsAreControlledWhileItRuns(t *testing.T) {
	t.Parallel()
	w := start(t, application(t, theirs(t, "echo.yaml"), map[string]string{"echo": "echo/echo.py"}), stack.Options{})
	for _, test := range []struct {
		method, path, body string
		header             []string
		status             int
		says               string
	}{
		{"GET", "/_local/faults", "", nil, 200, `{}`},
		{"POST", "/_local/faults", `{"seed":7,"apigateway.gone":0.25,"lambda.Functions":["Echo"],"lambda.KillWithin":"20ms"}`, nil, 200,
			`{"apigateway.Gone":"0.25","apigateway.Seed":"7","dynamodb.Seed":"7","lambda.Functions":"` + w.Resolved.Functions[0].Name + `","lambda.KillWithin":"20ms","lambda.Seed":"7","sqs.Seed":"7"}`},
		{"POST", "/_local/faults", `{"apigateway.Gone":0,"apigateway.Nonsense":1}`, nil, 400, `no fault \"apigateway.Nonsense\"`},
		{"POST", "/_local/faults", `{"apigateway.Gone":true}`, nil, 400, "neither a number"},
		{"POST", "/_local/faults", `{"apigateway.Gone":0.6,"apigateway.Reset":0.6}`, nil, 400, "not between 0 and 1"},
		{"POST", "/_local/faults", `{"lambda.Functions":"Nobody"}`, nil, 400, `\"Nobody\" is not in the template`},
		{"POST", "/_local/faults", `{"sqs.Queues":"Nobody"}`, nil, 400, `\"Nobody\" is not in the template`},
		{"POST", "/_local/faults", `{"sqs.Operations":"Scan"}`, nil, 400, `\"Scan\" is not one of`},
		{"POST", "/_local/faults", `[]`, nil, 400, "not the JSON object"},
		{"POST", "/_local/faults", `{} {}`, nil, 400, "something follows"},
		{"POST", "/_local/faults", `{"apigateway.Gone":1}`, []string{"Origin", "https://example.com"}, 403, "web pages"},
		{"GET", "/_local/faults", "", nil, 200, `"apigateway.Gone":"0.25"`}, // nothing of what was refused has happened
		{"DELETE", "/_local/faults", "", nil, 200, `{}`},
		{"POST", "/_local/kill", `{"function":"Nobody"}`, nil, 400, "no function"},
		{"POST", "/_local/kill", `{"funktion":"Echo"}`, nil, 400, "unknown field"},
		{"POST", "/_local/kill", `{"function":"Echo"}`, nil, 200, `{"killed":0}`},
		{"GET", "/_local/traces", "", nil, 404, "--xray"},
		{"GET", "/_local/nonsense", "", nil, 404, "GET /_local/nonsense"},
	} {
		status, answer := w.ask(t, test.method, test.path, test.body, test.header...)
		if status != test.status || !strings.Contains(answer, test.says) {
			t.Errorf("%s %s %s: %d %s, want %d %s", test.method, test.path, test.body, status, answer, test.status, test.says)
		}
	}
}

// A fault that is set while it runs happens, and so does a process's death in mid-invocation.
func TestFaultsHappen(t *testing.T) {
	t.Parallel()
	w := start(t, application(t, theirs(t, "echo.yaml"), map[string]string{"echo": "echo/echo.py"}), stack.Options{})
	ctx := patient(t)
	c, err := dial(ctx, t, w.url(0), ws.Dialer{})
	must(t, err)
	answer := func(text string) string {
		t.Helper()
		before := len(c.received())
		must(t, c.send(text))
		must(t, until(ctx, "there is an answer to "+text, func() bool { return len(c.received()) > before }))
		return c.received()[before]
	}
	if got := answer("hello"); got != "green: hello" {
		t.Fatalf("the answer is %q", got)
	}
	if status, text := w.ask(t, "POST", "/_local/faults", `{"lambda.Throttle":1}`); status != 200 {
		t.Fatal(text)
	}
	if got := answer("hello"); !strings.Contains(got, "Internal server error") {
		t.Errorf("throttled, the answer is %q", got)
	}
	if status, text := w.ask(t, "DELETE", "/_local/faults", ""); status != 200 {
		t.Fatal(text)
	}
	before := len(c.received())
	must(t, c.send("sleep"))
	must(t, until(ctx, "the function sleeps", func() bool { return strings.Contains(w.told(), "sleeping") }))
	if status, text := w.ask(t, "POST", "/_local/kill", `{"function":"Echo"}`); status != 200 || text != `{"killed":1}` {
		t.Errorf("kill: %d %s", status, text)
	}
	must(t, until(ctx, "there is an answer", func() bool { return len(c.received()) > before }))
	if got := c.received()[before]; !strings.Contains(got, "Internal server error") {
		t.Errorf("after the kill the answer is %q", got)
	}
	if got := answer("hello"); got != "green: hello" {
		t.Errorf("after all that the answer is %q", got)
	}
}

func TestQuotasAndLatency(t *testing.T) {
	t.Parallel()
	w := start(t, application(t, theirs(t, "echo.yaml"), map[string]string{"echo": "echo/echo.py"}), stack.Options{
		Quotas:  stack.Quotas{Connections: apigateway.Throttle{Rate: 0.001, Burst: 2}},
		Latency: stack.Latency{SQS: patience / 1000, DynamoDB: patience / 1000},
	})
	ctx := patient(t)
	for range 2 {
		_, err := dial(ctx, t, w.url(0), ws.Dialer{})
		must(t, err)
	}
	if got := refused(t, w.url(0), ws.Dialer{}); got != http.StatusTooManyRequests {
		t.Errorf("the third connection is answered with %d", got)
	}
	if status, answer := w.ask(t, "POST", "/", "{}", "X-Amz-Target", "AmazonSQS.ListQueues"); status == http.StatusNotImplemented {
		t.Errorf("behind the latency there is %d %s", status, answer)
	}
	if status, answer := w.ask(t, "POST", "/", "{}", "X-Amz-Target", "Kinesis_20131202.ListStreams"); status != http.StatusNotImplemented || !strings.Contains(answer, "Kinesis_20131202") {
		t.Errorf("another service is answered with %d %s", status, answer)
	}
}

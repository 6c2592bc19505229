package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"fanfare/local/apigateway"
	"fanfare/local/stack"
	"fanfare/local/template"
)

// TestConsole_OneLine checks that each event is one line.
func TestConsole_OneLine(t *testing.T) {
	var out strings.Builder
	c := newConsole(&out, "stack-", false)
	at := time.Date(2025, 1, 2, 3, 4, 5, 6e6, time.UTC)
	c.gateway(apigateway.Event{Time: at, Kind: apigateway.Received, Connection: "abc=", Route: "$default",
		Err: errors.New("first\nsecond\r\nthird")})
	c.gateway(apigateway.Event{Time: at, Kind: apigateway.Posted})
	c.function("stack-f", "", []byte(`{"level":"ERROR","msg":"first\nsecond","of":"a b"}`))
	c.function("stack-f", "", []byte("plain"))
	c.function("stack-f", "", []byte(`{"_aws":{},"Count":1}`))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 || lines[0] != "03:04:05.006  client       abc=: route $default failed: first second third" ||
		!strings.HasSuffix(lines[1], `f            ERROR first second of="a b"`) ||
		!strings.HasSuffix(lines[2], "f            plain") {
		t.Errorf("got %q, want three lines", lines)
	}
}

// TestConsole_Refused checks that the first refusal of a service is a line and later ones are none.
func TestConsole_Refused(t *testing.T) {
	var out strings.Builder
	c := newConsole(&out, "", false)
	for _, service := range []string{"sns", "ssm", "sns"} {
		c.refused(stack.Refused{Service: service, Operation: "Do", Protocol: "AWS query"})
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], "refused AWS query, service sns: Do is not emulated") ||
		!strings.Contains(lines[1], "service ssm") {
		t.Errorf("got %q, want a line about sns and one about ssm", lines)
	}
}

// TestOutputQueues checks that the printed queues are those that an output names by URL, ARN or name.
func TestOutputQueues(t *testing.T) {
	queue := func(name string) template.Queue {
		return template.Queue{Name: name, URL: "http://127.0.0.1:4566/000000000000/" + name,
			ARN: "arn:aws:sqs:us-east-1:000000000000:" + name}
	}
	r := &template.Resolved{
		Queues: []template.Queue{queue("url"), queue("arn"), queue("name"), queue("in"), queue("inner"), queue("none")},
		Outputs: []template.Output{
			{Value: "http://127.0.0.1:4566/000000000000/url"}, {Value: "arn:aws:sqs:us-east-1:000000000000:arn"},
			{Value: "name"},
			{Value: "http://127.0.0.1:4566/000000000000/inner"}, {Value: "http://example.com/none"},
		},
	}
	var names []string
	for _, q := range outputQueues(&stack.Stack{Resolved: r}) {
		names = append(names, q.Name)
	}
	if got := strings.Join(names, " "); got != "url arn name inner" {
		t.Errorf("got %s, want url arn name inner", got)
	}
}

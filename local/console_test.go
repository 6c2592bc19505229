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

// Whatever an event says, it is one line.
func TestOneLinePerEvent(t *testing.T) {
	var out strings.Builder
	c := newConsole(&out, "stack-", false)
	at := time.Date(2025, 1, 2, 3, 4, 5, 6e6, time.UTC)
	c.gateway(apigateway.Event{Time: at, Kind: apigateway.Received, Connection: "abc=", Route: "$default", Err: errors.New("first\nsecond\r\nthird")})
	c.gateway(apigateway.Event{Time: at, Kind: apigateway.Posted})
	c.function("stack-f", "", []byte(`{"level":"ERROR","msg":"first\nsecond","of":"a b"}`))
	c.function("stack-f", "", []byte("plain"))
	c.function("stack-f", "", []byte(`{"_aws":{},"Count":1}`))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 || lines[0] != "03:04:05.006  client       abc=: route $default failed: first second third" ||
		!strings.HasSuffix(lines[1], `f            ERROR first second of="a b"`) || !strings.HasSuffix(lines[2], "f            plain") {
		t.Errorf("printed %q", lines)
	}
}

// The queues that are printed are those that an output names, in whatever way.
func TestQueuesOfOutputsAreNamed(t *testing.T) {
	queue := func(name string) template.Queue {
		return template.Queue{Name: name, URL: "http://127.0.0.1:4566/000000000000/" + name, ARN: "arn:aws:sqs:us-east-1:000000000000:" + name}
	}
	r := &template.Resolved{
		Queues: []template.Queue{queue("url"), queue("arn"), queue("name"), queue("in"), queue("inner"), queue("none")},
		Outputs: []template.Output{
			{Value: "http://127.0.0.1:4566/000000000000/url"}, {Value: "arn:aws:sqs:us-east-1:000000000000:arn"}, {Value: "name"},
			{Value: "http://127.0.0.1:4566/000000000000/inner"}, {Value: "http://example.com/none"},
		},
	}
	var names []string
	for _, q := range named(&stack.Stack{Resolved: r}) {
		names = append(names, q.Name)
	}
	if got := strings.Join(names, " "); got != "url arn name inner" {
		t.Errorf("named are %s", got)
	}
}

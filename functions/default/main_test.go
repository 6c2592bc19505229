package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"fanfare/pkg/function"
	"fanfare/test/awstest"
)

// handle runs the function once and returns its reply and its metrics.
func handle(t *testing.T, queueURL, access, body string) (reply string, metrics map[string]any) {
	t.Helper()
	variables := map[string]string{
		"ACCESS": access, "BROADCAST_QUEUE_URL": queueURL, "MAX_PUBLISH_BYTES": "10", "PUBLISHES_PER_SECOND": "0",
	}
	env := &function.Environment{Get: func(name string) string { return variables[name] }}
	endpoint, _, _ := strings.Cut(queueURL, "/000000000000/")
	handler, err := setup(env, awstest.Config(endpoint))
	if err != nil || env.Err() != nil {
		t.Fatal(err, env.Err())
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout := os.Stdout
	os.Stdout = write
	defer func() { os.Stdout = stdout }()
	response, err := handler.(func(context.Context, events.APIGatewayWebsocketProxyRequest) (
		events.APIGatewayProxyResponse, error))(t.Context(), events.APIGatewayWebsocketProxyRequest{Body: body})
	if err != nil || response.StatusCode != 200 {
		t.Errorf("got %+v, %v, want status 200", response, err)
	}
	write.Close()
	line, err := io.ReadAll(read)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(line, &metrics); err != nil {
		t.Fatalf("metrics %q: %v", line, err)
	}
	delete(metrics, "_aws")
	delete(metrics, "Function")
	return response.Body, metrics
}

func TestHandler_Metrics(t *testing.T) {
	_, urls := awstest.Queues(t, "broadcast")
	for _, test := range []struct{ name, url, access, body, metric, reply string }{
		{"published", urls[0], "open", "hello", "Published", `"id":`},
		{"too large", urls[0], "open", "hello, hello", "Refused", "payload_too_large"},
		{"listen only", urls[0], "listen", "hello", "Refused", "listen_only"},
		{"no queue", urls[0] + "-missing", "open", "hello", "PublishErrors", "unavailable"},
	} {
		t.Run(test.name, func(t *testing.T) {
			reply, metrics := handle(t, test.url, test.access, test.body)
			if len(metrics) != 1 || metrics[test.metric] != 1.0 {
				t.Errorf("got metrics %v, want %s 1", metrics, test.metric)
			}
			if !strings.Contains(reply, test.reply) {
				t.Errorf("got reply %s, want %s", reply, test.reply)
			}
		})
	}
}

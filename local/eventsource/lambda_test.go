package eventsource_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"fanfare/local/clock"
	"fanfare/local/eventsource"
	"fanfare/local/lambda"
	"fanfare/local/sqs"
)

// With package lambda and a Go function, a message that the function reports as failed is received again after the
// visibility timeout, and all messages are deleted in the end.
func TestRun_Lambda(t *testing.T) {
	dir := t.TempDir()
	build := exec.Command("go", "build", "-trimpath", "-tags", "lambda.norpc",
		"-o", filepath.Join(dir, "bootstrap"), "./testdata/function")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	var mu sync.Mutex
	var lines []string
	functions, err := lambda.New(lambda.Options{Output: func(_, _ string, line []byte) {
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, string(line))
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := functions.Add(lambda.Function{Name: "worker", Dir: dir, Timeout: 30 * time.Second}); err != nil {
		t.Fatal(err)
	}
	fastClock := clock.New(60)
	queues := sqs.New(sqs.Options{Clock: fastClock})
	defer queues.Close()
	arn, err := queues.CreateQueue(sqs.QueueConfig{Name: "q", Attributes: map[string]string{"VisibilityTimeout": "30"}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- eventsource.Run(ctx, eventsource.Mapping{
			UUID: "one", QueueARN: arn, FunctionName: "worker", ReportBatchItemFailures: true,
			VisibilityTimeout: 30 * time.Second, FunctionTimeout: 30 * time.Second,
		}, queues, functions, eventsource.Options{Clock: fastClock})
	}()
	attributes := map[string]any{"color": map[string]string{"DataType": "String", "StringValue": "red"}}
	sendTo(t, queues, "", attributes, "good", "bad", "good")
	w := &mappingFixture{t: t, sqs: queues}
	for deadline := time.Now().Add(30 * time.Second); w.remaining() > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("remaining messages: got %d after 30s, want 0", w.remaining())
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	shutdown, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := functions.Shutdown(shutdown); err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, want := range []string{"good 1 red", "bad 1 red", "bad 2 red"} {
		if !slices.Contains(lines, want) {
			t.Errorf("lines of the function: got %q, want one to be %q", lines, want)
		}
	}
}

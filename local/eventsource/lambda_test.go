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

// The real queue, the real mapping and a real Go function: a message the function reports as failed comes back once the
// visibility time-out has passed, and everything is deleted in the end.
func TestWithLambda(t *testing.T) {
	dir := t.TempDir()
	build := exec.Command("go", "build", "-trimpath", "-tags", "lambda.norpc", "-o", filepath.Join(dir, "bootstrap"), "./testdata/function")
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
	time60 := clock.New(60)
	queues := sqs.New(sqs.Options{Clock: time60})
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
		}, queues, functions, eventsource.Options{Clock: time60})
	}()
	sendTo(t, queues, "", map[string]any{"color": map[string]string{"DataType": "String", "StringValue": "red"}}, "good", "bad", "good")
	w := &world{t: t, sqs: queues}
	for patience := time.Now().Add(30 * time.Second); w.remaining() > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(patience) {
			t.Fatal("messages are left")
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
			t.Errorf("the function saw %q, want %q among it", lines, want)
		}
	}
}

// Command function is the bootstrap of package lambda's tests. The event selects its behaviour, and before the first
// event the variable INIT does.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type order struct {
	Do    string `json:"do"`
	N     int    `json:"n"`
	Text  string `json:"text"`
	Sleep int    `json:"sleep"` // milliseconds before anything else
}

type answer struct {
	PID       int               `json:"pid"`
	Text      string            `json:"text,omitempty"`
	Env       map[string]string `json:"env,omitempty"`
	Dir       string            `json:"dir,omitempty"`
	RequestID string            `json:"requestID"`
	ARN       string            `json:"arn"`
	Trace     string            `json:"trace"`
	Deadline  int64             `json:"deadline"` // epoch milliseconds
}

type refusal struct{ text string }

func (r *refusal) Error() string { return r.text }

func handle(ctx context.Context, o order) (any, error) {
	time.Sleep(time.Duration(o.Sleep) * time.Millisecond)
	lc, _ := lambdacontext.FromContext(ctx)
	deadline, _ := ctx.Deadline()
	trace, _ := ctx.Value("x-amzn-trace-id").(string)
	a := answer{
		PID: os.Getpid(), Text: o.Text, RequestID: lc.AwsRequestID, ARN: lc.InvokedFunctionArn, Trace: trace,
		Deadline: deadline.UnixMilli(),
	}
	switch o.Do {
	case "", "echo":
	case "env":
		a.Env = map[string]string{}
		for _, entry := range os.Environ() {
			name, value, _ := strings.Cut(entry, "=")
			a.Env[name] = value
		}
		a.Dir, _ = os.Getwd()
	case "error":
		return nil, &refusal{o.Text}
	case "panic":
		panic(o.Text)
	case "exit":
		os.Exit(o.N)
	case "print":
		for i := range o.N {
			fmt.Printf("%s %d\n", o.Text, i)
		}
	case "printf":
		fmt.Fprint(os.Stderr, o.Text)
	case "big":
		return bytes.NewReader(bytes.Repeat([]byte("x"), o.N)), nil
	case "broken":
		return io.MultiReader(strings.NewReader("half"), brokenReader{}), nil
	case "child":
		child := exec.Command("sleep", "600")
		if err := child.Start(); err != nil {
			return nil, err
		}
		a.Text = fmt.Sprint(child.Process.Pid)
	case "hold": // until the file exists
		fmt.Println("holding")
		for {
			if _, err := os.Stat(o.Text); err == nil {
				return a, nil
			}
			time.Sleep(time.Millisecond)
		}
	default:
		return nil, errors.New("unknown order")
	}
	return a, nil
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("the stream broke") }

func main() {
	switch order, text, _ := strings.Cut(os.Getenv("INIT"), ":"); order {
	case "exit":
		fmt.Fprintln(os.Stderr, text)
		os.Exit(3)
	case "hang":
		fmt.Fprintln(os.Stderr, "about to hang")
		time.Sleep(time.Hour)
	case "sleep":
		d, err := time.ParseDuration(text)
		if err != nil {
			panic(err)
		}
		time.Sleep(d)
	case "sigterm":
		lambda.StartWithOptions(handle, lambda.WithEnableSIGTERM(func() {
			_ = os.WriteFile(text, []byte("terminated"), 0o600)
			os.Exit(0)
		}))
	case "ignore": // registers for SIGTERM but ignores it
		lambda.StartWithOptions(handle, lambda.WithEnableSIGTERM(func() { signal.Ignore(syscall.SIGTERM) }))
	}
	lambda.Start(handle)
}

package localtest

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"fanfare/local/apigateway"
	"fanfare/local/lambda"
	"fanfare/local/stack"
)

// Stack is the local AWS within the test's process. Its methods are safe for concurrent use.
type Stack struct {
	*stack.Stack
	Services

	mu          sync.Mutex
	log         strings.Builder
	serviceLog  strings.Builder
	invocations map[string]int // by function
	posts       []apigateway.Event
}

// StartStack starts the template at path within this process, and stops it when the test ends. Functions are built
// with the GOFLAGS of the process. The options' hooks and log belong to the Stack. The error is that of stack.Start,
// for templates that may not start.
func StartStack(t testing.TB, path string, o stack.Options) (*Stack, error) {
	t.Helper()
	s := &Stack{invocations: make(map[string]int)}
	o.Log = slog.New(slog.NewTextHandler((*serviceLog)(s), &slog.HandlerOptions{Level: slog.LevelDebug}))
	o.Output = func(function, _ string, line []byte) { s.print(function + ": " + string(line)) }
	o.Invocation = func(r lambda.Report) {
		s.mu.Lock()
		s.invocations[r.Function]++
		s.mu.Unlock()
		if r.Status != lambda.StatusSuccess {
			s.print(r.String())
		}
	}
	o.Gateway = s.observe
	starting, cancel := context.WithTimeout(t.Context(), startDeadline)
	defer cancel()
	var err error
	if s.Stack, err = stack.Start(starting, path, o); err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), Deadline)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Errorf("stop the stack: %v", err)
		}
		if t.Failed() {
			t.Logf("the log of the stack:\n%s%s", s.LogText(), s.ServiceLog())
		}
	})
	outputs := make(map[string]string)
	for _, output := range s.Resolved.Outputs {
		outputs[output.Name] = s.Local(output.Value)
	}
	s.Services = newServices(s.WebSocketURL(0), s.AWSEndpoint, outputs)
	return s, nil
}

// WebSocketURL returns the URL of the api-th WebSocket API of the template.
func (s *Stack) WebSocketURL(api int) string {
	return "ws" + strings.TrimPrefix(s.Endpoints[api], "http")
}

// LogText returns the lines so far of functions, of failed invocations and of failures at the API.
func (s *Stack) LogText() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// ServiceLog returns the log of the emulated services so far, at the level of debugging.
func (s *Stack) ServiceLog() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.serviceLog.String()
}

// Invocations returns the number of invocations of a function that have ended.
func (s *Stack) Invocations(function string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.invocations[function]
}

// Posted reports whether the API has answered a management request of that method with that status.
func (s *Stack) Posted(method string, status int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.posts, func(e apigateway.Event) bool { return e.Method == method && e.Status == status })
}

// serviceLog is a Stack as the writer of its ServiceLog.
type serviceLog Stack

func (s *serviceLog) Write(text []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.serviceLog.Write(text)
}

func (s *Stack) print(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log.WriteString(line + "\n")
}

func (s *Stack) observe(e apigateway.Event) {
	if e.Kind == apigateway.Posted {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.posts = append(s.posts, e)
		return
	}
	if e.Err != nil || e.Kind == apigateway.Refused {
		s.print(fmt.Sprintf("gateway: %s %s %d %s: %v", e.Kind, e.Route, e.Status, e.Reason, e.Err))
	}
}

package apigateway_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"fanfare/local/apigateway"
)

// A client whose $connect succeeds during a shutdown is connected, closed with 1001, and $disconnect runs.
func TestShutdown_DuringHandshake(t *testing.T) {
	invoked, proceed := make(chan struct{}), make(chan struct{})
	g := start(t, newAPI(), apigateway.Options{}, map[string]handler{
		"connect": func(_ context.Context, event []byte) (string, error) {
			if strings.Contains(string(event), `"late"`) {
				return `{"statusCode":403}`, nil
			}
			close(invoked)
			<-proceed
			return ok, nil
		},
	})
	c := g.dialRaw(t)
	c.write(upgradeRequest(g.address, "/prod", nil))
	<-invoked
	down := make(chan error, 1)
	go func() { down <- g.Shutdown(context.Background()) }()
	// Once the shutdown has begun, new clients are refused.
	deadline := time.Now().Add(testTimeout)
	for {
		late, response := g.handshake(t, "/prod?late", nil)
		late.conn.Close()
		if response.StatusCode == http.StatusServiceUnavailable {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("timed out waiting for the shutdown to refuse clients")
		}
	}
	close(proceed)
	if response := c.response(); response.StatusCode != 101 {
		t.Fatalf("handshake: got %s, want 101", response.Status)
	}
	c.wantClose(1001, "Going away")
	if err := <-down; err != nil {
		t.Error(err)
	}
	if n := g.calls("disconnect"); n != 1 {
		t.Errorf("calls of $disconnect: got %d, want 1", n)
	}
}

// While $disconnect runs, functions can still post.
func TestShutdown_ManagementAnswers(t *testing.T) {
	statuses := make(chan int, 1)
	var g *gateway
	g = start(t, newAPI(), apigateway.Options{}, map[string]handler{
		"disconnect": func(context.Context, []byte) (string, error) {
			response, _ := g.call(t, "POST", connectionPath("AAAAAAAAAAAAAAA="), "x", nil)
			statuses <- response.StatusCode
			return ok, nil
		},
	})
	c := g.open(t)
	down := make(chan error, 1)
	go func() { down <- g.Shutdown(context.Background()) }()
	c.wantClose(1001, "Going away")
	if err := <-down; err != nil {
		t.Error(err)
	}
	if got := <-statuses; got != http.StatusGone {
		t.Errorf("post during $disconnect: got %d, want 410", got)
	}
}

func TestShutdown_WaitsForMessages(t *testing.T) {
	release := make(chan struct{})
	g := start(t, newAPI(), apigateway.Options{}, map[string]handler{
		"default": func(context.Context, []byte) (string, error) { <-release; return ok, nil },
	})
	c := g.open(t)
	c.send("x")
	g.await(t, "default", 1)
	c.conn.Close()
	g.await(t, "disconnect", 1)
	down := make(chan error, 1)
	go func() { down <- g.Shutdown(context.Background()) }()
	select {
	case err := <-down:
		t.Errorf("Shutdown: got %v while a message is handled, want no return", err)
		down <- err
	case <-time.After(absenceWait):
	}
	close(release)
	if err := <-down; err != nil {
		t.Error(err)
	}
}

func TestShutdown_ContextEnds(t *testing.T) {
	stuck := make(chan struct{})
	over := make(chan error, 1)
	g := start(t, newAPI(), apigateway.Options{Observe: func(e apigateway.Event) {
		if e.Kind == apigateway.Disconnected {
			over <- e.Err
		}
	}}, map[string]handler{
		"disconnect": func(ctx context.Context, _ []byte) (string, error) {
			close(stuck)
			<-ctx.Done()
			return "", ctx.Err()
		},
	})
	c := g.open(t)
	c.conn.Close()
	<-stuck
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: got error %v, want context.Canceled", err)
	}
	if err := <-over; !errors.Is(err, context.Canceled) {
		t.Errorf("$disconnect: got error %v, want context.Canceled", err)
	}
}

func TestServe_BrokenListener(t *testing.T) {
	server, err := apigateway.New(newAPI(), noopInvoker{}, apigateway.Options{})
	if err != nil {
		t.Fatal(err)
	}
	l := newMemoryListener()
	l.Close()
	if err := server.Serve(l); err == nil {
		t.Error("Serve: got no error, want one")
	}
	if err := server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

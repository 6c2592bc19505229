package push_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"fanfare/pkg/broadcast"
	"fanfare/pkg/push"
	"fanfare/test/awstest"
)

// client returns a client of an API Gateway that answers with handler.
func client(t *testing.T, workers int, handler http.HandlerFunc) *push.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	cfg := awstest.Config("")
	cfg.BaseEndpoint = nil
	return push.New(cfg, server.URL+"/prod", workers)
}

func TestPostArrivesAsItIs(t *testing.T) {
	var path, body, method string
	c := client(t, 1, func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		method, path, body = r.Method, r.URL.EscapedPath(), string(data)
	})
	if err := c.Post(t.Context(), "L0SM9cOFvHcCIhw=", []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if method != "POST" || path != "/prod/@connections/L0SM9cOFvHcCIhw%3D" || body != "hello" {
		t.Errorf("%s %s with body %q", method, path, body)
	}
	if err := c.Disconnect(t.Context(), "L0SM9cOFvHcCIhw="); err != nil || method != "DELETE" {
		t.Errorf("%s: %v", method, err)
	}
}

func TestEachAnswerHasItsFate(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		code   string // X-Amzn-ErrorType
		body   string
		fate   broadcast.Class
		reason string
	}{
		{"gone, as captured: an empty body", 410, "GoneException", "", broadcast.ClassGone, broadcast.ReasonGone},
		{"gone without a type", 410, "", "", broadcast.ClassGone, broadcast.ReasonGone},
		{"an ill-formed id", 400, "BadRequestException", `{"message":"Invalid connectionId: x"}`, broadcast.ClassGone, broadcast.ReasonInvalidID},
		{"another bad request", 400, "BadRequestException", `{"message":"Invalid stage"}`, broadcast.ClassFatal, ""},
		{"throttled", 429, "LimitExceededException", "", broadcast.ClassRetry, broadcast.ReasonThrottled},
		{"throttled without a type", 429, "", `{"message":"Too Many Requests"}`, broadcast.ClassRetry, broadcast.ReasonThrottled},
		{"too large", 413, "PayloadTooLargeException", `{"message":"too large"}`, broadcast.ClassPermanent, broadcast.ReasonTooLarge},
		{"no permission", 403, "AccessDeniedException", `{"message":"not authorized"}`, broadcast.ClassFatal, ""},
		{"forbidden", 403, "ForbiddenException", "", broadcast.ClassFatal, ""},
		{"no such stage", 404, "", "", broadcast.ClassFatal, ""},
		{"a server's fault", 500, "InternalServerException", "", broadcast.ClassRetry, broadcast.ReasonServer},
		{"unavailable", 503, "", "", broadcast.ClassRetry, broadcast.ReasonServer},
	} {
		t.Run(test.name, func(t *testing.T) {
			var calls atomic.Int32
			c := client(t, 1, func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				io.Copy(io.Discard, r.Body)
				if test.code != "" {
					w.Header().Set("X-Amzn-ErrorType", test.code)
				}
				w.WriteHeader(test.status)
				io.WriteString(w, test.body)
			})
			err := c.Post(t.Context(), "a=", []byte("x"))
			if err == nil {
				t.Fatal("no error")
			}
			if fate, reason := broadcast.ClassOf(err); fate != test.fate || reason != test.reason {
				t.Errorf("fate %v for %q, want %v for %q: %v", fate, reason, test.fate, test.reason, err)
			}
			if n := calls.Load(); n != 1 {
				t.Errorf("%d calls: the send queue retries, not the client", n)
			}
		})
	}
}

func TestNetworkErrorsAreRetried(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"the connection breaks before the answer": func(w http.ResponseWriter, r *http.Request) {
			panic(http.ErrAbortHandler)
		},
		"the answer breaks off": func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			conn.Write([]byte("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 100\r\n\r\nx"))
			conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := client(t, 1, handler).Post(t.Context(), "a=", []byte("x"))
			if err == nil {
				t.Fatal("no error")
			}
			if fate, _ := broadcast.ClassOf(err); fate != broadcast.ClassRetry {
				t.Errorf("fate %v: %v", fate, err)
			}
		})
	}
	// Nobody is given port 1; one that was free a moment ago may be another's.
	err := push.New(awstest.Config("http://127.0.0.1:1"), "", 1).Post(t.Context(), "a=", []byte("x"))
	if fate, reason := broadcast.ClassOf(err); fate != broadcast.ClassRetry || reason != broadcast.ReasonNetwork {
		t.Errorf("nobody listens: fate %v for %q: %v", fate, reason, err)
	}
}

func TestAnEndedContextIsNoNetworkError(t *testing.T) {
	release := make(chan struct{})
	c := client(t, 1, func(w http.ResponseWriter, r *http.Request) { <-release })
	defer close(release)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if fate, reason := broadcast.ClassOf(c.Post(ctx, "a=", []byte("x"))); fate != broadcast.ClassRetry || reason != broadcast.ReasonDeadline {
		t.Errorf("fate %v for %q", fate, reason)
	}
}

func TestDisconnectingWhoIsGoneIsNoError(t *testing.T) {
	c := client(t, 1, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Amzn-ErrorType", "GoneException")
		w.WriteHeader(http.StatusGone)
	})
	if err := c.Disconnect(t.Context(), "a="); err != nil {
		t.Error(err)
	}
}

// The SDK's default of ten idle connections per host would open a new one for most posts.
func TestEveryWorkerKeepsItsConnection(t *testing.T) {
	const workers, posts = 50, 20
	opened := make(map[net.Conn]bool)
	var mu sync.Mutex
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }))
	server.Config.ConnState = func(c net.Conn, s http.ConnState) {
		if s == http.StateNew {
			mu.Lock()
			opened[c] = true
			mu.Unlock()
		}
	}
	server.Start()
	defer server.Close()
	cfg := awstest.Config("")
	cfg.BaseEndpoint = nil
	cfg.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
	c := push.New(cfg, server.URL, workers)
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for range posts {
				if err := c.Post(t.Context(), "a=", []byte("x")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	mu.Lock()
	defer mu.Unlock()
	// Now and then one is replaced: a worker that finds none idle dials before another's is back. Ten idle ones would
	// make it hundreds.
	if len(opened) > 2*workers {
		t.Errorf("%d workers opened %d connections for %d posts", workers, len(opened), workers*posts)
	}
}

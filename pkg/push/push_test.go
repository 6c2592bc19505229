package push_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"fanfare/pkg/broadcast"
	"fanfare/pkg/push"
	"fanfare/test/awstest"
)

// eachMode runs the test in both modes of POST_CLIENT.
func eachMode(t *testing.T, test func(t *testing.T)) {
	for _, mode := range []string{"fast", "sdk"} {
		t.Run(mode, func(t *testing.T) {
			t.Setenv("POST_CLIENT", mode)
			test(t)
		})
	}
}

// config returns a configuration without an endpoint.
func config() aws.Config {
	cfg := awstest.Config("")
	cfg.BaseEndpoint = nil
	return cfg
}

func newClient(t *testing.T, cfg aws.Config, endpoint string, workers int) *push.Client {
	t.Helper()
	c, err := push.New(cfg, endpoint, workers)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// client returns a client of an API Gateway that answers with handler.
func client(t *testing.T, workers int, handler http.HandlerFunc) *push.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return newClient(t, config(), server.URL+"/prod", workers)
}

func TestClient_Post(t *testing.T) {
	eachMode(t, func(t *testing.T) {
		var path, body, method string
		c := client(t, 1, func(w http.ResponseWriter, r *http.Request) {
			data, _ := io.ReadAll(r.Body)
			method, path, body = r.Method, r.URL.EscapedPath(), string(data)
		})
		if err := c.Post(t.Context(), "L0SM9cOFvHcCIhw=", []byte("hello")); err != nil {
			t.Fatal(err)
		}
		const want = "/prod/@connections/L0SM9cOFvHcCIhw%3D"
		if method != "POST" || path != want || body != "hello" {
			t.Errorf("got %s %s with body %q, want POST %s with body hello", method, path, body, want)
		}
		if err := c.Disconnect(t.Context(), "L0SM9cOFvHcCIhw="); err != nil || method != "DELETE" || path != want {
			t.Errorf("got %s %s, %v, want DELETE %s", method, path, err, want)
		}
	})
}

// Payloads of all sizes arrive unchanged, and one that changes in place is hashed anew.
func TestClient_Payloads(t *testing.T) {
	eachMode(t, func(t *testing.T) {
		var body []byte
		c := client(t, 1, verified(t, config(), func(w http.ResponseWriter, r *http.Request) {
			body, _ = io.ReadAll(r.Body)
		}))
		reused := []byte("0")
		for i := range 25 {
			reused[0] = byte('a' + i)
			sizes := []int{0, 1, 4096, broadcast.MaxPayloadBytes}
			for _, payload := range [][]byte{reused, bytes.Repeat([]byte{byte(i)}, sizes[i%len(sizes)])} {
				if err := c.Post(t.Context(), "a=", payload); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(body, payload) {
					t.Errorf("got a body of %d bytes, want the payload of %d", len(body), len(payload))
				}
			}
		}
		if err := c.Post(t.Context(), "a=", nil); err == nil {
			t.Error("got no error for a nil payload")
		}
		if err := c.Post(t.Context(), "", []byte("x")); err == nil {
			t.Error("got no error for an empty connection id")
		}
	})
}

// verified answers 403 unless the SDK's signer signs the request in the same way.
func verified(t *testing.T, cfg aws.Config, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		if got, want := r.Header.Get("Authorization"), authorization(t, cfg, r, body); got != want {
			t.Errorf("got authorization %q, want %q", got, want)
			w.WriteHeader(http.StatusForbidden)
			return
		}
		next(w, r)
	}
}

// authorization returns the header that the SDK's signer gives the received request.
func authorization(t *testing.T, cfg aws.Config, received *http.Request, body []byte) string {
	t.Helper()
	r := received.Clone(t.Context())
	r.URL.Scheme, r.URL.Host = "http", r.Host
	_, list, _ := strings.Cut(r.Header.Get("Authorization"), "SignedHeaders=")
	list, _, _ = strings.Cut(list, ",")
	signed := strings.Split(list, ";")
	maps.DeleteFunc(r.Header, func(name string, _ []string) bool {
		return !slices.Contains(signed, strings.ToLower(name))
	})
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil {
		t.Error(err)
	}
	credentials, err := cfg.Credentials.Retrieve(t.Context())
	if err != nil {
		t.Error(err)
	}
	sum := sha256.Sum256(body)
	err = v4.NewSigner().SignHTTP(t.Context(), credentials, r, hex.EncodeToString(sum[:]), "execute-api", cfg.Region, at)
	if err != nil {
		t.Error(err)
	}
	return r.Header.Get("Authorization")
}

// Apart from the headers that fastPath leaves out, both modes send the same request.
func TestClient_SameRequest(t *testing.T) {
	cfg := config()
	cfg.Credentials = rotating(func() string { return "token" })
	var got []http.Header
	var lines []string
	server := httptest.NewServer(verified(t, cfg, func(w http.ResponseWriter, r *http.Request) {
		lines = append(lines, r.Method+" "+r.RequestURI+" "+r.Host+" "+fmt.Sprint(r.ContentLength))
		h := r.Header.Clone()
		for _, name := range []string{
			"Amz-Sdk-Invocation-Id", "Amz-Sdk-Request", "Accept-Encoding", "User-Agent", "X-Amz-Date", "Authorization",
		} {
			h.Del(name)
		}
		got = append(got, h)
	}))
	defer server.Close()
	for _, stage := range []string{"", "/", "/prod", "/prod/", "/$default", "/a/b"} {
		for _, id := range []string{"L0SM9cOFvHcCIhw=", "a-_+/=", "ü%41~", strings.Repeat("x", 200)} {
			got, lines = nil, nil
			eachMode(t, func(t *testing.T) {
				if err := newClient(t, cfg, server.URL+stage, 1).Post(t.Context(), id, []byte("hello")); err != nil {
					t.Error(err)
				}
			})
			if len(got) != 2 || !maps.EqualFunc(got[0], got[1], slices.Equal) || lines[0] != lines[1] {
				t.Errorf("stage %q, connection %q: got %v %v, want the two alike", stage, id, lines, got)
			}
		}
	}
}

func TestClient_FailureClass(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		code   string // X-Amzn-ErrorType
		body   string
		class  broadcast.Class
		reason string
	}{
		{"gone with an empty body as captured", 410, "GoneException", "", broadcast.ClassGone, broadcast.ReasonGone},
		{"gone without a type", 410, "", "", broadcast.ClassGone, broadcast.ReasonGone},
		{
			"malformed connection id", 400, "BadRequestException", `{"message":"Invalid connectionId: x"}`,
			broadcast.ClassGone, broadcast.ReasonInvalidID,
		},
		{"bad request", 400, "BadRequestException", `{"message":"Invalid stage"}`, broadcast.ClassFatal, ""},
		{"throttled", 429, "LimitExceededException", "", broadcast.ClassRetry, broadcast.ReasonThrottled},
		{
			"throttled without a type", 429, "", `{"message":"Too Many Requests"}`,
			broadcast.ClassRetry, broadcast.ReasonThrottled,
		},
		{
			"too large", 413, "PayloadTooLargeException", `{"message":"too large"}`,
			broadcast.ClassPermanent, broadcast.ReasonTooLarge,
		},
		{"too large without a type", 413, "", "", broadcast.ClassPermanent, broadcast.ReasonTooLarge},
		{"no permission", 403, "AccessDeniedException", `{"message":"not authorized"}`, broadcast.ClassFatal, ""},
		{"forbidden", 403, "ForbiddenException", "", broadcast.ClassFatal, ""},
		{"forbidden, not JSON", 403, "", "<html>", broadcast.ClassFatal, ""},
		{"no such stage", 404, "", "", broadcast.ClassFatal, ""},
		{"moved", 307, "", "", broadcast.ClassFatal, ""},
		{"server error", 500, "InternalServerException", "", broadcast.ClassRetry, broadcast.ReasonServer},
		{"unavailable", 503, "", strings.Repeat("x", 100_000), broadcast.ClassRetry, broadcast.ReasonServer},
	} {
		t.Run(test.name, func(t *testing.T) {
			eachMode(t, func(t *testing.T) {
				var calls atomic.Int32
				var opened atomic.Int32
				server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					calls.Add(1)
					io.Copy(io.Discard, r.Body)
					w.Header().Set("X-Amzn-Requestid", "request-1")
					if test.code != "" {
						w.Header().Set("X-Amzn-ErrorType", test.code)
					}
					w.WriteHeader(test.status)
					io.WriteString(w, test.body)
				}))
				server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
					if s == http.StateNew {
						opened.Add(1)
					}
				}
				server.Start()
				defer server.Close()
				c := newClient(t, config(), server.URL+"/prod", 1)
				for range 3 {
					err := c.Post(t.Context(), "a=", []byte("x"))
					if err == nil {
						t.Fatal("got no error")
					}
					if class, reason := broadcast.ClassOf(err); class != test.class || reason != test.reason {
						t.Errorf("got %v for %q, want %v for %q: %v", class, reason, test.class, test.reason, err)
					}
					if !strings.Contains(err.Error(), "request-1") {
						t.Errorf("got %q, want the request id in it", err)
					}
				}
				if n := calls.Load(); n != 3 {
					t.Errorf("got %d calls for 3 posts, want 3", n)
				}
				if n := opened.Load(); n != 1 {
					t.Errorf("got %d connections, want 1", n)
				}
			})
		})
	}
}

func TestClient_NetworkError(t *testing.T) {
	breakOff := func(response string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			conn.Write([]byte(response))
			conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
		}
	}
	for name, handler := range map[string]http.HandlerFunc{
		"closed before the response": func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) },
		"closed inside the headers":  breakOff("HTTP/1.1 200 OK\r\nContent-Le"),
		"closed inside the body":     breakOff("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx"),
		"closed inside an error":     breakOff("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 100\r\n\r\nx"),
		"no HTTP":                    breakOff("220 smtp.example.com ready\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			eachMode(t, func(t *testing.T) {
				var calls atomic.Int32
				c := client(t, 1, func(w http.ResponseWriter, r *http.Request) {
					calls.Add(1)
					handler(w, r)
				})
				for i := range int32(3) {
					err := c.Post(t.Context(), "a=", []byte("x"))
					if class, _ := broadcast.ClassOf(err); err == nil || class != broadcast.ClassRetry {
						t.Errorf("got class %v, want %v: %v", class, broadcast.ClassRetry, err)
					}
					if n := calls.Load(); n != i+1 {
						t.Errorf("got %d requests for %d posts", n, i+1)
					}
				}
			})
		})
	}
	t.Run("refused", func(t *testing.T) {
		eachMode(t, func(t *testing.T) {
			// Port 1 is never given out. One that was free a moment ago may be in use by now.
			err := newClient(t, config(), "http://127.0.0.1:1", 1).Post(t.Context(), "a=", []byte("x"))
			class, reason := broadcast.ClassOf(err)
			if class != broadcast.ClassRetry || reason != broadcast.ReasonNetwork {
				t.Errorf("got %v for %q, want %v for %q: %v", class, reason,
					broadcast.ClassRetry, broadcast.ReasonNetwork, err)
			}
		})
	})
}

func TestClient_EndedContext(t *testing.T) {
	eachMode(t, func(t *testing.T) {
		release := make(chan struct{})
		c := client(t, 1, func(w http.ResponseWriter, r *http.Request) { <-release })
		defer close(release)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		class, reason := broadcast.ClassOf(c.Post(ctx, "a=", []byte("x")))
		if class != broadcast.ClassRetry || reason != broadcast.ReasonDeadline {
			t.Errorf("got %v for %q, want %v for %q", class, reason, broadcast.ClassRetry, broadcast.ReasonDeadline)
		}
	})
}

// A post that is cancelled or out of time returns although the server is silent, and the next post works.
func TestClient_SilentServer(t *testing.T) {
	eachMode(t, func(t *testing.T) {
		defer push.SetPostTimeout(push.SetPostTimeout(time.Minute))
		var silent atomic.Bool
		release := make(chan struct{})
		entered := make(chan struct{}, 1)
		handler := func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			if silent.Load() {
				entered <- struct{}{}
				<-release
			}
		}
		c := client(t, 1, handler)
		push.SetPostTimeout(50 * time.Millisecond)
		impatient := client(t, 1, handler)
		defer close(release)
		if err := c.Post(t.Context(), "a=", []byte("x")); err != nil { // leaves an idle connection
			t.Fatal(err)
		}

		silent.Store(true)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-entered
			cancel()
		}()
		class, reason := broadcast.ClassOf(c.Post(ctx, "a=", []byte("x")))
		if class != broadcast.ClassRetry || reason != broadcast.ReasonDeadline {
			t.Errorf("cancelled: got %v for %q, want %v for %q", class, reason,
				broadcast.ClassRetry, broadcast.ReasonDeadline)
		}
		err := impatient.Post(t.Context(), "a=", []byte("x"))
		if class, reason = broadcast.ClassOf(err); class != broadcast.ClassRetry || reason != broadcast.ReasonNetwork {
			t.Errorf("out of time: got %v for %q, want %v for %q: %v", class, reason,
				broadcast.ClassRetry, broadcast.ReasonNetwork, err)
		}
		silent.Store(false)
		if err := c.Post(t.Context(), "a=", []byte("x")); err != nil {
			t.Errorf("after the cancelled post: got %v", err)
		}
	})
}

func TestClient_DisconnectGone(t *testing.T) {
	eachMode(t, func(t *testing.T) {
		c := client(t, 1, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Amzn-ErrorType", "GoneException")
			w.WriteHeader(http.StatusGone)
		})
		if err := c.Disconnect(t.Context(), "a="); err != nil {
			t.Errorf("got %v, want nil", err)
		}
	})
}

// rotating returns credentials that change with the session token that token returns.
func rotating(token func() string) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		name := token()
		return aws.Credentials{AccessKeyID: "AKID" + name, SecretAccessKey: "secret" + name, SessionToken: name}, nil
	})
}

func TestClient_RotatedCredentials(t *testing.T) {
	eachMode(t, func(t *testing.T) {
		cfg := config()
		name := "first"
		cfg.Credentials = rotating(func() string { return name })
		var token string
		server := httptest.NewServer(verified(t, cfg, func(w http.ResponseWriter, r *http.Request) {
			token = r.Header.Get("X-Amz-Security-Token")
		}))
		defer server.Close()
		c := newClient(t, cfg, server.URL, 1)
		for _, name = range []string{"first", "first", "second", "first"} {
			if err := c.Post(t.Context(), "a=", []byte("x")); err != nil {
				t.Error(err)
			}
			if token != name {
				t.Errorf("got token %q, want %q", token, name)
			}
		}
	})
}

func TestClient_FailedCredentials(t *testing.T) {
	eachMode(t, func(t *testing.T) {
		cfg := config()
		cfg.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{}, fmt.Errorf("no credentials today")
		})
		err := newClient(t, cfg, "http://127.0.0.1:1", 1).Post(t.Context(), "a=", []byte("x"))
		if class, _ := broadcast.ClassOf(err); class != broadcast.ClassFatal || !strings.Contains(err.Error(), "today") {
			t.Errorf("got %v of class %v, want the cause and %v", err, class, broadcast.ClassFatal)
		}
	})
}

// The fast path speaks HTTP/1.1 over TLS and verifies the certificate.
func TestClient_TLS(t *testing.T) {
	t.Setenv("POST_CLIENT", "fast")
	var protocol string
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protocol = r.Proto
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	defer push.SetTLSConfig(nil)
	push.SetTLSConfig(&tls.Config{RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs})
	if err := newClient(t, config(), server.URL, 1).Post(t.Context(), "a=", []byte("x")); err != nil {
		t.Error(err)
	}
	if protocol != "HTTP/1.1" {
		t.Errorf("got %s, want HTTP/1.1", protocol)
	}
	push.SetTLSConfig(nil)
	err := newClient(t, config(), server.URL, 1).Post(t.Context(), "a=", []byte("x"))
	if err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("got %v, want a certificate error", err)
	}
}

func TestNew_Mode(t *testing.T) {
	for _, test := range []struct {
		mode, endpoint, problem string
		fast                    bool
		change                  func(*aws.Config)
	}{
		{mode: "", fast: true},
		{mode: "fast", fast: true},
		{mode: "sdk"},
		{mode: "slow", problem: `POST_CLIENT is "slow"`},
		{mode: "fast", endpoint: "ftp://a", problem: "scheme"},
		{mode: "fast", endpoint: "http://", problem: "host"},
		{mode: "fast", endpoint: "http://%", problem: "endpoint"},
		{mode: "fast", change: func(c *aws.Config) { c.ConfigSources = []any{fips{}} }},
		{mode: "fast", change: func(c *aws.Config) { c.Credentials = nil }},
		{mode: "fast", change: func(c *aws.Config) { c.Credentials = aws.AnonymousCredentials{} }},
	} {
		t.Setenv("POST_CLIENT", test.mode)
		cfg := config()
		if test.change != nil {
			test.change(&cfg)
		}
		if test.endpoint == "" {
			test.endpoint = "http://127.0.0.1:1/prod"
		}
		c, err := push.New(cfg, test.endpoint, 1)
		switch {
		case test.problem != "":
			if err == nil || !strings.Contains(err.Error(), test.problem) {
				t.Errorf("%+v: got %v, want an error with %q", test, err, test.problem)
			}
		case err != nil:
			t.Errorf("%+v: got %v", test, err)
		case c.IsFast() != test.fast:
			t.Errorf("%+v: got fast %v, want %v", test, c.IsFast(), test.fast)
		}
	}
}

// fips is a source of configuration that asks for FIPS endpoints.
type fips struct{}

func (fips) GetUseFIPSEndpoint(context.Context) (aws.FIPSEndpointState, bool, error) {
	return aws.FIPSEndpointStateEnabled, true, nil
}

// With a proxy the posts go through net/http, which knows proxies. Its settings are read once per process, so the test
// runs itself again with them.
func TestNew_Proxy(t *testing.T) {
	if os.Getenv("HTTPS_PROXY") == "" {
		command := exec.Command(os.Args[0], "-test.run=^TestNew_Proxy$")
		command.Env = append(os.Environ(), "HTTPS_PROXY=http://127.0.0.1:1")
		if output, err := command.CombinedOutput(); err != nil {
			t.Errorf("got %v\n%s", err, output)
		}
		return
	}
	t.Setenv("POST_CLIENT", "fast")
	if c := newClient(t, config(), "https://a.example/prod", 1); c.IsFast() {
		t.Error("got the fast path, want the SDK's")
	}
	if c := newClient(t, config(), "http://127.0.0.1:2/prod", 1); !c.IsFast() {
		t.Error("got the SDK's client for an endpoint without a proxy, want the fast path")
	}
}

// The endpoint in AWS's own settings has precedence.
func TestNew_Endpoint(t *testing.T) {
	eachMode(t, func(t *testing.T) {
		var called atomic.Bool
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			called.Store(true)
		}))
		defer server.Close()
		err := newClient(t, awstest.Config(server.URL), "http://127.0.0.1:1", 1).Post(t.Context(), "a=", []byte("x"))
		if err != nil || !called.Load() {
			t.Errorf("got called %v, %v, want true", called.Load(), err)
		}
	})
}

// The SDK's default of ten idle connections per host would open a new one for most posts.
func TestClient_KeepsConnections(t *testing.T) {
	const workers, posts = 50, 20
	eachMode(t, func(t *testing.T) {
		opened := make(map[net.Conn]bool)
		var mu sync.Mutex
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
		}))
		server.Config.ConnState = func(c net.Conn, s http.ConnState) {
			if s == http.StateNew {
				mu.Lock()
				opened[c] = true
				mu.Unlock()
			}
		}
		server.Start()
		defer server.Close()
		c := newClient(t, config(), server.URL, workers)
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
		// net/http replaces a connection now and then: a worker that finds none idle dials before another one returns
		// its own. With ten idle connections there would be hundreds.
		if len(opened) > 2*workers {
			t.Errorf("got %d connections for %d posts of %d workers, want at most %d",
				len(opened), workers*posts, workers, 2*workers)
		}
	})
}

package transport_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"fanfare/pkg/transport"
)

// script is a server that handles the connections that it accepts in turn, each with its function.
type script struct {
	url      string
	requests chan string // the bodies of the requests that have been read
	accepted atomic.Int32
}

// peer is one connection of a script.
type peer struct {
	net.Conn
	reader *bufio.Reader
	script *script
}

// read reads a request with its body.
func (p *peer) read() bool {
	r, err := http.ReadRequest(p.reader)
	if err != nil {
		return false
	}
	body, err := io.ReadAll(r.Body)
	p.script.requests <- string(body)
	return err == nil
}

func (p *peer) write(response string) { io.WriteString(p.Conn, response) }

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

// serve starts a script whose i-th connection is handled by handlers[i], the last handler handling all others.
func serve(t *testing.T, handlers ...func(*peer)) *script {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &script{url: "http://" + listener.Addr().String(), requests: make(chan string, 1000)}
	var group sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	group.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, conn)
			mu.Unlock()
			handler := handlers[min(int(s.accepted.Add(1)), len(handlers))-1]
			group.Go(func() {
				defer conn.Close()
				handler(&peer{conn, bufio.NewReader(conn), s})
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		mu.Lock()
		for _, conn := range open {
			conn.Close()
		}
		mu.Unlock()
		group.Wait()
	})
	return s
}

// answer answers each request with the response.
func answer(response string) func(*peer) {
	return func(p *peer) {
		for p.read() {
			p.write(response)
		}
	}
}

func newPool(t *testing.T, target string, size int, timeout time.Duration) *transport.Pool {
	t.Helper()
	base, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	p, err := transport.NewPool(base, size, timeout, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.CloseIdleConnections)
	return p
}

// post posts body and returns status and body of the response.
func post(ctx context.Context, p *transport.Pool, target, body string) (int, string, error) {
	r, err := http.NewRequestWithContext(ctx, "POST", target, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	response, err := p.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	return response.StatusCode, string(data), err
}

func TestPool_Response(t *testing.T) {
	large := strings.Repeat("x", 300_000)
	for _, test := range []struct {
		name, response, body string
		status               int
		problem              string // part of the error
		reused               bool
	}{
		{name: "empty", response: ok, status: 200, reused: true},
		{
			name: "body", response: "HTTP/1.1 410 Gone\r\nContent-Length: 5\r\n\r\nhello",
			status: 410, body: "hello", reused: true,
		},
		{
			name: "large body", response: "HTTP/1.1 500 Error\r\nContent-Length: 300000\r\n\r\n" + large,
			status: 500, body: large, reused: true,
		},
		{
			name:     "chunked",
			response: "HTTP/1.1 429 Too Many\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
			status:   429, body: "hello", reused: true,
		},
		{name: "no content", response: "HTTP/1.1 204 No Content\r\n\r\n", status: 204, reused: true},
		{
			name: "interim responses", response: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: a\r\n\r\n" + ok,
			status: 200, reused: true,
		},
		{
			name: "close", response: "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", status: 200,
		},
		{name: "HTTP/1.0", response: "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", status: 200},
		{name: "two responses", response: ok + ok, status: 200},
		{name: "bytes after the response", response: ok + "x", status: 200},
		{name: "switching protocols", response: "HTTP/1.1 101 Switching\r\n\r\n", problem: "101"},
		{name: "another protocol", response: "SSH-2.0-OpenSSH_9.6\r\n\r\n", problem: "malformed"},
		{name: "malformed header", response: "HTTP/1.1 200 OK\r\nno colon\r\n\r\n", problem: "malformed"},
		{
			name: "two lengths", response: "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
			problem: "Length",
		},
		{name: "malformed length", response: "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", problem: "Length"},
		{
			name: "long header", response: "HTTP/1.1 200 OK\r\nA: " + strings.Repeat(large, 4) + "\r\n\r\n",
			problem: "longer than",
		},
		{
			name: "long body", status: 200, problem: "longer than",
			response: "HTTP/1.1 200 OK\r\nContent-Length: 1200000\r\n\r\n" + strings.Repeat(large, 4),
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := serve(t, answer(test.response))
			p := newPool(t, s.url, 1, time.Minute)
			for i := range 3 {
				status, body, err := post(t.Context(), p, s.url+"/a", "request")
				switch {
				case test.problem != "":
					if err == nil || !strings.Contains(err.Error(), test.problem) {
						t.Fatalf("got %v, want an error with %q", err, test.problem)
					}
				case err != nil || status != test.status || body != test.body:
					t.Fatalf("got status %d, body of %d bytes, %v; want %d, %d", status, len(body), err,
						test.status, len(test.body))
				}
				if got := <-s.requests; got != "request" || len(s.requests) > 0 {
					t.Errorf("got request %q and %d more", got, len(s.requests))
				}
				want := int32(1)
				if !test.reused {
					want += int32(i)
				}
				if got := s.accepted.Load(); got != want {
					t.Errorf("got %d connections after %d requests, want %d", got, i+1, want)
				}
			}
		})
	}
}

// emptyOKs are responses that need no parser, and others that begin in the same way.
var emptyOKs = []struct {
	response string
	plain    bool
}{
	{ok, true},
	{"HTTP/1.1 200 OK\r\nDate: Mon\r\ncontent-length: 0\r\nConnection: keep-alive\r\nX-1: a: b \r\n\r\n", true},
	{ok + "HTTP/1.1", true},
	{"HTTP/1.1 200 OK\r\n\r\n", false},
	{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", false},
	{"HTTP/1.1 200 OK\r\nContent-Length: 00\r\n\r\n", false},
	{"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", false},
	{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n", false},
	{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", false},
	{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false},
	{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: b\nConnection: close\r\n\r\n", false},
	{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n folded: b\r\n\r\n", false},
	{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection :close\r\n\r\n", false},
	{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection:close: a\r\n\r\n", false},
	{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: b\x00\r\n\r\n", false},
	{"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", false},
	{"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", false},
	{"HTTP/1.1 200 OK\r\n", false},
	{"", false},
}

func TestEmptyOK(t *testing.T) {
	for _, test := range emptyOKs {
		if got := transport.EmptyOK([]byte(test.response)) > 0; got != test.plain {
			t.Errorf("%q: got %v, want %v", test.response, got, test.plain)
		}
	}
}

// FuzzEmptyOK compares the responses that need no parser with what the parser of net/http says.
func FuzzEmptyOK(f *testing.F) {
	for _, seed := range emptyOKs {
		f.Add([]byte(seed.response))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n := transport.EmptyOK(b)
		if n == 0 {
			return
		}
		reader := bytes.NewReader(b)
		buffered := bufio.NewReader(reader)
		response, err := http.ReadResponse(buffered, &http.Request{Method: "POST"})
		if err != nil {
			t.Fatal(err)
		}
		read := len(b) - reader.Len() - buffered.Buffered()
		if response.StatusCode != 200 || response.ContentLength != 0 || response.Close || read != n ||
			len(response.TransferEncoding) > 0 || len(response.Trailer) > 0 {
			t.Errorf("got %+v after %d bytes, want an empty 200 after %d", response, read, n)
		}
	})
}

// The status of a response with an incomplete body is known; reading the body fails.
func TestPool_IncompleteBody(t *testing.T) {
	s := serve(t, func(p *peer) {
		p.read()
		p.write("HTTP/1.1 410 Gone\r\nContent-Length: 5\r\n\r\nhel")
	})
	p := newPool(t, s.url, 1, time.Minute)
	for range 2 {
		status, body, err := post(t.Context(), p, s.url, "x")
		if status != 410 || body != "hel" || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got %d, %q, %v, want 410, hel, %v", status, body, err, io.ErrUnexpectedEOF)
		}
	}
}

// A request that a server may have processed is not repeated.
func TestPool_NoRepeat(t *testing.T) {
	for name, end := range map[string]func(*peer){
		"closed":          func(p *peer) {},
		"reset":           func(p *peer) { p.Conn.(*net.TCPConn).SetLinger(0) },
		"inside response": func(p *peer) { p.write("HTTP/1.1 200 OK\r\nConte") },
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(p *peer) {
				for range 2 { // the second request arrives on a kept connection
					p.read()
					p.write(ok)
				}
				p.read()
				end(p)
			})
			p := newPool(t, s.url, 1, time.Minute)
			for i := range 6 {
				status, _, err := post(t.Context(), p, s.url, fmt.Sprint(i))
				if broken := i%3 == 2; (err != nil) != broken || !broken && status != 200 {
					t.Errorf("request %d: got %d, %v", i, status, err)
				}
			}
			for i := range 6 {
				if got := <-s.requests; got != fmt.Sprint(i) {
					t.Errorf("got request %s, want %d", got, i)
				}
			}
			if n := len(s.requests); n != 0 {
				t.Errorf("got %d requests too many", n)
			}
		})
	}
}

// An idle connection that the server has closed, or on which it has sent something, is replaced before anything is
// sent.
func TestPool_ClosedIdle(t *testing.T) {
	for name, end := range map[string]func(*peer){
		"closed":  func(p *peer) {},
		"reset":   func(p *peer) { p.Conn.(*net.TCPConn).SetLinger(0) },
		"timeout": func(p *peer) { p.write("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n") },
	} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan struct{})
			s := serve(t, func(p *peer) {
				p.read()
				p.write(ok)
				<-p.script.requests
				end(p)
				p.Close()
				select {
				case ended <- struct{}{}:
				case <-t.Context().Done():
				}
			})
			p := newPool(t, s.url, 1, time.Minute)
			for range 5 {
				if status, _, err := post(t.Context(), p, s.url, "x"); status != 200 || err != nil {
					t.Fatalf("got %d, %v, want 200", status, err)
				}
				<-ended
			}
			if got := s.accepted.Load(); got != 5 {
				t.Errorf("got %d connections, want 5", got)
			}
		})
	}
}

// A request of which nothing could be written goes out on another connection.
func TestPool_NothingWritten(t *testing.T) {
	s := serve(t, func(p *peer) {
		p.read()
		p.write(ok)
		<-t.Context().Done() // keeps the connection open
	}, answer(ok))
	p := newPool(t, s.url, 1, time.Minute)
	for range 2 {
		if status, _, err := post(t.Context(), p, s.url, "x"); status != 200 || err != nil {
			t.Errorf("got %d, %v, want 200", status, err)
		}
		p.BreakIdle()
	}
	if requests, connections := len(s.requests), s.accepted.Load(); requests != 2 || connections != 2 {
		t.Errorf("got %d requests on %d connections, want 2 on 2", requests, connections)
	}
}

// A server may refuse a large request before it has read all of it.
func TestPool_EarlyResponse(t *testing.T) {
	s := serve(t, func(p *peer) {
		p.reader.Peek(1)
		p.write("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		p.Conn.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, p.reader)
	})
	p := newPool(t, s.url, 1, time.Minute)
	for range 2 {
		status, _, err := post(t.Context(), p, s.url, strings.Repeat("x", 1<<20))
		if status != 413 || err != nil {
			t.Errorf("got %d, %v, want 413", status, err)
		}
	}
}

// refusing fails to write after some bytes, and has a response to read.
type refusing struct {
	net.Conn
	response io.Reader
}

func (r refusing) Write(b []byte) (int, error)      { return len(b) / 2, syscall.EPIPE }
func (r refusing) Read(b []byte) (int, error)       { return r.response.Read(b) }
func (r refusing) SetDeadline(time.Time) error      { return nil }
func (r refusing) SetReadDeadline(time.Time) error  { return nil }
func (r refusing) SetWriteDeadline(time.Time) error { return nil }

// If the connection breaks while a request is written, a response that has arrived counts, and the connection ends.
func TestPool_BrokenWrite(t *testing.T) {
	r, err := http.NewRequestWithContext(t.Context(), "POST", "http://a", nil)
	if err != nil {
		t.Fatal(err)
	}
	n := refusing{response: strings.NewReader("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")}
	response, reusable, err := transport.Exchange(n, []byte("request"), r)
	if err != nil || response.StatusCode != 413 || reusable {
		t.Errorf("got %v, reusable %v, %v, want 413, false", response, reusable, err)
	}
	n.response = strings.NewReader("")
	if _, reusable, err = transport.Exchange(n, []byte("request"), r); !errors.Is(err, syscall.EPIPE) || reusable {
		t.Errorf("got %v, reusable %v, want %v, false", err, reusable, syscall.EPIPE)
	}
}

func TestPool_Cancel(t *testing.T) {
	s := serve(t, func(p *peer) {
		for p.read() {
			if len(p.script.requests) > 1 {
				p.write(ok)
			}
		}
	}, answer(ok))
	p := newPool(t, s.url, 1, time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	waiting, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		if _, _, err := post(ctx, p, s.url, "silent"); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %v", err, context.Canceled)
		}
	})
	for len(s.requests) == 0 {
		time.Sleep(time.Millisecond)
	}
	group.Go(func() { // waits for the only slot
		if _, _, err := post(waiting, p, s.url, "never sent"); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %v", err, context.Canceled)
		}
	})
	stop()
	time.Sleep(10 * time.Millisecond)
	cancel()
	group.Wait()
	if status, _, err := post(t.Context(), p, s.url, "next"); status != 200 || err != nil {
		t.Errorf("got %d, %v, want 200", status, err)
	}
	if got := s.accepted.Load(); got != 2 {
		t.Errorf("got %d connections, want 2: the cancelled one must not be reused", got)
	}
	if _, _, err := post(ctx, p, s.url, "after the end"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func TestPool_Timeout(t *testing.T) {
	s := serve(t, func(p *peer) {
		for p.read() {
		}
	}, answer(ok))
	p := newPool(t, s.url, 1, 50*time.Millisecond)
	if _, _, err := post(t.Context(), p, s.url, "silent"); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v, want %v", err, os.ErrDeadlineExceeded)
	}
	// A server that does not read.
	full := serve(t, func(p *peer) { <-t.Context().Done() })
	p = newPool(t, full.url, 1, 50*time.Millisecond)
	if _, _, err := post(t.Context(), p, full.url, strings.Repeat("x", 32<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v, want %v", err, os.ErrDeadlineExceeded)
	}
}

func TestPool_Bound(t *testing.T) {
	const size = 4
	var now, most atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := now.Add(1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		time.Sleep(time.Millisecond)
		now.Add(-1)
	}))
	defer server.Close()
	p := newPool(t, server.URL, size, time.Minute)
	var group sync.WaitGroup
	for range 8 * size {
		group.Go(func() {
			if status, _, err := post(t.Context(), p, server.URL, "x"); status != 200 || err != nil {
				t.Errorf("got %d, %v, want 200", status, err)
			}
		})
	}
	group.Wait()
	if most.Load() > size {
		t.Errorf("got %d requests at once, want at most %d", most.Load(), size)
	}
}

// What a pool does not support is an error, and nothing is sent.
func TestPool_Unsupported(t *testing.T) {
	s := serve(t, answer(ok))
	p := newPool(t, s.url, 1, time.Minute)
	for name, change := range map[string]func(*http.Request){
		"unknown length":         func(r *http.Request) { r.ContentLength = -1 },
		"body without length":    func(r *http.Request) { r.ContentLength = 0 },
		"length without body":    func(r *http.Request) { r.Body = nil },
		"short body":             func(r *http.Request) { r.ContentLength = 6 },
		"long body":              func(r *http.Request) { r.ContentLength = 4 },
		"chunked":                func(r *http.Request) { r.TransferEncoding = []string{"chunked"} },
		"line break in a header": func(r *http.Request) { r.Header.Set("A", "b\r\nC: d") },
		"line feed in a header":  func(r *http.Request) { r.Header.Set("A", "b\nC: d") },
		"line break in a name":   func(r *http.Request) { r.Header["A\r\nB"] = []string{"c"} },
		"zero byte in a header":  func(r *http.Request) { r.Header.Set("A", "b\x00") },
		"no method":              func(r *http.Request) { r.Method = " " },
		"line break in the host": func(r *http.Request) { r.Host = "a\r\nB: c" },
		"line break in the path": func(r *http.Request) { r.URL.Opaque = "/a HTTP/1.1\r\nB: c" },
		"space in the path":      func(r *http.Request) { r.URL.Opaque = "/a b" },
		"another host":           func(r *http.Request) { r.URL.Host = "127.0.0.1:1" },
		"another scheme":         func(r *http.Request) { r.URL.Scheme = "https" },
	} {
		r, err := http.NewRequestWithContext(t.Context(), "POST", s.url+"/a", strings.NewReader("hello"))
		if err != nil {
			t.Fatal(err)
		}
		change(r)
		if response, err := p.Do(r); err == nil {
			t.Errorf("%s: got %s, want an error", name, response.Status)
		}
	}
	if n := len(s.requests) + int(s.accepted.Load()); n != 0 {
		t.Errorf("got %d requests or connections, want none", n)
	}
	for _, target := range []string{"ftp://a", "http://", "//a"} {
		base, err := url.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := transport.NewPool(base, 1, time.Second, nil); err == nil {
			t.Errorf("got a pool for %q, want an error", target)
		}
	}
}

// Over TLS the connections are kept, the closing of one is noticed, and the client resumes its session.
func TestPool_TLS(t *testing.T) {
	var opened, resumed atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS.DidResume {
			resumed.Add(1)
		}
		io.Copy(io.Discard, r.Body)
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.StartTLS()
	defer server.Close()
	base, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	p, err := transport.NewPool(base, 1, time.Minute, &tls.Config{
		RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.CloseIdleConnections()
	for round := range int32(3) {
		for range 3 {
			status, _, err := post(t.Context(), p, server.URL, strings.Repeat("x", 100_000))
			if status != 200 || err != nil {
				t.Errorf("got %d, %v, want 200", status, err)
			}
		}
		if got := opened.Load(); got != round+1 {
			t.Errorf("got %d connections, want %d", got, round+1)
		}
		server.CloseClientConnections()
	}
	if resumed.Load() != 6 {
		t.Errorf("got %d requests in resumed sessions, want 6", resumed.Load())
	}
}

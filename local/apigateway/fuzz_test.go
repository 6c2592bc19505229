package apigateway_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"fanfare/local/apigateway"
)

// FuzzFrames sends arbitrary bytes from a client. Functions must receive only text within the limits, and the
// connection must end with $disconnect.
func FuzzFrames(f *testing.F) {
	seeds := [][]byte{
		masked(ws.Header{OpCode: ws.OpText, Fin: true}, []byte(`{"action":"x"}`)),
		masked(ws.Header{OpCode: ws.OpText, Fin: false}, []byte("a")),
		bytes.Join([][]byte{
			masked(ws.Header{OpCode: ws.OpText}, []byte("\xe2")),
			masked(ws.Header{OpCode: ws.OpPing, Fin: true}, []byte("p")),
			masked(ws.Header{OpCode: ws.OpContinuation, Fin: true}, []byte("\x82\xac")),
		}, nil),
		masked(ws.Header{OpCode: ws.OpClose, Fin: true}, ws.NewCloseFrameBody(4000, "bye")),
		masked(ws.Header{OpCode: ws.OpBinary, Fin: true}, []byte{0}),
		masked(ws.Header{OpCode: ws.OpText, Fin: true}, text(32*kib+1)),
		{0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		{0x88, 0x81, 0, 0, 0, 0, 3},
		{0xf1, 0x80, 0, 0, 0, 0},
		{},
	}
	for _, seed := range seeds {
		f.Add(seed)
	}
	if len(seeds) < 10 {
		f.Fatalf("got %d seeds, want at least 10", len(seeds))
	}
	over := make(chan apigateway.Event, 1)
	g := start(f, newAPI(), apigateway.Options{Observe: func(e apigateway.Event) {
		if e.Kind == apigateway.Disconnected {
			over <- e
		}
	}}, nil)
	f.Fuzz(func(t *testing.T, data []byte) {
		before := g.calls("default")
		c := g.dial(t, "", nil)
		c.conn.Write(data)
		c.conn.(interface{ CloseWrite() error }).CloseWrite()
		for {
			header, err := ws.ReadHeader(c.r)
			if err != nil {
				break
			}
			if header.Masked || header.Length > 32*kib {
				t.Fatalf("frame of the server: got %v, want unmasked and at most 32 KiB", header)
			}
			io.CopyN(io.Discard, c.r, header.Length)
		}
		c.conn.Close()
		ended := <-over
		if code := ended.Code; code < 1000 || code > 4999 || code == 1015 {
			t.Errorf("code of $disconnect: got %d, want a valid one", code)
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		for _, event := range g.events["default"][before:] {
			if body := bodyOf(event); !utf8.ValidString(body) || len(body) > 128*kib {
				t.Errorf("message of a function: got %d bytes, want UTF-8 of at most 128 KiB", len(body))
			}
		}
		// Events of earlier inputs are no longer needed.
		clear(g.events)
	})
}

// FuzzConnectionsPath requests arbitrary paths of the management API. Each must get a documented status. An id may be
// echoed in JSON only, and an invalid id must never match a connection.
func FuzzConnectionsPath(f *testing.F) {
	seeds := []string{
		"/prod/@connections/L0SM9cOFvHcCIhw%3D", "/prod/%40connections/L0SM9cOFvHcCIhw=", "/prod/@connections/a%2Fb",
		"/prod/@connections/%zz", "/prod/@connections/", "/prod/@connections", "/prod//@connections/x",
		"/prod/@connections/%22%0a%00", "/%70rod/@connections/x",
		"//", "/prod/../prod/@connections/x", "/prod/@connections/x?y=z",
	}
	for _, seed := range seeds {
		f.Add("POST", seed)
		f.Add("GET", seed)
	}
	if len(seeds) < 10 {
		f.Fatalf("got %d seeds, want at least 10", len(seeds))
	}
	g := start(f, newAPI(), apigateway.Options{}, nil)
	wellFormed := regexp.MustCompile(`^[A-Za-z0-9_-]{15}=$`)
	f.Fuzz(func(t *testing.T, method, target string) {
		path, err := url.ParseRequestURI(target)
		if err != nil || !strings.HasPrefix(target, "/") {
			return
		}
		request := &http.Request{
			Method: method, URL: path, RequestURI: target, Host: "a", Body: io.NopCloser(strings.NewReader("")),
			Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header: http.Header{"Authorization": {signed}, "X-Amz-Date": {"x"}},
		}
		answer := httptest.NewRecorder()
		g.ServeHTTP(answer, request.WithContext(t.Context()))
		switch answer.Code {
		case 403, 410, 414, 426:
		case 400:
			id := path.Path[strings.LastIndex(path.Path, "@connections/")+len("@connections/"):]
			if wellFormed.MatchString(id) && strings.HasSuffix(id, "A=") {
				t.Errorf("id %q: got 400, want a status for a valid id", id)
			}
		default:
			t.Errorf("%s %q: got %d, want a documented status", method, target, answer.Code)
		}
		if body := answer.Body.Bytes(); len(body) > 0 && !json.Valid(body) {
			t.Errorf("%s %q: got body %q, want JSON", method, target, body)
		}
	})
}

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

// FuzzFrames sends a client whatever bytes. The gateway must stay up, hand functions only text within the limits, and end
// the connection in good order.
func FuzzFrames(f *testing.F) {
	seeds := [][]byte{
		masked(ws.Header{OpCode: ws.OpText, Fin: true}, []byte(`{"action":"x"}`)),
		masked(ws.Header{OpCode: ws.OpText, Fin: false}, []byte("a")),
		bytes.Join([][]byte{
			masked(ws.Header{OpCode: ws.OpText}, []byte("\xe2")), masked(ws.Header{OpCode: ws.OpPing, Fin: true}, []byte("p")),
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
		f.Fatalf("%d seeds", len(seeds))
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
				t.Fatalf("the server sent a frame %v", header)
			}
			io.CopyN(io.Discard, c.r, header.Length)
		}
		c.conn.Close()
		ended := <-over
		if code := ended.Code; code < 1000 || code > 4999 || code == 1015 {
			t.Errorf("$disconnect was told %d", code)
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		for _, event := range g.events["default"][before:] {
			if body := bodyOf(event); !utf8.ValidString(body) || len(body) > 128*kib {
				t.Errorf("a function got %d bytes, or no text", len(body))
			}
		}
		// What the other inputs left is not needed any more.
		clear(g.events)
	})
}

// FuzzConnectionsPath asks the management API for whatever path. It must answer each with a status of its own, echo an
// id only inside JSON, and never take an ill-formed id for a connection.
func FuzzConnectionsPath(f *testing.F) {
	seeds := []string{
		"/prod/@connections/L0SM9cOFvHcCIhw%3D", "/prod/%40connections/L0SM9cOFvHcCIhw=", "/prod/@connections/a%2Fb", "/prod/@connections/%zz",
		"/prod/@connections/", "/prod/@connections", "/prod//@connections/x", "/prod/@connections/%22%0a%00", "/%70rod/@connections/x",
		"//", "/prod/../prod/@connections/x", "/prod/@connections/x?y=z",
	}
	for _, seed := range seeds {
		f.Add("POST", seed)
		f.Add("GET", seed)
	}
	if len(seeds) < 10 {
		f.Fatalf("%d seeds", len(seeds))
	}
	g := start(f, newAPI(), apigateway.Options{}, nil)
	wellFormed := regexp.MustCompile(`^[A-Za-z0-9_-]{15}=$`)
	f.Fuzz(func(t *testing.T, method, target string) {
		path, err := url.ParseRequestURI(target)
		if err != nil || !strings.HasPrefix(target, "/") {
			return
		}
		request := &http.Request{
			Method: method, URL: path, RequestURI: target, Host: "a", Body: http.NoBody, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header: http.Header{"Authorization": {signed}, "X-Amz-Date": {"x"}},
		}
		answer := httptest.NewRecorder()
		g.ServeHTTP(answer, request.WithContext(t.Context()))
		switch answer.Code {
		case 403, 410, 414, 426:
		case 400:
			id := path.Path[strings.LastIndex(path.Path, "@connections/")+len("@connections/"):]
			if wellFormed.MatchString(id) && strings.HasSuffix(id, "A=") {
				t.Errorf("the id %q is called ill-formed", id)
			}
		default:
			t.Errorf("%s %q is answered with %d", method, target, answer.Code)
		}
		if body := answer.Body.Bytes(); len(body) > 0 && !json.Valid(body) {
			t.Errorf("%s %q is answered with %q", method, target, body)
		}
	})
}

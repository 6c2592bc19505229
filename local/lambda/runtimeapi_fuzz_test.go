package lambda

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// FuzzRuntimeAPI sends arbitrary requests of a process in arbitrary order. Each must get a documented response. An
// invocation must be answered at most once, and only by its own id. The next event must come only after that.
//
// An input has one request per line, "METHOD /path body", in which {id} is the current invocation's id. The line
// "begin" passes an invocation to the process if it has asked for one.
func FuzzRuntimeAPI(f *testing.F) {
	seeds, err := filepath.Glob("testdata/runtimeapi/*.txt")
	if err != nil || len(seeds) < 5 {
		f.Fatalf("%d seeds, error %v", len(seeds), err)
	}
	for _, name := range seeds {
		seed, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(seed))
	}
	allowed := []int{
		http.StatusOK, http.StatusAccepted, http.StatusMovedPermanently, http.StatusTemporaryRedirect, // for unclean paths
		http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed,
		http.StatusNotImplemented,
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	f.Fuzz(func(t *testing.T, script string) {
		s := &Service{log: slog.New(slog.DiscardHandler), drained: make(chan struct{}, 1)}
		s.o.Report = func(Report) {}
		s.unreserved.max.Store(1)
		fn := newFunction(s, Function{Name: "f", ARN: "arn", Timeout: time.Hour})
		reader, writer, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer writer.Close()
		p := &process{
			f: fn, secret: "secret", state: stateStarted, ready: make(chan struct{}),
			initError: make(chan *FunctionError, 1), assigned: make(chan struct{}),
		}
		if p.out, err = newOutput(reader, func(string, []byte) {}); err != nil {
			t.Fatal(err)
		}
		defer p.out.close()
		fn.all[p] = struct{}{}
		router := newRouter(func(secret string) *process {
			if secret == p.secret {
				return p
			}
			return nil
		})
		var current *invocation
		answers := 0
		defer func() {
			if current != nil {
				current.stopTimers()
			}
		}()
		for _, line := range strings.SplitN(script, "\n", 20) {
			if line == "begin" {
				if len(fn.idle) == 0 || !s.unreserved.acquire() {
					continue
				}
				s.inFlight.Add(1)
				fn.idle = nil
				current, answers = newInvocation(fn, []byte("{}"), "", fault{}), 0
				if !p.begin(current) {
					t.Fatalf("begin of an idle process in state %s: got false, want true", p.state)
				}
				continue
			}
			method, rest, _ := strings.Cut(line, " ")
			path, body, _ := strings.Cut(rest, " ")
			if current != nil {
				path = strings.ReplaceAll(path, "{id}", current.id)
			}
			target, err := url.ParseRequestURI("/secret" + path)
			if err != nil || method == "" || strings.ContainsFunc(method, func(r rune) bool { return r < 'A' || r > 'Z' }) {
				continue
			}
			running := p.state == stateRunning
			r := (&http.Request{
				Method: method, URL: target, Header: http.Header{headerExtension: {"e"}},
				Body: io.NopCloser(strings.NewReader(body)),
			}).WithContext(gone)
			w := httptest.NewRecorder()
			router.ServeHTTP(w, r)

			if !slices.Contains(allowed, w.Code) {
				t.Fatalf("%s: got status %d, want one of %v", line, w.Code, allowed)
			}
			if w.Code >= 400 && w.Code != http.StatusMethodNotAllowed {
				var document errorDocument
				err := json.Unmarshal(w.Body.Bytes(), &document)
				if err != nil || document.Type == "" || document.Message == "" {
					t.Fatalf("%s: got status %d with %q, want an error document", line, w.Code, w.Body)
				}
			}
			if w.Code == http.StatusAccepted && p.state == stateAnswered {
				if answers++; answers > 1 || !running || !strings.Contains(target.Path, current.id) {
					t.Fatalf("%s: got accepted as answer %d of %s, running %v, want one answer while running",
						line, answers, current.id, running)
				}
			}
			if event := w.Header().Get(headerRequestID); event != "" && (event != current.id || p.state != stateRunning) {
				t.Fatalf("%s: got event %s in state %s, want %s", line, event, p.state, current.id)
			}
			if used := s.unreserved.used.Load(); used > 1 || used < 0 || s.inFlight.Load() != used {
				t.Fatalf("%s: got %d invocations with concurrency and %d in flight, want equal numbers up to 1",
					line, used, s.inFlight.Load())
			}
			if current != nil && p.state == stateReady && p.current == nil {
				select {
				case <-current.done:
				default:
					t.Fatalf("%s: process is free, but the caller has no response", line)
				}
			}
		}
	})
}

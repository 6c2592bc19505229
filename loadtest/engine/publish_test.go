package engine_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"fanfare/loadtest/account"
	"fanfare/loadtest/echo"
	"fanfare/loadtest/engine"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// queueOf returns the URL of a queue that implements SendMessage: it passes each body to publish.
func queueOf(t *testing.T, publish func(body string)) string {
	t.Helper()
	n := 0
	var mu sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request struct{ MessageBody string }
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			t.Error(err)
		}
		publish(request.MessageBody)
		mu.Lock()
		defer mu.Unlock()
		n++
		fmt.Fprintf(w, `{"MessageId":"sqs-%d"}`, n)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/000000000000/websocket-broadcast"
}

func TestEngine_PublishThroughQueue(t *testing.T) {
	for via, byQueue := range map[string]int{engine.Queue: 60, engine.Both: 30} {
		t.Run(via, func(t *testing.T) {
			s, url := serve(t, echo.Options{})
			p := plan(url)
			p.Via, p.QueueURL = via, queueOf(t, func(body string) { s.Broadcast([]byte(body)) })
			a := measure(t, opened(t, p), conditions(p, 200, 60))
			if want := (account.Deliveries{Owed: 1200, Delivered: 1200}); without(a.Deliveries) != want ||
				a.Publishing.ByQueue != byQueue || a.Publishing.Acknowledged != 60 {
				t.Errorf("got %+v\n%+v, want %+v, %d by queue, 60 acknowledged", a.Deliveries, a.Publishing, want, byQueue)
			}
			for _, b := range a.Broadcasts {
				if b.ByQueue != strings.HasPrefix(b.ID, "sqs-") {
					t.Fatalf("broadcast %d: got id %q, by queue %v", b.Number, b.ID, b.ByQueue)
				}
			}
		})
	}
}

// Each answer of a server is counted as what it is.
func TestListener_Answers(t *testing.T) {
	var mu sync.Mutex
	script := map[int][]string{ // by message
		0: {`{"type":"ack","id":"first"}`},
		1: {`{"type":"error","code":"too_large","message":"no"}`},
		2: {`{"message": "Internal server error", "connectionId":"c=", "requestId":"r="}`},
		3: {},
		4: {`{"type":"ack","id":"fifth"}`, `{"type":"ack","id":"again"}`, `{"type":"pong"}`, `hello`},
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, _, err := ws.UpgradeHTTP(r, w)
		if err != nil {
			return
		}
		defer conn.Close()
		for {
			if _, err := wsutil.ReadClientText(conn); err != nil {
				return
			}
			mu.Lock()
			for _, text := range script[n] {
				wsutil.WriteServerText(conn, []byte(text))
			}
			n++
			mu.Unlock()
		}
	})}
	done := make(chan error)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() { server.Close(); <-done })
	p := plan("ws://" + l.Addr().String())
	p.Connections, p.Publishers = 5, 5
	c := conditions(p, 20, 5)
	c.Deadline = 200 * time.Millisecond
	a := measure(t, opened(t, p), c)
	if a.Publishing.Acknowledged != 2 || a.Publishing.Unanswered != 1 || a.Publishing.Refused["too_large"] != 1 ||
		a.Publishing.Refused["API Gateway: Internal server error"] != 1 {
		t.Errorf("got %+v, want 2 acknowledged, 1 unanswered, 1 refused by each", a.Publishing)
	}
	if a.Deliveries.StrayAnswers != 1 || a.Deliveries.ForeignTexts != 1 || a.Deliveries.Owed != 10 ||
		a.Deliveries.Missing != 10 {
		t.Errorf("got %+v, want 1 stray answer, 1 foreign text, 10 owed and missing", a.Deliveries)
	}
}

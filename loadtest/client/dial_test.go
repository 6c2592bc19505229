package client_test

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"fanfare/loadtest/client"

	"github.com/gobwas/ws"
)

func TestPool_DialErrors(t *testing.T) {
	refuse := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer right" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		conn, _, _, err := ws.UpgradeHTTP(r, w)
		if err != nil {
			return
		}
		conn.Close()
	}))
	defer refuse.Close()
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	// The local address of a connection: a port on which no process listens and that the kernel assigns to no other.
	taken, err := net.Dial("tcp", mute.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, c := range map[string]struct {
		options client.Options
		want    client.DialError
	}{
		"refused by HTTP": {client.Options{URL: "ws" + refuse.URL[4:]}, client.DialError{Reason: "HTTP 403", Status: 403}},
		"connection refused": {client.Options{URL: "ws://" + taken.LocalAddr().String()},
			client.DialError{Reason: "connection refused"}},
		"no answer": {client.Options{URL: "ws://" + mute.Addr().String(), ConnectTimeout: 50 * time.Millisecond},
			client.DialError{Reason: "no answer within 50ms"}},
		"source of another machine": {client.Options{URL: "ws://" + mute.Addr().String(),
			Sources: []netip.Addr{netip.MustParseAddr("192.0.2.1")}},
			client.DialError{Reason: "cannot assign requested address", Harness: true}},
	} {
		t.Run(name, func(t *testing.T) {
			p, _ := pool(t, c.options)
			_, err := p.Dial(t.Context(), 0, false)
			var got *client.DialError
			if !errors.As(err, &got) || got.Reason != c.want.Reason || got.Harness != c.want.Harness ||
				got.Status != c.want.Status {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
	p, _ := pool(t, client.Options{URL: "ws" + refuse.URL[4:], Header: http.Header{"Authorization": {"Bearer right"}}})
	if _, err := p.Dial(t.Context(), 0, false); err != nil {
		t.Errorf("right token: got %v, want nil", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Dial(ctx, 0, false); err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("interrupted: got %v, want interrupted", err)
	}
	for _, url := range []string{"", "http://127.0.0.1", "ws://", "127.0.0.1:80"} {
		if _, err := client.NewPool(client.Options{URL: url}); err == nil {
			t.Errorf("NewPool(%q): got no error, want one", url)
		}
	}
}

func TestPool_TLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, _, err := ws.UpgradeHTTP(r, w)
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			f, err := readFrame(conn)
			if err != nil {
				return
			}
			ws.WriteFrame(conn, ws.NewTextFrame(f.Payload))
			untilClosed(conn)
		}()
	}))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	defer server.Close()
	p, d := pool(t, client.Options{URL: "wss" + server.URL[5:],
		TLS: server.Client().Transport.(*http.Transport).TLSClientConfig})
	if err := dial(t, p, 0, false).WriteText([]byte("secret")); err != nil {
		t.Fatal(err)
	}
	d.await(t, "message 0 secret", 1)
	untrusting, _ := pool(t, client.Options{URL: "wss" + server.URL[5:], TLS: &tls.Config{}})
	if _, err := untrusting.Dial(t.Context(), 0, false); err == nil {
		t.Error("unknown certificate: got no error, want one")
	}
}

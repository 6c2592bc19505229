package token_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"fanfare/pkg/token"
	"fanfare/test/tokentest"
)

// A fetch closes its connection, also when it does not read the whole answer.
func TestJWKS_FetchCloses(t *testing.T) {
	closed := make(chan struct{}, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		chunk := []byte(strings.Repeat("x", 64<<10))
		for {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			closed <- struct{}{}
		}
	}
	server.Start()
	defer server.Close()
	set, err := token.NewJWKS(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := set.Fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("got %v, want an error about status 503", err)
	}
	select {
	case <-closed:
	case <-time.After(time.Minute):
		server.CloseClientConnections()
		t.Error("got an open connection, want it closed")
	}
}

func TestJWKS_FetchUnreachable(t *testing.T) {
	server := httptest.NewServer(nil)
	set, err := token.NewJWKS(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	server.Close()
	if keys, err := set.Fetch(t.Context()); err == nil {
		t.Errorf("got %v, want an error", keys)
	}
}

func TestJWKS_FetchTruncated(t *testing.T) {
	i := newIssuer(t, nil)
	i.behave(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100000")
		w.Write(tokentest.Good().JWKS())
	})
	set, err := token.NewJWKS(i.URL)
	if err != nil {
		t.Fatal(err)
	}
	if keys, err := set.Fetch(t.Context()); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v, %v, want %v", keys, err, io.ErrUnexpectedEOF)
	}
}

// A token is not refused as long as newer keys, which may verify it, cannot be fetched.
func TestKeys_NewerUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetches := 0
		keys := token.NewKeys(func(ctx context.Context) ([]jose.JSONWebKey, error) {
			if fetches++; fetches > 1 {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return []jose.JSONWebKey{{KeyID: "old"}}, nil
		})
		isNew := func(key jose.JSONWebKey) bool { return key.KeyID == "new" }
		if found, err := keys.Find(t.Context(), isNew); found || err != nil {
			t.Errorf("within the pause: got %v, %v, want false", found, err)
		}
		time.Sleep(time.Minute)
		go func() { _, _ = keys.Find(t.Context(), isNew) }()
		synctest.Wait() // it fetches
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if found, err := keys.Find(ctx, isNew); found || !errors.Is(err, token.ErrNoKeys) {
			t.Errorf("during the fetch: got %v, %v, want ErrNoKeys", found, err)
		}
		time.Sleep(time.Minute)
	})
}

// A key is used only for the algorithm that it is for.
func TestVerifier_KeyAlgorithm(t *testing.T) {
	good := tokentest.Good()
	key := good.RSAKey("rsa")
	key["alg"] = "PS256"
	set, err := token.NewJWKS(newIssuer(t, tokentest.Set(key)).URL)
	if err != nil {
		t.Fatal(err)
	}
	v := verifier(t)
	v.Keys = unhurried(set.Fetch)
	if _, err := v.Verify(t.Context(), good.Signed(tokentest.Listener(now))); reason(err) != token.ReasonSignature {
		t.Errorf("got %v, want the signature refused", err)
	}
}

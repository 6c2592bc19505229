package transport_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"fanfare/pkg/transport"
)

// body has a WriteTo method, as the bodies of smithy-go have.
type body struct{ *bytes.Reader }

func (body) Close() error { return nil }

type recorder struct{ request *http.Request }

func (r *recorder) Do(request *http.Request) (*http.Response, error) {
	r.request = request
	return nil, nil
}

func TestKeepBodyOpen_HidesWriteTo(t *testing.T) {
	request, err := http.NewRequest("POST", "http://127.0.0.1", body{bytes.NewReader([]byte("hello"))})
	if err != nil {
		t.Fatal(err)
	}
	var next recorder
	if _, err := transport.KeepBodyOpen(&next).Do(request); err != nil {
		t.Fatal(err)
	}
	if _, ok := next.request.Body.(io.WriterTo); ok {
		t.Error("got a body with a WriteTo method, want one without")
	}
	if data, err := io.ReadAll(next.request.Body); err != nil || string(data) != "hello" {
		t.Errorf("got body %q, %v, want hello", data, err)
	}
}

// LoadDefaultConfig returns a configuration without a client unless a setting such as AWS_CA_BUNDLE needs one.
func TestKeepBodyOpen_NilClient(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTeapot)
	}))
	defer server.Close()
	request, err := http.NewRequest("POST", server.URL, body{bytes.NewReader([]byte("hello"))})
	if err != nil {
		t.Fatal(err)
	}
	response, err := transport.KeepBodyOpen(nil).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusTeapot {
		t.Errorf("got status %d, want %d", response.StatusCode, http.StatusTeapot)
	}
}

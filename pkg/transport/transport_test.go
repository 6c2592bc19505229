package transport_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"fanfare/pkg/transport"
)

// body is what smithy-go hands to the client: it can write itself.
type body struct{ *bytes.Reader }

func (body) Close() error { return nil }

type recorder struct{ request *http.Request }

func (r *recorder) Do(request *http.Request) (*http.Response, error) {
	r.request = request
	return nil, nil
}

func TestPatientHidesThatTheBodyWritesItself(t *testing.T) {
	request, err := http.NewRequest("POST", "http://127.0.0.1", body{bytes.NewReader([]byte("hello"))})
	if err != nil {
		t.Fatal(err)
	}
	var under recorder
	if _, err := transport.Patient(&under).Do(request); err != nil {
		t.Fatal(err)
	}
	if _, ok := under.request.Body.(io.WriterTo); ok {
		t.Error("net/http would let the body write itself")
	}
	if data, err := io.ReadAll(under.request.Body); err != nil || string(data) != "hello" {
		t.Errorf("the body is %q, %v", data, err)
	}
}

// What LoadDefaultConfig returns has no client unless a setting such as AWS_CA_BUNDLE asks for one.
func TestPatientWithoutAClientIsTheSDKsOwn(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	defer server.Close()
	request, err := http.NewRequest("POST", server.URL, body{bytes.NewReader([]byte("hello"))})
	if err != nil {
		t.Fatal(err)
	}
	response, err := transport.Patient(nil).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusTeapot {
		t.Errorf("the answer is %s", response.Status)
	}
}

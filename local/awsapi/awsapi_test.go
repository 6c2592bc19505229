package awsapi_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"

	"fanfare/local/awsapi"
)

func TestAccessKeyID(t *testing.T) {
	for header, want := range map[string]string{
		"": "",
		"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261129/us-east-1/sqs/aws4_request, Signature=00": "AKIDEXAMPLE",
		"AWS4-HMAC-SHA256 Signature=00, Credential=ASIA1/20261129/us-east-1/sqs/aws4_request":       "ASIA1",
		"AWS4-HMAC-SHA256 SignedHeaders=host":                                                       "",
		"Bearer Credential=AKIDEXAMPLE/":                                                            "",
	} {
		if got := awsapi.AccessKeyID(header); got != want {
			t.Errorf("AccessKeyID(%q): got %q, want %q", header, got, want)
		}
	}
}

func TestAuthorizer_Check(t *testing.T) {
	if err := awsapi.Authorizer(nil).Check("key", "sqs:SendMessage", "*"); err != nil {
		t.Errorf("nil Authorizer: got %v, want nil", err)
	}
	denied := errors.New("denied")
	deny := awsapi.Authorizer(func(accessKeyID, action, resource string) error { return denied })
	if err := deny.Check("key", "sqs:SendMessage", "*"); !errors.Is(err, denied) {
		t.Errorf("got %v, want %v", err, denied)
	}
}

func TestNewUUID(t *testing.T) {
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := make(map[string]bool)
	for range 1000 {
		id := awsapi.NewUUID()
		if !form.MatchString(id) || seen[id] {
			t.Fatalf("got %q, want a new version 4 UUID", id)
		}
		seen[id] = true
	}
}

func TestWriteJSON_Error(t *testing.T) {
	w := httptest.NewRecorder()
	awsapi.WriteJSON(w, awsapi.JSON10, http.StatusBadRequest, awsapi.ErrorBody("a#B", "message", `less than 1 <2> & "3"`))
	if got, want := w.Body.String(), `{"__type":"a#B","message":"less than 1 <2> & \"3\""}`; got != want {
		t.Errorf("body: got %s, want %s", got, want)
	}
	if got, want := w.Code, http.StatusBadRequest; got != want {
		t.Errorf("status: got %d, want %d", got, want)
	}
	if got, want := w.Header().Get("Content-Length"), "52"; got != want {
		t.Errorf("Content-Length: got %s, want %s", got, want)
	}
	if got, want := w.Header().Get("Content-Type"), awsapi.JSON10; got != want {
		t.Errorf("Content-Type: got %s, want %s", got, want)
	}
}

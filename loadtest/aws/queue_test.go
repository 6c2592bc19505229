package aws_test

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"fanfare/loadtest/aws"
)

func TestQueue_Publish(t *testing.T) {
	t.Setenv("AWS_CA_BUNDLE", "")
	t.Setenv("AWS_ACCESS_KEY_ID", "somekey")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "somesecret")
	t.Setenv("AWS_REGION", "eu-west-1")
	var requests []map[string]any
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		var request map[string]any
		if err := json.Unmarshal(b, &request); err != nil {
			t.Error(err)
		}
		request["target"], request["signature"] = r.Header.Get("X-Amz-Target"), r.Header.Get("Authorization")
		requests = append(requests, request)
		body, _ := request["MessageBody"].(string)
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		if body == "too much" {
			w.Header().Set("X-Amzn-Errortype", "com.amazonaws.sqs#RequestThrottled")
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, `{"__type":"com.amazonaws.sqs#RequestThrottled","message":"slow down"}`)
			return
		}
		sum := md5.Sum([]byte(body))
		json.NewEncoder(w).Encode(map[string]string{"MessageId": "id-1", "MD5OfMessageBody": hex.EncodeToString(sum[:])})
	}))
	defer server.Close()
	url := server.URL + "/000000000000/websocket-broadcast"
	q, err := aws.OpenQueue(t.Context(), url, 8)
	if err != nil {
		t.Fatal(err)
	}
	id, err := q.Publish(t.Context(), `{"run":"x"}`)
	if err != nil || id != "id-1" {
		t.Fatalf("got id %q, %v, want id-1, nil", id, err)
	}
	r := requests[0]
	if r["target"] != "AmazonSQS.SendMessage" || r["QueueUrl"] != url || r["MessageBody"] != `{"run":"x"}` {
		t.Errorf("got request %v, want SendMessage with the URL and body", r)
	}
	if s, _ := r["signature"].(string); !strings.Contains(s, "Credential=somekey/") ||
		!strings.Contains(s, "/eu-west-1/sqs/") {
		t.Errorf("got signature %v, want the key and region of the environment", s)
	}
	if _, err := q.Publish(t.Context(), "too much"); err == nil || !strings.Contains(err.Error(), "RequestThrottled") {
		t.Errorf("throttled: got %v, want RequestThrottled", err)
	}
	if len(requests) != 2 {
		t.Errorf("got %d requests, want 2 without retries", len(requests))
	}
}

func TestOpenQueue_InvalidURL(t *testing.T) {
	for _, url := range []string{"", "websocket-broadcast", "http://127.0.0.1:4566", "arn:aws:sqs:us-east-1:0:q",
		"ftp://a/b"} {
		if _, err := aws.OpenQueue(t.Context(), url, 1); err == nil {
			t.Errorf("OpenQueue(%q): got no error, want one", url)
		}
	}
}

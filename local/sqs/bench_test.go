package sqs

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// sink is a ResponseWriter that keeps only the header and the last body.
type sink struct {
	header http.Header
	body   []byte
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) Write(b []byte) (int, error) { s.body = append(s.body[:0], b...); return len(b), nil }
func (s *sink) WriteHeader(int)             {}

func serveBenchmark(b *testing.B, s *Server, w *sink, operation, body string) {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header["X-Amz-Target"] = []string{"AmazonSQS." + operation}
	clear(w.header)
	s.ServeHTTP(w, r)
}

func batchOf(n, size int) string {
	var entries []string
	for i := range n {
		entries = append(entries, fmt.Sprintf(`{"Id":"%d","MessageBody":%q}`, i, strings.Repeat("x", size)))
	}
	return `{"QueueUrl":"http://x/000000000000/q","Entries":[` + strings.Join(entries, ",") + `]}`
}

// BenchmarkQueue sends a batch of ten, receives it and deletes it, through the HTTP handler without a socket.
func BenchmarkQueue(b *testing.B) {
	for _, size := range []int{1 << 10, 20 << 10} {
		send := batchOf(10, size)
		b.Run(fmt.Sprintf("SendMessageBatch/10x%dB", size), func(b *testing.B) {
			s := New(Options{})
			defer s.Close()
			mustCreate(b, s, "q")
			w := &sink{header: http.Header{}}
			b.SetBytes(int64(10 * size))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%1000 == 0 { // so that memory use does not dominate
					b.StopTimer()
					q := s.queue("q")
					q.mu.Lock()
					for _, m := range q.messages {
						q.remove(m)
					}
					q.mu.Unlock()
					b.StartTimer()
				}
				serveBenchmark(b, s, w, "SendMessageBatch", send)
			}
		})
		b.Run(fmt.Sprintf("SendReceiveDelete/10x%dB", size), func(b *testing.B) {
			s := New(Options{})
			defer s.Close()
			mustCreate(b, s, "q")
			w := &sink{header: http.Header{}}
			b.SetBytes(int64(10 * size))
			b.ReportAllocs()
			for b.Loop() {
				serveBenchmark(b, s, w, "SendMessageBatch", send)
				serveBenchmark(b, s, w, "ReceiveMessage", `{"QueueUrl":"http://x/000000000000/q","MaxNumberOfMessages":10,`+
					`"MessageSystemAttributeNames":["All"]}`)
				b.StopTimer()
				var received struct {
					Messages []struct{ ReceiptHandle string }
				}
				if err := json.Unmarshal(w.body, &received); err != nil || len(received.Messages) != 10 {
					b.Fatalf("got %v, %d messages, want 10", err, len(received.Messages))
				}
				var entries []string
				for i, m := range received.Messages {
					entries = append(entries, fmt.Sprintf(`{"Id":"%d","ReceiptHandle":%q}`, i, m.ReceiptHandle))
				}
				b.StartTimer()
				serveBenchmark(b, s, w, "DeleteMessageBatch", `{"QueueUrl":"http://x/000000000000/q",`+
					`"Entries":[`+strings.Join(entries, ",")+`]}`)
			}
			if n := s.queue("q").messageCounts(); n != [3]int{} {
				b.Fatalf("messages left: got %v, want 0", n)
			}
		})
	}
}

package fanout

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"fanfare/pkg/broadcast"
)

func TestDispatcher_Buckets(t *testing.T) {
	d := Dispatcher{BatchConnections: 100, BatchPosts: 1000, Senders: 4}
	for _, test := range []struct{ connections, messages, want int }{
		{0, 1, 0}, {1, 1, 1}, {25, 1, 1}, {26, 1, 2}, {75, 1, 3}, {76, 1, 4},
		{100, 1, 4}, {101, 1, 4}, {400, 1, 4}, {401, 1, 8}, {800, 1, 8}, {801, 1, 12},
		{100, 10, 4}, {400, 20, 8}, {401, 20, 12}, // 50 connections are 1000 posts of 20 messages
		{30, 1001, 30}, // one connection is more than 1000 posts
	} {
		if got := d.buckets(test.connections, test.messages); got != test.want {
			t.Errorf("%d connections, %d messages: got %d buckets, want %d", test.connections, test.messages, got, test.want)
		}
	}
}

// Messages share a batch while they fit into it, up to the very byte.
func TestPass_SplitBySize(t *testing.T) {
	sized := func(size int) Result {
		m := broadcast.Message{ID: "m", Payload: []byte("x")}
		m.Payload = []byte(strings.Repeat("x", size-m.WireLen()+1))
		if m.WireLen() != size {
			t.Fatalf("got a message of %d bytes, want %d", m.WireLen(), size)
		}
		return Result{Request: broadcast.Request{Message: m}}
	}
	const limit, small = broadcast.MaxMessageBytes, 1000
	for _, test := range []struct {
		name  string
		sizes []int
		want  [][]int
	}{
		{"none", nil, nil},
		{"one", []int{small}, [][]int{{0}}},
		{"one of the largest size", []int{limit}, [][]int{{0}}},
		{"exactly full", []int{limit - small, small}, [][]int{{0, 1}}},
		{"one byte more", []int{limit - small + 1, small}, [][]int{{0}, {1}}},
		{"two lists", []int{limit - small, small, limit - small, small}, [][]int{{0, 1}, {2, 3}}},
		{"three", []int{limit, small, limit}, [][]int{{0}, {1}, {2}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var p pass
			var indices []int
			for i, size := range test.sizes {
				p.results, indices = append(p.results, sized(size)), append(indices, i)
			}
			if got := p.splitBySize(indices); !slices.EqualFunc(got, test.want, slices.Equal[[]int]) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// Every connection is in one bucket, and no bucket has far more than its share.
func TestBucket_Even(t *testing.T) {
	const connections, buckets = 10_000, 10
	counts := make([]int, buckets)
	for i := range connections {
		counts[bucket(fmt.Sprintf("connection-%d=", i), buckets)]++
	}
	for i, n := range counts {
		if n < 800 || n > 1200 {
			t.Errorf("bucket %d: got %d connections, want about 1000", i, n)
		}
	}
}

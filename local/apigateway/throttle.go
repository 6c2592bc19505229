package apigateway

import (
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"
)

// Quotas are the quotas that all APIs of an account share in a Region. The zero value sets none; DefaultQuotas returns
// those of AWS.
type Quotas struct {
	// Connections limits new connections; a handshake over the limit is answered with 429.
	Connections Throttle
	// Requests limits handshakes, messages from clients and management requests together. Over the limit a handshake
	// is answered with 429, a management request with 429 LimitExceededException, and a message with an error frame.
	Requests Throttle
}

// DefaultQuotas returns the default quotas of an account in the larger Regions.
//
// Connections: the rate is documented, the burst is only reported.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
//
// Requests: REST, HTTP and WebSocket APIs and the WebSocket callback APIs share the bucket.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
func DefaultQuotas() Quotas {
	return Quotas{Connections: Throttle{Rate: 500, Burst: 500}, Requests: Throttle{Rate: 10_000, Burst: 5_000}}
}

func (t Throttle) check() error {
	if math.IsNaN(t.Rate) || t.Rate < 0 || t.Burst < 0 || t.Rate > 0 && t.Burst < 1 {
		return fmt.Errorf("rate %v with burst %d is not valid", t.Rate, t.Burst)
	}
	return nil
}

func (q Quotas) check() error {
	return errors.Join(q.Connections.check(), q.Requests.check())
}

// bucket is a token bucket without a lock: its only state is the time at which it will be full again. A nil bucket
// never limits.
type bucket struct {
	interval int64 // nanoseconds per token
	depth    int64 // nanoseconds per full bucket
	full     atomic.Int64
}

// newBucket returns a full bucket, or nil for a throttle without a limit.
func newBucket(t Throttle) *bucket {
	if t.Rate == 0 {
		return nil
	}
	interval := max(int64(float64(time.Second)/t.Rate), 1)
	return &bucket{interval: interval, depth: interval * int64(t.Burst)}
}

// take takes a token. It reports whether there was one.
func (b *bucket) take(now time.Time) bool {
	if b == nil {
		return true
	}
	at := now.UnixNano()
	for {
		before := b.full.Load()
		after := max(before, at) + b.interval
		if after-at > b.depth {
			return false
		}
		if b.full.CompareAndSwap(before, after) {
			return true
		}
	}
}

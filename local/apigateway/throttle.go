package apigateway

import (
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"
)

// Quotas are the limits that all APIs of an account share in a Region. The zero value has none, which suits tests and
// development; DefaultQuotas has AWS's.
type Quotas struct {
	// Connections limits new connections; a handshake over it is answered with 429.
	Connections Throttle
	// Requests limits handshakes, messages from clients and management requests together. Over it a handshake is
	// answered with 429, a management request with 429 LimitExceededException, and a message with a frame.
	Requests Throttle
}

// DefaultQuotas returns what an account has in the greater Regions unless it has asked for more.
//
// Connections: the rate is documented in
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html,
// the burst only reported. Requests: https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html, where the
// bucket is said to be shared by REST, HTTP and WebSocket APIs and the WebSocket callback APIs.
func DefaultQuotas() Quotas {
	return Quotas{Connections: Throttle{Rate: 500, Burst: 500}, Requests: Throttle{Rate: 10_000, Burst: 5_000}}
}

func (t Throttle) check() error {
	if math.IsNaN(t.Rate) || t.Rate < 0 || t.Burst < 0 || t.Rate > 0 && t.Burst < 1 {
		return fmt.Errorf("rate %v with burst %d is not a throttle", t.Rate, t.Burst)
	}
	return nil
}

func (q Quotas) check() error {
	return errors.Join(q.Connections.check(), q.Requests.check())
}

// bucket is a token bucket that needs no lock: of all its history it keeps the time at which it will be full again. A
// nil bucket is never empty.
type bucket struct {
	interval int64 // nanoseconds that one token takes to come
	depth    int64 // nanoseconds that a whole bucket takes
	full     atomic.Int64
}

// newBucket returns a full bucket, or nil for a throttle that does not limit.
func newBucket(t Throttle) *bucket {
	if t.Rate == 0 {
		return nil
	}
	interval := max(int64(float64(time.Second)/t.Rate), 1)
	return &bucket{interval: interval, depth: interval * int64(t.Burst)}
}

// take takes a token, if there is one.
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

package apigateway

import (
	"errors"
	"fmt"
	"math"
	"time"

	"golang.org/x/time/rate"
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
	if math.IsNaN(t.Rate) || math.IsInf(t.Rate, 0) || t.Rate < 0 || t.Burst < 0 || t.Rate > 0 && t.Burst < 1 {
		return fmt.Errorf("rate %v with burst %d is not valid", t.Rate, t.Burst)
	}
	return nil
}

func (q Quotas) check() error {
	return errors.Join(q.Connections.check(), q.Requests.check())
}

// newLimiter returns a full token bucket, or nil for a throttle without a limit.
func newLimiter(t Throttle) *rate.Limiter {
	if t.Rate == 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(t.Rate), t.Burst)
}

// take takes a token from a bucket and reports whether there was one. A nil bucket never limits. now may be virtual
// time.
func take(l *rate.Limiter, now time.Time) bool { return l == nil || l.AllowN(now, 1) }

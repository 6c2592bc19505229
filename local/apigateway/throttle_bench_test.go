package apigateway

import (
	"testing"
	"time"
)

// BenchmarkThrottle measures taking tokens from one bucket by several goroutines, each of which reads the clock before,
// as requests do. The bucket is that of DefaultQuotas().Requests, which is empty most of the time.
func BenchmarkThrottle(b *testing.B) {
	requests := newLimiter(DefaultQuotas().Requests)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			take(requests, time.Now())
		}
	})
}

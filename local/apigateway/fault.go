package apigateway

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// Faults are things that go wrong on AWS seldom and at the worst time. Each share is between 0 and 1; those of one group
// are of the same requests, so that together they are at most 1. The zero value is a gateway without faults.
//
// Which of a run of requests suffers is decided by Seed and the request's place in the run alone, so that a run with
// the same Seed suffers the same.
type Faults struct {
	// Seed chooses among the runs of bad luck.
	Seed uint64

	// Shares of the management requests that are signed and allowed:

	// Gone are answered with 410 GoneException, and do nothing.
	Gone float64
	// RateExceeded are answered with 429 LimitExceededException as if the account's bucket were empty.
	RateExceeded float64
	// BufferFull are answered with the same as if the client's buffer were full. Only an observer sees the difference.
	BufferFull float64
	// ServerError are answered with 500, 502, 503 or 504, and do nothing.
	ServerError float64
	// DeliveredError are answered so although they did what they should.
	DeliveredError float64
	// Reset have their connection reset, and do nothing.
	Reset float64
	// LostAnswer have their connection reset after they did what they should.
	LostAnswer float64

	// Share of the connections that end:

	// LostDisconnect are not told of by $disconnect.
	LostDisconnect float64

	// Latency delays every management request, and Jitter by up to as much again, in the machine's time: half of it on
	// the way there, half on the way back.
	Latency, Jitter time.Duration
}

// fault is what happens to one management request.
type fault int

const (
	noFault fault = iota
	faultGone
	faultRate
	faultBuffer
	faultError
	faultDelivered
	faultReset
	faultLostAnswer
)

// shares lists the shares of management requests by fault.
func (f Faults) shares() [faultLostAnswer + 1]float64 {
	return [...]float64{
		faultGone: f.Gone, faultRate: f.RateExceeded, faultBuffer: f.BufferFull, faultError: f.ServerError,
		faultDelivered: f.DeliveredError, faultReset: f.Reset, faultLostAnswer: f.LostAnswer,
	}
}

func (f Faults) check() error {
	sum := 0.0
	for _, share := range f.shares() {
		if !(share >= 0) {
			return fmt.Errorf("faults: a share of %v", share)
		}
		sum += share
	}
	if sum > 1 || !(f.LostDisconnect >= 0 && f.LostDisconnect <= 1) {
		return fmt.Errorf("faults: shares of %v and %v are more than all", sum, f.LostDisconnect)
	}
	if f.Latency < 0 || f.Jitter < 0 {
		return fmt.Errorf("faults: latency %v with jitter %v", f.Latency, f.Jitter)
	}
	return nil
}

// SetFaults changes the faults from now on, and begins a new run of them. It may be called at any time.
func (s *Server) SetFaults(f Faults) error {
	if err := f.check(); err != nil {
		return fmt.Errorf("api gateway: %w", err)
	}
	s.luck.Store(&luck{faults: f})
	return nil
}

// luck is a run of faults.
type luck struct {
	faults      Faults
	requests    atomic.Uint64
	disconnects atomic.Uint64
}

// Streams of chance, which differ for the same seed.
const (
	requestStream uint64 = iota + 1
	disconnectStream
)

// misfortune is what becomes of one management request.
type misfortune struct {
	fault  fault
	status int           // of faultError and faultDelivered
	delay  time.Duration // each way
}

// serverErrors are the statuses that AWS's SDKs take for a passing failure of the server.
var serverErrors = [...]int{
	http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
}

// request decides on the next management request.
func (l *luck) request() misfortune {
	f := l.faults
	if f == (Faults{}) {
		return misfortune{}
	}
	chance := rand.New(rand.NewPCG(f.Seed^requestStream<<56, l.requests.Add(1)))
	m := misfortune{status: serverErrors[chance.IntN(len(serverErrors))]}
	m.delay = (f.Latency + time.Duration(chance.Float64()*float64(f.Jitter))) / 2
	drawn := chance.Float64()
	for kind, share := range f.shares() {
		if drawn < share {
			m.fault = fault(kind)
			break
		}
		drawn -= share
	}
	return m
}

// losesDisconnect decides on the next connection that ends.
func (l *luck) losesDisconnect() bool {
	f := l.faults
	if f.LostDisconnect == 0 {
		return false
	}
	chance := rand.New(rand.NewPCG(f.Seed^disconnectStream<<56, l.disconnects.Add(1)))
	return chance.Float64() < f.LostDisconnect
}

// wait delays a request, on its way there or back.
func (m misfortune) wait(r *http.Request) {
	if m.delay == 0 {
		return
	}
	timer := time.NewTimer(m.delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	}
}

// reset cuts the connection that a request came on. What has no connection is aborted.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if recorded, ok := conn.(*recording); ok {
		conn = recorded.Conn
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	conn.Close()
}

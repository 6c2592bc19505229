package apigateway

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Faults are rare AWS failures that the gateway injects. Each share is between 0 and 1. The shares of management
// requests exclude each other, so that their sum is at most 1. The zero value injects no faults.
//
// Seed and a request's position in the sequence decide its fault, so that equal seeds inject equal faults.
type Faults struct {
	// Seed is the seed of the fault generator.
	Seed uint64

	// Shares of the signed and allowed management requests:

	// Gone are answered with 410 GoneException and have no effect.
	Gone float64
	// GonePause is the least real time between two such answers for one connection. Requests within it have no fault.
	GonePause time.Duration
	// RateExceeded are answered with 429 LimitExceededException, as if the account's bucket were empty.
	RateExceeded float64
	// BufferFull are answered with 429 LimitExceededException, as if the client's buffer were full. Only
	// Event.Reason differs from RateExceeded.
	BufferFull float64
	// ServerError are answered with 500, 502, 503 or 504 and have no effect.
	ServerError float64
	// DeliveredError are executed and then answered as ServerError.
	DeliveredError float64
	// Reset have their TCP connection reset and have no effect.
	Reset float64
	// LostAnswer are executed, and then their TCP connection is reset.
	LostAnswer float64

	// Share of the ended connections:

	// LostDisconnect do not invoke the $disconnect route.
	LostDisconnect float64

	// Latency delays every management request, and Jitter by up to its own amount in addition, in real time: one
	// half before the request is executed, one half before the answer.
	Latency, Jitter time.Duration
}

// fault is the kind of failure injected into one management request.
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

// shares returns the shares of management requests, by fault.
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
			return fmt.Errorf("faults: share %v is not between 0 and 1", share)
		}
		sum += share
	}
	if sum > 1 || !(f.LostDisconnect >= 0 && f.LostDisconnect <= 1) {
		return fmt.Errorf("faults: sum of shares %v or LostDisconnect %v is not between 0 and 1", sum, f.LostDisconnect)
	}
	if f.Latency < 0 || f.Jitter < 0 || f.GonePause < 0 {
		return fmt.Errorf("faults: latency %v, jitter %v or gone pause %v is negative", f.Latency, f.Jitter, f.GonePause)
	}
	return nil
}

// SetFaults replaces the faults and starts a new sequence of them. It may be called at any time.
func (s *Server) SetFaults(f Faults) error {
	if err := f.check(); err != nil {
		return fmt.Errorf("api gateway: %w", err)
	}
	s.faults.Store(&faultSequence{faults: f})
	return nil
}

// faultSequence is a sequence of faults.
type faultSequence struct {
	faults      Faults
	requests    atomic.Uint64
	disconnects atomic.Uint64

	mu   sync.Mutex
	gone map[string]time.Time // last injected 410, by connection; only with GonePause
}

// Random streams, which differ for the same seed.
const (
	requestStream uint64 = iota + 1
	disconnectStream
)

// injection is the fault of one management request.
type injection struct {
	fault  fault
	status int           // of faultError and faultDelivered
	delay  time.Duration // applied twice
}

// serverErrors are the statuses that AWS's SDKs treat as transient server errors.
var serverErrors = [...]int{
	http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
}

// next returns the fault of the next management request, which is for a connection.
func (s *faultSequence) next(connection string) injection {
	f := s.faults
	if f == (Faults{}) {
		return injection{}
	}
	random := rand.New(rand.NewPCG(f.Seed^requestStream<<56, s.requests.Add(1)))
	m := injection{status: serverErrors[random.IntN(len(serverErrors))]}
	m.delay = (f.Latency + time.Duration(random.Float64()*float64(f.Jitter))) / 2
	drawn := random.Float64()
	for kind, share := range f.shares() {
		if drawn < share {
			m.fault = fault(kind)
			break
		}
		drawn -= share
	}
	if m.fault == faultGone && !s.maybeGone(connection, time.Now()) {
		m.fault = noFault
	}
	return m
}

// maybeGone reports whether a 410 for the connection is injected now: whether GonePause has passed since the last one.
func (s *faultSequence) maybeGone(connection string, now time.Time) bool {
	if s.faults.GonePause == 0 {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, ok := s.gone[connection]; ok && now.Sub(last) < s.faults.GonePause {
		return false
	}
	if s.gone == nil {
		s.gone = make(map[string]time.Time)
	}
	s.gone[connection] = now
	return true
}

// skipDisconnect reports whether the next ended connection skips $disconnect.
func (s *faultSequence) skipDisconnect() bool {
	f := s.faults
	if f.LostDisconnect == 0 {
		return false
	}
	random := rand.New(rand.NewPCG(f.Seed^disconnectStream<<56, s.disconnects.Add(1)))
	return random.Float64() < f.LostDisconnect
}

// wait waits for m.delay or until the request is cancelled.
func (m injection) wait(r *http.Request) {
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

// reset resets the TCP connection of a request. If there is none, it aborts the handler.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if recorded, ok := conn.(*recording); ok {
		conn = recorded.Conn
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // fails only on a connection that is closed already
	}
	conn.Close()
}

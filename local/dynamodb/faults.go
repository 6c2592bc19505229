package dynamodb

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Faults makes requests for items fail as they may on AWS. Rates are shares of requests, from 0 to 1. They are drawn
// one after the other, so their sum may exceed 1. The zero value has no faults.
//
// Equal seeds give equal faults for equal requests in the same order.
type Faults struct {
	Seed       uint64
	Operations []string // affected operations, like "Scan"; nil is every operation on items

	ProvisionedThroughputExceeded float64 // ProvisionedThroughputExceededException, without effect
	Throttling                    float64 // ThrottlingException, without effect
	InternalServerError           float64 // InternalServerError, 500, without effect
	AnswerLost                    float64 // InternalServerError, 500, after the request was executed

	// Unprocessed is the share of the items of BatchWriteItem that come back as UnprocessedItems. If no item is
	// processed, the request fails with ProvisionedThroughputExceededException, as on AWS.
	Unprocessed float64

	// Stale is the share of the reads without ConsistentRead that return the rows as they were StaleBy ago, or when
	// StaleBy was set if that is later. StaleBy is by Options.Clock; with 0, no read is stale.
	Stale   float64
	StaleBy time.Duration

	// Latency is added to every request, and a random time below Jitter as well, by Options.Clock.
	Latency, Jitter time.Duration
}

// itemOperations are the operations that faults can affect.
var itemOperations = []string{"BatchWriteItem", "DeleteItem", "GetItem", "PutItem", "Query", "Scan",
	"TransactWriteItems", "UpdateItem"}

func (f *Faults) check() error {
	for _, rate := range []float64{f.ProvisionedThroughputExceeded, f.Throttling, f.InternalServerError, f.AnswerLost,
		f.Unprocessed, f.Stale} {
		if !(rate >= 0 && rate <= 1) {
			return fmt.Errorf("dynamodb faults: rate %v is not between 0 and 1", rate)
		}
	}
	for _, name := range f.Operations {
		if !slices.Contains(itemOperations, name) {
			return fmt.Errorf("dynamodb faults: %q is not an emulated operation on items", name)
		}
	}
	for _, d := range []time.Duration{f.Latency, f.Jitter, f.StaleBy} {
		if d < 0 {
			return fmt.Errorf("dynamodb faults: duration %v is negative", d)
		}
	}
	return nil
}

// SetFaults replaces the faults from the next request on, and restarts their random numbers. If faults are invalid, it
// returns an error and changes nothing. It is safe for concurrent use.
func (s *Server) SetFaults(faults Faults) error {
	if err := faults.check(); err != nil {
		return err
	}
	faults.Operations = slices.Clone(faults.Operations)
	if len(faults.Operations) == 0 {
		faults.Operations = itemOperations
	}
	s.mu.Lock() // against new tables
	defer s.mu.Unlock()
	for _, t := range s.tables {
		t.setReplica(faults.StaleBy)
	}
	s.faults.Store(&injector{Faults: faults, random: rand.New(rand.NewPCG(faults.Seed, 0))})
	return nil
}

// injector draws the faults of requests.
type injector struct {
	Faults
	mu     sync.Mutex
	random *rand.Rand
}

// fault holds the faults of one request. A nil *fault has none.
type fault struct {
	delay       time.Duration
	failure     *failure // instead of executing the request
	answerLost  *failure // after executing the request
	unprocessed float64
	staleRate   float64
	random      *rand.Rand // of this request only
}

// draw returns the faults of one request. Every request consumes the same number of random numbers, so that changing
// one rate does not change the other faults.
func (d *injector) draw(operation string) *fault {
	if d == nil || !slices.Contains(d.Operations, operation) {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	m := &fault{delay: d.Latency, unprocessed: d.Unprocessed, staleRate: d.Stale}
	m.delay += time.Duration(d.random.Float64() * float64(d.Jitter))
	for _, chance := range []struct {
		rate    float64
		into    **failure
		failure func() *failure
	}{
		{d.ProvisionedThroughputExceeded, &m.failure, throughputExceeded},
		{d.Throttling, &m.failure, throttled},
		{d.InternalServerError, &m.failure, internalError},
		{d.AnswerLost, &m.answerLost, internalError},
	} {
		if d.random.Float64() < chance.rate && m.failure == nil {
			*chance.into = chance.failure()
		}
	}
	m.random = rand.New(rand.NewPCG(d.random.Uint64(), 0))
	return m
}

// processes reports whether the next item of a batch is processed.
func (m *fault) processes() bool {
	return m == nil || m.random.Float64() >= m.unprocessed
}

// stale reports whether a read that may be eventually consistent is stale.
func (m *fault) stale() bool {
	return m != nil && m.random.Float64() < m.staleRate
}

func throughputExceeded() *failure {
	return serviceError("ProvisionedThroughputExceededException",
		"The level of configured provisioned throughput for the "+
			"table was exceeded. Consider increasing your provisioning level with the UpdateTable API.")
}

func throttled() *failure {
	return &failure{kind: namespaceAvailability + "ThrottlingException", status: http.StatusBadRequest,
		message: "Rate of requests exceeds the allowed throughput."}
}

func internalError() *failure {
	f := serviceError("InternalServerError", "Internal server error")
	f.status = http.StatusInternalServerError
	return f
}

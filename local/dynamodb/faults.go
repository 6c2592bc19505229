package dynamodb

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Faults are what goes wrong with requests for items, as it can at AWS. Rates are shares of requests from 0 to 1, and
// are drawn one after the other, so that their sum may exceed 1. The zero value is no faults.
//
// The same Seed makes the same faults as long as the same requests come in the same order.
type Faults struct {
	Seed       uint64
	Operations []string // which operations they befall: "Scan", "PutItem"; nil is every operation on items

	ProvisionedThroughputExceeded float64 // ProvisionedThroughputExceededException: nothing was done
	Throttling                    float64 // ThrottlingException: nothing was done
	InternalServerError           float64 // InternalServerError, 500: nothing was done
	AnswerLost                    float64 // InternalServerError, 500, although everything was done

	// Unprocessed is the share of the items of BatchWriteItem that come back as UnprocessedItems. If no item is
	// processed, the request fails with ProvisionedThroughputExceededException, as on AWS.
	Unprocessed float64

	// Latency is added to every request, and a random time below Jitter on top, by the server's clock.
	Latency, Jitter time.Duration
}

// itemOperations are those that faults befall.
var itemOperations = []string{"BatchWriteItem", "DeleteItem", "GetItem", "PutItem", "Query", "Scan",
	"TransactWriteItems", "UpdateItem"}

func (f *Faults) check() error {
	for _, rate := range []float64{f.ProvisionedThroughputExceeded, f.Throttling, f.InternalServerError, f.AnswerLost,
		f.Unprocessed} {
		if !(rate >= 0 && rate <= 1) {
			return fmt.Errorf("dynamodb faults: rate %v is not between 0 and 1", rate)
		}
	}
	for _, name := range f.Operations {
		if !slices.Contains(itemOperations, name) {
			return fmt.Errorf("dynamodb faults: %q is not an operation on items that is emulated", name)
		}
	}
	if f.Latency < 0 || f.Jitter < 0 {
		return fmt.Errorf("dynamodb faults: latency %v, jitter %v: both must not be negative", f.Latency, f.Jitter)
	}
	return nil
}

// SetFaults replaces the faults from the next request on, and starts their random numbers anew. The error says what
// of them is impossible; the faults then stay as they were. It may be called at any time.
func (s *Server) SetFaults(faults Faults) error {
	if err := faults.check(); err != nil {
		return err
	}
	faults.Operations = slices.Clone(faults.Operations)
	if len(faults.Operations) == 0 {
		faults.Operations = itemOperations
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

// fault is what befalls one request. A nil *fault is none.
type fault struct {
	delay       time.Duration
	failure     *failure // instead of doing it
	answerLost  *failure // after doing it
	unprocessed float64
	random      *rand.Rand // of this request alone
}

// draw returns the fault of one request. Every request takes the same number of random numbers, so that one rate can be
// changed without changing what else happens.
func (d *injector) draw(operation string) *fault {
	if d == nil || !slices.Contains(d.Operations, operation) {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	m := &fault{delay: d.Latency, unprocessed: d.Unprocessed}
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

// processes tells whether the next item of a batch is processed.
func (m *fault) processes() bool {
	return m == nil || m.random.Float64() >= m.unprocessed
}

func throughputExceeded() *failure {
	return serviceError("ProvisionedThroughputExceededException", "The level of configured provisioned throughput for the "+
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

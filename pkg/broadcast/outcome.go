package broadcast

import (
	"errors"
	"time"
)

// ErrLapsed means that a claim has expired and another sender has claimed the batch.
var ErrLapsed = errors.New("the claim has lapsed and another sender has claimed the batch")

// ErrRefused means that the ledger refuses a record permanently: a permission is missing, the table does not exist, or
// the configuration is wrong. It is not retried, so that operators see it.
var ErrRefused = errors.New("refused permanently")

// Claim gives a sender the exclusive right to post a batch of one broadcast until a time. It is a lease.
type Claim struct {
	BroadcastID string
	BatchID     string
	Owner       string    // the sender's invocation
	Until       time.Time // the claim lapses then, even if its owner is still running
	Size        int       // number of deliveries that the batch asks for
	Attempt     int       // as in Batch
	Redriven    bool      // as in Batch
	Reason      string    // as in Batch
}

// ClaimResult is the answer to a claim.
type ClaimResult struct {
	Status ClaimStatus
	// Leftovers are the recorded leftovers of a settled batch.
	Leftovers string
	// Until is the end of the other sender's claim if the status is Busy or TakenOver, else zero.
	Until time.Time
}

// ClaimStatus says who holds the claim.
type ClaimStatus int

const (
	Claimed   ClaimStatus = iota // the caller holds the claim
	Busy                         // another sender holds the claim
	Settled                      // the outcome of the batch is recorded
	TakenOver                    // the caller holds the claim, and another sender's claim has lapsed
)

// Outcome counts the results of one batch for one of its broadcasts.
type Outcome struct {
	BroadcastID string
	Delivered   int
	Gone        int
	Failed      map[string]int // by reason
	Left        int            // requeued for another attempt
	Retries     map[string]int // Left by reason; it is logged and not recorded
	Posts       int            // calls of PostToConnection
	First, Last time.Time      // first and last delivery; zero if there was none
}

package broadcast

import (
	"errors"
	"time"
)

// ErrLapsed means that a batch is no longer claimed by whoever wants to settle it: another sender has taken it over.
var ErrLapsed = errors.New("the claim has lapsed, and another sender has taken the batch over")

// ErrRefused means that the ledger refuses a record for good: a permission is missing, there is no such table, or something
// else is misconfigured. Trying again would only hide it.
var ErrRefused = errors.New("refused for good")

// Claim is a sender's right to post a batch of a broadcast, until a time.
type Claim struct {
	BroadcastID string
	BatchID     string
	Owner       string    // the sender's invocation
	Until       time.Time // when the claim lapses, whatever has become of its owner
	Size        int       // how many deliveries the batch asks for
	Attempt     int       // as in Batch
	Redriven    bool      // as in Batch
	Reason      string    // as in Batch
}

// Standing is what a sender finds when it claims a batch of a broadcast.
type Standing int

const (
	Claimed Standing = iota // the batch is the sender's to post
	Busy                    // another sender is posting it
	Settled                 // its outcome is recorded
)

// Outcome is what became of a batch's deliveries of one broadcast.
type Outcome struct {
	BroadcastID string
	Delivered   int
	Gone        int
	Failed      map[string]int // by reason
	Left        int            // handed on for another attempt
	Posts       int            // calls of PostToConnection
	First, Last time.Time      // first and last delivery; zero where there was none
}

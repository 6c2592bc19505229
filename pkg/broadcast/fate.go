package broadcast

import (
	"context"
	"errors"
	"fmt"
)

// Fate is what becomes of a failure.
type Fate int

const (
	// FateFatal fails the invocation loudly: nothing about the connection is known, the fault lies with us (a missing
	// permission, no such table, bad configuration). It is the zero value, so that an error nobody has thought of is one.
	FateFatal Fate = iota
	// FateGone means that the connection no longer exists: its row is deleted, and that is a success.
	FateGone
	// FateRetry means that the same post may succeed later.
	FateRetry
	// FatePermanent means that it never will.
	FatePermanent
)

func (f Fate) String() string {
	return [...]string{"fatal", "gone", "retry", "permanent"}[f]
}

// Reasons for which a delivery is still open, or has failed. They are the keys of a report's failures.
const (
	ReasonThrottled  = "throttled"   // 429 while others were throttled too: the rate; or not often enough for the next
	ReasonBufferFull = "buffer_full" // 429 for this client while others took their posts; it has failed so if half of its attempts did
	ReasonServer     = "server_error"
	ReasonNetwork    = "network"
	ReasonDeadline   = "deadline" // no time was left to try
	ReasonSettling   = "settling" // 410 before the client's $connect had finished
	ReasonTooLarge   = "payload_too_large"
	ReasonMalformed  = "malformed"
	ReasonAudience   = "audience_too_large" // the table could not be read within the allowed continuations
	ReasonGone       = "gone"
	ReasonRefused    = "refused" // we are not allowed to, or something is misconfigured: see FateFatal
)

// Failure is an error whose fate is known.
type Failure struct {
	Fate   Fate
	Reason string
	Err    error
}

func (f *Failure) Error() string { return fmt.Sprintf("%s: %v", f.Reason, f.Err) }

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// Gone, Retry and Permanent give an error its fate.
func Gone(err error) error { return &Failure{FateGone, ReasonGone, err} }

// Retry marks err as worth another try.
func Retry(reason string, err error) error { return &Failure{FateRetry, reason, err} }

// Permanent marks err as final.
func Permanent(reason string, err error) error { return &Failure{FatePermanent, reason, err} }

// FateOf returns the fate of err and its reason. An ended context is a retry for want of time; every error that was
// given no fate is fatal, with no reason. It panics on nil, which has no fate.
func FateOf(err error) (Fate, string) {
	var failure *Failure
	switch {
	case err == nil:
		panic("broadcast: no error has no fate")
	case errors.As(err, &failure):
		return failure.Fate, failure.Reason
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return FateRetry, ReasonDeadline
	}
	return FateFatal, ""
}

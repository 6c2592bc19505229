package broadcast

import (
	"context"
	"errors"
	"fmt"
)

// Class is a failure class. It decides how a failure is handled.
type Class int

const (
	// ClassFatal is for failures that do not concern the connection: a missing permission, no such table, bad
	// configuration. The invocation fails and is logged. It is the zero value, so that an unclassified error is fatal.
	ClassFatal Class = iota
	// ClassGone means that API Gateway does not know the connection. A 410 (ReasonGone) must be confirmed by a second one;
	// then the row is deleted and the delivery counts as gone. ReasonInvalidID needs no confirmation.
	ClassGone
	// ClassRetry means that the same post may succeed later.
	ClassRetry
	// ClassPermanent means that a retry cannot succeed.
	ClassPermanent
)

func (c Class) String() string {
	return [...]string{"fatal", "gone", "retry", "permanent"}[c]
}

// Reasons why a delivery is not done yet, or has failed. They are the keys of a report's failures.
const (
	ReasonThrottled = "throttled" // 429 because the rate was exceeded
	// ReasonBufferFull is a 429 for one client while posts to others succeeded. A delivery fails for this reason if at
	// least half of its attempts met a full buffer.
	ReasonBufferFull = "buffer_full"
	ReasonServer     = "server_error"
	ReasonNetwork    = "network"
	ReasonDeadline   = "deadline" // no time was left to post
	ReasonSettling   = "settling" // 410 before the client's $connect had finished
	ReasonTooLarge   = "payload_too_large"
	ReasonNotUTF8    = "not_utf8" // API Gateway sends text frames only; see publish.ErrNotUTF8
	ReasonMalformed  = "malformed"
	ReasonIDReused   = "id_reused"          // another payload was published under the same id
	ReasonAudience   = "audience_too_large" // the table could not be read within the allowed continuations
	ReasonGone       = "gone"               // 410
	ReasonInvalidID  = "invalid_id"         // 400 because the connection's id has the wrong form
	ReasonRefused    = "refused"            // no permission, or bad configuration: see ClassFatal
)

// Failure is an error with a known failure class.
type Failure struct {
	Class  Class
	Reason string
	Err    error
}

func (f *Failure) Error() string { return fmt.Sprintf("%s: %v", f.Reason, f.Err) }

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// Gone returns err with ClassGone and ReasonGone.
func Gone(err error) error { return &Failure{ClassGone, ReasonGone, err} }

// InvalidID returns err with ClassGone and ReasonInvalidID.
func InvalidID(err error) error { return &Failure{ClassGone, ReasonInvalidID, err} }

// Retry returns err with ClassRetry and the reason.
func Retry(reason string, err error) error { return &Failure{ClassRetry, reason, err} }

// Permanent returns err with ClassPermanent and the reason.
func Permanent(reason string, err error) error { return &Failure{ClassPermanent, reason, err} }

// ClassOf returns the failure class of err and the reason. An ended context is ClassRetry with ReasonDeadline; every
// other error without a class is ClassFatal with no reason. It panics if err is nil.
func ClassOf(err error) (Class, string) {
	var failure *Failure
	switch {
	case err == nil:
		panic("broadcast: ClassOf(nil)")
	case errors.As(err, &failure):
		return failure.Class, failure.Reason
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return ClassRetry, ReasonDeadline
	}
	return ClassFatal, ""
}

package lambda

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// What Invoke answers when the function was not run, after the exceptions of AWS's Invoke.
var (
	// ErrThrottled: the concurrency of the function or of the account is used up. Try again later.
	ErrThrottled error = throttled{}
	// ErrNotFound: no function of that name.
	ErrNotFound = errors.New("ResourceNotFoundException: Function not found")
	// ErrEventTooLarge: the event is over MaxEventBytes. It never will be taken.
	ErrEventTooLarge = fmt.Errorf("RequestTooLargeException: Request must be smaller than %d bytes for the "+
		"InvokeFunction operation", MaxEventBytes)
	// ErrRecursiveLoop: the function has called itself too often through SQS or Lambda, by the trace header.
	ErrRecursiveLoop = errors.New("RecursiveInvocationException: Lambda detected the function being invoked in a " +
		"recursive loop with other AWS resources and stopped the function's invocation")
	// ErrService: Lambda itself failed, which only a fault (see Faults) makes it do here. The function may have run.
	ErrService = errors.New("ServiceException: Service encountered an internal error")
	// ErrShutDown: the service is ending.
	ErrShutDown = errors.New("the service has been shut down")
)

// throttled is told by its method by those who do not know this package.
type throttled struct{}

func (throttled) Error() string   { return "TooManyRequestsException: Rate Exceeded" }
func (throttled) Throttled() bool { return true }

// The error types that Lambda itself gives to a function's failure.
const (
	TypeExit             = "Runtime.ExitError"             // the process ended
	TypeTimeout          = "Sandbox.Timedout"              // its time was up, and it was killed
	TypeEntrypoint       = "Runtime.InvalidEntrypoint"     // bootstrap cannot be executed
	TypeResponseTooLarge = "Function.ResponseSizeTooLarge" // the response is over MaxResponseBytes
	TypeUnknown          = "Runtime.Unknown"               // the function reported an error without a type
)

// FunctionError is the failure of a function: an error it returned, a panic, its exit, a time-out, an init that
// failed. On AWS the invocation has status 200 then, with the header X-Amz-Function-Error and this payload.
type FunctionError struct {
	// Type is one of the types above or the name the function's runtime gives, for Go the error's type.
	Type string
	// Message is for people.
	Message string
	// Payload is what the caller gets: as the function sent it, or JSON with errorType and errorMessage.
	Payload []byte
	// Cause is the *StartError if the function did not start; otherwise nil.
	Cause error
}

func (e *FunctionError) Error() string { return "function error " + e.Type + ": " + e.Message }

func (e *FunctionError) Unwrap() error { return e.Cause }

// FunctionError tells this error from those of the service.
func (e *FunctionError) FunctionError() (kind, message string) { return e.Type, e.Message }

// errorDocument is the body of every error, from Lambda and from a runtime alike.
type errorDocument struct {
	Type    string `json:"errorType"`
	Message string `json:"errorMessage"`
}

// platformError is a failure that Lambda words.
func platformError(kind, message string) *FunctionError {
	payload, err := json.Marshal(errorDocument{kind, message})
	if err != nil {
		panic(err) // strings always marshal
	}
	return &FunctionError{Type: kind, Message: message, Payload: payload}
}

// reportedError is a failure that the function's runtime worded: payload as posted, kind from the header, if any.
func reportedError(kind string, payload []byte) *FunctionError {
	var doc errorDocument
	if json.Unmarshal(payload, &doc) != nil { // any body is passed on; only its fields are then unknown
		doc = errorDocument{}
	}
	if doc.Type == "" {
		doc.Type = kind
	}
	if doc.Type == "" {
		doc.Type = TypeUnknown
	}
	return &FunctionError{Type: doc.Type, Message: doc.Message, Payload: payload}
}

func timeoutError(requestID string, timeout time.Duration) *FunctionError {
	return platformError(TypeTimeout, fmt.Sprintf("RequestId: %s Error: Task timed out after %.2f seconds",
		requestID, timeout.Seconds()))
}

// exitError words the end of a process; how is as os.ProcessState puts it ("exit status 1", "signal: killed").
func exitError(requestID, how string) *FunctionError {
	return platformError(TypeExit, "RequestId: "+requestID+" Error: "+exitText(how))
}

func exitText(how string) string {
	if how == "exit status 0" {
		return "Runtime exited without providing a reason"
	}
	return "Runtime exited with error: " + how
}

func responseTooLargeError() *FunctionError {
	return platformError(TypeResponseTooLarge, fmt.Sprintf(
		"Response payload size exceeded maximum allowed payload size (%d bytes).", MaxResponseBytes))
}

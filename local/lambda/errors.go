package lambda

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Errors of Invoke when the function did not run. The texts are those of the exceptions of AWS's Invoke.
var (
	// ErrThrottled: the concurrency of the function or of the account is used up. A later retry may succeed.
	ErrThrottled error = throttled{}
	// ErrNotFound: no function of that name.
	ErrNotFound = errors.New("ResourceNotFoundException: Function not found")
	// ErrEventTooLarge: the event is not below MaxEventBytes. No retry can succeed.
	ErrEventTooLarge = fmt.Errorf("RequestTooLargeException: Request must be smaller than %d bytes for the "+
		"InvokeFunction operation", MaxEventBytes)
	// ErrRecursiveLoop: by the trace header, the function has called itself too often through SQS or Lambda.
	ErrRecursiveLoop = errors.New("RecursiveInvocationException: Lambda detected the function being invoked in a " +
		"recursive loop with other AWS resources and stopped the function's invocation")
	// ErrService: Lambda itself failed. Only Faults cause it. The function may have run.
	ErrService = errors.New("ServiceException: Service encountered an internal error")
	// ErrShutDown: the service is shutting down.
	ErrShutDown = errors.New("service is shut down")
)

// throttled has a Throttled method, so that other packages can detect it without importing this one.
type throttled struct{}

func (throttled) Error() string   { return "TooManyRequestsException: Rate Exceeded" }
func (throttled) Throttled() bool { return true }

// Error types that Lambda itself gives to a function's failure.
const (
	TypeExit             = "Runtime.ExitError"             // the process ended
	TypeTimeout          = "Sandbox.Timedout"              // the process was killed at its timeout
	TypeEntrypoint       = "Runtime.InvalidEntrypoint"     // bootstrap cannot be executed
	TypeResponseTooLarge = "Function.ResponseSizeTooLarge" // the response is over MaxResponseBytes
	TypeUnknown          = "Runtime.Unknown"               // the function reported an error without a type
)

// FunctionError is a failure of a function: a returned error, a panic, an exit, a timeout or a failed init. On AWS, the
// invocation then has status 200, the header X-Amz-Function-Error and Payload as its body.
type FunctionError struct {
	// Type is one of the Type constants or a name from the function's runtime. For Go that is the error's type.
	Type string
	// Message is the error's text.
	Message string
	// Payload is the caller's response: as the function sent it, or JSON with errorType and errorMessage.
	Payload []byte
	// Cause is the *StartError if no process started; otherwise nil.
	Cause error
}

func (e *FunctionError) Error() string { return "function error " + e.Type + ": " + e.Message }

func (e *FunctionError) Unwrap() error { return e.Cause }

// FunctionError returns the type and message. The method distinguishes this error from those of the service.
func (e *FunctionError) FunctionError() (kind, message string) { return e.Type, e.Message }

// errorDocument is the body of every error, both from Lambda and from a runtime.
type errorDocument struct {
	Type    string `json:"errorType"`
	Message string `json:"errorMessage"`
}

// platformError returns a failure detected by Lambda.
func platformError(kind, message string) *FunctionError {
	payload, err := json.Marshal(errorDocument{kind, message})
	if err != nil {
		panic(err) // strings always marshal
	}
	return &FunctionError{Type: kind, Message: message, Payload: payload}
}

// reportedError returns a failure reported by the function's runtime: payload as posted, kind from the header or "".
func reportedError(kind string, payload []byte) *FunctionError {
	var doc errorDocument
	if json.Unmarshal(payload, &doc) != nil { // other bodies are passed on; their fields are unknown
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

// exitError returns the failure of an exited process. how is the text of os.ProcessState ("exit status 1", "signal:
// killed").
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

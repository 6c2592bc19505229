package sqs

import (
	"errors"
	"fmt"
	"net/http"
)

// Error is an error answer of SQS. Clients receive it over the wire, and the Go methods return it.
type Error struct {
	Status  int    // HTTP status
	Type    string // shape name of the API model, e.g. QueueDoesNotExist
	Code    string // code of the old query protocol, which SDKs still report, e.g. AWS.SimpleQueueService.NonExistentQueue
	Message string
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// fault returns the party at fault, as the header x-amzn-query-error spells it.
func (e *Error) fault() string {
	if e.Status >= http.StatusInternalServerError {
		return "Receiver"
	}
	return "Sender"
}

// queryCodes maps the shapes of errors to their codes, where these differ from the shape's name.
// Source: the awsQueryError traits of the SQS API model (aws/api-models-aws, sqs-2012-11-05).
var queryCodes = map[string]string{
	"BatchEntryIdsNotDistinct":          "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
	"BatchRequestTooLong":               "AWS.SimpleQueueService.BatchRequestTooLong",
	"EmptyBatchRequest":                 "AWS.SimpleQueueService.EmptyBatchRequest",
	"InvalidBatchEntryId":               "AWS.SimpleQueueService.InvalidBatchEntryId",
	"PurgeQueueInProgress":              "AWS.SimpleQueueService.PurgeQueueInProgress",
	"QueueDeletedRecently":              "AWS.SimpleQueueService.QueueDeletedRecently",
	"QueueDoesNotExist":                 "AWS.SimpleQueueService.NonExistentQueue",
	"QueueNameExists":                   "QueueAlreadyExists",
	"TooManyEntriesInBatchRequest":      "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
	"UnsupportedOperation":              "AWS.SimpleQueueService.UnsupportedOperation",
	"InvalidParameterValueException":    "InvalidParameterValue",
	"MissingRequiredParameterException": "MissingParameter",
	"AccessDeniedException":             "AccessDenied",
}

// newError returns an error of the client. Its status is 400, as for every modelled error of SQS's JSON protocol.
func newError(shape, format string, args ...any) *Error {
	code, ok := queryCodes[shape]
	if !ok {
		code = shape
	}
	return &Error{Status: http.StatusBadRequest, Type: shape, Code: code, Message: fmt.Sprintf(format, args...)}
}

func invalidParameter(format string, args ...any) *Error {
	return newError("InvalidParameterValueException", format, args...)
}

// invalidValue returns the most common form of invalidParameter.
func invalidValue(value any, parameter, reason string) *Error {
	return invalidParameter("Value %v for parameter %s is invalid. Reason: %s", value, parameter, reason)
}

func missingParameter(name string) *Error {
	return newError("MissingRequiredParameterException", "The request must contain the parameter %s.", name)
}

func nonExistentQueue() *Error {
	return newError("QueueDoesNotExist", "The specified queue does not exist.")
}

func accessDenied(err error) *Error {
	e := newError("AccessDeniedException", "%v", err)
	e.Status = http.StatusForbidden
	return e
}

// asError returns err as an error answer. An error that is not an *Error is an internal error.
func asError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if errors.Is(err, errClosed) {
		return &Error{Status: http.StatusServiceUnavailable, Type: "ServiceUnavailable", Code: "ServiceUnavailable",
			Message: "The server is closing."}
	}
	return &Error{Status: http.StatusInternalServerError, Type: "InternalError", Code: "InternalError",
		Message: err.Error()}
}

package sqs

import (
	"errors"
	"fmt"
	"net/http"
)

// Error is a refusal as SQS words it. It is what clients see on the wire and what the Go methods return.
type Error struct {
	Status  int    // HTTP status
	Type    string // shape name of the API model, e.g. QueueDoesNotExist
	Code    string // code of the old query protocol, which SDKs still report, e.g. AWS.SimpleQueueService.NonExistentQueue
	Message string
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// fault is the party to blame, in the words of the x-amzn-query-error header.
func (e *Error) fault() string {
	if e.Status >= http.StatusInternalServerError {
		return "Receiver"
	}
	return "Sender"
}

// queryCodes are the codes that differ from the shape's name.
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

// refuse is an error of the client's making: HTTP 400, as for every modelled error of SQS's JSON protocol.
func refuse(shape, format string, args ...any) *Error {
	code, ok := queryCodes[shape]
	if !ok {
		code = shape
	}
	return &Error{Status: http.StatusBadRequest, Type: shape, Code: code, Message: fmt.Sprintf(format, args...)}
}

func invalidParameter(format string, args ...any) *Error {
	return refuse("InvalidParameterValueException", format, args...)
}

// invalidValue is the most common form of invalidParameter: parameter, value, reason.
func invalidValue(value any, parameter, reason string) *Error {
	return invalidParameter("Value %v for parameter %s is invalid. Reason: %s", value, parameter, reason)
}

func missingParameter(name string) *Error {
	return refuse("MissingRequiredParameterException", "The request must contain the parameter %s.", name)
}

func nonExistentQueue() *Error {
	return refuse("QueueDoesNotExist", "The specified queue does not exist.")
}

func accessDenied(err error) *Error {
	e := refuse("AccessDeniedException", "%v", err)
	e.Status = http.StatusForbidden
	return e
}

// asError turns any error into one that can be answered; what is not an *Error is the server's own failure.
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

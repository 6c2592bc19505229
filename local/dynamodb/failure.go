package dynamodb

import (
	"fmt"
	"net/http"
	"strings"

	"fanfare/local/awsapi"
)

// Namespaces of error types, as in public captures of AWS's answers and in DynamoDB Local. The SDKs remove them.
const (
	namespaceDynamoDB     = "com.amazonaws.dynamodb.v20120810#"
	namespaceValidation   = "com.amazon.coral.validate#"
	namespaceService      = "com.amazon.coral.service#"
	namespaceAvailability = "com.amazon.coral.availability#"
)

// failure is an error answer of the API.
type failure struct {
	kind    string // __type with its namespace
	status  int
	message string
	members string // more members, as JSON that starts with a comma
}

func (f *failure) Error() string { return f.code() + ": " + f.message }

// code returns the type without its namespace.
func (f *failure) code() string { return f.kind[strings.IndexByte(f.kind, '#')+1:] }

// body returns the answer's JSON.
func (f *failure) body() []byte {
	messageKey := "message"
	if strings.HasPrefix(f.kind, namespaceService) {
		messageKey = "Message" // errors of AWS's front end have a capital letter
	}
	text := awsapi.ErrorBody(f.kind, messageKey, f.message)
	return append(append(text[:len(text)-1], f.members...), '}')
}

func validationError(format string, args ...any) *failure {
	return &failure{kind: namespaceValidation + "ValidationException", status: http.StatusBadRequest,
		message: fmt.Sprintf(format, args...)}
}

func serializationError(format string, args ...any) *failure {
	return &failure{kind: namespaceService + "SerializationException", status: http.StatusBadRequest,
		message: fmt.Sprintf(format, args...)}
}

// notEmulated returns the error for a feature of AWS that this package does not have.
func notEmulated(what string) *failure {
	return validationError("%s is not emulated by the local DynamoDB", what)
}

func serviceError(code, format string, args ...any) *failure {
	return &failure{kind: namespaceDynamoDB + code, status: http.StatusBadRequest, message: fmt.Sprintf(format, args...)}
}

// conditionFailed returns the error of a write whose condition is false. old is the row to return, or nil.
func conditionFailed(old *row) *failure {
	f := serviceError("ConditionalCheckFailedException", "The conditional request failed")
	if old != nil {
		f.members = `,"Item":` + old.json
	}
	return f
}

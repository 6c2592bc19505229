// Package awsapi holds the parts of the AWS APIs that the emulated services share: the default account and Region, the
// access key of a signed request, authorization, UUIDs, and answers of the AWS JSON protocols.
package awsapi

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// The Region and the account of a service whose options name none.
const (
	DefaultRegion  = "us-east-1"
	DefaultAccount = "000000000000"
)

// Content types of the AWS JSON protocols.
const (
	JSON10 = "application/x-amz-json-1.0" // SQS, DynamoDB
	JSON11 = "application/x-amz-json-1.1" // Secrets Manager
)

// Authorizer decides whether the owner of an access key may perform an action on a resource. It returns nil to allow
// it; the text of an error becomes the message of the denial. An action is like "sqs:SendMessage", a resource is an ARN
// or "*", and accessKeyID is "" for an unsigned request. It must be safe for concurrent use. A nil Authorizer allows
// everything.
type Authorizer func(accessKeyID, action, resource string) error

// Check calls the authorizer, or returns nil if it is nil.
func (a Authorizer) Check(accessKeyID, action, resource string) error {
	if a == nil {
		return nil
	}
	return a(accessKeyID, action, resource)
}

// AccessKeyID returns the access key in an Authorization header of Signature Version 4, or "" if there is none. It does
// not verify the signature.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
func AccessKeyID(authorization string) string {
	if !strings.HasPrefix(authorization, "AWS4-") {
		return ""
	}
	_, credential, _ := strings.Cut(authorization, "Credential=")
	id, _, _ := strings.Cut(credential, "/")
	return id
}

// NewUUID returns a random UUID (RFC 9562, version 4).
func NewUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// ErrorBody returns the body of an error: its type in __type, and its message under messageKey, which is "message" or
// "Message", depending on the service.
func ErrorBody(errorType, messageKey, message string) []byte {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false) // as on AWS, "<" stays "<"
	if err := encoder.Encode(map[string]string{"__type": errorType, messageKey: message}); err != nil {
		panic(err) // strings can always be encoded
	}
	return bytes.TrimSuffix(body.Bytes(), []byte("\n"))
}

// WriteJSON writes an answer: the content type, the length, the status and the body. Other headers must be set before.
func WriteJSON(w http.ResponseWriter, contentType string, status int, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // fails only if the client has disconnected
}

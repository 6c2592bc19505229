package apigateway

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"fanfare/local/awsapi"
	"fanfare/local/loopback"
)

// maxPost is the maximum size of a posted message, in bytes, as Data in the service model of apigatewaymanagementapi.
const maxPost = 131072

// maxDrained limits how much of an oversized request is read before it is answered, in bytes.
const maxDrained = 10 << 20

var bodyPool = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// manage answers a request to the management API. id is the path after @connections/.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-how-to-call-websocket-api-connections.html
func (s *Server) manage(w http.ResponseWriter, r *http.Request, id string) {
	body := bodyPool.Get().(*bytes.Buffer)
	defer bodyPool.Put(body)
	body.Reset()
	// Read the whole body before the answer: some clients lose an answer that arrives before the request is sent.
	size, err := readBody(body, r)
	if err != nil {
		refuse(w, http.StatusBadRequest, "BadRequestException", "Bad Request")
		return
	}
	limitBody(w, time.Time{})
	status, reason := s.serveManagement(w, r, id, body.Bytes(), size)
	s.observe(Event{Kind: Posted, Connection: id, Method: r.Method, Status: status, Reason: reason, Bytes: size})
}

// readBody reads the body, keeps up to maxPost bytes of it, and returns its size.
func readBody(body *bytes.Buffer, r *http.Request) (int, error) {
	kept, err := io.Copy(body, io.LimitReader(r.Body, maxPost))
	if err != nil {
		return 0, err
	}
	rest, err := io.Copy(io.Discard, io.LimitReader(r.Body, maxDrained))
	return int(kept + rest), err
}

// managementError is an error response of the management API.
type managementError struct {
	status int
	name   string // X-Amzn-ErrorType, from which SDKs derive the error's type
	text   string // empty for an empty body
	reason string // Event.Reason; "" means name
}

// Error responses of the management API. That of errGoneException is captured: it has no body.
var (
	errNoSuchResource = &managementError{
		status: http.StatusForbidden, name: "MissingAuthenticationTokenException", text: "Missing Authentication Token",
	}
	errGoneException = &managementError{status: http.StatusGone, name: "GoneException"}
	errTooLarge      = &managementError{
		status: http.StatusRequestEntityTooLarge, name: "PayloadTooLargeException", text: "Message too long",
	}
	errNotText = &managementError{
		status: http.StatusBadRequest, name: "BadRequestException", reason: "not UTF-8",
		text: "The data is not UTF-8, and messages are text frames",
	}
	errBufferFull = &managementError{
		status: http.StatusTooManyRequests, name: "LimitExceededException", reason: "buffer full",
	}
	errRateExceeded = &managementError{
		status: http.StatusTooManyRequests, name: "LimitExceededException", reason: "rate exceeded",
	}
)

// faultResponses are the responses of faults that answer a request without executing it.
var faultResponses = map[fault]*managementError{
	faultGone: errGoneException, faultRate: errRateExceeded, faultBuffer: errBufferFull,
}

// serveManagement answers a request whose body has been read. It returns the status of the response, or 0 without one,
// and the reason for an error.
func (s *Server) serveManagement(
	w http.ResponseWriter, r *http.Request, id string, body []byte, size int,
) (status int, reason string) {
	if bad := s.authorizeManagement(r, id); bad != nil {
		return bad.write(w)
	}
	injected := s.faults.Load().next(id)
	injected.wait(r)
	var done outcome
	if bad, ok := faultResponses[injected.fault]; ok {
		done.bad = bad
	} else if injected.fault == faultReset {
		reset(w)
		return 0, "fault: reset"
	} else if injected.fault != faultError {
		done = s.command(r.Method, id, body, size)
	}
	injected.wait(r)
	switch injected.fault {
	case faultLostAnswer:
		reset(w)
		return 0, "fault: the answer is lost"
	case faultError, faultDelivered:
		done = outcome{bad: &managementError{
			status: injected.status, name: "InternalServerErrorException", text: "Internal server error",
			reason: "fault: server error",
		}}
	}
	if done.bad != nil {
		return done.bad.write(w)
	}
	done.write(w, s.clock.Now())
	return done.status, ""
}

// outcome is the result of a management request.
type outcome struct {
	status int
	body   string
	bad    *managementError // nil on success
}

// command executes a management request.
func (s *Server) command(method, id string, body []byte, size int) outcome {
	if !take(s.requests, s.clock.Now()) {
		return outcome{bad: errRateExceeded}
	}
	if method == http.MethodPost && size > maxPost {
		return outcome{bad: errTooLarge}
	}
	c, bad := s.find(id)
	if bad != nil {
		return outcome{bad: bad}
	}
	switch method {
	case http.MethodPost:
		if !utf8.Valid(body) {
			return outcome{bad: errNotText}
		}
		switch err := c.send(body); {
		case errors.Is(err, errFull):
			return outcome{bad: errBufferFull}
		case err != nil:
			return outcome{bad: errGoneException}
		}
		return outcome{status: http.StatusOK}
	case http.MethodDelete:
		if !c.close(statusNormal, closedNormally) {
			return outcome{bad: errGoneException}
		}
		return outcome{status: http.StatusNoContent}
	}
	return outcome{status: http.StatusOK, body: c.describe()}
}

// write writes a success response. Its headers are those of captured ones.
func (o outcome) write(w http.ResponseWriter, now time.Time) {
	header := w.Header()
	// Set directly, for speed: the names are canonical already.
	header["X-Amzn-Requestid"] = []string{awsapi.NewUUID()}
	header["X-Amz-Apigw-Id"] = []string{newID()}
	header["X-Amzn-Trace-Id"] = []string{newTrace(now)}
	if o.status == http.StatusOK {
		header["Content-Type"] = []string{"application/json"}
		header["Content-Length"] = []string{strconv.Itoa(len(o.body))}
	}
	w.WriteHeader(o.status)
	_, _ = io.WriteString(w, o.body) // an error means that the client has gone
}

// write writes the error response and returns its status and reason.
func (e *managementError) write(w http.ResponseWriter) (status int, reason string) {
	refuse(w, e.status, e.name, e.text)
	if e.reason == "" {
		return e.status, e.name
	}
	return e.status, e.reason
}

// authorizeManagement checks that a request is one of the API's three, that it is signed, and that its signer is
// authorized.
func (s *Server) authorizeManagement(r *http.Request, id string) *managementError {
	if loopback.FromPage(r) {
		// AWS answers no preflight request for @connections, so that no page can call it.
		return &managementError{status: http.StatusForbidden, name: "ForbiddenException", text: "Forbidden to web pages"}
	}
	if id == "" || r.Method != http.MethodPost && r.Method != http.MethodGet && r.Method != http.MethodDelete {
		return errNoSuchResource // as REST APIs answer for unknown resources
	}
	accessKey, bad := s.signer(r)
	if bad != nil {
		return bad
	}
	resource := s.arn(r.Method + "/@connections/{connectionId}")
	err := s.options.Authorize.Check(accessKey, "execute-api:ManageConnections", resource)
	if err != nil {
		// Captured: AWS sends this and not the ForbiddenException of the service model.
		return &managementError{status: http.StatusForbidden, name: "AccessDeniedException", text: err.Error()}
	}
	return nil
}

// signer returns the access key of a request's signature. It does not verify the signature itself.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
func (s *Server) signer(r *http.Request) (accessKey string, bad *managementError) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return "", errNoSuchResource
	}
	parameters, ok := strings.CutPrefix(header, "AWS4-HMAC-SHA256 ")
	credential := parameter(parameters, "Credential")
	scope := strings.Split(credential, "/")
	if !ok || len(scope) != 5 || parameter(parameters, "SignedHeaders") == "" ||
		parameter(parameters, "Signature") == "" || r.Header.Get("X-Amz-Date") == "" && r.Header.Get("Date") == "" {
		return "", &managementError{
			status: http.StatusForbidden, name: "IncompleteSignatureException",
			text: "Authorization header requires 'Credential', 'Signature' and 'SignedHeaders' parameters, " +
				"and the request a date.",
		}
	}
	for _, part := range []struct{ got, want, what string }{
		{scope[2], s.options.Region, "a valid region"},
		{scope[3], "execute-api", "correct service"},
		{scope[4], "aws4_request", "a valid terminator"},
	} {
		if part.got != part.want {
			return "", &managementError{
				status: http.StatusForbidden, name: "InvalidSignatureException",
				text: "Credential should be scoped to " + part.what + ": '" + part.want + "'.",
			}
		}
	}
	return scope[0], nil
}

// parameter returns a parameter of the Authorization header, or "".
func parameter(parameters, name string) string {
	for part := range strings.SplitSeq(parameters, ",") {
		if value, ok := strings.CutPrefix(strings.TrimSpace(part), name+"="); ok {
			return value
		}
	}
	return ""
}

// find returns a connection. It returns errGoneException before $connect has returned and after the connection's end.
func (s *Server) find(id string) (*connection, *managementError) {
	if !validID(id) {
		return nil, &managementError{
			status: http.StatusBadRequest, name: "BadRequestException", text: "Invalid connectionId: " + id,
		}
	}
	if c := s.table.get(id); c != nil {
		return c, nil
	}
	return nil, errGoneException
}

// describe returns the body of a GET response. The user agent is null if the client sent none, as reported for AWS.
func (c *connection) describe() string {
	agent := "null"
	if name := c.userAgent.Value(); name != "" {
		agent = quote(name)
	}
	return `{"identity":{"sourceIp":` + quote(c.sourceIP.Value()) + `,"userAgent":` + agent + `},` +
		`"connectedAt":"` + milliseconds(c.connectedAt) + `","lastActiveAt":"` + milliseconds(c.lastActive.Load()) + `"}`
}

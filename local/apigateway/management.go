package apigateway

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// maxPost is how much can be posted, in bytes: the service model of apigatewaymanagementapi says so of Data.
const maxPost = 131072

// maxDrained is how much of a request that is too large is read before it is answered, in bytes.
const maxDrained = 10 << 20

var bodyPool = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// manage answers a request to the management API. id is what follows @connections/.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-how-to-call-websocket-api-connections.html
func (s *Server) manage(w http.ResponseWriter, r *http.Request, id string) {
	body := bodyPool.Get().(*bytes.Buffer)
	defer bodyPool.Put(body)
	body.Reset()
	// To its end, before it is answered: clients exist that lose an answer that overtakes their request.
	size, err := readBody(body, r)
	if err != nil {
		refuse(w, http.StatusBadRequest, "BadRequestException", "Bad Request")
		return
	}
	status := s.serveManagement(w, r, id, body.Bytes(), size)
	s.observe(Event{Kind: Posted, Connection: id, Method: r.Method, Status: status, Bytes: size})
}

// readBody keeps the body, up to maxPost, and returns its size.
func readBody(body *bytes.Buffer, r *http.Request) (int, error) {
	kept, err := io.Copy(body, io.LimitReader(r.Body, maxPost))
	if err != nil {
		return 0, err
	}
	rest, err := io.Copy(io.Discard, io.LimitReader(r.Body, maxDrained))
	return int(kept + rest), err
}

// managementError is an answer of the management API that is not a success.
type managementError struct {
	status int
	name   string // X-Amzn-ErrorType, by which SDKs choose the error's type
	text   string // empty for an empty body
}

var (
	errNoSuchResource = &managementError{http.StatusForbidden, "MissingAuthenticationTokenException", "Missing Authentication Token"}
	errGoneException  = &managementError{http.StatusGone, "GoneException", ""} // as captured: no body
	errTooLarge       = &managementError{http.StatusRequestEntityTooLarge, "PayloadTooLargeException", "Message too long"}
	errBufferFull     = &managementError{http.StatusTooManyRequests, "LimitExceededException", ""}
)

func (s *Server) serveManagement(w http.ResponseWriter, r *http.Request, id string, body []byte, size int) int {
	status, bad := http.StatusOK, s.authorizeManagement(r, id)
	if bad == nil {
		switch r.Method {
		case http.MethodPost:
			bad = s.post(id, body, size)
		case http.MethodGet:
			var c *connection
			if c, bad = s.find(id); bad == nil {
				writeConnection(w, c)
				return http.StatusOK
			}
		case http.MethodDelete:
			status, bad = http.StatusNoContent, s.disconnect(id)
		}
	}
	if bad != nil {
		refuse(w, bad.status, bad.name, bad.text)
		return bad.status
	}
	header := w.Header()
	header["X-Amzn-Requestid"] = []string{newUUID()}
	header["X-Amz-Apigw-Id"] = []string{newID()}
	header["X-Amzn-Trace-Id"] = []string{newTrace(s.clock.Now())}
	if status == http.StatusOK {
		header["Content-Type"] = []string{"application/json"}
		header["Content-Length"] = []string{"0"}
	}
	w.WriteHeader(status)
	return status
}

// authorizeManagement checks that a request is one of the API's three, that it is signed, and that the signer may make
// it.
func (s *Server) authorizeManagement(r *http.Request, id string) *managementError {
	if id == "" || r.Method != http.MethodPost && r.Method != http.MethodGet && r.Method != http.MethodDelete {
		return errNoSuchResource // as a REST API answers for what it does not have
	}
	accessKey, bad := s.signer(r)
	if bad != nil {
		return bad
	}
	if s.options.Authorize == nil {
		return nil
	}
	err := s.options.Authorize(accessKey, "execute-api:ManageConnections", s.arn(r.Method+"/@connections/{connectionId}"))
	if err != nil {
		// Not the ForbiddenException of the service model: captured.
		return &managementError{http.StatusForbidden, "AccessDeniedException", err.Error()}
	}
	return nil
}

// signer returns the access key that a request says it is signed with. The signature itself cannot be verified.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
func (s *Server) signer(r *http.Request) (accessKey string, bad *managementError) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return "", errNoSuchResource
	}
	parameters, ok := strings.CutPrefix(header, "AWS4-HMAC-SHA256 ")
	credential := parameter(parameters, "Credential")
	scope := strings.Split(credential, "/")
	if !ok || len(scope) != 5 || parameter(parameters, "SignedHeaders") == "" || parameter(parameters, "Signature") == "" ||
		r.Header.Get("X-Amz-Date") == "" && r.Header.Get("Date") == "" {
		return "", &managementError{
			http.StatusForbidden, "IncompleteSignatureException",
			"Authorization header requires 'Credential', 'Signature' and 'SignedHeaders' parameters, and the request a date.",
		}
	}
	for _, part := range []struct{ got, want, what string }{
		{scope[2], s.options.Region, "a valid region"},
		{scope[3], "execute-api", "correct service"},
		{scope[4], "aws4_request", "a valid terminator"},
	} {
		if part.got != part.want {
			return "", &managementError{
				http.StatusForbidden, "InvalidSignatureException",
				"Credential should be scoped to " + part.what + ": '" + part.want + "'.",
			}
		}
	}
	return scope[0], nil
}

// parameter returns a parameter of the Authorization header.
func parameter(parameters, name string) string {
	for part := range strings.SplitSeq(parameters, ",") {
		if value, ok := strings.CutPrefix(strings.TrimSpace(part), name+"="); ok {
			return value
		}
	}
	return ""
}

// find returns a connection. One whose $connect has not returned yet is gone like one that is over.
func (s *Server) find(id string) (*connection, *managementError) {
	if !validID(id) {
		return nil, &managementError{http.StatusBadRequest, "BadRequestException", "Invalid connectionId: " + id}
	}
	if c := s.table.get(id); c != nil {
		return c, nil
	}
	return nil, errGoneException
}

func (s *Server) post(id string, body []byte, size int) *managementError {
	if size > maxPost {
		return errTooLarge
	}
	c, bad := s.find(id)
	if bad != nil {
		return bad
	}
	switch err := c.send(body); {
	case errors.Is(err, errFull):
		return errBufferFull
	case err != nil:
		return errGoneException
	}
	return nil
}

func (s *Server) disconnect(id string) *managementError {
	c, bad := s.find(id)
	if bad != nil {
		return bad
	}
	if !c.close(statusNormal, closedNormally) {
		return errGoneException
	}
	return nil
}

// writeConnection answers a GET. A client that named no user agent has a null, as reported.
func writeConnection(w http.ResponseWriter, c *connection) {
	agent := "null"
	if name := c.userAgent.Value(); name != "" {
		agent = quote(name)
	}
	body := `{"identity":{"sourceIp":` + quote(c.sourceIP.Value()) + `,"userAgent":` + agent + `},` +
		`"connectedAt":"` + milliseconds(c.connectedAt) + `","lastActiveAt":"` + milliseconds(c.lastActive.Load()) + `"}`
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("X-Amzn-Requestid", newUUID())
	header.Set("X-Amz-Apigw-Id", newID())
	header.Set("X-Amzn-Trace-Id", newTrace(c.server.clock.Now()))
	io.WriteString(w, body)
}

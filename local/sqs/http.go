package sqs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"fanfare/local/awsapi"
)

// maxRequestBytes bounds the size of a request. It is a limit of this server, not of AWS. A full batch in which every
// character is a \u escape is smaller.
const maxRequestBytes = 16 << 20

// operations maps the names of SQS's operations to their functions and to the IAM actions that allow them. A batch
// needs the action of its single operation. Operations without a function are not emulated.
// Source: API Reference; Service Authorization Reference, "Actions defined by Amazon SQS".
var operations map[string]operation

type operation struct {
	action string
	run    func(*call) (any, error)
}

func init() {
	operations = map[string]operation{
		"AddPermission":                {},
		"CancelMessageMoveTask":        {},
		"ChangeMessageVisibility":      {"sqs:ChangeMessageVisibility", (*call).changeMessageVisibility},
		"ChangeMessageVisibilityBatch": {"sqs:ChangeMessageVisibility", (*call).changeMessageVisibilityBatch},
		"CreateQueue":                  {"sqs:CreateQueue", (*call).createQueue},
		"DeleteMessage":                {"sqs:DeleteMessage", (*call).deleteMessage},
		"DeleteMessageBatch":           {"sqs:DeleteMessage", (*call).deleteMessageBatch},
		"DeleteQueue":                  {"sqs:DeleteQueue", (*call).deleteQueue},
		"GetQueueAttributes":           {"sqs:GetQueueAttributes", (*call).getQueueAttributes},
		"GetQueueUrl":                  {"sqs:GetQueueUrl", (*call).getQueueURL},
		"ListDeadLetterSourceQueues":   {"sqs:ListDeadLetterSourceQueues", (*call).listDeadLetterSourceQueues},
		"ListMessageMoveTasks":         {},
		"ListQueues":                   {"sqs:ListQueues", (*call).listQueues},
		"ListQueueTags":                {},
		"PurgeQueue":                   {"sqs:PurgeQueue", (*call).purgeQueue},
		"ReceiveMessage":               {"sqs:ReceiveMessage", (*call).receiveMessage},
		"RemovePermission":             {},
		"SendMessage":                  {"sqs:SendMessage", (*call).sendMessage},
		"SendMessageBatch":             {"sqs:SendMessage", (*call).sendMessageBatch},
		"SetQueueAttributes":           {"sqs:SetQueueAttributes", (*call).setQueueAttributes},
		"StartMessageMoveTask":         {},
		"TagQueue":                     {},
		"UntagQueue":                   {},
	}
}

// call is one request.
type call struct {
	ctx         context.Context
	s           *Server
	operation   string
	action      string
	in          fields
	accessKeyID string
	traceHeader string
	host        string
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// ServeHTTP answers one request of the SQS API. It reads the whole request before it answers.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	requestID := awsapi.NewUUID()
	w.Header().Set("X-Amzn-RequestId", requestID)
	body := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(body)
	body.Reset()
	n, err := body.ReadFrom(io.LimitReader(r.Body, maxRequestBytes+1))
	if n > maxRequestBytes {
		_, err = io.Copy(io.Discard, r.Body)
	}
	if err != nil {
		return // the client has disconnected
	}
	operation, isJSON := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "AmazonSQS.")
	if !isJSON && speaksQuery(r) {
		refuseQuery(w, requestID)
		return
	}
	var answer any
	if n > maxRequestBytes {
		err = malformed("The request is longer than %d bytes.", maxRequestBytes)
	} else {
		answer, err = s.answer(r, operation, body.Bytes())
	}
	if r.Context().Err() != nil {
		return // the client has disconnected
	}
	if err != nil {
		failure := asError(err)
		if failure.Status >= http.StatusInternalServerError {
			s.log.ErrorContext(r.Context(), "sqs request failed", "operation", operation, "request_id", requestID, "error", err)
		}
		s.debug(r.Context(), operation, requestID, failure.Code)
		writeError(w, failure)
		return
	}
	s.debug(r.Context(), operation, requestID, "")
	writeAnswer(w, answer)
}

func (s *Server) debug(ctx context.Context, operation, requestID, code string) {
	if s.log.Enabled(ctx, slog.LevelDebug) {
		s.log.DebugContext(ctx, "sqs request", "operation", operation, "request_id", requestID, "code", code)
	}
}

// answer runs the operation of a request.
func (s *Server) answer(r *http.Request, name string, body []byte) (any, error) {
	op, known := operations[name]
	switch {
	case r.Method != http.MethodPost:
		return nil, newError("UnsupportedOperation", "Requests of the AWS JSON protocol are POST, not %s.", r.Method)
	case !known:
		return nil, newError("UnknownOperationException", "SQS has no operation %q (X-Amz-Target: %q).", name,
			r.Header.Get("X-Amz-Target"))
	case op.run == nil:
		return nil, newError("UnsupportedOperation", "%s is not emulated.", name)
	}
	if len(bytes.TrimSpace(body)) == 0 {
		body = []byte("{}")
	}
	in, err := parse(body)
	if err != nil {
		return nil, err
	}
	if in.kind != kindObject {
		return nil, malformed("The request must be an object, not %s.", kindNames[in.kind])
	}
	c := &call{
		ctx: r.Context(), s: s, operation: name, action: op.action, host: r.Host,
		in:          fields{object: &in, first: new(*Error)},
		accessKeyID: awsapi.AccessKeyID(r.Header.Get("Authorization")),
		traceHeader: traceHeader(r.Header.Get("X-Amzn-Trace-Id")),
	}
	before, after := s.faults.Load().request(c.ctx, s, name, c.queueName())
	if before != nil {
		return nil, before
	}
	result, failure := op.run(c)
	if failure == nil {
		failure = after
	}
	return result, failure
}

// queueName returns the name of the queue in the request, or "". It does not mark QueueUrl as read.
func (c *call) queueName() string {
	for i := range c.in.object.members {
		if m := &c.in.object.members[i]; m.name == "QueueUrl" {
			_, name, _ := splitQueueURL(m.value.text)
			return name
		}
	}
	return ""
}

// traceHeader decodes the percent-encoding of the header, which SDKs add (Smithy, recursion detection).
func traceHeader(header string) string {
	if plain, err := url.PathUnescape(header); err == nil {
		return plain
	}
	return header
}

// ready must be called by each operation after it has read its members. It returns the first mistake of the request, or
// else checks the permission.
func (c *call) ready(resource string) error {
	if err := c.in.end(c.operation); err != nil {
		return err
	}
	return c.authorize(c.action, resource)
}

func (c *call) authorize(action, resource string) error {
	if err := c.s.options.Authorize.Check(c.accessKeyID, action, resource); err != nil {
		return accessDenied(err)
	}
	return nil
}

// queue returns the queue of QueueUrl. It calls ready. Only the path of the URL, /account/name, counts; scheme and host
// may be anything.
func (c *call) queue() (*queue, error) {
	address := c.in.required("QueueUrl")
	account, name, ok := splitQueueURL(address)
	if !ok && address != "" {
		c.in.fail(newError("InvalidAddress", "The address %s is not valid for this endpoint.", address))
	}
	if strings.HasSuffix(name, ".fifo") {
		c.in.fail(newError("UnsupportedOperation", "FIFO queues are not emulated: %s.", name))
	}
	resource := fmt.Sprintf("arn:aws:sqs:%s:%s:%s", c.s.options.Region, account, name)
	if err := c.ready(resource); err != nil {
		return nil, err
	}
	q := c.s.queue(name)
	if q == nil || account != c.s.options.Account {
		return nil, nonExistentQueue()
	}
	return q, nil
}

// splitQueueURL returns the account and the name in the path of a queue URL.
func splitQueueURL(address string) (account, name string, ok bool) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return "", "", false
	}
	account, name, ok = strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	return account, name, ok && name != "" && !strings.Contains(name, "/")
}

func (c *call) url(q *queue) string {
	endpoint := c.s.options.Endpoint
	if endpoint == "" {
		endpoint = "http://" + c.host
	}
	return endpoint + "/" + c.s.options.Account + "/" + q.name
}

func writeAnswer(w http.ResponseWriter, answer any) {
	out := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(out)
	out.Reset()
	if answer != nil { // operations without a result have an empty body
		encoder := json.NewEncoder(out)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(answer); err != nil {
			writeError(w, asError(fmt.Errorf("encode answer: %w", err)))
			return
		}
		out.Truncate(out.Len() - 1) // the encoder's newline
	}
	awsapi.WriteJSON(w, awsapi.JSON10, http.StatusOK, out.Bytes())
}

// writeError answers as services do that speak AWS JSON 1.0 and formerly spoke the query protocol: with the shape in
// the body and the old code in a header. Source: Smithy, "AWS query compatible" trait.
func writeError(w http.ResponseWriter, e *Error) {
	w.Header().Set("x-amzn-query-error", e.Code+";"+e.fault())
	awsapi.WriteJSON(w, awsapi.JSON10, e.Status, awsapi.ErrorBody("com.amazonaws.sqs#"+e.Type, "message", e.Message))
}

// speaksQuery reports whether the request uses the query protocol: a form, or an Action in the URL.
func speaksQuery(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") ||
		r.URL.Query().Has("Action")
}

// refuseQuery answers in XML, the format of the query protocol, so that the client can show the message.
func refuseQuery(w http.ResponseWriter, requestID string) {
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(http.StatusBadRequest)
	fmt.Fprintf(w, `<?xml version="1.0"?><ErrorResponse `+
		`xmlns="http://queue.amazonaws.com/doc/2012-11-05/"><Error><Type>Sender</Type>`+
		`<Code>AWS.SimpleQueueService.UnsupportedOperation</Code><Message>The query protocol is not emulated: use an SDK `+
		`or AWS CLI of May 2024 or later, `+
		`which speak AWS JSON 1.0 to SQS.</Message></Error><RequestId>%s</RequestId></ErrorResponse>`, requestID)
}

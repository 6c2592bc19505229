package lambda

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"fanfare/local/awsapi"
)

// MaxResponseBytes is the maximum size of a function's response.
// Source: the Runtime API's MaxPayloadSize in AWS's aws-lambda-runtime-interface-emulator, 6 MiB and 100 bytes.
const MaxResponseBytes = 6<<20 + 100

// maxErrorBytes limits the body of an error report and of a registration. It has no source: such bodies are small.
const maxErrorBytes = 1 << 20

// Headers of the Runtime API. Source: docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html.
const (
	headerRequestID    = "Lambda-Runtime-Aws-Request-Id"
	headerDeadline     = "Lambda-Runtime-Deadline-Ms"
	headerFunctionARN  = "Lambda-Runtime-Invoked-Function-Arn"
	headerTrace        = "Lambda-Runtime-Trace-Id"
	headerErrorType    = "Lambda-Runtime-Function-Error-Type" // also a trailer of a response
	trailerErrorBody   = "Lambda-Runtime-Function-Error-Body"
	headerResponseMode = "Lambda-Runtime-Function-Response-Mode"
	headerExtension    = "Lambda-Extension-Name"
	headerExtensionID  = "Lambda-Extension-Identifier"
)

// apiHandler answers one request of a process.
type apiHandler func(*process, http.ResponseWriter, *http.Request)

// refusal is an error response, written as JSON.
type refusal struct {
	status int
	errorDocument
}

func refuse(status int, kind, format string, args ...any) *refusal {
	return &refusal{status, errorDocument{kind, fmt.Sprintf(format, args...)}}
}

// routes are the supported requests; the path follows the process's secret.
var routes = map[string]apiHandler{
	"GET /2018-06-01/runtime/invocation/next":           (*process).serveNext,
	"POST /2018-06-01/runtime/invocation/{id}/response": (*process).serveResponse,
	"POST /2018-06-01/runtime/invocation/{id}/error":    (*process).serveError,
	"POST /2018-06-01/runtime/init/error":               (*process).serveInitError,
	"GET /2018-06-01/ping":                              (*process).servePing,
	"POST /2020-01-01/extension/register":               (*process).serveRegister,
	"GET /2020-01-01/extension/event/next":              (*process).serveExtensionNext,
	"/2018-06-01/runtime/restore/":                      notEmulated("SnapStart"),
	"/2020-01-01/extension/":                            notEmulated("this call of the Extensions API"),
	"/2020-08-15/logs":                                  notEmulated("the Logs API"),
	"/2022-07-01/telemetry":                             notEmulated("the Telemetry API"),
}

// newRouter returns the API's handler. find returns the process with a secret, or nil.
func newRouter(find func(secret string) *process) *http.ServeMux {
	mux := http.NewServeMux()
	for pattern, handle := range routes {
		method, path, _ := strings.Cut(pattern, "/")
		mux.HandleFunc(method+"/{secret}/"+path, func(w http.ResponseWriter, r *http.Request) {
			p := find(r.PathValue("secret"))
			if p == nil {
				drain(r)
				refuse(http.StatusForbidden, "Forbidden", "the path is not that of AWS_LAMBDA_RUNTIME_API").write(w)
				return
			}
			handle(p, w, r)
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		drain(r)
		refuse(http.StatusNotFound, "NotFound", "the Runtime API has no %s %.100s", r.Method, r.URL.Path).write(w)
	})
	return mux
}

func notEmulated(what string) apiHandler {
	return func(p *process, w http.ResponseWriter, r *http.Request) {
		drain(r)
		p.f.s.log.Warn("function requested what is not emulated",
			"function", p.f.Name, "what", what, "path", r.URL.Path)
		refuse(http.StatusNotImplemented, "NotEmulated", "%s is not emulated", what).write(w)
	}
}

// serveNext ends the init phase or the invocation and waits for the next event.
func (p *process) serveNext(w http.ResponseWriter, r *http.Request) {
	drain(r)
	inv, refused := p.next(r.Context())
	switch {
	case refused != nil:
		refused.write(w)
	case inv != nil: // nil: the client has gone
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Content-Length", strconv.Itoa(len(inv.event)))
		h.Set(headerRequestID, inv.id)
		h.Set(headerDeadline, strconv.FormatInt(inv.deadline.UnixMilli(), 10))
		h.Set(headerFunctionARN, p.f.ARN)
		h.Set(headerTrace, inv.trace)
		_, _ = w.Write(inv.event) // a process that does not read it has ended, or will time out
	}
}

// next waits for the next event. It returns nil if ctx or the process has ended.
func (p *process) next(ctx context.Context) (*invocation, *refusal) {
	now := time.Now()
	p.mu.Lock()
	finished := p.current
	switch p.state {
	case stateStarted:
		p.state = stateReady
		p.init = now.Sub(p.started)
		close(p.ready)
		finished = nil
	case stateAnswered:
		p.state, p.current, p.assigned = stateReady, nil, make(chan struct{})
	case stateReady: // repeated after a broken request
		finished = nil
	case stateRunning: // repeated after a broken request or a lost response: return the event again
		inv := p.current
		p.mu.Unlock()
		return inv, nil
	default:
		defer p.mu.Unlock()
		return nil, wrongState(p.state, stateReady)
	}
	assigned := p.assigned
	p.mu.Unlock()
	if finished != nil {
		p.out.drain()
		p.complete(finished, now, func() { p.f.free(p) })
	}
	select {
	case <-assigned:
	case <-ctx.Done():
		return nil, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.current, nil // nil if the process has ended
}

// serveResponse accepts the response of the running invocation.
func (p *process) serveResponse(w http.ResponseWriter, r *http.Request) {
	body, tooLarge, err := readBody(r, MaxResponseBytes)
	if err != nil {
		refuse(http.StatusBadRequest, "TruncatedHTTPRequest", "HTTP request detected as truncated").write(w)
		return
	}
	if mode := r.Header.Get(headerResponseMode); mode != "" {
		if mode == "streaming" {
			notEmulated("response streaming")(p, w, r)
		} else {
			refuse(http.StatusBadRequest, "InvalidFunctionResponseMode", "Invalid function response mode").write(w)
		}
		return
	}
	var failure *FunctionError
	if kind := r.Trailer.Get(headerErrorType); kind != "" { // the function failed while it wrote the response
		document, err := base64.StdEncoding.DecodeString(r.Trailer.Get(trailerErrorBody))
		if err != nil {
			document = nil
		}
		failure = reportedError(kind, document)
	}
	status := StatusSuccess
	if failure != nil {
		status = StatusFailure
	}
	if tooLarge {
		body, failure, status = nil, responseTooLargeError(), StatusError
	}
	refused := p.answer(r.PathValue("id"), "InvocationResponse", body, failure, status)
	if refused == nil && tooLarge {
		refused = refuse(http.StatusRequestEntityTooLarge, "RequestEntityTooLarge",
			"Exceeded maximum allowed payload size (%d bytes).", MaxResponseBytes)
	}
	accept(w, refused)
}

// serveError accepts the error of the running invocation.
func (p *process) serveError(w http.ResponseWriter, r *http.Request) {
	body, tooLarge, err := readBody(r, maxErrorBytes)
	if err != nil || tooLarge {
		refuse(http.StatusBadRequest, "InvalidErrorShape",
			"the error is truncated or over %d bytes", maxErrorBytes).write(w)
		return
	}
	failure := reportedError(r.Header.Get(headerErrorType), body)
	accept(w, p.answer(r.PathValue("id"), "InvocationErrorResponse", nil, failure, StatusFailure))
}

// answer stores the result of the running invocation.
func (p *process) answer(id, to string, response []byte, failure *FunctionError, status Status) *refusal {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state != stateRunning {
		return wrongState(p.state, state(to))
	}
	inv := p.current
	if inv.id != id {
		return refuse(http.StatusBadRequest, "InvalidRequestID", "Invalid request ID")
	}
	if inv.fault.kind == faultTimeout { // the fault ends the invocation now
		if p.killErr == nil {
			p.killErr, p.status = timeoutError(inv.id, p.f.Timeout), StatusTimeout
			p.signal(syscall.SIGKILL)
		}
		return nil
	}
	p.state = stateAnswered
	inv.answer(response, failure, status)
	return nil
}

// serveInitError accepts the error report of a failed init phase.
func (p *process) serveInitError(w http.ResponseWriter, r *http.Request) {
	body, tooLarge, err := readBody(r, maxErrorBytes)
	if err != nil || tooLarge {
		refuse(http.StatusBadRequest, "InvalidErrorShape",
			"the error is truncated or over %d bytes", maxErrorBytes).write(w)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state != stateStarted {
		wrongState(p.state, stateInitError).write(w)
		return
	}
	p.state = stateInitError
	p.initError <- reportedError(r.Header.Get(headerErrorType), body)
	accept(w, nil)
}

func (p *process) servePing(w http.ResponseWriter, r *http.Request) {
	drain(r)
	_, _ = io.WriteString(w, "pong") // an error means that the client has gone
}

// serveRegister registers an internal extension without events. Its only effect is a SIGTERM before the process is
// killed.
func (p *process) serveRegister(w http.ResponseWriter, r *http.Request) {
	body, tooLarge, err := readBody(r, maxErrorBytes)
	var request struct {
		Events []string `json:"events"`
	}
	switch name := r.Header.Get(headerExtension); {
	case name == "":
		refuse(http.StatusForbidden, "Extension.InvalidExtensionName", "Empty extension name").write(w)
	case err != nil || tooLarge || json.Unmarshal(body, &request) != nil:
		refuse(http.StatusForbidden, "InvalidRequestFormat", "not a registration").write(w)
	case len(request.Events) > 0:
		notEmulated(fmt.Sprintf("an extension with events (%.100s)", name))(p, w, r)
	default:
		p.mu.Lock()
		p.extension = true
		p.mu.Unlock()
		w.Header().Set(headerExtensionID, awsapi.NewUUID())
		writeJSON(w, http.StatusOK, map[string]string{
			"functionName": p.f.Name, "functionVersion": "$LATEST", "handler": p.f.Handler,
		})
	}
}

// serveExtensionNext blocks: an extension registered without events never receives one.
func (p *process) serveExtensionNext(_ http.ResponseWriter, r *http.Request) {
	drain(r)
	<-r.Context().Done()
}

func wrongState(from, to state) *refusal {
	return refuse(http.StatusForbidden, "InvalidStateTransition",
		"Transition from %s to %s failed for runtime. Error: State transition is not allowed", from, to)
}

// readBody reads the whole request body. It returns tooLarge and no body if there are more than limit bytes.
func readBody(r *http.Request, limit int64) (body []byte, tooLarge bool, err error) {
	body, err = io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err != nil {
		return nil, false, err
	}
	if int64(len(body)) > limit {
		_, err = io.Copy(io.Discard, r.Body)
		return nil, true, err
	}
	return body, false, nil
}

// drain reads and discards the request body, because a client may otherwise lose the response.
func drain(r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // a broken request is answered like any other
}

var accepted = []byte(`{"status":"OK"}`)

// accept answers a report: 202, or the refusal if there is one.
func accept(w http.ResponseWriter, refused *refusal) {
	if refused != nil {
		refused.write(w)
		return
	}
	write(w, http.StatusAccepted, accepted)
}

func (r *refusal) write(w http.ResponseWriter) { writeJSON(w, r.status, r.errorDocument) }

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings always marshal
	}
	write(w, status, body)
}

func write(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a process that does not read it has ended or detects the error itself
}

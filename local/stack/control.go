package stack

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"fanfare/local/loopback"
)

// controlPath is the prefix of the paths that control the stack.
const controlPath = "/_local/"

// awsHandler serves SQS, DynamoDB, Secrets Manager and the control of the stack.
func (s *Stack) awsHandler() http.Handler {
	services := map[string]http.Handler{
		"AmazonSQS":         delay(s.latency.SQS, s.sqs),
		"DynamoDB_20120810": delay(s.latency.DynamoDB, s.dynamodb),
		"secretsmanager":    s.secrets,
	}
	control := s.control()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, controlPath) {
			control.ServeHTTP(w, r)
			return
		}
		service, _, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		if handler, ok := services[service]; ok {
			handler.ServeHTTP(w, r)
			return
		}
		request := refused(r)
		_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, maxDiscarded)) // some clients lose an answer that arrives early
		request.refuse(w)
		if s.refused != nil {
			s.refused(request)
		}
	})
}

// guard refuses requests of web pages and requests with a Host header that is not this machine's, which a page sends
// whose DNS name was rebound to this machine.
func (s *Stack) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !s.allowed.Allow(r.Host):
			answerJSON(w, http.StatusForbidden, map[string]string{"error": "the Host header does not name this machine"})
		case loopback.FromPage(r):
			answerJSON(w, http.StatusForbidden, map[string]string{"error": "web pages may not use the local AWS"})
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// control serves the control of the stack.
//
//	GET    /_local/faults   the faults in force, {"apigateway.Gone": "0.1", ...}
//	POST   /_local/faults   sets the named faults, as Faults.Set does; answers like GET
//	DELETE /_local/faults   removes all faults
//	POST   /_local/kill     {"function": "<name or logical id>"} kills the processes of the function that run an
//	                        invocation, with SIGKILL; without "function" those of all functions. Answers
//	                        {"killed": n}.
//
//	GET    /_local/traces   the received X-Ray traces, oldest first: [{"id": "1-...", "documents": n}, ...]
//	GET    /_local/traces/{id}  the documents of a trace, as they were sent, in the order of arrival
//
// A wrong request is answered with 400 and {"error": "..."}, and changes nothing.
func (s *Stack) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_local/faults", func(w http.ResponseWriter, _ *http.Request) { s.answerFaults(w, nil) })
	mux.HandleFunc("POST /_local/faults", func(w http.ResponseWriter, r *http.Request) {
		var settings map[string]json.RawMessage
		if err := readObject(r, &settings); err != nil {
			answerJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		s.answerFaults(w, s.changeFaults(func(f *Faults) error { return setAll(f, settings) }))
	})
	mux.HandleFunc("DELETE /_local/faults",
		func(w http.ResponseWriter, _ *http.Request) { s.answerFaults(w, s.SetFaults(Faults{})) })
	mux.HandleFunc("POST /_local/kill", s.answerKill)
	mux.HandleFunc("GET /_local/traces", s.answerTraces)
	mux.HandleFunc("GET /_local/traces/{id}", s.answerTraces)
	mux.HandleFunc(controlPath, func(w http.ResponseWriter, r *http.Request) {
		answerJSON(w, http.StatusNotFound,
			map[string]string{"error": fmt.Sprintf("no %s %s: there are GET, POST and DELETE /_local/faults, POST "+
				"/_local/kill, GET /_local/traces and GET /_local/traces/{id}", r.Method, r.URL.Path)})
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.ready.Load() {
			answerJSON(w, http.StatusServiceUnavailable, map[string]string{"error": "the local AWS is starting"})
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// setAll sets faults from JSON. It sets "seed" first, so that a service's own seed overrides it.
func setAll(f *Faults, settings map[string]json.RawMessage) error {
	var errs []error
	for _, seeds := range []bool{true, false} {
		for name, raw := range settings {
			if strings.EqualFold(name, "seed") != seeds {
				continue
			}
			value, err := settingText(raw)
			if err == nil {
				err = f.Set(name, value)
			}
			if err != nil {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// settingText returns a JSON number, string or list of strings as Faults.Set takes it.
func settingText(raw json.RawMessage) (string, error) {
	var list []string
	var text string
	var number json.Number
	switch {
	case json.Unmarshal(raw, &text) == nil && raw[0] == '"':
		return text, nil
	case json.Unmarshal(raw, &list) == nil && raw[0] == '[':
		return strings.Join(list, ","), nil
	case json.Unmarshal(raw, &number) == nil && raw[0] != 'n':
		return number.String(), nil
	}
	return "", fmt.Errorf("%s is neither a number nor a string nor a list of strings", raw)
}

func (s *Stack) answerFaults(w http.ResponseWriter, err error) {
	if err != nil {
		answerJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	faults := s.Faults()
	answerJSON(w, http.StatusOK, faults.Settings())
}

func (s *Stack) answerKill(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Function string `json:"function"`
	}
	if err := readObject(r, &in); err != nil {
		answerJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	killed, err := s.Kill(in.Function)
	if err != nil {
		answerJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	answerJSON(w, http.StatusOK, map[string]int{"killed": killed})
}

// Kill kills the processes of a function that run an invocation, and returns their number. The function is given by its
// name or logical id; "" is all functions.
func (s *Stack) Kill(function string) (killed int, err error) {
	found := function == ""
	for _, f := range s.Resolved.Functions {
		if function == "" || function == f.Name || function == f.LogicalID {
			found = true
			n, err := s.lambda.Kill(f.Name)
			if err != nil {
				return killed, err
			}
			killed += n
		}
	}
	if !found {
		return 0, fmt.Errorf("kill: the template has no function %q", function)
	}
	return killed, nil
}

// answerTraces answers with all traces, or with the documents of the trace in the path.
func (s *Stack) answerTraces(w http.ResponseWriter, r *http.Request) {
	if s.Traces == nil {
		answerJSON(w, http.StatusNotFound, map[string]string{"error": "no traces are collected; --xray collects them"})
		return
	}
	id := r.PathValue("id")
	if id != "" {
		documents := []json.RawMessage{}
		for _, segment := range s.Traces.Segments(id) {
			documents = append(documents, segment.Document)
		}
		answerJSON(w, http.StatusOK, documents)
		return
	}
	type trace struct {
		ID        string `json:"id"`
		Documents int    `json:"documents"`
	}
	traces, place := []trace{}, make(map[string]int)
	for _, segment := range s.Traces.Segments("") {
		i, known := place[segment.TraceID]
		if !known {
			i = len(traces)
			place[segment.TraceID] = i
			traces = append(traces, trace{ID: segment.TraceID})
		}
		traces[i].Documents++
	}
	answerJSON(w, http.StatusOK, traces)
}

// maxDiscarded limits the part of a refused request that is read, in bytes.
const maxDiscarded = 10 << 20

// maxControl is the largest body of a request, in bytes.
const maxControl = 1 << 20

// readObject reads a JSON object; an empty body counts as {}.
func readObject(r *http.Request, into any) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxControl))
	if err != nil {
		return err
	}
	if len(bytes.TrimSpace(body)) == 0 {
		body = []byte("{}")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("the body is not the JSON object of this request: %w", err)
	}
	if d.More() {
		return errors.New("something follows the JSON object")
	}
	return nil
}

func answerJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // the client has gone
}

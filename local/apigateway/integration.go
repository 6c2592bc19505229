package apigateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// integration answers the requests of a route. An error means that the integration failed; it wraps
// context.DeadlineExceeded if the integration timed out.
type integration interface {
	respond(ctx context.Context, r request) (answer, error)
}

// request is the input of an integration.
type request struct {
	event *event
	body  []byte // the message; nil for $connect and $disconnect
	trace string // tracing header
}

// answer is the result of an integration.
type answer struct {
	status  int
	headers map[string]string
	body    string // empty for none
}

// header returns a header's value. The name is not case-sensitive.
func (a answer) header(name string) string {
	for key, value := range a.headers {
		if strings.EqualFold(key, name) {
			return value
		}
	}
	return ""
}

// proxy is a Lambda proxy integration.
type proxy struct {
	invoker  Invoker
	function string
	denied   error
	timeout  time.Duration
}

func (p *proxy) respond(ctx context.Context, r request) (answer, error) {
	if p.denied != nil {
		return answer{}, fmt.Errorf("function %s: %w", p.function, p.denied)
	}
	// In real time, as the function's own deadlines are.
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	result, err := p.invoker.Invoke(ctx, p.function, r.event.marshal(), r.trace)
	if err != nil {
		if ctx.Err() != nil {
			err = errors.Join(ctx.Err(), err)
		}
		return answer{}, fmt.Errorf("function %s: %w", p.function, err)
	}
	reply, err := parseAnswer(result)
	if err != nil {
		return answer{}, fmt.Errorf("function %s: malformed proxy response: %w", p.function, err)
	}
	return reply, nil
}

// parseAnswer parses the output of a function of a proxy integration. It must have a status code, which may be a number
// or a string.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
func parseAnswer(result []byte) (answer, error) {
	var raw struct {
		StatusCode        json.RawMessage            `json:"statusCode"`
		Headers           map[string]json.RawMessage `json:"headers"`
		MultiValueHeaders map[string][]string        `json:"multiValueHeaders"`
		Body              *string                    `json:"body"`
		IsBase64Encoded   bool                       `json:"isBase64Encoded"`
	}
	if err := json.Unmarshal(result, &raw); err != nil {
		return answer{}, err
	}
	status, err := strconv.Atoi(plain(raw.StatusCode))
	if err != nil || status < 200 || status > 599 {
		return answer{}, fmt.Errorf("statusCode is %q", bytes.TrimSpace(raw.StatusCode))
	}
	if raw.IsBase64Encoded {
		return answer{}, errors.New("isBase64Encoded is not emulated")
	}
	reply := answer{status: status, headers: map[string]string{}}
	for name, value := range raw.Headers {
		reply.headers[name] = plain(value)
	}
	for name, values := range raw.MultiValueHeaders {
		if len(values) > 0 {
			reply.headers[name] = values[len(values)-1]
		}
	}
	for name, value := range reply.headers {
		if strings.ContainsAny(name+value, "\r\n\x00") {
			return answer{}, fmt.Errorf("header %q is not valid", name)
		}
	}
	if raw.Body != nil {
		reply.body = *raw.Body
	}
	return reply, nil
}

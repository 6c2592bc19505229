package apigateway

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// event is the input of a Lambda proxy integration or authorizer. Members that a kind of event lacks on AWS are absent,
// not null. Order and presence follow captured events; aws-lambda-go has some of them in events/testdata.
type event struct {
	Type                            string              `json:"type,omitempty"`      // authorizer only
	MethodARN                       string              `json:"methodArn,omitempty"` // authorizer only
	Headers                         map[string]string   `json:"headers,omitempty"`
	MultiValueHeaders               map[string][]string `json:"multiValueHeaders,omitempty"`
	QueryStringParameters           map[string]string   `json:"queryStringParameters,omitempty"`
	MultiValueQueryStringParameters map[string][]string `json:"multiValueQueryStringParameters,omitempty"`
	StageVariables                  *map[string]string  `json:"stageVariables,omitempty"`
	RequestContext                  requestContext      `json:"requestContext"`
	Body                            *string             `json:"body,omitempty"`            // MESSAGE only
	IsBase64Encoded                 *bool               `json:"isBase64Encoded,omitempty"` // not for an authorizer
}

// requestContext is the event's requestContext.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-logging.html
type requestContext struct {
	RouteKey             string          `json:"routeKey"`
	Authorizer           json.RawMessage `json:"authorizer,omitempty"`
	DisconnectStatusCode uint16          `json:"disconnectStatusCode,omitempty"`
	MessageID            string          `json:"messageId,omitempty"`
	EventType            string          `json:"eventType"`
	ExtendedRequestID    string          `json:"extendedRequestId"`
	RequestTime          string          `json:"requestTime"`
	MessageDirection     string          `json:"messageDirection"`
	DisconnectReason     *string         `json:"disconnectReason,omitempty"` // may be empty, on DISCONNECT
	Stage                string          `json:"stage"`
	ConnectedAt          int64           `json:"connectedAt"`      // milliseconds
	RequestTimeEpoch     int64           `json:"requestTimeEpoch"` // milliseconds
	Identity             identity        `json:"identity"`
	RequestID            string          `json:"requestId"`
	DomainName           string          `json:"domainName"`
	ConnectionID         string          `json:"connectionId"`
	APIID                string          `json:"apiId"`
}

// identity describes the client. A member that is absent on AWS is absent here too.
type identity struct {
	UserAgent string `json:"userAgent,omitempty"`
	SourceIP  string `json:"sourceIp"`
}

// clfTime is the layout of requestTime, as in the Common Log Format.
const clfTime = "02/Jan/2006:15:04:05 +0000"

// newRequestContext sets the members that every event has.
func (s *Server) newRequestContext(c *connection, routeKey, eventType string) requestContext {
	now := s.clock.Now()
	id := newID()
	return requestContext{
		RouteKey:          routeKey,
		Authorizer:        c.authorizer,
		EventType:         eventType,
		ExtendedRequestID: id,
		RequestTime:       now.UTC().Format(clfTime),
		MessageDirection:  "IN",
		Stage:             s.api.Stage,
		ConnectedAt:       c.connectedAt,
		RequestTimeEpoch:  now.UnixMilli(),
		Identity:          identity{UserAgent: c.userAgent.Value(), SourceIP: c.sourceIP.Value()},
		RequestID:         id,
		DomainName:        c.domain.Value(),
		ConnectionID:      c.id,
		APIID:             s.api.ID,
	}
}

// marshal returns the event as JSON.
func (e *event) marshal() []byte { return encode(e) }

// encode returns value as JSON without HTML escapes, which AWS does not write either. value must be one whose encoding
// cannot fail: strings, numbers, valid JSON, and maps and structs of them.
func encode(value any) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic("apigateway: " + err.Error())
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

// stageVariables returns the event's member, or nil for a stage without variables.
func (s *Server) stageVariables() *map[string]string {
	if len(s.api.StageVariables) == 0 {
		return nil
	}
	return &s.api.StageVariables
}

// hopByHop are headers that captured authorizer events have and captured $connect events lack.
var hopByHop = []string{"connection", "content-length", "upgrade"}

// connectEvent returns the event of $connect.
func (s *Server) connectEvent(h *handshake, rc requestContext) *event {
	e := s.handshakeEvent(h, rc)
	e.Headers, e.MultiValueHeaders = maps.Clone(e.Headers), maps.Clone(e.MultiValueHeaders)
	for name := range e.MultiValueHeaders {
		for _, hop := range hopByHop {
			if strings.EqualFold(name, hop) {
				delete(e.Headers, name)
				delete(e.MultiValueHeaders, name)
			}
		}
	}
	e.StageVariables = s.stageVariables()
	e.IsBase64Encoded = new(bool)
	return e
}

// authorizerEvent returns the event of a REQUEST authorizer.
func (s *Server) authorizerEvent(h *handshake, rc requestContext) *event {
	e := s.handshakeEvent(h, rc)
	e.Type = "REQUEST"
	e.MethodARN = s.arn(connectRoute)
	// Present even if empty, unlike in the function's event.
	variables := s.api.StageVariables
	if variables == nil {
		variables = map[string]string{}
	}
	e.StageVariables = &variables
	return e
}

func (s *Server) handshakeEvent(h *handshake, rc requestContext) *event {
	e := &event{RequestContext: rc, MultiValueHeaders: h.headers, MultiValueQueryStringParameters: h.query}
	e.Headers = last(h.headers)
	if len(h.query) > 0 {
		e.QueryStringParameters = last(h.query)
	}
	return e
}

// messageEvent returns the event of a client's message.
func (s *Server) messageEvent(rc requestContext, body string) *event {
	return &event{RequestContext: rc, StageVariables: s.stageVariables(), Body: &body, IsBase64Encoded: new(bool)}
}

// disconnectEvent returns the event of $disconnect. AWS sends the same unusual headers.
func (s *Server) disconnectEvent(rc requestContext, code uint16, reason string) *event {
	rc.DisconnectStatusCode, rc.DisconnectReason = code, &reason
	headers := map[string][]string{
		"Host": {rc.DomainName}, "x-api-key": {""}, "X-Forwarded-For": {""}, "x-restapi": {""},
	}
	return &event{
		RequestContext: rc, Headers: last(headers), MultiValueHeaders: headers,
		StageVariables: s.stageVariables(), IsBase64Encoded: new(bool),
	}
}

// last returns the last of several values, as headers and queryStringParameters contain it.
func last(values map[string][]string) map[string]string {
	out := make(map[string]string, len(values))
	for name, list := range values {
		out[name] = list[len(list)-1]
	}
	return out
}

// parseQuery parses a query string. Invalid percent-encoding is kept as written, because AWS does not document its
// behaviour.
func parseQuery(raw string) map[string][]string {
	var values map[string][]string
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		if values == nil {
			values = map[string][]string{}
		}
		name = unescape(name)
		values[name] = append(values[name], unescape(value))
	}
	return values
}

func unescape(s string) string {
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	return s
}

// eventHeaders returns the headers of a handshake as events contain them: with names in the case in which the client
// wrote them, and with the headers in added, which the gateway sets.
func eventHeaders(r *http.Request, names map[string]string, added map[string]string) map[string][]string {
	headers := make(map[string][]string, len(r.Header)+len(added)+1)
	headers["Host"] = []string{r.Host}
	for name, values := range r.Header {
		if written, ok := names[name]; ok {
			name = written
		}
		headers[name] = values
	}
	for name, value := range added {
		for present := range headers {
			if strings.EqualFold(present, name) {
				delete(headers, present)
			}
		}
		headers[name] = []string{value}
	}
	return headers
}

// milliseconds formats a time as the management API does (ISO 8601).
func milliseconds(unixMilli int64) string {
	return time.UnixMilli(unixMilli).UTC().Format("2006-01-02T15:04:05.000Z")
}

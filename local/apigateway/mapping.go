package apigateway

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// mapping is a parsed mapping template. Of the Velocity Template Language it supports references to $context.*,
// $input.body, $input.path('$.a.b') and $input.json('$.a.b'). parseMapping refuses all other syntax of the language.
type mapping []mappingPart

// mappingPart is a literal text or a function that returns a value of the request.
type mappingPart struct {
	text  string
	value func(e *event, body []byte) string
}

// reference matches a Velocity reference at a $: quiet or not, in braces or not.
var reference = regexp.MustCompile(`^\$!?(?:\{([A-Za-z][^{}]*)\}|([A-Za-z][\w-]*(?:\.[A-Za-z][\w-]*(?:\([^)]*\))?)*))`)

// directive matches a directive, a macro or a comment at a #.
var directive = regexp.MustCompile(`^#(?:[A-Za-z@{]|#|\*)`)

// bodyFunction matches $input.path('$.a.b') and $input.json('$.a.b').
var bodyFunction = regexp.MustCompile(`^input\.(path|json)\(\s*(?:'\$(\.[^'"]*)?'|"\$(\.[^'"]*)?")\s*\)$`)

func parseMapping(source string) (mapping, error) {
	var parts mapping
	start := 0
	for i := 0; i < len(source); {
		switch source[i] {
		case '#':
			if found := directive.FindString(source[i:]); found != "" {
				return nil, fmt.Errorf("%q is not emulated", firstWord(source[i:]))
			}
			i++
		case '$':
			found := reference.FindStringSubmatch(source[i:])
			if found == nil {
				i++
				continue
			}
			value, err := parseReference(found[1] + found[2])
			if err != nil {
				return nil, err
			}
			parts = append(parts, mappingPart{text: source[start:i]}, mappingPart{value: value})
			i += len(found[0])
			start = i
		default:
			i++
		}
	}
	return append(parts, mappingPart{text: source[start:]}), nil
}

func firstWord(s string) string {
	if end := strings.IndexAny(s, " (\n\r\t"); end > 0 {
		return s[:end]
	}
	return s
}

func parseReference(name string) (func(*event, []byte) string, error) {
	if key, ok := strings.CutPrefix(name, "context.authorizer."); ok && key != "" {
		return func(e *event, _ []byte) string {
			return plain(lookup(e.RequestContext.Authorizer, []string{key}))
		}, nil
	}
	if member, ok := contextVariables[name]; ok {
		return func(e *event, _ []byte) string { return member(&e.RequestContext) }, nil
	}
	if name == "input.body" {
		return func(_ *event, body []byte) string { return string(body) }, nil
	}
	if found := bodyFunction.FindStringSubmatch(name); found != nil {
		var path []string
		if steps := strings.TrimPrefix(found[2]+found[3], "."); steps != "" {
			var err error
			if path, err = parsePath(steps); err != nil {
				return nil, err
			}
		}
		asJSON := found[1] == "json"
		return func(_ *event, body []byte) string { return bodyValue(body, path, asJSON) }, nil
	}
	return nil, fmt.Errorf("the reference $%s is not emulated", name)
}

// bodyValue returns a value of the body, as JSON or as text. A missing value is "" as text and an empty string as JSON.
func bodyValue(body []byte, path []string, asJSON bool) string {
	var raw json.RawMessage
	if json.Valid(body) {
		raw = lookup(body, path)
	}
	if !asJSON {
		return plain(raw)
	}
	if raw == nil {
		return `""`
	}
	return string(raw)
}

// contextVariables are the supported $context variables.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-mapping-template-reference.html
var contextVariables = map[string]func(*requestContext) string{
	"context.apiId":              func(rc *requestContext) string { return rc.APIID },
	"context.connectedAt":        func(rc *requestContext) string { return strconv.FormatInt(rc.ConnectedAt, 10) },
	"context.connectionId":       func(rc *requestContext) string { return rc.ConnectionID },
	"context.domainName":         func(rc *requestContext) string { return rc.DomainName },
	"context.eventType":          func(rc *requestContext) string { return rc.EventType },
	"context.extendedRequestId":  func(rc *requestContext) string { return rc.ExtendedRequestID },
	"context.identity.sourceIp":  func(rc *requestContext) string { return rc.Identity.SourceIP },
	"context.identity.userAgent": func(rc *requestContext) string { return rc.Identity.UserAgent },
	"context.messageDirection":   func(rc *requestContext) string { return rc.MessageDirection },
	"context.messageId":          func(rc *requestContext) string { return rc.MessageID },
	"context.requestId":          func(rc *requestContext) string { return rc.RequestID },
	"context.requestTime":        func(rc *requestContext) string { return rc.RequestTime },
	"context.requestTimeEpoch":   func(rc *requestContext) string { return strconv.FormatInt(rc.RequestTimeEpoch, 10) },
	"context.routeKey":           func(rc *requestContext) string { return rc.RouteKey },
	"context.stage":              func(rc *requestContext) string { return rc.Stage },
}

func (m mapping) render(e *event, body []byte) string {
	var out strings.Builder
	for _, part := range m {
		if part.value != nil {
			out.WriteString(part.value(e, body))
		} else {
			out.WriteString(part.text)
		}
	}
	return out.String()
}

// quote returns text as a JSON string.
func quote(text string) string { return string(encode(text)) }

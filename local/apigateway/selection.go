package apigateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// selection is a parsed selection expression: text with values of the message's body. The zero value yields "".
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-selection-expressions.html
type selection []selectionPart

// selectionPart is either a text or the path of a value in the body.
type selectionPart struct {
	text string
	path []string
}

const (
	bodyVariable = "request.body."
	barePrefix   = "$" + bodyVariable
)

// parseSelection parses an expression such as $request.body.action, ${request.body.service}/${request.body.action},
// \$default or plain text. It refuses any other variable and names it.
func parseSelection(expression string) (selection, error) {
	if path, ok := strings.CutPrefix(expression, barePrefix); ok && !strings.Contains(path, "$") {
		steps, err := parsePath(path)
		if err != nil {
			return nil, err
		}
		return selection{{path: steps}}, nil
	}
	var parts selection
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			parts = append(parts, selectionPart{text: text.String()})
			text.Reset()
		}
	}
	for rest := expression; rest != ""; {
		switch {
		case strings.HasPrefix(rest, `\$`):
			text.WriteByte('$')
			rest = rest[2:]
		case strings.HasPrefix(rest, "${"):
			variable, after, ok := strings.Cut(rest[2:], "}")
			if !ok {
				return nil, fmt.Errorf("%q: ${ is not closed", expression)
			}
			path, ok := strings.CutPrefix(variable, bodyVariable)
			if !ok {
				return nil, fmt.Errorf("%q: the variable %s is not emulated", expression, variable)
			}
			steps, err := parsePath(path)
			if err != nil {
				return nil, err
			}
			flush()
			parts = append(parts, selectionPart{path: steps})
			rest = after
		case rest[0] == '$':
			// AWS's own samples write $default without the backslash.
			if expression == defaultRoute {
				text.WriteString(defaultRoute)
				rest = ""
				break
			}
			return nil, fmt.Errorf("%q: the variable %s is not emulated", expression, rest)
		default:
			text.WriteByte(rest[0])
			rest = rest[1:]
		}
	}
	flush()
	return parts, nil
}

// parsePath splits a dotted path of member names. Array indices and filters are refused.
func parsePath(path string) ([]string, error) {
	steps := strings.Split(path, ".")
	for _, step := range steps {
		if step == "" || strings.ContainsAny(step, "[]*?()@$ '\"") {
			return nil, fmt.Errorf("path %q: only member names joined by dots are emulated", path)
		}
	}
	return steps, nil
}

// evaluate returns the expression's value for a message. ok is false if the expression has a variable and the body is
// not JSON.
func (s selection) evaluate(body []byte) (value string, ok bool) {
	var out strings.Builder
	checked := false
	for _, part := range s {
		if part.path == nil {
			out.WriteString(part.text)
			continue
		}
		if !checked && !json.Valid(body) {
			return "", false
		}
		checked = true
		out.WriteString(plain(lookup(body, part.path)))
	}
	return out.String(), true
}

// lookup returns the value at a path of member names in a valid JSON document, or nil if there is none.
func lookup(document []byte, path []string) json.RawMessage {
	raw := json.RawMessage(document)
	for _, step := range path {
		var members map[string]json.RawMessage
		// Only objects have members.
		if json.Unmarshal(raw, &members) != nil {
			return nil
		}
		value, ok := members[step]
		if !ok {
			return nil
		}
		raw = value
	}
	return raw
}

// plain returns a JSON value as text: a string without quotes, "" for null, any other value as written.
func plain(raw json.RawMessage) string {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		return ""
	}
	var text string
	if raw[0] == '"' && json.Unmarshal(raw, &text) == nil {
		return text
	}
	return string(raw)
}

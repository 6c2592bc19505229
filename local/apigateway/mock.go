package apigateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// mock is a MOCK integration: a request template yields the status, an integration response the reply.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-integration-requests.html
type mock struct {
	requests    templates
	passthrough string
	responses   []mockResponse
}

// mockResponse is a validated IntegrationResponse.
type mockResponse struct {
	matches   func(status string) bool
	templates templates
}

// templates are mapping templates and the expression that selects one of them.
type templates struct {
	expression selection // nil selects by the default keys
	byKey      map[string]mapping
}

// Values of PassthroughBehavior.
const (
	whenNoMatch     = "WHEN_NO_MATCH"
	whenNoTemplates = "WHEN_NO_TEMPLATES"
	never           = "NEVER"
)

func (i Integration) compileMock() (*mock, error) {
	if i.Function != "" {
		return nil, errors.New("MOCK has no function")
	}
	m := &mock{passthrough: i.PassthroughBehavior}
	switch m.passthrough {
	case "":
		m.passthrough = whenNoMatch
	case whenNoMatch, whenNoTemplates, never:
	default:
		return nil, fmt.Errorf("PassthroughBehavior %q is unknown", i.PassthroughBehavior)
	}
	var err error
	if m.requests, err = compileTemplates(i.TemplateSelectionExpression, i.RequestTemplates); err != nil {
		return nil, fmt.Errorf("RequestTemplates: %w", err)
	}
	// $default is tried last, wherever it is declared.
	var fallback *mockResponse
	for _, response := range i.Responses {
		compiled := mockResponse{}
		compiled.templates, err = compileTemplates(response.TemplateSelectionExpression, response.ResponseTemplates)
		if err != nil {
			return nil, fmt.Errorf("integration response %q: %w", response.Key, err)
		}
		pattern, slashed := strings.CutPrefix(response.Key, "/")
		switch {
		case response.Key == defaultRoute:
			fallback = &compiled
			continue
		case !slashed || !strings.HasSuffix(pattern, "/"):
			return nil, fmt.Errorf("integration response %q: the key is neither $default nor /an expression/", response.Key)
		}
		expression, err := regexp.Compile("^(?:" + strings.TrimSuffix(pattern, "/") + ")$")
		if err != nil {
			return nil, fmt.Errorf("integration response %q: %w", response.Key, err)
		}
		compiled.matches = expression.MatchString
		m.responses = append(m.responses, compiled)
	}
	if fallback != nil {
		fallback.matches = func(string) bool { return true }
		m.responses = append(m.responses, *fallback)
	}
	return m, nil
}

func compileTemplates(expression string, sources map[string]string) (templates, error) {
	compiled := templates{byKey: make(map[string]mapping, len(sources))}
	var err error
	if expression != "" {
		if compiled.expression, err = parseSelection(expression); err != nil {
			return templates{}, fmt.Errorf("TemplateSelectionExpression: %w", err)
		}
	}
	for key, source := range sources {
		if compiled.byKey[key], err = parseMapping(source); err != nil {
			return templates{}, fmt.Errorf("template %q: %w", key, err)
		}
	}
	return compiled, nil
}

// pick returns the template for a message, if there is one.
func (t templates) pick(body []byte) (mapping, bool) {
	keys := []string{defaultRoute, "application/json"}
	if t.expression != nil {
		key, _ := t.expression.evaluate(body)
		keys = []string{key}
	}
	for _, key := range keys {
		if template, ok := t.byKey[key]; ok {
			return template, true
		}
	}
	return nil, false
}

func (m *mock) respond(_ context.Context, r request) (answer, error) {
	reply := string(r.body)
	if template, ok := m.requests.pick(r.body); ok {
		reply = template.render(r.event, r.body)
	} else if m.passthrough == never || m.passthrough == whenNoTemplates && len(m.requests.byKey) > 0 {
		return answer{}, errors.New("mock: no request template matches, and passthrough is off")
	}
	var request struct {
		StatusCode json.RawMessage `json:"statusCode"`
	}
	if err := json.Unmarshal([]byte(reply), &request); err != nil {
		return answer{}, fmt.Errorf("mock: parse request: %w", err)
	}
	status, err := strconv.Atoi(plain(request.StatusCode))
	if err != nil || status < 200 || status > 599 {
		return answer{}, fmt.Errorf("mock: request has statusCode %q", request.StatusCode)
	}
	for _, response := range m.responses {
		if !response.matches(strconv.Itoa(status)) {
			continue
		}
		if template, ok := response.templates.pick(r.body); ok {
			reply = template.render(r.event, r.body)
		}
		return answer{status: status, body: reply}, nil
	}
	return answer{}, fmt.Errorf("mock: no integration response for status %d", status)
}

package dynamodb

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// maxExpression is the length of the longest expression, in bytes (Service quotas, "Expression parameters").
const maxExpression = 4096

// placeholders holds the ExpressionAttributeNames and ExpressionAttributeValues of a request, and records which of them
// its expressions use.
type placeholders struct {
	names      map[string]string
	values     map[string]value
	used       map[string]bool
	attributes map[string][]string // the top-level attributes that each expression names, by its member
}

// placeholders parses the names and values of a request.
func (m *members) placeholders() *placeholders {
	ph := &placeholders{used: make(map[string]bool), attributes: make(map[string][]string)}
	if m.has("ExpressionAttributeNames") {
		ph.names = m.names("ExpressionAttributeNames")
		m.checkPlaceholders("ExpressionAttributeNames", '#', slices.Sorted(maps.Keys(ph.names)))
	}
	if m.has("ExpressionAttributeValues") {
		ph.values = make(map[string]value)
		for name, raw := range m.object("ExpressionAttributeValues").values {
			v, err := parseValue(raw, 0)
			if err != nil {
				if err.code() == "ValidationException" {
					err = validationError("ExpressionAttributeValues contains invalid value: %s for key %s", err.message, name)
				}
				m.fail(err)
			}
			ph.values[name] = v
		}
		m.checkPlaceholders("ExpressionAttributeValues", ':', slices.Sorted(maps.Keys(ph.values)))
	}
	return ph
}

func (m *members) checkPlaceholders(member string, mark byte, names []string) {
	if len(names) == 0 {
		m.fail(validationError("%s must not be empty", member))
	}
	for _, name := range names {
		if len(name) < 2 || name[0] != mark || endOfWord(name, 1) != len(name) {
			m.fail(validationError("%s contains invalid key: Syntax error; key: \"%s\"", member, name))
		}
	}
}

// checkUsed refuses placeholders that no expression uses.
func (ph *placeholders) checkUsed() error {
	for _, given := range []struct {
		member string
		names  []string
	}{
		{"ExpressionAttributeNames", slices.Sorted(maps.Keys(ph.names))},
		{"ExpressionAttributeValues", slices.Sorted(maps.Keys(ph.values))},
	} {
		if len(given.names) > 0 && len(ph.attributes) == 0 {
			return validationError("%s can only be specified when using expressions", given.member)
		}
		unused := slices.DeleteFunc(given.names, func(name string) bool { return ph.used[name] })
		if len(unused) > 0 {
			return validationError("Value provided in %s unused in expressions: keys: {%s}", given.member,
				strings.Join(unused, ", "))
		}
	}
	return nil
}

// parser parses one expression. Its methods panic with a *failure, which parse returns as an error. This keeps error
// handling out of the grammar.
type parser struct {
	member string // the request's member that holds the expression
	text   string
	tokens []token
	at     int
	*placeholders
}

// parse parses the whole expression in this member of the request with a grammar.
func parse[T any](member, text string, ph *placeholders, grammar func(*parser) T) (result T, err error) {
	defer func() {
		switch cause := recover().(type) {
		case nil:
		case *failure:
			cause.message = "Invalid " + member + ": " + cause.message
			err = cause
		default:
			panic(cause)
		}
	}()
	ph.attributes[member] = nil // record that the expression exists
	if strings.TrimSpace(text) == "" {
		panic(validationError("The expression can not be empty;"))
	}
	if len(text) > maxExpression {
		panic(validationError("Expression size has exceeded the maximum allowed size; expression size: %d", len(text)))
	}
	tokens, lexical := tokenize(text)
	if lexical != nil {
		panic(lexical)
	}
	p := &parser{member: member, text: text, tokens: tokens, placeholders: ph}
	result = grammar(p)
	if p.next().kind != tokenEnd {
		p.syntaxError()
	}
	return result, nil
}

func (p *parser) next() token { return p.tokens[p.at] }

// following returns the token after the next one.
func (p *parser) following() token { return p.tokens[min(p.at+1, len(p.tokens)-1)] }

func (p *parser) take() token {
	t := p.next()
	if t.kind != tokenEnd {
		p.at++
	}
	return t
}

// accept consumes the next token if it is this one, and reports whether it did.
func (p *parser) accept(text string) bool {
	if !p.next().is(text) {
		return false
	}
	p.at++
	return true
}

func (p *parser) expect(text string) {
	if !p.accept(text) {
		p.syntaxError()
	}
}

// syntaxError fails at the next token. The message shows its neighbours.
func (p *parser) syntaxError() {
	before, after := p.tokens[max(p.at-1, 0)], p.following()
	panic(validationError("Syntax error; token: \"%s\", near: \"%s\"", p.next().text, p.text[before.start:after.end]))
}

// path parses a document path.
func (p *parser) path() path {
	steps := path{{name: p.attributeName()}}
	p.attributes[p.member] = append(p.attributes[p.member], steps[0].name)
	for {
		switch {
		case p.accept("."):
			steps = append(steps, step{name: p.attributeName()})
		case p.accept("["):
			if p.next().kind != tokenNumber {
				p.syntaxError()
			}
			index, err := strconv.Atoi(p.take().text)
			if err != nil {
				panic(validationError("List index is not within the allowable range; index: [%s]", p.tokens[p.at-1].text))
			}
			p.expect("]")
			steps = append(steps, step{index: index})
		default:
			return steps
		}
	}
}

func (p *parser) attributeName() string {
	t := p.next()
	switch {
	case t.kind == tokenName:
		p.at++
		name, defined := p.names[t.text]
		if !defined {
			panic(validationError("An expression attribute name used in the document path is not defined; attribute name: %s",
				t.text))
		}
		if name == "" {
			panic(validationError("ExpressionAttributeNames contains invalid value: Empty attribute name; key: %s", t.text))
		}
		p.used[t.text] = true
		return name
	case t.kind != tokenWord || isKeyword(t):
		p.syntaxError()
	case isReserved(t.text):
		panic(validationError("Attribute name is a reserved keyword; reserved keyword: %s", t.text))
	}
	p.at++
	return t.text
}

// isKeyword reports whether the word is a keyword of the grammar.
func isKeyword(t token) bool {
	return slices.ContainsFunc([]string{"AND", "OR", "NOT", "BETWEEN", "IN"}, t.is)
}

// value parses the placeholder of a value.
func (p *parser) value() value {
	t := p.next()
	if t.kind != tokenValue {
		p.syntaxError()
	}
	p.at++
	v, defined := p.values[t.text]
	if !defined {
		panic(validationError("An expression attribute value used in expression is not defined; attribute value: %s", t.text))
	}
	p.used[t.text] = true
	return v
}

// isCall reports whether a function call is next.
func (p *parser) isCall() bool {
	return p.next().kind == tokenWord && !isKeyword(p.next()) && p.following().is("(")
}

// list parses a list of elements, separated by commas.
func list[T any](p *parser, element func() T) []T {
	elements := []T{element()}
	for p.accept(",") {
		elements = append(elements, element())
	}
	return elements
}

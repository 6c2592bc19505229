package sqs

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// This file reads requests. encoding/json will not do: it forgives what AWS does not (member names in another case,
// repeated members), and turns the escape of a lone surrogate into U+FFFD, so that a body that SQS refuses would be
// stored changed. Here a lone surrogate survives as the three bytes that UTF-8 would give it, which no valid text
// contains, and the character check of message.go finds it.

// maxDepth bounds the nesting of a request; SQS's own requests need five levels.
const maxDepth = 16

type kind byte

const (
	kindNull kind = iota
	kindBoolean
	kindNumber
	kindString
	kindList
	kindObject
)

var kindNames = [...]string{"null", "a boolean", "a number", "a string", "a list", "an object"}

// value is one JSON value. text holds a string's content or a number's digits.
type value struct {
	kind    kind
	text    string
	items   []value
	members []member
}

type member struct {
	name  string
	value value
	read  bool
}

func malformed(format string, args ...any) *Error {
	return refuse("SerializationException", format, args...)
}

// parse reads one JSON value (RFC 8259) that fills data, copying what it keeps.
func parse(data []byte) (value, *Error) {
	if !utf8.Valid(data) {
		return value{}, malformed("The request is not valid UTF-8.")
	}
	p := parser{data: data}
	v, err := p.value(0)
	if err != nil {
		return value{}, err
	}
	if p.space(); p.at < len(p.data) {
		return value{}, p.unexpected()
	}
	return v, nil
}

type parser struct {
	data []byte
	at   int
}

func (p *parser) unexpected() *Error {
	if p.at >= len(p.data) {
		return malformed("The request's JSON ends too early.")
	}
	return malformed("The request's JSON has an unexpected %q at offset %d.", p.data[p.at], p.at)
}

func (p *parser) space() {
	for p.at < len(p.data) {
		switch p.data[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

// next skips space and consumes c if it comes next.
func (p *parser) next(c byte) bool {
	p.space()
	if p.at < len(p.data) && p.data[p.at] == c {
		p.at++
		return true
	}
	return false
}

var words = []value{{kind: kindBoolean, text: "true"}, {kind: kindBoolean, text: "false"},
	{kind: kindNull, text: "null"}}

func (p *parser) value(depth int) (value, *Error) {
	if depth > maxDepth {
		return value{}, malformed("The request's JSON is nested more than %d levels deep.", maxDepth)
	}
	p.space()
	if p.at >= len(p.data) {
		return value{}, p.unexpected()
	}
	switch c := p.data[p.at]; {
	case c == '{':
		p.at++
		return p.object(depth)
	case c == '[':
		p.at++
		return p.list(depth)
	case c == '"':
		p.at++
		text, err := p.string()
		return value{kind: kindString, text: text}, err
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	default:
		for _, w := range words {
			if bytes.HasPrefix(p.data[p.at:], []byte(w.text)) {
				p.at += len(w.text)
				return w, nil
			}
		}
		return value{}, p.unexpected()
	}
}

func (p *parser) object(depth int) (value, *Error) {
	v := value{kind: kindObject}
	if p.next('}') {
		return v, nil
	}
	for {
		if !p.next('"') {
			return v, p.unexpected()
		}
		name, err := p.string()
		if err != nil {
			return v, err
		}
		for i := range v.members {
			if v.members[i].name == name {
				return v, malformed("The request's JSON has the member %q twice.", name)
			}
		}
		if !p.next(':') {
			return v, p.unexpected()
		}
		item, err := p.value(depth + 1)
		if err != nil {
			return v, err
		}
		v.members = append(v.members, member{name: name, value: item})
		if p.next('}') {
			return v, nil
		}
		if !p.next(',') {
			return v, p.unexpected()
		}
	}
}

func (p *parser) list(depth int) (value, *Error) {
	v := value{kind: kindList}
	if p.next(']') {
		return v, nil
	}
	for {
		item, err := p.value(depth + 1)
		if err != nil {
			return v, err
		}
		v.items = append(v.items, item)
		if p.next(']') {
			return v, nil
		}
		if !p.next(',') {
			return v, p.unexpected()
		}
	}
}

func (p *parser) digits() bool {
	start := p.at
	for p.at < len(p.data) && p.data[p.at] >= '0' && p.data[p.at] <= '9' {
		p.at++
	}
	return p.at > start
}

func (p *parser) number() (value, *Error) {
	start := p.at
	if p.data[p.at] == '-' {
		p.at++
	}
	if p.at < len(p.data) && p.data[p.at] == '0' {
		p.at++
	} else if !p.digits() {
		return value{}, p.unexpected()
	}
	if p.at < len(p.data) && p.data[p.at] == '.' {
		p.at++
		if !p.digits() {
			return value{}, p.unexpected()
		}
	}
	if p.at < len(p.data) && (p.data[p.at] == 'e' || p.data[p.at] == 'E') {
		p.at++
		if p.at < len(p.data) && (p.data[p.at] == '+' || p.data[p.at] == '-') {
			p.at++
		}
		if !p.digits() {
			return value{}, p.unexpected()
		}
	}
	return value{kind: kindNumber, text: string(p.data[start:p.at])}, nil
}

// string reads the rest of a string whose opening quote is consumed.
func (p *parser) string() (string, *Error) {
	start := p.at
	for p.at < len(p.data) {
		switch c := p.data[p.at]; {
		case c == '"':
			p.at++
			return string(p.data[start : p.at-1]), nil
		case c == '\\':
			return p.escaped(append(make([]byte, 0, len(p.data[start:p.at])+64), p.data[start:p.at]...))
		case c < ' ':
			return "", p.unexpected()
		default:
			p.at++
		}
	}
	return "", p.unexpected()
}

var plainEscapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escaped continues string after the first backslash; text is what came before.
func (p *parser) escaped(text []byte) (string, *Error) {
	for p.at < len(p.data) {
		switch c := p.data[p.at]; {
		case c == '"':
			p.at++
			return string(text), nil
		case c < ' ':
			return "", p.unexpected()
		case c != '\\':
			end := p.at + 1
			for end < len(p.data) && p.data[end] != '"' && p.data[end] != '\\' && p.data[end] >= ' ' {
				end++
			}
			text = append(text, p.data[p.at:end]...)
			p.at = end
		case p.at+1 < len(p.data) && plainEscapes[p.data[p.at+1]] != 0:
			text = append(text, plainEscapes[p.data[p.at+1]])
			p.at += 2
		default:
			unit, ok := p.unit(p.at)
			if !ok {
				return "", p.unexpected()
			}
			p.at += 6
			if low, ok := p.unit(p.at); ok && utf16.IsSurrogate(unit) {
				if pair := utf16.DecodeRune(unit, low); pair != utf8.RuneError {
					unit = pair
					p.at += 6
				}
			}
			text = appendRune(text, unit)
		}
	}
	return "", p.unexpected()
}

// unit reads the escape \uXXXX at offset at.
func (p *parser) unit(at int) (rune, bool) {
	if at+6 > len(p.data) || p.data[at] != '\\' || p.data[at+1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(p.data[at+2:at+6]), 16, 16)
	return rune(n), err == nil
}

// appendRune appends r, a lone surrogate as three bytes like any other of its size.
func appendRune(text []byte, r rune) []byte {
	if utf16.IsSurrogate(r) {
		return append(text, 0xE0|byte(r>>12), 0x80|byte(r>>6)&0x3F, 0x80|byte(r)&0x3F)
	}
	return utf8.AppendRune(text, r)
}

// surrogateAt returns the lone surrogate that appendRune wrote at the start of text, if there is one.
func surrogateAt(text string) (rune, bool) {
	if len(text) < 3 || text[0] != 0xED || text[1] < 0xA0 {
		return 0, false
	}
	return rune(text[0]&0x0F)<<12 | rune(text[1]&0x3F)<<6 | rune(text[2]&0x3F), true
}

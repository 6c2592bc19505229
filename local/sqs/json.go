package sqs

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// encoding/json cannot decode requests: it accepts what AWS refuses (member names in another case, repeated members),
// and it replaces the escape of a lone surrogate by U+FFFD, so that a body that SQS refuses would be stored changed.
// parse therefore builds a tree from tokens. In it a lone surrogate is the three bytes that UTF-8 would give it. Valid
// text never contains these bytes, and illegalCharacter finds them.

// maxDepth is the largest nesting of a request. SQS's own requests need five levels.
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

// value is one JSON value. text holds a string's content, a number's digits, or "true" or "false".
type value struct {
	kind    kind
	text    string
	items   []value
	members []member
}

type member struct {
	name  string
	value value
	read  bool // an operation has asked for it
}

func malformed(format string, args ...any) *Error {
	return newError("SerializationException", format, args...)
}

// parse reads data, which must be one JSON value (RFC 8259) in valid UTF-8. The value shares no memory with data.
func parse(data []byte) (value, *Error) {
	if !utf8.Valid(data) {
		return value{}, malformed("The request is not valid UTF-8.")
	}
	// Without AllowInvalidUTF8 the decoder refuses lone surrogates.
	d := jsontext.NewDecoder(bytes.NewBuffer(data), jsontext.AllowInvalidUTF8(true))
	v, err := readValue(d)
	if err == nil {
		if _, err = d.ReadToken(); errors.Is(err, io.EOF) {
			return v, nil
		}
	}
	if refusal, ok := errors.AsType[*Error](err); ok {
		return value{}, refusal
	}
	return value{}, malformed("The request is not one JSON value: %v.", err)
}

func readValue(d *jsontext.Decoder) (value, error) {
	if d.StackDepth() > maxDepth {
		return value{}, malformed("The request's JSON is nested more than %d levels deep.", maxDepth)
	}
	switch d.PeekKind() {
	case jsontext.KindString:
		text, err := readString(d)
		return value{kind: kindString, text: text}, err
	case jsontext.KindBeginArray, jsontext.KindBeginObject:
		return readNested(d)
	}
	raw, err := d.ReadValue()
	v := value{kind: kindNumber, text: string(raw)}
	switch raw.Kind() {
	case jsontext.KindNull:
		v.kind = kindNull
	case jsontext.KindTrue, jsontext.KindFalse:
		v.kind = kindBoolean
	}
	return v, err
}

// readNested reads a list or an object.
func readNested(d *jsontext.Decoder) (value, error) {
	opening, err := d.ReadToken()
	if err != nil {
		return value{}, err
	}
	v := value{kind: kindList}
	if opening.Kind() == jsontext.KindBeginObject {
		v.kind = kindObject
	}
	for d.PeekKind() > 0 && d.PeekKind() != jsontext.KindEndArray && d.PeekKind() != jsontext.KindEndObject {
		var m member
		if v.kind == kindObject {
			if m.name, err = readString(d); err != nil {
				return v, err
			}
		}
		if m.value, err = readValue(d); err != nil {
			return v, err
		}
		if v.kind == kindObject {
			v.members = append(v.members, m)
		} else {
			v.items = append(v.items, m.value)
		}
	}
	_, err = d.ReadToken()
	return v, err
}

// readString reads a string.
func readString(d *jsontext.Decoder) (string, error) {
	raw, err := d.ReadValue()
	if err != nil {
		return "", err
	}
	text, err := jsontext.AppendUnquote(nil, raw)
	if err != nil {
		text, err = unquoteSurrogates(raw[1 : len(raw)-1])
	}
	return string(text), err
}

// escapes matches the escapes of a string. Its submatch is the code unit of a lone surrogate.
var escapes = regexp.MustCompile(`\\(?:u[dD][89aAbB]..\\u[dD][c-fC-F]..|u([dD][89a-fA-F]..)|.)`)

// unquoteSurrogates returns the text of a string with lone surrogates, given without its quotes. AppendUnquote fails on
// them, so it gets only the parts between them.
func unquoteSurrogates(raw []byte) (text []byte, err error) {
	quoted := func(part []byte) []byte { return slices.Concat([]byte{'"'}, part, []byte{'"'}) }
	start := 0
	for _, match := range escapes.FindAllSubmatchIndex(raw, -1) {
		if match[2] < 0 {
			continue
		}
		if text, err = jsontext.AppendUnquote(text, quoted(raw[start:match[0]])); err != nil {
			return nil, err
		}
		unit, err := strconv.ParseUint(string(raw[match[2]:match[3]]), 16, 16)
		if err != nil {
			return nil, err
		}
		text = appendSurrogate(text, rune(unit))
		start = match[1]
	}
	return jsontext.AppendUnquote(text, quoted(raw[start:]))
}

// appendSurrogate appends a lone surrogate as three bytes, like any other character of its size.
func appendSurrogate(text []byte, r rune) []byte {
	return append(text, 0xE0|byte(r>>12), 0x80|byte(r>>6)&0x3F, 0x80|byte(r)&0x3F)
}

// surrogateAt returns the lone surrogate that appendSurrogate wrote at the start of text, if there is one.
func surrogateAt(text string) (rune, bool) {
	if len(text) < 3 || text[0] != 0xED || text[1] < 0xA0 {
		return 0, false
	}
	return rune(text[0]&0x0F)<<12 | rune(text[1]&0x3F)<<6 | rune(text[2]&0x3F), true
}

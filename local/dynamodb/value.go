package dynamodb

import (
	"encoding/base64"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// kind is the data type of an attribute value, in the notation of the API.
type kind string

const (
	kindString    kind = "S"
	kindNumber    kind = "N"
	kindBinary    kind = "B"
	kindBoolean   kind = "BOOL"
	kindNull      kind = "NULL"
	kindList      kind = "L"
	kindMap       kind = "M"
	kindStringSet kind = "SS"
	kindNumberSet kind = "NS"
	kindBinarySet kind = "BS"
)

// elementKind maps the types of sets to the types of their elements.
var elementKind = map[kind]kind{kindStringSet: kindString, kindNumberSet: kindNumber, kindBinarySet: kindBinary}

// value is an attribute value. It is immutable, so that rows can share parts.
type value struct {
	kind  kind
	text  string // S: the text; N: the number in normal form; B: the bytes
	truth bool   // BOOL
	parts *parts // L, M and sets; a pointer keeps scalars small
}

type parts struct {
	list   []value
	fields item
}

// list returns the elements of a list or set, or nil.
func (v value) list() []value {
	if v.parts == nil {
		return nil
	}
	return v.parts.list
}

// fields returns the fields of a map, or nil.
func (v value) fields() item {
	if v.parts == nil {
		return nil
	}
	return v.parts.fields
}

func listValue(k kind, list []value) value { return value{kind: k, parts: &parts{list: list}} }
func mapValue(fields item) value           { return value{kind: kindMap, parts: &parts{fields: fields}} }

func stringValue(text string) value    { return value{kind: kindString, text: text} }
func numberValue(number decimal) value { return value{kind: kindNumber, text: number.String()} }

func (v value) isSet() bool { return elementKind[v.kind] != "" }

// number returns the decimal of a value of kind N.
func (v value) number() decimal { return mustDecimal(v.text) }

// equal reports whether two values have the same type and content. The order of the elements of a set does not matter.
func (v value) equal(other value) bool {
	switch {
	case v.kind != other.kind:
		return false
	case v.isSet():
		return len(v.list()) == len(other.list()) && !slices.ContainsFunc(v.list(),
			func(e value) bool { return !other.hasElement(e) })
	case v.kind == kindList:
		return slices.EqualFunc(v.list(), other.list(), value.equal)
	case v.kind == kindMap:
		return v.fields().equal(other.fields())
	}
	return v.text == other.text && v.truth == other.truth
}

func (v value) hasElement(element value) bool { return slices.ContainsFunc(v.list(), element.equal) }

// compare compares two values. ok is false if their types differ or have no order; only S, N and B have one.
func (v value) compare(other value) (order int, ok bool) {
	if v.kind != other.kind {
		return 0, false
	}
	switch v.kind {
	case kindString, kindBinary:
		return strings.Compare(v.text, other.text), true
	case kindNumber:
		return compareNumbers(v.text, other.text), true
	}
	return 0, false
}

// Overheads of documents in an item (developer guide, "DynamoDB item sizes and formats").
const (
	documentOverhead = 3 // of a list or map
	elementOverhead  = 1 // of each element of a list or map
)

// size returns the size of the value in an item by AWS's rules, in bytes, without its name.
func (v value) size() int {
	switch v.kind {
	case kindNumber:
		return v.number().size()
	case kindBoolean, kindNull:
		return 1
	case kindString, kindBinary:
		return len(v.text)
	}
	size := 0
	for _, element := range v.list() {
		size += element.size()
	}
	switch v.kind {
	case kindList:
		size += documentOverhead + elementOverhead*len(v.list())
	case kindMap:
		size += documentOverhead + elementOverhead*len(v.fields()) + v.fields().size()
	}
	return size
}

// length returns the result of the function size() in expressions. ok is false for types that have none.
func (v value) length() (length int, ok bool) {
	switch v.kind {
	case kindString:
		return utf16Length(v.text), true
	case kindBinary:
		return len(v.text), true
	case kindMap:
		return len(v.fields()), true
	case kindList, kindStringSet, kindNumberSet, kindBinarySet:
		return len(v.list()), true
	}
	return 0, false
}

func utf16Length(text string) int {
	length := 0
	for _, r := range text {
		length += utf16.RuneLen(r)
	}
	return length
}

// appendJSON appends the value in the JSON of the API.
func (v value) appendJSON(text []byte) []byte {
	text = append(text, `{"`...)
	text = append(text, v.kind...)
	text = append(text, `":`...)
	switch v.kind {
	case kindBoolean:
		if v.truth {
			text = append(text, `true`...)
		} else {
			text = append(text, `false`...)
		}
	case kindNull:
		text = append(text, `true`...)
	case kindMap:
		text = v.fields().appendJSON(text)
	case kindList:
		text = appendList(text, v.list(), value.appendJSON)
	case kindStringSet, kindNumberSet, kindBinarySet:
		text = appendList(text, v.list(), value.appendScalar)
	default:
		text = v.appendScalar(text)
	}
	return append(text, '}')
}

// appendScalar appends the text of an S, N or B as a JSON string.
func (v value) appendScalar(text []byte) []byte {
	if v.kind == kindBinary {
		text = append(text, '"')
		text = base64.StdEncoding.AppendEncode(text, []byte(v.text))
		return append(text, '"')
	}
	return appendString(text, v.text)
}

func appendList(text []byte, list []value, element func(value, []byte) []byte) []byte {
	text = append(text, '[')
	for i, v := range list {
		if i > 0 {
			text = append(text, ',')
		}
		text = element(v, text)
	}
	return append(text, ']')
}

// appendString appends a JSON string.
func appendString(text []byte, s string) []byte {
	const hex = "0123456789abcdef"
	text = append(text, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, width := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && width == 1 {
				text = append(text, s[start:i]...)
				text = append(text, "\ufffd"...)
				start = i + 1
			}
			i += width
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		text = append(text, s[start:i]...)
		switch c {
		case '"', '\\':
			text = append(text, '\\', c)
		case '\n':
			text = append(text, '\\', 'n')
		default:
			text = append(text, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
		start = i
	}
	text = append(text, s[start:]...)
	return append(text, '"')
}

package template

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// kind is what a value is made of.
type kind uint8

const (
	text    kind = iota // a string, number or boolean, as written
	list                // items
	object              // fields, in the order written
	invalid             // already reported: whoever meets it stays silent
)

// value is a piece of a template. Unlike yaml.Node it has intrinsic functions in their long form only, and after
// resolving it has none. Values are never changed once built, so trees may share them.
type value struct {
	kind         kind
	text         string
	quoted       bool // text that was quoted, so that it stays a string in JSON
	items        []*value
	fields       []field
	line, column int
	key          *value // for an object's entry, the key, for its position only
}

// field is an entry of an object.
type field struct {
	key   string
	value *value
}

// get returns the entry of that name, or nil.
func (v *value) get(key string) *value {
	if v == nil || v.kind != object {
		return nil
	}
	for _, f := range v.fields {
		if f.key == key {
			return f.value
		}
	}
	return nil
}

// function returns the intrinsic function that the value calls and its argument, or "".
func (v *value) function() (name string, argument *value) {
	if v == nil || v.kind != object || len(v.fields) != 1 {
		return "", nil
	}
	if key := v.fields[0].key; key == "Ref" || strings.HasPrefix(key, "Fn::") {
		return key, v.fields[0].value
	}
	return "", nil
}

// entry returns the position of the key of an object's entry: that of the entry as a whole.
func (v *value) entry() *value {
	if v.key != nil {
		return v.key
	}
	return v
}

// The constructors give a new value the position of the one it stems from.

func (v *value) newText(s string) *value {
	return &value{kind: text, text: s, quoted: true, line: v.line, column: v.column}
}

func (v *value) newList(items ...*value) *value {
	return &value{kind: list, items: items, line: v.line, column: v.column}
}

func (v *value) newObject(fields ...field) *value {
	// An absent property is written as a nil value, for the ease of whoever copies properties.
	fields = slices.DeleteFunc(fields, func(f field) bool { return f.value == nil })
	return &value{kind: object, fields: fields, line: v.line, column: v.column}
}

func (v *value) newRef(id string) *value { return v.newObject(field{"Ref", v.newText(id)}) }

func (v *value) newGetAtt(id, attribute string) *value {
	return v.newObject(field{"Fn::GetAtt", v.newList(v.newText(id), v.newText(attribute))})
}

func (v *value) newSub(pattern string, variables ...field) *value {
	if len(variables) == 0 {
		return v.newObject(field{"Fn::Sub", v.newText(pattern)})
	}
	return v.newObject(field{"Fn::Sub", v.newList(v.newText(pattern), v.newObject(variables...))})
}

func (v *value) newInvalid() *value { return &value{kind: invalid, line: v.line, column: v.column} }

// plain returns the value as encoding/json likes it. Unquoted numbers and booleans keep their type.
func (v *value) plain() any {
	switch v.kind {
	case list:
		items := make([]any, len(v.items))
		for i, item := range v.items {
			items[i] = item.plain()
		}
		return items
	case object:
		fields := make(map[string]any, len(v.fields))
		for _, f := range v.fields {
			fields[f.key] = f.value.plain()
		}
		return fields
	}
	if !v.quoted {
		if b, err := strconv.ParseBool(v.text); err == nil && len(v.text) >= len("true") {
			return b
		}
		if v.text != "" && strings.Contains("-0123456789", v.text[:1]) && json.Valid([]byte(v.text)) {
			return json.Number(v.text)
		}
	}
	return v.text
}

// json returns the value as JSON with sorted keys.
func (v *value) json() string {
	data, err := json.Marshal(v.plain())
	if err != nil {
		panic("template: " + err.Error()) // maps, slices, strings, booleans and valid numbers always encode
	}
	return string(data)
}

// same compares resolved values by what they say, whatever their type: 1 equals "1".
func same(a, b *value) bool {
	if a.kind != b.kind || a.text != b.text || len(a.items) != len(b.items) || len(a.fields) != len(b.fields) {
		return false
	}
	for i := range a.items {
		if !same(a.items[i], b.items[i]) {
			return false
		}
	}
	for _, f := range a.fields {
		if other := b.get(f.key); other == nil || !same(f.value, other) {
			return false
		}
	}
	return true
}

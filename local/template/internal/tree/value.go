package tree

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// Kind is the kind of a value.
type Kind uint8

const (
	Text    Kind = iota // a string, number or boolean, as written
	List                // a list of items
	Object              // a list of fields, in the order written
	Invalid             // a value whose problem has been reported; readers ignore it
)

// Value is a node of a template. Intrinsic functions have their long form. Values are never changed after they are
// built, so trees may share them.
type Value struct {
	Kind         Kind
	Text         string
	Items        []*Value
	Fields       []Field
	Line, Column int

	quoted bool   // a text that was quoted, so that it stays a string in JSON
	key    *Value // of a field's value: the key, for its position
}

// Field is a field of an object.
type Field struct {
	Key   string
	Value *Value
}

// Entry returns a field of an object.
func Entry(key string, v *Value) Field { return Field{key, v} }

// Get returns the value of a field, or nil when v has no such field or is not an object. v may be nil.
func (v *Value) Get(key string) *Value {
	if v == nil || v.Kind != Object {
		return nil
	}
	for _, f := range v.Fields {
		if f.Key == key {
			return f.Value
		}
	}
	return nil
}

// Function returns the name and the argument of the intrinsic function that v calls, or "" when v calls none. v may be
// nil.
func (v *Value) Function() (name string, argument *Value) {
	if v == nil || v.Kind != Object || len(v.Fields) != 1 {
		return "", nil
	}
	if key := v.Fields[0].Key; key == "Ref" || strings.HasPrefix(key, "Fn::") {
		return key, v.Fields[0].Value
	}
	return "", nil
}

// KeyPosition returns the key of a field's value, for its position. For other values it returns v.
func (v *Value) KeyPosition() *Value {
	if v.key != nil {
		return v.key
	}
	return v
}

// At returns v with the position of another value.
func (v *Value) At(position *Value) *Value {
	moved := *v
	moved.Line, moved.Column, moved.key = position.Line, position.Column, position.key
	return &moved
}

// NewText returns a string at the position of v.
func (v *Value) NewText(s string) *Value {
	return &Value{Kind: Text, Text: s, quoted: true, Line: v.Line, Column: v.Column}
}

// NewLiteral returns an unquoted number or boolean at the position of v.
func (v *Value) NewLiteral(s string) *Value {
	return &Value{Kind: Text, Text: s, Line: v.Line, Column: v.Column}
}

// NewList returns a list at the position of v.
func (v *Value) NewList(items ...*Value) *Value {
	return &Value{Kind: List, Items: items, Line: v.Line, Column: v.Column}
}

// NewObject returns an object at the position of v. It leaves out fields whose value is nil.
func (v *Value) NewObject(fields ...Field) *Value {
	fields = slices.DeleteFunc(fields, func(f Field) bool { return f.Value == nil })
	return &Value{Kind: Object, Fields: fields, Line: v.Line, Column: v.Column}
}

// NewRef returns a call of Ref at the position of v.
func (v *Value) NewRef(id string) *Value { return v.NewObject(Field{"Ref", v.NewText(id)}) }

// NewGetAtt returns a call of Fn::GetAtt at the position of v.
func (v *Value) NewGetAtt(id, attribute string) *Value {
	return v.NewObject(Field{"Fn::GetAtt", v.NewList(v.NewText(id), v.NewText(attribute))})
}

// NewSub returns a call of Fn::Sub at the position of v.
func (v *Value) NewSub(pattern string, variables ...Field) *Value {
	if len(variables) == 0 {
		return v.NewObject(Field{"Fn::Sub", v.NewText(pattern)})
	}
	return v.NewObject(Field{"Fn::Sub", v.NewList(v.NewText(pattern), v.NewObject(variables...))})
}

// NewInvalid returns an invalid value at the position of v.
func (v *Value) NewInvalid() *Value { return &Value{Kind: Invalid, Line: v.Line, Column: v.Column} }

// Plain returns the value for encoding/json. Unquoted numbers and booleans keep their type.
func (v *Value) Plain() any {
	switch v.Kind {
	case List:
		items := make([]any, len(v.Items))
		for i, item := range v.Items {
			items[i] = item.Plain()
		}
		return items
	case Object:
		fields := make(map[string]any, len(v.Fields))
		for _, f := range v.Fields {
			fields[f.Key] = f.Value.Plain()
		}
		return fields
	}
	if !v.quoted {
		if b, err := strconv.ParseBool(v.Text); err == nil && len(v.Text) >= len("true") {
			return b
		}
		if v.Text != "" && strings.Contains("-0123456789", v.Text[:1]) && json.Valid([]byte(v.Text)) {
			return json.Number(v.Text)
		}
	}
	return v.Text
}

// Completed returns the value with a text in the place of each invalid value in it.
func (v *Value) Completed(text string) *Value {
	completed := *v
	if v.Kind == Invalid {
		completed.Kind, completed.Text = Text, text
	}
	completed.Items, completed.Fields = slices.Clone(v.Items), slices.Clone(v.Fields)
	for i, item := range completed.Items {
		completed.Items[i] = item.Completed(text)
	}
	for i, f := range completed.Fields {
		completed.Fields[i].Value = f.Value.Completed(text)
	}
	return &completed
}

// JSON returns the value as JSON with sorted keys.
func (v *Value) JSON() string {
	data, err := json.Marshal(v.Plain())
	if err != nil {
		panic("template: " + err.Error()) // maps, slices, strings, booleans and valid numbers always encode
	}
	return string(data)
}

// Same reports whether two resolved values are equal. Like CloudFormation it does not compare types: 1 equals "1".
func Same(a, b *Value) bool {
	if a.Kind != b.Kind || a.Text != b.Text || len(a.Items) != len(b.Items) || len(a.Fields) != len(b.Fields) {
		return false
	}
	for i := range a.Items {
		if !Same(a.Items[i], b.Items[i]) {
			return false
		}
	}
	for _, f := range a.Fields {
		if other := b.Get(f.Key); other == nil || !Same(f.Value, other) {
			return false
		}
	}
	return true
}

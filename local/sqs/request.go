package sqs

import (
	"encoding/base64"
	"strconv"
	"unicode/utf8"
)

// fields reads the members of an object by name and type. The first error is kept for the whole request, so that an
// operation can read all its members and check once.
type fields struct {
	object *value
	first  **Error
}

func (f fields) fail(err *Error) {
	if *f.first == nil {
		*f.first = err
	}
}

// member returns the member of that name, or nil if it is absent or null. The member must be of the kind want.
func (f fields) member(name string, want kind) *value {
	for i := range f.object.members {
		m := &f.object.members[i]
		if m.name != name {
			continue
		}
		m.read = true
		if m.value.kind == kindNull {
			return nil
		}
		if m.value.kind != want {
			f.fail(malformed("%s must be %s, not %s.", name, kindNames[want], kindNames[m.value.kind]))
			return nil
		}
		return &m.value
	}
	return nil
}

// content returns a string, which may hold characters that SQS refuses. It reports whether the string is present.
func (f fields) content(name string) (string, bool) {
	v := f.member(name, kindString)
	if v == nil {
		return "", false
	}
	return v.text, true
}

func (f fields) plain(name string, v *value) string {
	if v.kind != kindString {
		f.fail(malformed("%s must hold strings, not %s.", name, kindNames[v.kind]))
		return ""
	}
	if !utf8.ValidString(v.text) {
		f.fail(invalidParameter("%s holds half of a surrogate pair.", name))
	}
	return v.text
}

// text returns a string of valid Unicode, or "" if it is absent.
func (f fields) text(name string) string {
	if v := f.member(name, kindString); v != nil {
		return f.plain(name, v)
	}
	return ""
}

// required returns the text of a member that must be present and not empty.
func (f fields) required(name string) string {
	text := f.text(name)
	if text == "" {
		f.fail(missingParameter(name))
	}
	return text
}

// integer returns an integer and reports whether it is present.
func (f fields) integer(name string) (int, bool) {
	v := f.member(name, kindNumber)
	if v == nil {
		return 0, false
	}
	n, err := strconv.ParseInt(v.text, 10, 32)
	if err != nil {
		f.fail(malformed("%s must be a 32-bit integer, not %s.", name, v.text))
		return 0, false
	}
	return int(n), true
}

func (f fields) binary(name string) ([]byte, bool) {
	v := f.member(name, kindString)
	if v == nil {
		return nil, false
	}
	data, err := base64.StdEncoding.DecodeString(v.text)
	if err != nil {
		f.fail(malformed("%s must be base64.", name))
	}
	return data, true
}

func (f fields) has(name string) bool {
	for i := range f.object.members {
		if m := &f.object.members[i]; m.name == name {
			m.read = true
			return m.value.kind != kindNull
		}
	}
	return false
}

func (f fields) texts(name string) []string {
	v := f.member(name, kindList)
	if v == nil {
		return nil
	}
	texts := make([]string, len(v.items))
	for i := range v.items {
		texts[i] = f.plain(name, &v.items[i])
	}
	return texts
}

func (f fields) inside(name string, v *value) fields {
	if v.kind != kindObject {
		f.fail(malformed("%s must hold objects, not %s.", name, kindNames[v.kind]))
		v = &value{kind: kindObject}
	}
	return fields{object: v, first: f.first}
}

// objects returns the elements of a list of objects.
func (f fields) objects(name string) []fields {
	v := f.member(name, kindList)
	if v == nil {
		return nil
	}
	list := make([]fields, len(v.items))
	for i := range v.items {
		list[i] = f.inside(name, &v.items[i])
	}
	return list
}

// namedObjects returns the members of an object whose members are objects, in the order of the request.
func (f fields) namedObjects(name string) (names []string, objects []fields) {
	v := f.member(name, kindObject)
	if v == nil {
		return nil, nil
	}
	for i := range v.members {
		v.members[i].read = true
		names = append(names, v.members[i].name)
		objects = append(objects, f.inside(name, &v.members[i].value))
	}
	return names, objects
}

// strings returns an object whose members are strings, or nil if it is absent.
func (f fields) strings(name string) map[string]string {
	v := f.member(name, kindObject)
	if v == nil {
		return nil
	}
	table := make(map[string]string, len(v.members))
	for i := range v.members {
		m := &v.members[i]
		m.read = true
		if !utf8.ValidString(m.name) {
			f.fail(invalidParameter("%s has a name that holds half of a surrogate pair.", name))
		}
		table[m.name] = f.plain(name, &m.value)
	}
	return table
}

// end returns the first error of the request. A member that no accessor has read, in this object or a nested one, is an
// error.
func (f fields) end(operation string) *Error {
	f.unread(operation, f.object)
	return *f.first
}

func (f fields) unread(operation string, v *value) {
	for i := range v.items {
		f.unread(operation, &v.items[i])
	}
	for i := range v.members {
		m := &v.members[i]
		if !m.read {
			f.fail(newError("UnsupportedOperation", "%s has no request member %q.", operation, m.name))
			return
		}
		f.unread(operation, &m.value)
	}
}

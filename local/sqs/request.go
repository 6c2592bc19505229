package sqs

import (
	"encoding/base64"
	"strconv"
	"unicode/utf8"
)

// fields gives the members of one object by name and type. A wrong type is remembered as the request's first error,
// so that an operation reads all it wants and asks once.
type fields struct {
	object *value
	first  **Error
}

func (f fields) fail(err *Error) {
	if *f.first == nil {
		*f.first = err
	}
}

// member returns the member of that name, or nil when it is absent or null; want is the kind it has to have.
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

// content returns a string that may hold characters which SQS refuses, and whether it is there.
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

// text returns a string of valid Unicode; "" when it is absent.
func (f fields) text(name string) string {
	if v := f.member(name, kindString); v != nil {
		return f.plain(name, v)
	}
	return ""
}

// required is text for a member that must be there and not be empty.
func (f fields) required(name string) string {
	text := f.text(name)
	if text == "" {
		f.fail(missingParameter(name))
	}
	return text
}

// integer returns a whole number and whether it is there.
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

// objects returns the objects of a list.
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

// namedObjects returns the objects of an object used as a map, with their names, in the order of the request.
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

// strings returns an object used as a map of strings; nil when it is absent.
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

// end refuses members that nobody read, in this object and the ones within it, and returns the request's first error.
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
			f.fail(refuse("UnsupportedOperation", "%s has no request member %q.", operation, m.name))
			return
		}
		f.unread(operation, &m.value)
	}
}

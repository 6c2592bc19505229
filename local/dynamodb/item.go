package dynamodb

import (
	"slices"
	"strings"
)

// attribute is one attribute of an item, or one field of a map.
type attribute struct {
	name  string
	value value
}

func (a attribute) compareName(name string) int { return strings.Compare(a.name, name) }

// item holds the attributes of a row, or the fields of a map, sorted by name. It is immutable. A slice needs a third of
// the memory of a map, and scans read it faster.
type item []attribute

// find returns the index of the attribute, or the index to insert it at. A linear search is faster for few attributes.
func (it item) find(name string) (at int, found bool) {
	if len(it) > 8 {
		return slices.BinarySearchFunc(it, name, attribute.compareName)
	}
	for at := range it {
		if it[at].name == name {
			return at, true
		}
	}
	for at < len(it) && it[at].name < name {
		at++
	}
	return at, false
}

// get returns the value of an attribute.
func (it item) get(name string) (v value, found bool) {
	at, found := it.find(name)
	if !found {
		return value{}, false
	}
	return it[at].value, true
}

// value returns the value of an attribute, or the zero value if it is absent.
func (it item) value(name string) value {
	v, _ := it.get(name)
	return v
}

// with returns a copy in which this attribute is set.
func (it item) with(name string, v value) item {
	at, found := it.find(name)
	if found {
		changed := slices.Clone(it)
		changed[at].value = v
		return changed
	}
	changed := make(item, 0, len(it)+1)
	changed = append(changed, it[:at]...)
	changed = append(changed, attribute{name, v})
	return append(changed, it[at:]...)
}

// without returns a copy in which this attribute is absent.
func (it item) without(name string) item {
	at, found := it.find(name)
	if !found {
		return it
	}
	return slices.Delete(slices.Clone(it), at, at+1)
}

func (it item) equal(other item) bool {
	return slices.EqualFunc(it, other, func(a, b attribute) bool { return a.name == b.name && a.value.equal(b.value) })
}

// size returns the size of the attributes with their names, in bytes.
func (it item) size() int {
	size := 0
	for _, a := range it {
		size += len(a.name) + a.value.size()
	}
	return size
}

// appendJSON appends the item in the JSON of the API.
func (it item) appendJSON(text []byte) []byte {
	text = append(text, '{')
	for i, a := range it {
		if i > 0 {
			text = append(text, ',')
		}
		text = appendString(text, a.name)
		text = append(text, ':')
		text = a.value.appendJSON(text)
	}
	return append(text, '}')
}

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

// item is the attributes of a row, or the fields of a map, in the order of their names. Like a value it is never
// changed once made. A slice takes a third of a map's memory, and a scan reads it faster.
type item []attribute

// find returns where the attribute is or would be. Few attributes are looked through sooner than searched.
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

// value returns the value of an attribute, or one without a kind.
func (it item) value(name string) value {
	v, _ := it.get(name)
	return v
}

// with returns the item with this attribute set.
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

// without returns the item without this attribute.
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

// size returns the bytes of the attributes with their names.
func (it item) size() int {
	size := 0
	for _, a := range it {
		size += len(a.name) + a.value.size()
	}
	return size
}

// appendJSON appends the item as the API writes it.
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

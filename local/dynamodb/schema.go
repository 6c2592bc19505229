package dynamodb

import (
	"crypto/md5"
	"encoding/binary"
	"math/bits"
)

// Sizes of keys (Service quotas, "Item limits").
const (
	maxPartitionKey = 2048 // bytes
	maxSortKey      = 1024 // bytes
	maxItem         = 400 << 10
)

// keyAttribute is an attribute of the primary key.
type keyAttribute struct {
	name string
	kind kind
}

// schema is a table's primary key: the partition key, and the sort key if there is one.
type schema struct {
	partition keyAttribute
	sort      keyAttribute // its name is "" if there is no sort key
}

func (s schema) hasSort() bool { return s.sort.name != "" }

func (s schema) attributes() []keyAttribute {
	if !s.hasSort() {
		return []keyAttribute{s.partition}
	}
	return []keyAttribute{s.partition, s.sort}
}

func (s schema) isKey(name string) bool {
	return name == s.partition.name || s.hasSort() && name == s.sort.name
}

// rowKey returns the key under which a row is stored. Rows are sorted by the hash of the partition key, then by the
// partition key, then by the sort key. The key of a row never changes, so a scan can continue after a deleted row.
func (s schema) rowKey(key item) string {
	rowKey := s.partitionPrefix(key.value(s.partition.name))
	if s.hasSort() {
		rowKey += sortable(key.value(s.sort.name))
	}
	return rowKey
}

// partitionPrefix returns the common prefix of the row keys of a partition.
func (s schema) partitionPrefix(partition value) string {
	sum := md5.Sum([]byte(partition.text))
	rowKey := make([]byte, 0, 10+len(partition.text)+32)
	rowKey = append(rowKey, sum[:hashSize]...)
	rowKey = binary.BigEndian.AppendUint16(rowKey, uint16(len(partition.text)))
	return string(append(rowKey, partition.text...))
}

const hashSize = 8 // bytes of the hash at the start of a row key

// sortable returns bytes that compare like the sort keys.
func sortable(v value) string {
	if v.kind == kindNumber {
		return v.number().sortable()
	}
	return v.text
}

// segment is one segment of a parallel scan. Segments have equal ranges of hashes.
type segment struct{ number, total uint64 }

// first returns the smallest possible row key of the segment.
func (s segment) first() string {
	if s.number == 0 {
		return ""
	}
	// The smallest hash h with h*total/2^64 >= number, which is number*2^64/total rounded up.
	quotient, remainder := bits.Div64(s.number, 0, s.total)
	if remainder > 0 {
		quotient++
	}
	return string(binary.BigEndian.AppendUint64(nil, quotient))
}

// end returns the smallest string that is greater than all row keys of the segment. The last segment has no bound.
func (s segment) end() (rowKey string, bounded bool) {
	if s.number+1 >= s.total {
		return "", false
	}
	return segment{s.number + 1, s.total}.first(), true
}

func (s segment) holds(rowKey string) bool {
	end, bounded := s.end()
	return rowKey >= s.first() && (!bounded || rowKey < end)
}

// keyOf returns the key attributes of an item.
func (s schema) keyOf(it item) item {
	var key item
	for _, attribute := range s.attributes() {
		key = key.with(attribute.name, it.value(attribute.name))
	}
	return key
}

// checkKey refuses a key that is not complete, or that has other attributes.
func (s schema) checkKey(key item) error {
	for _, attribute := range s.attributes() {
		if key.value(attribute.name).kind != attribute.kind {
			return validationError("The provided key element does not match the schema")
		}
	}
	if len(key) != len(s.attributes()) {
		return validationError("The provided key element does not match the schema")
	}
	return s.checkKeyValues(key)
}

// checkItem refuses an item whose key attributes are missing, of another type, empty or too long.
func (s schema) checkItem(it item) error {
	for _, attribute := range s.attributes() {
		v, found := it.get(attribute.name)
		if !found {
			return validationError("One or more parameter values were invalid: Missing the key %s in the item", attribute.name)
		}
		if v.kind != attribute.kind {
			return validationError("One or more parameter values were invalid: Type mismatch for key %s expected: %s actual: %s",
				attribute.name, attribute.kind, v.kind)
		}
	}
	return s.checkKeyValues(it)
}

// checkKeyValues refuses key attributes that are empty or too long.
func (s schema) checkKeyValues(key item) error {
	empty := map[kind]string{kindString: "string", kindBinary: "binary"}
	for _, attribute := range s.attributes() {
		v := key.value(attribute.name)
		switch {
		case v.kind == kindNumber:
		case v.text == "":
			return validationError("One or more parameter values are not valid. The AttributeValue for a key attribute cannot "+
				"contain an empty %s value. Key: %s", empty[v.kind], attribute.name)
		case attribute == s.partition && len(v.text) > maxPartitionKey:
			return validationError("One or more parameter values were invalid: Size of hashkey has exceeded the maximum " +
				"size limit " +
				"of2048 bytes")
		case attribute != s.partition && len(v.text) > maxSortKey:
			return validationError("One or more parameter values were invalid: Aggregated size of all range keys has " +
				"exceeded the " +
				"size limit of 1024 bytes")
		}
	}
	return nil
}

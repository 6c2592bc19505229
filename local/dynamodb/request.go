package dynamodb

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unique"
)

// maxNesting is the largest depth of nested lists and maps (Service quotas, "Nested attribute depth").
const maxNesting = 32

// members is a JSON object of a request. Names are case-sensitive. failure is the error of the first malformed member
// that was read. Malformed members read as zero values.
type members struct {
	values  map[string]any
	failure *failure
}

// parseRequest parses the body of a request, which must be one JSON object.
func parseRequest(body []byte) (*members, error) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	m := &members{}
	if err := decoder.Decode(&m.values); err != nil {
		return nil, serializationError("the body is not a JSON object: %v", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, serializationError("the body has data after its JSON object")
	}
	if m.values == nil {
		return nil, serializationError("the body is null")
	}
	return m, nil
}

// allow refuses every member that is not in known, a list of names separated by spaces. Members in refused exist in the
// API, but are not emulated.
func (m *members) allow(where, known, refused string) error {
	var others []string
	for name, given := range m.values {
		if given != nil && !contained(known, name) {
			others = append(others, name)
		}
	}
	if len(others) == 0 {
		return nil
	}
	first := slices.Min(others)
	if contained(refused, first) {
		return notEmulated("the parameter " + first + " of " + where)
	}
	return validationError("%s has no parameter %s", where, first)
}

func contained(names, name string) bool {
	for listed := range strings.FieldsSeq(names) {
		if listed == name {
			return true
		}
	}
	return false
}

// fail records the first failure.
func (m *members) fail(f *failure) {
	if m.failure == nil {
		m.failure = f
	}
}

func (m *members) has(name string) bool { return m.values[name] != nil }

// required returns a text that must be present.
func (m *members) required(name string) string {
	if !m.has(name) {
		m.fail(validationError("1 validation error detected: Value null at '%s' failed to satisfy constraint: Member "+
			"must not "+
			"be null", lowerFirst(name)))
		return ""
	}
	return m.text(name)
}

func (m *members) text(name string) string {
	text, ok := m.values[name].(string)
	if !ok && m.has(name) {
		m.fail(m.typeError(name, "a string"))
	}
	return text
}

// choice returns a text of the allowed ones (separated by spaces), or the first of them if the member is absent.
func (m *members) choice(name, allowed string) string {
	text := m.text(name)
	if !m.has(name) {
		first, _, _ := strings.Cut(allowed, " ")
		return first
	}
	if !contained(allowed, text) {
		m.fail(validationError("1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: Member must "+
			"satisfy "+
			"enum value set: [%s]",
			text, lowerFirst(name), strings.Join(strings.Fields(allowed), ", ")))
	}
	return text
}

func (m *members) boolean(name string) bool {
	truth, ok := m.values[name].(bool)
	if !ok && m.has(name) {
		m.fail(m.typeError(name, "a boolean"))
	}
	return truth
}

// integer returns an integer between low and high.
func (m *members) integer(name string, low, high int64) int64 {
	number, ok := m.values[name].(json.Number)
	if !ok {
		if m.has(name) {
			m.fail(m.typeError(name, "a number"))
		}
		return 0
	}
	n, err := strconv.ParseInt(string(number), 10, 64)
	switch {
	case err != nil:
		m.fail(m.typeError(name, "a whole number"))
	case n < low:
		m.fail(validationError("1 validation error detected: Value '%d' at '%s' failed to satisfy constraint: Member "+
			"must have "+
			"value greater than or equal to %d", n, lowerFirst(name), low))
	case n > high:
		m.fail(validationError("1 validation error detected: Value '%d' at '%s' failed to satisfy constraint: Member "+
			"must have "+
			"value less than or equal to %d", n, lowerFirst(name), high))
	}
	return n
}

// object returns a nested object, which has a failure of its own.
func (m *members) object(name string) *members {
	object, ok := m.values[name].(map[string]any)
	if !ok && m.has(name) {
		m.fail(m.typeError(name, "an object"))
	}
	return &members{values: object}
}

func (m *members) list(name string) []any {
	list, ok := m.values[name].([]any)
	if !ok && m.has(name) {
		m.fail(m.typeError(name, "a list"))
	}
	return list
}

// objects returns the elements of a list of objects.
func (m *members) objects(name string) []*members {
	var objects []*members
	for _, element := range m.list(name) {
		object, ok := element.(map[string]any)
		if !ok {
			m.fail(m.typeError(name, "a list of objects"))
			return nil
		}
		objects = append(objects, &members{values: object})
	}
	return objects
}

// names returns a map of texts, like ExpressionAttributeNames.
func (m *members) names(name string) map[string]string {
	object := m.object(name)
	names := make(map[string]string, len(object.values))
	for key, raw := range object.values {
		text, ok := raw.(string)
		if !ok {
			m.fail(m.typeError(name, "an object of strings"))
			return nil
		}
		names[key] = text
	}
	return names
}

// item returns a map of attribute values.
func (m *members) item(name string) item {
	it, err := parseItem(m.object(name).values, 0)
	if err != nil {
		m.fail(err)
	}
	return it
}

func (m *members) typeError(name, want string) *failure {
	return serializationError("%s is not %s", name, want)
}

// err returns the failure, or a nil error if there is none.
func (m *members) err() error {
	if m.failure == nil {
		return nil
	}
	return m.failure
}

func lowerFirst(name string) string { return strings.ToLower(name[:1]) + name[1:] }

func parseItem(raw map[string]any, depth int) (item, *failure) {
	it := make(item, 0, len(raw))
	for name, rawValue := range raw {
		if name == "" {
			return nil, validationError("One or more parameter values were invalid: Empty attribute name")
		}
		v, err := parseValue(rawValue, depth)
		if err != nil {
			return nil, err
		}
		it = append(it, attribute{unique.Make(name).Value(), v}) // all rows share one copy of each name
	}
	slices.SortFunc(it, func(a, b attribute) int { return strings.Compare(a.name, b.name) })
	return it, nil
}

// parseValue parses an attribute value: an object with one member, whose name is the type.
func parseValue(raw any, depth int) (value, *failure) {
	object, ok := raw.(map[string]any)
	if !ok {
		return value{}, serializationError("an attribute value is not an object")
	}
	if depth >= maxNesting {
		return value{}, validationError("Nesting Levels have exceeded supported limits: Attributes in the item have " +
			"nested levels " +
			"beyond supported limit")
	}
	var found []kind
	for name, content := range object {
		if content != nil {
			found = append(found, kind(name))
		}
	}
	switch len(found) {
	case 0:
		return value{}, validationError("Supplied AttributeValue is empty, must contain exactly one of the supported " +
			"datatypes")
	case 1:
	default:
		return value{}, validationError("Supplied AttributeValue has more than one datatypes set, must contain exactly " +
			"one of the " +
			"supported datatypes")
	}
	return parseContent(found[0], object[string(found[0])], depth)
}

func parseContent(k kind, content any, depth int) (value, *failure) {
	switch k {
	case kindString, kindNumber, kindBinary:
		return parseScalar(k, content)
	case kindBoolean, kindNull:
		truth, ok := content.(bool)
		if !ok {
			return value{}, serializationError("the content of a %s is not a boolean", k)
		}
		if k == kindNull && !truth {
			return value{}, validationError("One or more parameter values were invalid: Null attribute value types must " +
				"have the " +
				"value of true")
		}
		return value{kind: k, truth: truth}, nil
	case kindMap:
		object, ok := content.(map[string]any)
		if !ok {
			return value{}, serializationError("the content of an M is not an object")
		}
		fields, err := parseItem(object, depth+1)
		return mapValue(fields), err
	case kindList, kindStringSet, kindNumberSet, kindBinarySet:
		list, ok := content.([]any)
		if !ok {
			return value{}, serializationError("the content of %s is not a list", k)
		}
		return parseElements(k, list, depth+1)
	}
	return value{}, validationError("Supplied AttributeValue is empty, must contain exactly one of the supported " +
		"datatypes")
}

func parseScalar(k kind, content any) (value, *failure) {
	text, ok := content.(string)
	if !ok {
		return value{}, serializationError("the content of %s is not a string", k)
	}
	switch k {
	case kindNumber:
		number, err := parseDecimal(text)
		invalid, _ := errors.AsType[*failure](err)
		return numberValue(number), invalid
	case kindBinary:
		data, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return value{}, serializationError("the content of a B is not base64: %v", err)
		}
		return value{kind: kindBinary, text: string(data)}, nil
	}
	return stringValue(text), nil
}

// parseElements parses the elements of a list or a set.
func parseElements(k kind, raw []any, depth int) (value, *failure) {
	list := make([]value, 0, len(raw))
	for _, rawElement := range raw {
		var element value
		var err *failure
		if k == kindList {
			element, err = parseValue(rawElement, depth)
		} else {
			element, err = parseScalar(elementKind[k], rawElement)
		}
		if err != nil {
			return value{}, err
		}
		list = append(list, element)
	}
	v := listValue(k, list)
	if k == kindList {
		return v, nil
	}
	return v, checkSet(v, raw)
}

// checkSet refuses an empty set, and a set that contains an element twice.
func checkSet(set value, raw []any) *failure {
	if len(set.list()) == 0 {
		return validationError("One or more parameter values were invalid: %s", map[kind]string{
			kindStringSet: "An string set  may not be empty",
			kindNumberSet: "An number set  may not be empty",
			kindBinarySet: "Binary sets should not be empty"}[set.kind])
	}
	seen := make(map[string]bool, len(set.list()))
	for _, element := range set.list() {
		if !seen[element.text] {
			seen[element.text] = true
			continue
		}
		elements := strings.ReplaceAll(strings.Trim(fmt.Sprint(raw), "[]"), " ", ", ")
		return validationError("%s", map[kind]string{
			kindStringSet: "One or more parameter values were invalid: Input collection [" + elements + "] contains duplicates.",
			kindNumberSet: "Input collection contains duplicates",
			kindBinarySet: "One or more parameter values were invalid: Input collection [" + elements +
				"]of type BS contains duplicates."}[set.kind])
	}
	return nil
}

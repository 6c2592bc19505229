package tree

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Reader reads the properties of a resource, or of a part of one, and reports those that have the wrong kind. A missing
// property reads as the zero value, or as the default that a method takes.
type Reader struct {
	Report   *Report
	At       Place
	Object   *Value // the properties; nil when there are none
	Position *Value // the position of problems with missing properties
}

// Reader returns a reader of an object. Another kind of value is reported and read as an empty object. v may be nil.
func (r *Report) Reader(v *Value, at Place) Reader {
	p := Reader{Report: r, At: at, Object: v, Position: v}
	if v != nil && v.Kind != Object {
		if v.Kind != Invalid {
			r.Problem(v, at, "must be a map")
		}
		p.Object = nil
	}
	return p
}

// Problem reports a problem of a property, or of the whole object when the property is missing. It does not report a
// problem of an invalid value, which follows from the one that has been reported.
func (p Reader) Problem(key, format string, args ...any) {
	v, at := p.Value(key), p.At
	if p.Invalid(key) {
		return
	}
	if v == nil {
		v = p.Position
	} else {
		at = at.Field(key)
	}
	p.Report.Problem(v, at, format, args...)
}

// Check reports every property that the schema does not have or that it refuses.
func (p Reader) Check(s Schema) {
	if p.Object == nil {
		return
	}
	for _, f := range p.Object.Fields {
		rule, ok := s[f.Key]
		switch {
		case !ok:
			p.Report.Problem(f.Value.KeyPosition(), p.At.Field(f.Key), "unknown property%s", s.suggestion(f.Key))
		case rule.refusal != "":
			p.Report.Problem(f.Value.KeyPosition(), p.At.Field(f.Key), "%s", rule.refusal)
		case rule.fields != nil && f.Value.Kind == List:
			for i, item := range f.Value.Items {
				p.Report.Reader(item, p.At.Field(f.Key).Item(i)).Check(rule.fields)
			}
		case rule.fields != nil:
			p.Report.Reader(f.Value, p.At.Field(f.Key)).Check(rule.fields)
		}
	}
}

// suggestion returns a question that names the property with the same letters in another case, or "".
func (s Schema) suggestion(key string) string {
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if strings.EqualFold(name, key) {
			return ": did you mean " + name + "?"
		}
	}
	return ""
}

// Value returns a property, or nil.
func (p Reader) Value(key string) *Value { return p.Object.Get(key) }

// Has reports whether the property is set.
func (p Reader) Has(key string) bool { return p.Value(key) != nil }

// Invalid reports whether the property has an invalid value, whose problem has been reported.
func (p Reader) Invalid(key string) bool {
	v := p.Value(key)
	return v != nil && v.Kind == Invalid
}

// Require reports the properties that are missing.
func (p Reader) Require(keys ...string) {
	for _, key := range keys {
		if !p.Has(key) {
			p.Report.Problem(p.Position, p.At, "%s is required", key)
		}
	}
}

// Text returns a string. Numbers and booleans are returned as written, as CloudFormation does.
func (p Reader) Text(key string) string {
	v := p.Value(key)
	switch {
	case v == nil || v.Kind == Invalid:
	case v.Kind != Text:
		p.Problem(key, "must be a string")
	default:
		return v.Text
	}
	return ""
}

// OneOf returns a string that must be one of those allowed. The first one is the default.
func (p Reader) OneOf(key string, allowed ...string) string {
	given := p.Text(key)
	if given == "" {
		return allowed[0]
	}
	if !slices.Contains(allowed, given) {
		p.Problem(key, "%q is not one of %s", given, strings.Join(allowed, ", "))
		return allowed[0]
	}
	return given
}

// Int returns an integer, or fallback when the property is missing or wrong.
func (p Reader) Int(key string, fallback int) int {
	given := p.Text(key)
	if given == "" {
		return fallback
	}
	n, err := strconv.Atoi(given)
	if err != nil {
		p.Problem(key, "must be an integer, not %q", given)
		return fallback
	}
	return n
}

// Between returns an integer from least to most, or fallback when the property is missing or wrong.
func (p Reader) Between(key string, fallback, least, most int) int {
	n := p.Int(key, fallback)
	if p.Has(key) && (n < least || n > most) {
		p.Problem(key, "%d is not between %d and %d", n, least, most)
		return fallback
	}
	return n
}

// Seconds is Between for a duration in seconds.
func (p Reader) Seconds(key string, fallback, least, most int) time.Duration {
	return time.Duration(p.Between(key, fallback, least, most)) * time.Second
}

// Float returns a number.
func (p Reader) Float(key string) float64 {
	given := p.Text(key)
	if given == "" {
		return 0
	}
	n, err := strconv.ParseFloat(given, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		p.Problem(key, "must be a number, not %q", given)
	}
	return n
}

// Bool returns a boolean, or fallback when the property is missing or wrong.
func (p Reader) Bool(key string, fallback bool) bool {
	switch given := p.Text(key); strings.ToLower(given) {
	case "":
		return fallback
	case "true":
		return true
	case "false":
		return false
	default:
		p.Problem(key, "must be true or false, not %q", given)
		return fallback
	}
}

// List returns the items of a list.
func (p Reader) List(key string) []*Value {
	v := p.Value(key)
	if v == nil || v.Kind == Invalid {
		return nil
	}
	if v.Kind != List {
		p.Problem(key, "must be a list")
		return nil
	}
	return v.Items
}

// Texts returns a list of strings.
func (p Reader) Texts(key string) []string {
	var all []string
	for i, item := range p.List(key) {
		switch item.Kind {
		case Text:
			all = append(all, item.Text)
		case Invalid:
		default:
			p.Report.Problem(item, p.At.Field(key).Item(i), "must be a string")
		}
	}
	return all
}

// Part returns a reader of the object inside a property. A missing property reads as an empty object.
func (p Reader) Part(key string) Reader {
	inner := p.Report.Reader(p.Value(key), p.At.Field(key))
	if inner.Position == nil {
		inner.Position = p.Position
	}
	return inner
}

// Parts returns a reader for each object of a list.
func (p Reader) Parts(key string) []Reader {
	var all []Reader
	for i, item := range p.List(key) {
		all = append(all, p.Report.Reader(item, p.At.Field(key).Item(i)))
	}
	return all
}

// TextMap returns an object of strings as a map, nil when the property is missing.
func (p Reader) TextMap(key string) map[string]string {
	inner := p.Part(key)
	if inner.Object == nil {
		return nil
	}
	all := make(map[string]string, len(inner.Object.Fields))
	for _, f := range inner.Object.Fields {
		all[f.Key] = inner.Text(f.Key)
	}
	return all
}

// Tags returns the property Tags. API Gateway's types write tags as an object, all others as a list of Key and Value.
func (p Reader) Tags() map[string]string {
	const key = "Tags"
	if v := p.Value(key); v == nil || v.Kind == Object {
		return p.TextMap(key)
	}
	all := map[string]string{}
	for _, tag := range p.Parts(key) {
		tag.Check(Schema{"Key": Accepted, "Value": Accepted})
		tag.Require("Key", "Value")
		all[tag.Text("Key")] = tag.Text("Value")
	}
	return all
}

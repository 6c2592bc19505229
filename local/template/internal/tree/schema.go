package tree

import (
	"maps"
	"strings"
)

// Rule is the rule for a property: whether a template may set it.
type Rule struct {
	refusal string // why a template may not set it; "" when it may
	fields  Schema // the rules of the properties inside; nil leaves them unchecked
}

// Schema holds the rule of every property that a resource type, or a part of one, has.
type Schema map[string]Rule

var (
	// Accepted is the rule of a property that is used, or that has no effect on one machine, like encryption at rest.
	Accepted = Rule{}
	// Returned is the rule of a property that only AWS sets.
	Returned = Rule{refusal: "is returned by AWS and cannot be set"}
)

// Refused returns the rule of a property whose effect is not emulated, with the reason.
func Refused(reason string) Rule { return Rule{refusal: "is not emulated: " + reason} }

// Settable returns a schema of accepted properties. The names are separated by white space.
func Settable(names string) Schema { return Schema{}.All(Accepted, names) }

// All adds properties with one rule and returns s. The names are separated by white space.
func (s Schema) All(r Rule, names string) Schema {
	for name := range strings.FieldsSeq(names) {
		s[name] = r
	}
	return s
}

// With adds the properties of another schema and returns s.
func (s Schema) With(more Schema) Schema {
	maps.Copy(s, more)
	return s
}

// Nested returns the rule of an object, or of a list of objects, whose properties are checked by a schema.
func Nested(fields Schema) Rule { return Rule{fields: fields} }

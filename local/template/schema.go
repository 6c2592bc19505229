package template

import (
	"maps"
	"strings"
)

// rule says what becomes of a property that a template sets.
type rule struct {
	refusal string // why it cannot be set here; "" when it can
	fields  schema // the properties inside, when those are checked too
}

// schema names every property that a resource type (or a part of one) has.
type schema map[string]rule

var (
	// known properties are used, or make no difference on one machine: encryption at rest, tags, descriptions.
	known = rule{}
	// returned properties are set by AWS alone.
	returned = rule{refusal: "is returned by AWS and cannot be set"}
)

// refused is the rule of a property that would change behaviour that is not emulated.
func refused(why string) rule { return rule{refusal: "is not emulated: " + why} }

// settable returns the schema of known properties, given as words.
func settable(names string) schema { return schema{}.all(known, names) }

// all gives each of the words a rule.
func (s schema) all(r rule, names string) schema {
	for name := range strings.FieldsSeq(names) {
		s[name] = r
	}
	return s
}

// with adds properties with rules of their own.
func (s schema) with(more schema) schema {
	maps.Copy(s, more)
	return s
}

// of is the rule of a property whose own properties are checked.
func of(fields schema) rule { return rule{fields: fields} }

package template

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// properties reads the properties of one resource, or of a part of one, and reports what it cannot read. All its
// methods take a missing property for the zero value.
type properties struct {
	report   *report
	at       where
	object   *value // nil when there are none
	position *value // where problems with missing properties are reported
}

// properties returns a reader of an object. Anything but an object is reported and read as an empty one.
func (r *report) properties(v *value, at where) properties {
	p := properties{report: r, at: at, object: v, position: v}
	if v != nil && v.kind != object {
		if v.kind != invalid {
			r.problem(v, at, "must be a map")
		}
		p.object = nil
	}
	return p
}

func (p properties) problem(key, format string, args ...any) {
	v, at := p.value(key), p.at
	if v == nil {
		v = p.position
	} else {
		at = at.field(key)
	}
	p.report.problem(v, at, format, args...)
}

// check reports every property that the schema does not have or refuses.
func (p properties) check(s schema) {
	if p.object == nil {
		return
	}
	for _, f := range p.object.fields {
		rule, ok := s[f.key]
		switch {
		case !ok:
			message := "unknown property"
			for _, name := range slices.Sorted(maps.Keys(s)) {
				if strings.EqualFold(name, f.key) {
					message += ": did you mean " + name + "?"
				}
			}
			p.report.problem(f.value.entry(), p.at.field(f.key), "%s", message)
		case rule.refusal != "":
			p.report.problem(f.value.entry(), p.at.field(f.key), "%s", rule.refusal)
		case rule.fields != nil && f.value.kind == list:
			for i, item := range f.value.items {
				p.report.properties(item, p.at.field(f.key).item(i)).check(rule.fields)
			}
		case rule.fields != nil:
			p.report.properties(f.value, p.at.field(f.key)).check(rule.fields)
		}
	}
}

func (p properties) value(key string) *value { return p.object.get(key) }

func (p properties) has(key string) bool { return p.value(key) != nil }

// require reports each of the properties that is missing.
func (p properties) require(keys ...string) {
	for _, key := range keys {
		if !p.has(key) {
			p.report.problem(p.position, p.at, "%s is required", key)
		}
	}
}

// text returns a string; numbers and booleans are taken as written, as CloudFormation does.
func (p properties) text(key string) string {
	v := p.value(key)
	switch {
	case v == nil || v.kind == invalid:
	case v.kind != text:
		p.problem(key, "must be a string")
	default:
		return v.text
	}
	return ""
}

// oneOf returns a string, which must be one of those allowed; missing, it is the first.
func (p properties) oneOf(key string, allowed ...string) string {
	given := p.text(key)
	if given == "" {
		return allowed[0]
	}
	if !slices.Contains(allowed, given) {
		p.problem(key, "%q is not one of %s", given, strings.Join(allowed, ", "))
		return allowed[0]
	}
	return given
}

func (p properties) number(key string, missing int) int {
	given := p.text(key)
	if given == "" {
		return missing
	}
	n, err := strconv.Atoi(given)
	if err != nil {
		p.problem(key, "must be an integer, not %q", given)
		return missing
	}
	return n
}

// between returns an integer that must lie within the bounds.
func (p properties) between(key string, missing, least, most int) int {
	n := p.number(key, missing)
	if p.has(key) && (n < least || n > most) {
		p.problem(key, "%d is not between %d and %d", n, least, most)
		return missing
	}
	return n
}

func (p properties) seconds(key string, missing, least, most int) time.Duration {
	return time.Duration(p.between(key, missing, least, most)) * time.Second
}

func (p properties) float(key string) float64 {
	given := p.text(key)
	if given == "" {
		return 0
	}
	n, err := strconv.ParseFloat(given, 64)
	if err != nil {
		p.problem(key, "must be a number, not %q", given)
	}
	return n
}

func (p properties) boolean(key string, missing bool) bool {
	switch given := p.text(key); strings.ToLower(given) {
	case "":
		return missing
	case "true":
		return true
	case "false":
		return false
	default:
		p.problem(key, "must be true or false, not %q", given)
		return missing
	}
}

func (p properties) list(key string) []*value {
	v := p.value(key)
	if v == nil || v.kind == invalid {
		return nil
	}
	if v.kind != list {
		p.problem(key, "must be a list")
		return nil
	}
	return v.items
}

// texts returns a list of strings.
func (p properties) texts(key string) []string {
	var all []string
	for i, item := range p.list(key) {
		switch item.kind {
		case text:
			all = append(all, item.text)
		case invalid:
		default:
			p.report.problem(item, p.at.field(key).item(i), "must be a string")
		}
	}
	return all
}

// part returns a reader of the object inside a property; missing, it reads as empty.
func (p properties) part(key string) properties {
	inner := p.report.properties(p.value(key), p.at.field(key))
	if inner.position == nil {
		inner.position = p.position
	}
	return inner
}

// parts returns a reader for each of a list of objects.
func (p properties) parts(key string) []properties {
	var all []properties
	for i, item := range p.list(key) {
		all = append(all, p.report.properties(item, p.at.field(key).item(i)))
	}
	return all
}

// textMap returns a map of strings; missing, it is nil.
func (p properties) textMap(key string) map[string]string {
	inner := p.part(key)
	if inner.object == nil {
		return nil
	}
	all := make(map[string]string, len(inner.object.fields))
	for _, f := range inner.object.fields {
		all[f.key] = inner.text(f.key)
	}
	return all
}

// tags returns tags, which CloudFormation's own types write as a list of Key and Value and API Gateway's as a map.
func (p properties) tags(key string) map[string]string {
	if v := p.value(key); v == nil || v.kind == object {
		return p.textMap(key)
	}
	all := map[string]string{}
	for _, tag := range p.parts(key) {
		tag.check(schema{"Key": known, "Value": known})
		tag.require("Key", "Value")
		all[tag.text("Key")] = tag.text("Value")
	}
	return all
}

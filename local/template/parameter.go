package template

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// parameter is one entry of the Parameters section with the value it has in this stack.
type parameter struct {
	name        string
	typ         string
	value       *value // text, or a list for the list types; invalid when the value broke a rule
	given       string // the value as it was given, or the default
	position    *value
	noEcho      bool
	description string
}

// maxParameterValue bounds a parameter's value in bytes.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
const maxParameterValue = 4096

// parameterAttributes are what a parameter's declaration may say.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html
var parameterAttributes = settable(`
	AllowedPattern AllowedValues ConstraintDescription Default Description MaxLength MaxValue MinLength MinValue
	NoEcho Type`)

// parameterTypes are the types that mean something without an account; the value says whether it is a list.
var parameterTypes = map[string]bool{"String": false, "Number": false, "CommaDelimitedList": true, "List<Number>": true}

// readParameters gives every declared parameter its value: the override, or else the default.
func (e *evaluator) readParameters(section *value, overrides map[string]string) {
	e.parameters = map[string]*parameter{}
	declared := e.entries(section, "Parameters")
	for _, f := range declared {
		at := where{resource: "Parameters." + f.key}
		p := e.properties(f.value, at)
		p.position = f.value.entry()
		p.check(parameterAttributes)
		given, overridden := overrides[f.key]
		e.parameters[f.key] = e.readParameter(f.key, p, given, overridden)
	}
	for name := range overrides {
		if e.parameters[name] == nil {
			e.problem(e.template, where{resource: "Parameters"}, "a value is given for %s, which the template does not declare", name)
		}
	}
}

func (e *evaluator) readParameter(name string, p properties, given string, overridden bool) *parameter {
	position := p.position
	result := &parameter{
		name: name, typ: p.text("Type"), value: position.newInvalid(), position: position,
		noEcho: p.boolean("NoEcho", false), description: p.text("Description"),
	}
	isList, ok := parameterTypes[result.typ]
	switch {
	case result.typ == "":
		p.problem("Type", "a parameter must have a Type")
		return result
	case !ok:
		p.problem("Type", "parameters of type %s are not emulated: their values live in an AWS account; declare %s as a String and give it a value", result.typ, name)
		return result
	}
	rules := e.readRules(p)
	if !overridden {
		fallback := p.value("Default")
		if fallback == nil {
			e.problem(position, p.at, "%s", missingValue(name, result.description, rules.allowed))
			return result
		}
		if fallback.kind != text {
			p.problem("Default", "a parameter's Default must be a string or a number")
			return result
		}
		given = fallback.text
	}
	result.given = given
	values := []string{given}
	if isList {
		values = splitList(given)
	}
	if broken := rules.check(result.typ, given, values); broken != "" {
		shown := strconv.Quote(given)
		if result.noEcho {
			shown = "(NoEcho)"
		}
		if description := p.text("ConstraintDescription"); description != "" {
			broken += ": " + description
		}
		e.problem(position, p.at, "the value %s %s", shown, broken)
		return result
	}
	result.value = position.newText(given)
	if isList {
		items := make([]*value, len(values))
		for i, item := range values {
			items[i] = position.newText(item)
		}
		result.value = position.newList(items...)
	}
	return result
}

// parameterValue returns the value of a parameter, or nil when the template has no such parameter.
func (e *evaluator) parameterValue(name string) *value {
	if p := e.parameters[name]; p != nil {
		return p.value
	}
	return nil
}

// sortedParameters returns the parameters in the order of the template.
func (e *evaluator) sortedParameters() []*parameter {
	return slices.SortedFunc(maps.Values(e.parameters), func(a, b *parameter) int {
		return cmp.Or(cmp.Compare(a.position.line, b.position.line), cmp.Compare(a.position.column, b.position.column))
	})
}

// missingValue says everything that is needed to give the parameter a value.
func missingValue(name, description string, allowed []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "the parameter %s has no default and was given no value", name)
	if allowed != nil {
		fmt.Fprintf(&b, "; allowed are %s", strings.Join(allowed, ", "))
	}
	if description != "" {
		fmt.Fprintf(&b, " (%s)", description)
	}
	return b.String()
}

// splitList splits a list parameter's value as CloudFormation does: at commas, without the spaces around.
func splitList(given string) []string {
	if given == "" {
		return []string{}
	}
	items := strings.Split(given, ",")
	for i := range items {
		items[i] = strings.TrimSpace(items[i])
	}
	return items
}

// rules are what a parameter's declaration demands of its values; nil and unset ones demand nothing.
type rules struct {
	allowed              []string
	pattern              *regexp.Regexp
	minLength, maxLength *int
	minValue, maxValue   *float64
}

func (e *evaluator) readRules(p properties) rules {
	var r rules
	for _, item := range p.list("AllowedValues") {
		if item.kind == text {
			r.allowed = append(r.allowed, item.text)
		} else if item.kind != invalid {
			e.problem(item, p.at.field("AllowedValues"), "an allowed value must be a string or a number")
		}
	}
	if pattern := p.text("AllowedPattern"); pattern != "" {
		// CloudFormation matches the whole value, with Java's expressions; Go's lack only look-around and back-references.
		compiled, err := regexp.Compile(`^(?:` + pattern + `)$`)
		if err != nil {
			p.problem("AllowedPattern", "the expression cannot be evaluated here: %v", err)
		}
		r.pattern = compiled
	}
	for key, into := range map[string]**int{"MinLength": &r.minLength, "MaxLength": &r.maxLength} {
		if p.has(key) {
			n := p.number(key, 0)
			*into = &n
		}
	}
	for key, into := range map[string]**float64{"MinValue": &r.minValue, "MaxValue": &r.maxValue} {
		if p.has(key) {
			n := p.float(key)
			*into = &n
		}
	}
	return r
}

// check returns which rule the value breaks, or "".
func (r rules) check(typ, given string, values []string) string {
	if len(given) > maxParameterValue {
		return fmt.Sprintf("has %d bytes: more than %d", len(given), maxParameterValue)
	}
	for _, v := range values {
		if strings.Contains(typ, "Number") {
			n, err := strconv.ParseFloat(v, 64)
			switch {
			case err != nil:
				return "is not a number"
			case r.minValue != nil && n < *r.minValue:
				return fmt.Sprintf("is less than the MinValue %v", *r.minValue)
			case r.maxValue != nil && n > *r.maxValue:
				return fmt.Sprintf("is more than the MaxValue %v", *r.maxValue)
			}
		}
		switch length := len([]rune(v)); {
		case r.allowed != nil && !slices.Contains(r.allowed, v):
			return "is not one of the AllowedValues " + strings.Join(r.allowed, ", ")
		case r.pattern != nil && !r.pattern.MatchString(v):
			return "does not match the AllowedPattern " + strings.TrimSuffix(strings.TrimPrefix(r.pattern.String(), "^(?:"), ")$")
		case typ == "String" && r.minLength != nil && length < *r.minLength:
			return fmt.Sprintf("is shorter than the MinLength %d", *r.minLength)
		case typ == "String" && r.maxLength != nil && length > *r.maxLength:
			return fmt.Sprintf("is longer than the MaxLength %d", *r.maxLength)
		}
	}
	return ""
}

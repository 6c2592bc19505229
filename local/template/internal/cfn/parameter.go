package cfn

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"fanfare/local/template/internal/tree"
)

// Parameter is a parameter with its value.
type Parameter struct {
	Name        string
	typ         string
	value       *tree.Value // text, or a list for the list types; invalid when the value broke a rule
	Given       string      // the value as it was given, or the default
	Position    *tree.Value
	NoEcho      bool
	Description string
}

// maxParameterValue is the largest value of a parameter, in bytes.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
const maxParameterValue = 4096

// parameterAttributes is the schema of a parameter's declaration.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html
var parameterAttributes = tree.Settable(`
	AllowedPattern AllowedValues ConstraintDescription Default Description MaxLength MaxValue MinLength MinValue
	NoEcho Type`)

// parameterTypes are the types whose values do not depend on an AWS account. true marks the lists.
var parameterTypes = map[string]bool{"String": false, "Number": false, "CommaDelimitedList": true, "List<Number>": true}

// readParameters gives every declared parameter its value: the override, or the default.
func (e *Evaluator) readParameters(section *tree.Value, overrides map[string]string) {
	e.parameters = map[string]*Parameter{}
	declared := e.entries(section, "Parameters")
	for _, f := range declared {
		at := tree.Place{Resource: "Parameters." + f.Key}
		p := e.Reader(f.Value, at)
		p.Position = f.Value.KeyPosition()
		p.Check(parameterAttributes)
		given, overridden := overrides[f.Key]
		e.parameters[f.Key] = e.readParameter(f.Key, p, given, overridden)
	}
	for name := range overrides {
		if e.parameters[name] == nil {
			e.Problem(e.template, tree.Place{Resource: "Parameters"},
				"a value is given for %s, which the template does not declare", name)
		}
	}
}

func (e *Evaluator) readParameter(name string, p tree.Reader, given string, overridden bool) *Parameter {
	position := p.Position
	result := &Parameter{
		Name: name, typ: p.Text("Type"), value: position.NewInvalid(), Position: position,
		NoEcho: p.Bool("NoEcho", false), Description: p.Text("Description"),
	}
	isList, ok := parameterTypes[result.typ]
	switch {
	case result.typ == "":
		p.Problem("Type", "a parameter must have a Type")
		return result
	case !ok:
		p.Problem("Type", "parameters of type %s are not emulated: their values are in an AWS account; "+
			"declare %s as a String and give it a value", result.typ, name)
		return result
	}
	rules := e.readRules(p)
	if !overridden {
		fallback := p.Value("Default")
		if fallback == nil {
			e.Problem(position, p.At, "%s", missingValue(name, result.Description, rules.allowed))
			return result
		}
		if fallback.Kind != tree.Text {
			p.Problem("Default", "a parameter's Default must be a string or a number")
			return result
		}
		given = fallback.Text
	}
	result.Given = given
	values := []string{given}
	if isList {
		values = splitList(given)
	}
	if broken := rules.check(result.typ, given, values); broken != "" {
		shown := strconv.Quote(given)
		if result.NoEcho {
			shown = "(NoEcho)"
		}
		if description := p.Text("ConstraintDescription"); description != "" {
			broken += ": " + description
		}
		e.Problem(position, p.At, "the value %s %s", shown, broken)
		return result
	}
	result.value = position.NewText(given)
	if isList {
		items := make([]*tree.Value, len(values))
		for i, item := range values {
			items[i] = position.NewText(item)
		}
		result.value = position.NewList(items...)
	}
	return result
}

// ParameterValue returns the value of a parameter, or nil when the template has no such parameter.
func (e *Evaluator) ParameterValue(name string) *tree.Value {
	if p := e.parameters[name]; p != nil {
		return p.value
	}
	return nil
}

// Parameters returns the parameters in the order of the template.
func (e *Evaluator) Parameters() []*Parameter {
	return slices.SortedFunc(maps.Values(e.parameters), func(a, b *Parameter) int {
		return cmp.Or(cmp.Compare(a.Position.Line, b.Position.Line), cmp.Compare(a.Position.Column, b.Position.Column))
	})
}

// missingValue returns the message for a parameter without a value.
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

// splitList splits the value of a list parameter at commas and removes the spaces around each item.
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

// rules are the rules for the values of a parameter. nil is no rule.
type rules struct {
	allowed              []string
	pattern              *regexp.Regexp
	minLength, maxLength *int
	minValue, maxValue   *float64
}

func (e *Evaluator) readRules(p tree.Reader) rules {
	var r rules
	for _, item := range p.List("AllowedValues") {
		if item.Kind == tree.Text {
			r.allowed = append(r.allowed, item.Text)
		} else if item.Kind != tree.Invalid {
			e.Problem(item, p.At.Field("AllowedValues"), "an allowed value must be a string or a number")
		}
	}
	if pattern := p.Text("AllowedPattern"); pattern != "" {
		// CloudFormation matches the whole value with Java's syntax. Go's lacks look-around and back-references.
		compiled, err := regexp.Compile(`^(?:` + pattern + `)$`)
		if err != nil {
			p.Problem("AllowedPattern", "the expression cannot be evaluated here: %v", err)
		}
		r.pattern = compiled
	}
	r.minLength, r.maxLength = length(p, "MinLength"), length(p, "MaxLength")
	r.minValue, r.maxValue = number(p, "MinValue"), number(p, "MaxValue")
	return r
}

// length returns an integer, or nil when the property is missing.
func length(p tree.Reader, key string) *int {
	if !p.Has(key) {
		return nil
	}
	n := p.Int(key, 0)
	return &n
}

// number returns a number, or nil when the property is missing.
func number(p tree.Reader, key string) *float64 {
	if !p.Has(key) {
		return nil
	}
	n := p.Float(key)
	return &n
}

// check returns the rule that the value breaks, or "".
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
			return "does not match the AllowedPattern " +
				strings.TrimSuffix(strings.TrimPrefix(r.pattern.String(), "^(?:"), ")$")
		case typ == "String" && r.minLength != nil && length < *r.minLength:
			return fmt.Sprintf("is shorter than the MinLength %d", *r.minLength)
		case typ == "String" && r.maxLength != nil && length > *r.maxLength:
			return fmt.Sprintf("is longer than the MaxLength %d", *r.maxLength)
		}
	}
	return ""
}

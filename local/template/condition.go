package template

import "strings"

// condition is an entry of the Conditions section; it is evaluated when first asked for.
type condition struct {
	expression *value
	at         where
	state      progress
	holds      bool
	broken     bool // reported already
}

// progress guards lazy evaluation against circles.
type progress uint8

const (
	untouched progress = iota
	running
	finished
)

// readConditions evaluates every condition, used or not, so that each wrong one is reported.
func (l *loader) readConditions(section *value) {
	l.conditions = map[string]*condition{}
	entries := l.entries(section, "Conditions")
	for _, f := range entries {
		l.conditions[f.key] = &condition{expression: f.value, at: where{resource: "Conditions." + f.key}}
	}
	for _, f := range entries {
		l.condition(f.value, f.key, where{resource: "Conditions." + f.key})
	}
}

// condition tells whether the named condition holds; ok is false when that cannot be said, which is then reported.
func (l *loader) condition(v *value, name string, at where) (holds, ok bool) {
	c := l.conditions[name]
	switch {
	case c == nil:
		l.problem(v, at, "there is no condition %q", name)
		return false, false
	case c.state == running:
		l.problem(v, at, "the condition %q depends on itself", name)
		c.broken = true
	case c.state == untouched:
		c.state = running
		holds, ok := l.evaluate(c.expression, c.at)
		c.holds, c.broken, c.state = holds, c.broken || !ok, finished
	}
	return c.holds, !c.broken
}

// evaluate computes a condition function.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-conditions.html
func (l *loader) evaluate(v *value, at where) (holds, ok bool) {
	if v.kind == invalid {
		return false, false
	}
	if v.kind != object || len(v.fields) != 1 {
		l.problem(v, at, "a condition must be one of Fn::And, Fn::Equals, Fn::Not, Fn::Or and Condition")
		return false, false
	}
	name, argument := v.fields[0].key, v.fields[0].value
	switch name {
	case "Condition":
		if argument.kind != text {
			l.problem(v, at, "Condition needs the name of a condition")
			return false, false
		}
		return l.condition(argument, argument.text, at)
	case "Fn::Equals":
		return l.equals(argument, at)
	case "Fn::Not":
		holds, ok := l.evaluateAll(argument, at, name, 1, 1)
		return ok && !holds[0], ok
	case "Fn::And", "Fn::Or":
		all, ok := l.evaluateAll(argument, at, name, 2, 10)
		// And is true until a false one is met, Or false until a true one is.
		result := name == "Fn::And"
		for _, one := range all {
			if one != (name == "Fn::And") {
				result = one
			}
		}
		return ok && result, ok
	default:
		l.problem(v, at, "%s is not a condition function", name)
		return false, false
	}
}

func (l *loader) evaluateAll(v *value, at where, function string, least, most int) ([]bool, bool) {
	arguments := l.arguments(v, at, function, least, most)
	if arguments == nil {
		return nil, false
	}
	all, fine := make([]bool, len(arguments)), true
	for i, argument := range arguments {
		holds, ok := l.evaluate(argument, at)
		all[i], fine = holds, fine && ok
	}
	return all, fine
}

func (l *loader) equals(v *value, at where) (holds, ok bool) {
	arguments := l.arguments(v, at, "Fn::Equals", 2, 2)
	if arguments == nil {
		return false, false
	}
	// Resources do not exist yet when conditions are evaluated, so a name can only be a parameter's.
	a, b := l.resolve(arguments[0], at), l.resolve(arguments[1], at)
	if a == nil || b == nil {
		l.problem(v, at, "Fn::Equals cannot compare AWS::NoValue")
		return false, false
	}
	if a.kind == invalid || b.kind == invalid {
		return false, false
	}
	return same(a, b), true
}

// same compares resolved values by what they say, whatever their type: 1 equals "1".
func same(a, b *value) bool {
	if a.kind != b.kind || a.text != b.text || len(a.items) != len(b.items) || len(a.fields) != len(b.fields) {
		return false
	}
	for i := range a.items {
		if !same(a.items[i], b.items[i]) {
			return false
		}
	}
	for _, f := range a.fields {
		if other := b.get(f.key); other == nil || !same(f.value, other) {
			return false
		}
	}
	return true
}

// checkCondition reports a resource's or an output's Condition that is not a name; it returns whether the thing exists.
func (l *loader) checkCondition(v *value, at where) bool {
	if v == nil {
		return true
	}
	if v.kind != text || strings.TrimSpace(v.text) == "" {
		if v.kind != invalid {
			l.problem(v, at.field("Condition"), "must be the name of a condition")
		}
		return false
	}
	holds, ok := l.condition(v, v.text, at.field("Condition"))
	// A condition that cannot be evaluated is reported; the resource is read on, to find what else is wrong.
	return holds || !ok
}

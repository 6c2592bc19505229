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
func (e *evaluator) readConditions(section *value) {
	e.conditions = map[string]*condition{}
	entries := e.entries(section, "Conditions")
	for _, f := range entries {
		e.conditions[f.key] = &condition{expression: f.value, at: where{resource: "Conditions." + f.key}}
	}
	for _, f := range entries {
		e.condition(f.value, f.key, where{resource: "Conditions." + f.key})
	}
}

// condition tells whether the named condition holds; ok is false when that cannot be said, which is then reported.
func (e *evaluator) condition(v *value, name string, at where) (holds, ok bool) {
	c := e.conditions[name]
	switch {
	case c == nil:
		e.problem(v, at, "there is no condition %q", name)
		return false, false
	case c.state == running:
		e.problem(v, at, "the condition %q depends on itself", name)
		c.broken = true
	case c.state == untouched:
		c.state = running
		holds, ok := e.evaluate(c.expression, c.at)
		c.holds, c.broken, c.state = holds, c.broken || !ok, finished
	}
	return c.holds, !c.broken
}

// evaluate computes a condition function.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-conditions.html
func (e *evaluator) evaluate(v *value, at where) (holds, ok bool) {
	if v.kind == invalid {
		return false, false
	}
	if v.kind != object || len(v.fields) != 1 {
		e.problem(v, at, "a condition must be one of Fn::And, Fn::Equals, Fn::Not, Fn::Or and Condition")
		return false, false
	}
	name, argument := v.fields[0].key, v.fields[0].value
	switch name {
	case "Condition":
		if argument.kind != text {
			e.problem(v, at, "Condition needs the name of a condition")
			return false, false
		}
		return e.condition(argument, argument.text, at)
	case "Fn::Equals":
		return e.equals(argument, at)
	case "Fn::Not":
		holds, ok := e.evaluateAll(argument, at, name, 1, 1)
		return ok && !holds[0], ok
	case "Fn::And", "Fn::Or":
		all, ok := e.evaluateAll(argument, at, name, 2, 10)
		// And is true until a false one is met, Or false until a true one is.
		result := name == "Fn::And"
		for _, one := range all {
			if one != (name == "Fn::And") {
				result = one
			}
		}
		return ok && result, ok
	default:
		e.problem(v, at, "%s is not a condition function", name)
		return false, false
	}
}

func (e *evaluator) evaluateAll(v *value, at where, function string, least, most int) ([]bool, bool) {
	arguments := e.arguments(v, at, function, least, most)
	if arguments == nil {
		return nil, false
	}
	all, fine := make([]bool, len(arguments)), true
	for i, argument := range arguments {
		holds, ok := e.evaluate(argument, at)
		all[i], fine = holds, fine && ok
	}
	return all, fine
}

func (e *evaluator) equals(v *value, at where) (holds, ok bool) {
	arguments := e.arguments(v, at, "Fn::Equals", 2, 2)
	if arguments == nil {
		return false, false
	}
	// Resources do not exist yet when conditions are evaluated, so a name can only be a parameter's.
	a, b := e.resolve(arguments[0], at), e.resolve(arguments[1], at)
	if a == nil || b == nil {
		e.problem(v, at, "Fn::Equals cannot compare AWS::NoValue")
		return false, false
	}
	if a.kind == invalid || b.kind == invalid {
		return false, false
	}
	return same(a, b), true
}

// checkCondition reports a resource's or an output's Condition that is not a name; it returns whether the thing exists.
func (e *evaluator) checkCondition(v *value, at where) bool {
	if v == nil {
		return true
	}
	if v.kind != text || strings.TrimSpace(v.text) == "" {
		if v.kind != invalid {
			e.problem(v, at.field("Condition"), "must be the name of a condition")
		}
		return false
	}
	holds, ok := e.condition(v, v.text, at.field("Condition"))
	// A condition that cannot be evaluated is reported; the resource is read on, to find what else is wrong.
	return holds || !ok
}

package cfn

import (
	"strings"

	"fanfare/local/template/internal/tree"
)

// condition is an entry of the Conditions section. It is evaluated at its first use.
type condition struct {
	expression *tree.Value
	at         tree.Place
	state      progress
	holds      bool
	broken     bool // it cannot be evaluated, which has been reported
}

// progress is the progress of a lazy evaluation. It detects circular references.
type progress uint8

const (
	untouched progress = iota
	running
	finished
)

// readConditions evaluates every condition, so that a wrong one is reported even when nothing uses it.
func (e *Evaluator) readConditions(section *tree.Value) {
	e.conditions = map[string]*condition{}
	entries := e.entries(section, "Conditions")
	for _, f := range entries {
		e.conditions[f.Key] = &condition{expression: f.Value, at: tree.Place{Resource: "Conditions." + f.Key}}
	}
	for _, f := range entries {
		e.condition(f.Value, f.Key, tree.Place{Resource: "Conditions." + f.Key})
	}
}

// condition reports whether a condition holds. ok is false for one that cannot be evaluated, which it reports.
func (e *Evaluator) condition(v *tree.Value, name string, at tree.Place) (holds, ok bool) {
	c := e.conditions[name]
	switch {
	case c == nil:
		e.Problem(v, at, "there is no condition %q", name)
		return false, false
	case c.state == running:
		e.Problem(v, at, "the condition %q depends on itself", name)
		c.broken = true
	case c.state == untouched:
		c.state = running
		holds, ok := e.evaluate(c.expression, c.at)
		c.holds, c.broken, c.state = holds, c.broken || !ok, finished
	}
	return c.holds, !c.broken
}

// evaluate evaluates a condition function.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-conditions.html
func (e *Evaluator) evaluate(v *tree.Value, at tree.Place) (holds, ok bool) {
	if v.Kind == tree.Invalid {
		return false, false
	}
	if v.Kind != tree.Object || len(v.Fields) != 1 {
		e.Problem(v, at, "a condition must be one of Fn::And, Fn::Equals, Fn::Not, Fn::Or and Condition")
		return false, false
	}
	name, argument := v.Fields[0].Key, v.Fields[0].Value
	switch name {
	case "Condition":
		if argument.Kind != tree.Text {
			e.Problem(v, at, "Condition needs the name of a condition")
			return false, false
		}
		return e.condition(argument, argument.Text, at)
	case "Fn::Equals":
		return e.equals(argument, at)
	case "Fn::Not":
		holds, ok := e.evaluateAll(argument, at, name, 1, 1)
		return ok && !holds[0], ok
	case "Fn::And", "Fn::Or":
		all, ok := e.evaluateAll(argument, at, name, 2, 10)
		// And is false if one argument is false, Or is true if one argument is true.
		result := name == "Fn::And"
		for _, one := range all {
			if one != (name == "Fn::And") {
				result = one
			}
		}
		return ok && result, ok
	default:
		e.Problem(v, at, "%s is not a condition function", name)
		return false, false
	}
}

func (e *Evaluator) evaluateAll(v *tree.Value, at tree.Place, function string, least, most int) ([]bool, bool) {
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

func (e *Evaluator) equals(v *tree.Value, at tree.Place) (holds, ok bool) {
	arguments := e.arguments(v, at, "Fn::Equals", 2, 2)
	if arguments == nil {
		return false, false
	}
	// Conditions are evaluated before resources are read, so Ref finds only parameters.
	a, b := e.Resolve(arguments[0], at), e.Resolve(arguments[1], at)
	if a == nil || b == nil {
		e.Problem(v, at, "Fn::Equals cannot compare AWS::NoValue")
		return false, false
	}
	if a.Kind == tree.Invalid || b.Kind == tree.Invalid {
		return false, false
	}
	return tree.Same(a, b), true
}

// checkCondition reports whether a resource or an output with this Condition exists. It reports a Condition that is not
// a name.
func (e *Evaluator) checkCondition(v *tree.Value, at tree.Place) bool {
	if v == nil {
		return true
	}
	if v.Kind != tree.Text || strings.TrimSpace(v.Text) == "" {
		if v.Kind != tree.Invalid {
			e.Problem(v, at.Field("Condition"), "must be the name of a condition")
		}
		return false
	}
	holds, ok := e.condition(v, v.Text, at.Field("Condition"))
	// A resource whose condition cannot be evaluated is read, to find its other problems.
	return holds || !ok
}

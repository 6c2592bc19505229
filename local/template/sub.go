package template

import (
	"regexp"
	"strings"
)

// subName is what may stand between ${ and } in Fn::Sub.
var subName = regexp.MustCompile(`^[A-Za-z0-9_.:]+$`)

func (e *evaluator) sub(v *value, at where) *value {
	pattern, variables := v, (*value)(nil)
	if v.kind != text {
		arguments := e.arguments(v, at, "Fn::Sub", 2, 2)
		if arguments == nil {
			return v.newInvalid()
		}
		pattern, variables = arguments[0], arguments[1]
	}
	if pattern.kind != text || variables != nil && variables.kind != object {
		e.problem(v, at, "Fn::Sub needs a string, or a list of a string and a map")
		return v.newInvalid()
	}
	var b strings.Builder
	ok := true
	for rest := pattern.text; rest != ""; {
		before, after, found := strings.Cut(rest, "${")
		b.WriteString(before)
		if !found {
			break
		}
		name, tail, closed := strings.Cut(after, "}")
		if !closed {
			e.problem(pattern, at, "Fn::Sub: ${%s is never closed", after)
			return v.newInvalid()
		}
		rest = tail
		if literal, isLiteral := strings.CutPrefix(name, "!"); isLiteral {
			b.WriteString("${" + literal + "}")
			continue
		}
		replacement := e.substitute(pattern, strings.TrimSpace(name), variables, at)
		if replacement == nil {
			ok = false
			continue
		}
		b.WriteString(replacement.text)
	}
	if !ok {
		return v.newInvalid()
	}
	return e.bounded(v, b.String(), at)
}

// substitute returns the text for ${name}, or nil when there is none, which is then reported.
func (e *evaluator) substitute(pattern *value, name string, variables *value, at where) *value {
	if !subName.MatchString(name) {
		e.problem(pattern, at, "Fn::Sub: ${%s}: names contain only letters, digits, underscores, periods and colons", name)
		return nil
	}
	var found *value
	if variable := variables.get(name); variable != nil {
		found = e.resolve(variable, at)
	} else if id, attribute, dotted := strings.Cut(name, "."); dotted && e.aliases[name] == "" {
		found = e.attributeOf(pattern, id, attribute, at)
	} else {
		found = e.lookup(pattern, name, at)
	}
	switch {
	case found == nil:
		e.problem(pattern, at, "Fn::Sub: ${%s} is AWS::NoValue, not a string", name)
	case found.kind == text:
		return found
	case found.kind != invalid:
		e.problem(pattern, at, "Fn::Sub: ${%s} is not a string", name)
	}
	return nil
}

// substitution finds the names in Fn::Sub.
var substitution = regexp.MustCompile(`\$\{([A-Za-z0-9_.:]+)\}`)

package cfn

import (
	"regexp"
	"strings"

	"fanfare/local/template/internal/tree"
)

// subName matches the name between ${ and } in Fn::Sub.
var subName = regexp.MustCompile(`^[A-Za-z0-9_.:]+$`)

func (e *Evaluator) sub(v *tree.Value, at tree.Place) *tree.Value {
	pattern, variables := v, (*tree.Value)(nil)
	if v.Kind != tree.Text {
		arguments := e.arguments(v, at, "Fn::Sub", 2, 2)
		if arguments == nil {
			return v.NewInvalid()
		}
		pattern, variables = arguments[0], arguments[1]
	}
	if pattern.Kind != tree.Text || variables != nil && variables.Kind != tree.Object {
		e.Problem(v, at, "Fn::Sub needs a string, or a list of a string and a map")
		return v.NewInvalid()
	}
	var b strings.Builder
	ok := true
	for rest := pattern.Text; rest != ""; {
		before, after, found := strings.Cut(rest, "${")
		b.WriteString(before)
		if !found {
			break
		}
		name, tail, closed := strings.Cut(after, "}")
		if !closed {
			e.Problem(pattern, at, "Fn::Sub: ${%s has no closing brace", after)
			return v.NewInvalid()
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
		b.WriteString(replacement.Text)
	}
	if !ok {
		return v.NewInvalid()
	}
	return e.bounded(v, b.String(), at)
}

// substitute returns the text for ${name}. It reports a name without a text and returns nil.
func (e *Evaluator) substitute(pattern *tree.Value, name string, variables *tree.Value, at tree.Place) *tree.Value {
	if !subName.MatchString(name) {
		e.Problem(pattern, at, "Fn::Sub: ${%s}: names contain only letters, digits, underscores, periods and colons", name)
		return nil
	}
	var found *tree.Value
	if variable := variables.Get(name); variable != nil {
		found = e.Resolve(variable, at)
	} else if id, attribute, dotted := strings.Cut(name, "."); dotted && e.aliases[name] == "" {
		found = e.attributeOf(pattern, id, attribute, at)
	} else {
		found = e.lookup(pattern, name, at)
	}
	switch {
	case found == nil:
		e.Problem(pattern, at, "Fn::Sub: ${%s} is AWS::NoValue, not a string", name)
	case found.Kind == tree.Text:
		return found
	case found.Kind != tree.Invalid:
		e.Problem(pattern, at, "Fn::Sub: ${%s} is not a string", name)
	}
	return nil
}

// substitution matches ${name} in Fn::Sub.
var substitution = regexp.MustCompile(`\$\{([A-Za-z0-9_.:]+)\}`)

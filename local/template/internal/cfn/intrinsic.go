package cfn

import (
	"encoding/base64"
	"strconv"
	"strings"

	"fanfare/local/template/internal/tree"
)

// refusedFunctions are the functions that are not evaluated in resources and outputs, with the reason.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html
var refusedFunctions = map[string]string{
	"Fn::And":          "can be used only in Conditions",
	"Fn::Or":           "can be used only in Conditions",
	"Fn::Not":          "can be used only in Conditions",
	"Fn::Equals":       "can be used only in Conditions",
	"Fn::ForEach":      "is not emulated: it belongs to the transform AWS::LanguageExtensions",
	"Fn::Length":       "is not emulated: it belongs to the transform AWS::LanguageExtensions",
	"Fn::ToJsonString": "is not emulated: it belongs to the transform AWS::LanguageExtensions",
	"Fn::ImportValue":  "is not emulated: no other stack exports values here",
	"Fn::GetAZs":       "is not emulated: there are no availability zones here",
	"Fn::Cidr":         "is not emulated: there are no networks here",
	"Fn::Transform":    "is not emulated: macros run in an AWS account",
}

// call evaluates a call of a function. It returns nil for AWS::NoValue.
func (e *Evaluator) call(name string, v, argument *tree.Value, at tree.Place) *tree.Value {
	var evaluate func(argument *tree.Value, at tree.Place) *tree.Value
	switch name {
	case "Ref":
		evaluate = e.ref
	case "Fn::GetAtt":
		evaluate = e.getAtt
	case "Fn::Sub":
		evaluate = e.sub
	case "Fn::Join":
		evaluate = e.join
	case "Fn::Select":
		evaluate = e.selectItem
	case "Fn::Split":
		evaluate = e.split
	case "Fn::If":
		evaluate = e.choose
	case "Fn::FindInMap":
		evaluate = e.findInMap
	case "Fn::Base64":
		evaluate = e.base64
	}
	switch reason := refusedFunctions[name]; {
	case evaluate == nil && reason == "":
		e.Problem(v, at, "unknown function %s", name)
		return v.NewInvalid()
	case argument.Kind == tree.Invalid:
		return argument
	case reason != "":
		e.Problem(argument, at, "%s %s", name, reason)
		return argument.NewInvalid()
	}
	return evaluate(argument, at)
}

// Resolve evaluates every function in a value. It returns nil for AWS::NoValue, and removes it from objects and lists.
// A function that cannot be evaluated is reported and becomes an invalid value. The result has the position of v.
func (e *Evaluator) Resolve(v *tree.Value, at tree.Place) *tree.Value {
	resolved := e.evaluated(v, at)
	if resolved == nil || resolved == v {
		return resolved
	}
	return resolved.At(v)
}

func (e *Evaluator) evaluated(v *tree.Value, at tree.Place) *tree.Value {
	switch v.Kind {
	case tree.Text:
		if strings.Contains(v.Text, "{{resolve:") {
			e.Problem(v, at, "dynamic references ({{resolve:...}}) are not emulated: their values are in an AWS account")
			return v.NewInvalid()
		}
		return v
	case tree.List:
		resolved := &tree.Value{Kind: tree.List, Items: []*tree.Value{}}
		for i, item := range v.Items {
			if item = e.Resolve(item, at.Item(i)); item != nil {
				resolved.Items = append(resolved.Items, item)
			}
		}
		return resolved
	case tree.Object:
		return e.resolveObject(v, at)
	}
	return v
}

func (e *Evaluator) resolveObject(v *tree.Value, at tree.Place) *tree.Value {
	if name, argument := v.Function(); name != "" {
		return e.call(name, v, argument, at)
	}
	resolved := &tree.Value{Kind: tree.Object}
	for _, f := range v.Fields {
		if strings.HasPrefix(f.Key, "Fn::") {
			e.Problem(f.Value, at.Field(f.Key), "%s must be the only entry of its map", f.Key)
			return v.NewInvalid()
		}
		if entry := e.Resolve(f.Value, at.Field(f.Key)); entry != nil {
			resolved.Fields = append(resolved.Fields, tree.Entry(f.Key, entry))
		}
	}
	return resolved
}

// resolveText evaluates a value that must be a string. It reports another kind of value and returns nil.
func (e *Evaluator) resolveText(v *tree.Value, at tree.Place, what string) *tree.Value {
	resolved := e.Resolve(v, at)
	switch {
	case resolved == nil:
		e.Problem(v, at, "%s must be a string, not AWS::NoValue", what)
	case resolved.Kind == tree.Text:
		return resolved
	case resolved.Kind != tree.Invalid:
		e.Problem(v, at, "%s must be a string", what)
	}
	return nil
}

// arguments returns the arguments of a function, from least to most of them. It reports another number and returns nil.
func (e *Evaluator) arguments(v *tree.Value, at tree.Place, function string, least, most int) []*tree.Value {
	if v.Kind != tree.List || len(v.Items) < least || len(v.Items) > most {
		e.Problem(v, at, "%s needs a list of %s", function, between(least, most))
		return nil
	}
	return v.Items
}

func between(least, most int) string {
	if least == most {
		return strconv.Itoa(least) + " arguments"
	}
	return strconv.Itoa(least) + " to " + strconv.Itoa(most) + " arguments"
}

func (e *Evaluator) ref(v *tree.Value, at tree.Place) *tree.Value {
	if v.Kind != tree.Text {
		e.Problem(v, at, "Ref needs a name")
		return v.NewInvalid()
	}
	return e.lookup(v, v.Text, at)
}

// lookup evaluates Ref of a pseudo parameter, a parameter or a resource.
func (e *Evaluator) lookup(v *tree.Value, name string, at tree.Place) *tree.Value {
	if strings.HasPrefix(name, "AWS::") {
		return e.pseudoParameter(v, name, at)
	}
	if p := e.parameters[name]; p != nil {
		return p.value
	}
	r := e.target(v, name, at)
	if r == nil {
		return v.NewInvalid()
	}
	if id := e.Reference(r); id != "" {
		return v.NewText(id)
	}
	return v.NewInvalid()
}

func (e *Evaluator) pseudoParameter(v *tree.Value, name string, at tree.Place) *tree.Value {
	if name == "AWS::NoValue" {
		return nil
	}
	if text, ok := e.pseudo[name]; ok {
		return v.NewText(text)
	}
	if name == "AWS::NotificationARNs" {
		e.Problem(v, at, "AWS::NotificationARNs is not emulated: a local stack notifies no topics")
	} else {
		e.Problem(v, at, "unknown pseudo parameter %s", name)
	}
	return v.NewInvalid()
}

func (e *Evaluator) getAtt(v *tree.Value, at tree.Place) *tree.Value {
	if v.Kind == tree.Text {
		id, attribute, _ := strings.Cut(v.Text, ".")
		v = v.NewList(v.NewText(id), v.NewText(attribute))
	}
	arguments := e.arguments(v, at, "Fn::GetAtt", 2, 2)
	if arguments == nil || arguments[0].Kind != tree.Text {
		if arguments != nil {
			e.Problem(v, at, "Fn::GetAtt needs a resource's logical id")
		}
		return v.NewInvalid()
	}
	attribute := e.resolveText(arguments[1], at, "the attribute of Fn::GetAtt")
	if attribute == nil {
		return v.NewInvalid()
	}
	return e.attributeOf(v, arguments[0].Text, attribute.Text, at)
}

func (e *Evaluator) attributeOf(v *tree.Value, id, attribute string, at tree.Place) *tree.Value {
	r := e.target(v, id, at)
	if r == nil {
		return v.NewInvalid()
	}
	if found := e.Attribute(v, r, attribute, at); found != "" {
		return v.NewText(found)
	}
	return v.NewInvalid()
}

// maxText is the largest text that a function may return, in bytes. CloudFormation's largest property values are far
// smaller.
const maxText = tree.MaxTemplate

// bounded returns a text, or reports one that is too long.
func (e *Evaluator) bounded(v *tree.Value, s string, at tree.Place) *tree.Value {
	if len(s) > maxText {
		e.Problem(v, at, "the text has more than %d bytes", maxText)
		return v.NewInvalid()
	}
	return v.NewText(s)
}

// resolveTexts evaluates a list of strings. It reports another kind of value and returns false.
func (e *Evaluator) resolveTexts(v *tree.Value, at tree.Place, function string) ([]string, bool) {
	resolved := e.Resolve(v, at)
	if resolved == nil || resolved.Kind != tree.List {
		if resolved == nil || resolved.Kind != tree.Invalid {
			e.Problem(v, at, "%s needs a list of strings", function)
		}
		return nil, false
	}
	items := make([]string, 0, len(resolved.Items))
	for _, item := range resolved.Items {
		if item.Kind != tree.Text {
			if item.Kind != tree.Invalid {
				e.Problem(item, at, "%s: every item of the list must be a string", function)
			}
			return nil, false
		}
		items = append(items, item.Text)
	}
	return items, true
}

func (e *Evaluator) join(v *tree.Value, at tree.Place) *tree.Value {
	arguments := e.arguments(v, at, "Fn::Join", 2, 2)
	if arguments == nil || arguments[0].Kind != tree.Text {
		if arguments != nil {
			e.Problem(v, at, "the delimiter of Fn::Join must be a string")
		}
		return v.NewInvalid()
	}
	items, ok := e.resolveTexts(arguments[1], at, "Fn::Join")
	if !ok {
		return v.NewInvalid()
	}
	return e.bounded(v, strings.Join(items, arguments[0].Text), at)
}

func (e *Evaluator) selectItem(v *tree.Value, at tree.Place) *tree.Value {
	arguments := e.arguments(v, at, "Fn::Select", 2, 2)
	if arguments == nil {
		return v.NewInvalid()
	}
	index := e.resolveText(arguments[0], at, "the index of Fn::Select")
	items := e.Resolve(arguments[1], at)
	if index == nil || items == nil || items.Kind != tree.List {
		if index != nil && (items == nil || items.Kind != tree.Invalid) {
			e.Problem(v, at, "Fn::Select needs an index and a list")
		}
		return v.NewInvalid()
	}
	i, err := strconv.Atoi(index.Text)
	if err != nil || i < 0 || i >= len(items.Items) {
		e.Problem(v, at, "Fn::Select: there is no item %s in a list of %d", index.Text, len(items.Items))
		return v.NewInvalid()
	}
	return items.Items[i]
}

func (e *Evaluator) split(v *tree.Value, at tree.Place) *tree.Value {
	arguments := e.arguments(v, at, "Fn::Split", 2, 2)
	if arguments == nil || arguments[0].Kind != tree.Text || arguments[0].Text == "" {
		if arguments != nil {
			e.Problem(v, at, "the delimiter of Fn::Split must be a string that is not empty")
		}
		return v.NewInvalid()
	}
	source := e.resolveText(arguments[1], at, "the source of Fn::Split")
	if source == nil {
		return v.NewInvalid()
	}
	parts := &tree.Value{Kind: tree.List, Line: v.Line, Column: v.Column}
	for part := range strings.SplitSeq(source.Text, arguments[0].Text) {
		parts.Items = append(parts.Items, v.NewText(part))
	}
	return parts
}

// choose evaluates Fn::If. Like CloudFormation it does not evaluate the other branch.
func (e *Evaluator) choose(v *tree.Value, at tree.Place) *tree.Value {
	branch := e.branch(v, at)
	if branch == nil {
		return v.NewInvalid()
	}
	return e.Resolve(branch, at)
}

// branch returns the branch of Fn::If that its condition selects. It reports a wrong condition and returns nil.
func (e *Evaluator) branch(v *tree.Value, at tree.Place) *tree.Value {
	arguments := e.arguments(v, at, "Fn::If", 3, 3)
	if arguments == nil || arguments[0].Kind != tree.Text {
		if arguments != nil {
			e.Problem(v, at, "the first argument of Fn::If must be the name of a condition")
		}
		return nil
	}
	holds, ok := e.condition(arguments[0], arguments[0].Text, at)
	switch {
	case !ok:
		return nil
	case holds:
		return arguments[1]
	default:
		return arguments[2]
	}
}

// SelectedBranch replaces a value that is Fn::If by the selected branch, which it does not evaluate. It returns nil for
// AWS::NoValue.
func (e *Evaluator) SelectedBranch(v *tree.Value, at tree.Place) *tree.Value {
	for v != nil {
		name, argument := v.Function()
		if name == "Ref" && argument.Kind == tree.Text && argument.Text == "AWS::NoValue" {
			return nil
		}
		if name != "Fn::If" {
			return v
		}
		branch := e.branch(argument, at)
		if branch == nil {
			return v.NewInvalid()
		}
		v = branch
	}
	return nil
}

func (e *Evaluator) findInMap(v *tree.Value, at tree.Place) *tree.Value {
	arguments := e.arguments(v, at, "Fn::FindInMap", 3, 3)
	if arguments == nil {
		return v.NewInvalid()
	}
	found := e.mappings
	for i, name := range []string{
		"the map of Fn::FindInMap", "the first key of Fn::FindInMap", "the second key of Fn::FindInMap",
	} {
		key := e.resolveText(arguments[i], at, name)
		if key == nil {
			return v.NewInvalid()
		}
		if found = found.Get(key.Text); found == nil {
			e.Problem(v, at, "Fn::FindInMap: %s, %q, is not in Mappings", name, key.Text)
			return v.NewInvalid()
		}
	}
	return found
}

func (e *Evaluator) base64(v *tree.Value, at tree.Place) *tree.Value {
	source := e.resolveText(v, at, "the argument of Fn::Base64")
	if source == nil {
		return v.NewInvalid()
	}
	return v.NewText(base64.StdEncoding.EncodeToString([]byte(source.Text)))
}

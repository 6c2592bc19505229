package template

import (
	"encoding/base64"
	"strconv"
	"strings"
)

// refusedFunctions are functions of CloudFormation that are not evaluated in resources and outputs, with the reason.
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

// call evaluates a function. A nil result is AWS::NoValue.
func (e *evaluator) call(name string, v, argument *value, at where) *value {
	var evaluate func(argument *value, at where) *value
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
		e.problem(v, at, "unknown function %s", name)
		return v.newInvalid()
	case argument.kind == invalid:
		return argument
	case reason != "":
		e.problem(argument, at, "%s %s", name, reason)
		return argument.newInvalid()
	}
	return evaluate(argument, at)
}

// resolve evaluates every function in the value. It returns nil for AWS::NoValue, and leaves that out of maps and
// lists. What cannot be evaluated is reported and becomes an invalid value. The result stands where the value stood.
func (e *evaluator) resolve(v *value, at where) *value {
	resolved := e.evaluated(v, at)
	if resolved == nil || resolved == v {
		return resolved
	}
	moved := *resolved // a parameter's value, for instance, is shared
	moved.line, moved.column, moved.key = v.line, v.column, v.key
	return &moved
}

func (e *evaluator) evaluated(v *value, at where) *value {
	switch v.kind {
	case text:
		if strings.Contains(v.text, "{{resolve:") {
			e.problem(v, at, "dynamic references ({{resolve:...}}) are not emulated: their values live in an AWS account")
			return v.newInvalid()
		}
		return v
	case list:
		resolved := &value{kind: list, items: []*value{}}
		for i, item := range v.items {
			if item = e.resolve(item, at.item(i)); item != nil {
				resolved.items = append(resolved.items, item)
			}
		}
		return resolved
	case object:
		return e.resolveObject(v, at)
	}
	return v
}

func (e *evaluator) resolveObject(v *value, at where) *value {
	if name, argument := v.function(); name != "" {
		return e.call(name, v, argument, at)
	}
	resolved := &value{kind: object}
	for _, f := range v.fields {
		if strings.HasPrefix(f.key, "Fn::") {
			e.problem(f.value, at.field(f.key), "%s must be the only entry of its map", f.key)
			return v.newInvalid()
		}
		if entry := e.resolve(f.value, at.field(f.key)); entry != nil {
			resolved.fields = append(resolved.fields, field{f.key, entry})
		}
	}
	return resolved
}

// resolveText evaluates a value that must be a string. It returns nil, with the problem reported, when it is not.
func (e *evaluator) resolveText(v *value, at where, what string) *value {
	resolved := e.resolve(v, at)
	switch {
	case resolved == nil:
		e.problem(v, at, "%s must be a string, not AWS::NoValue", what)
	case resolved.kind == text:
		return resolved
	case resolved.kind != invalid:
		e.problem(v, at, "%s must be a string", what)
	}
	return nil
}

// arguments returns a function's list of arguments, which must have between least and most entries.
func (e *evaluator) arguments(v *value, at where, function string, least, most int) []*value {
	if v.kind != list || len(v.items) < least || len(v.items) > most {
		e.problem(v, at, "%s needs a list of %s", function, between(least, most))
		return nil
	}
	return v.items
}

func between(least, most int) string {
	if least == most {
		return strconv.Itoa(least) + " arguments"
	}
	return strconv.Itoa(least) + " to " + strconv.Itoa(most) + " arguments"
}

func (e *evaluator) ref(v *value, at where) *value {
	if v.kind != text {
		e.problem(v, at, "Ref needs a name")
		return v.newInvalid()
	}
	return e.lookup(v, v.text, at)
}

// lookup returns what Ref gives for a name: a pseudo parameter, a parameter or a resource.
func (e *evaluator) lookup(v *value, name string, at where) *value {
	if strings.HasPrefix(name, "AWS::") {
		return e.pseudoParameter(v, name, at)
	}
	if p := e.parameters[name]; p != nil {
		return p.value
	}
	r := e.target(v, name, at)
	if r == nil {
		return v.newInvalid()
	}
	if id := e.reference(r); id != "" {
		return v.newText(id)
	}
	return v.newInvalid()
}

func (e *evaluator) pseudoParameter(v *value, name string, at where) *value {
	if name == "AWS::NoValue" {
		return nil
	}
	if text, ok := e.pseudo[name]; ok {
		return v.newText(text)
	}
	if name == "AWS::NotificationARNs" {
		e.problem(v, at, "AWS::NotificationARNs is not emulated: a local stack notifies no topics")
	} else {
		e.problem(v, at, "unknown pseudo parameter %s", name)
	}
	return v.newInvalid()
}

func (e *evaluator) getAtt(v *value, at where) *value {
	if v.kind == text {
		id, attribute, _ := strings.Cut(v.text, ".")
		v = v.newList(v.newText(id), v.newText(attribute))
	}
	arguments := e.arguments(v, at, "Fn::GetAtt", 2, 2)
	if arguments == nil || arguments[0].kind != text {
		if arguments != nil {
			e.problem(v, at, "Fn::GetAtt needs a resource's logical id")
		}
		return v.newInvalid()
	}
	attribute := e.resolveText(arguments[1], at, "the attribute of Fn::GetAtt")
	if attribute == nil {
		return v.newInvalid()
	}
	return e.attributeOf(v, arguments[0].text, attribute.text, at)
}

func (e *evaluator) attributeOf(v *value, id, attribute string, at where) *value {
	r := e.target(v, id, at)
	if r == nil {
		return v.newInvalid()
	}
	if found := e.attribute(v, r, attribute, at); found != "" {
		return v.newText(found)
	}
	return v.newInvalid()
}

// maxText bounds what functions may build; CloudFormation's largest property values are far smaller.
const maxText = maxTemplate

func (e *evaluator) bounded(v *value, s string, at where) *value {
	if len(s) > maxText {
		e.problem(v, at, "the text grows beyond %d bytes", maxText)
		return v.newInvalid()
	}
	return v.newText(s)
}

// resolveTexts evaluates a list of strings. It returns false, with the problem reported, when it is not one.
func (e *evaluator) resolveTexts(v *value, at where, function string) ([]string, bool) {
	resolved := e.resolve(v, at)
	if resolved == nil || resolved.kind != list {
		if resolved == nil || resolved.kind != invalid {
			e.problem(v, at, "%s needs a list of strings", function)
		}
		return nil, false
	}
	items := make([]string, 0, len(resolved.items))
	for _, item := range resolved.items {
		if item.kind != text {
			if item.kind != invalid {
				e.problem(item, at, "%s: every item of the list must be a string", function)
			}
			return nil, false
		}
		items = append(items, item.text)
	}
	return items, true
}

func (e *evaluator) join(v *value, at where) *value {
	arguments := e.arguments(v, at, "Fn::Join", 2, 2)
	if arguments == nil || arguments[0].kind != text {
		if arguments != nil {
			e.problem(v, at, "the delimiter of Fn::Join must be a string")
		}
		return v.newInvalid()
	}
	items, ok := e.resolveTexts(arguments[1], at, "Fn::Join")
	if !ok {
		return v.newInvalid()
	}
	return e.bounded(v, strings.Join(items, arguments[0].text), at)
}

func (e *evaluator) selectItem(v *value, at where) *value {
	arguments := e.arguments(v, at, "Fn::Select", 2, 2)
	if arguments == nil {
		return v.newInvalid()
	}
	index := e.resolveText(arguments[0], at, "the index of Fn::Select")
	items := e.resolve(arguments[1], at)
	if index == nil || items == nil || items.kind != list {
		if index != nil && (items == nil || items.kind != invalid) {
			e.problem(v, at, "Fn::Select needs an index and a list")
		}
		return v.newInvalid()
	}
	i, err := strconv.Atoi(index.text)
	if err != nil || i < 0 || i >= len(items.items) {
		e.problem(v, at, "Fn::Select: there is no item %s in a list of %d", index.text, len(items.items))
		return v.newInvalid()
	}
	return items.items[i]
}

func (e *evaluator) split(v *value, at where) *value {
	arguments := e.arguments(v, at, "Fn::Split", 2, 2)
	if arguments == nil || arguments[0].kind != text || arguments[0].text == "" {
		if arguments != nil {
			e.problem(v, at, "the delimiter of Fn::Split must be a string that is not empty")
		}
		return v.newInvalid()
	}
	source := e.resolveText(arguments[1], at, "the source of Fn::Split")
	if source == nil {
		return v.newInvalid()
	}
	parts := &value{kind: list, line: v.line, column: v.column}
	for part := range strings.SplitSeq(source.text, arguments[0].text) {
		parts.items = append(parts.items, v.newText(part))
	}
	return parts
}

// choose evaluates only the branch that is taken, as CloudFormation does.
func (e *evaluator) choose(v *value, at where) *value {
	branch := e.branch(v, at)
	if branch == nil {
		return v.newInvalid()
	}
	return e.resolve(branch, at)
}

// branch returns the branch of Fn::If that its condition takes, or nil with the problem reported.
func (e *evaluator) branch(v *value, at where) *value {
	arguments := e.arguments(v, at, "Fn::If", 3, 3)
	if arguments == nil || arguments[0].kind != text {
		if arguments != nil {
			e.problem(v, at, "the first argument of Fn::If must be the name of a condition")
		}
		return nil
	}
	holds, ok := e.condition(arguments[0], arguments[0].text, at)
	switch {
	case !ok:
		return nil
	case holds:
		return arguments[1]
	default:
		return arguments[2]
	}
}

// taken follows the Fn::Ifs that a value consists of, without evaluating what they lead to. It returns nil for
// AWS::NoValue.
func (e *evaluator) taken(v *value, at where) *value {
	for v != nil {
		name, argument := v.function()
		if name == "Ref" && argument.kind == text && argument.text == "AWS::NoValue" {
			return nil
		}
		if name != "Fn::If" {
			return v
		}
		branch := e.branch(argument, at)
		if branch == nil {
			return v.newInvalid()
		}
		v = branch
	}
	return nil
}

func (e *evaluator) findInMap(v *value, at where) *value {
	arguments := e.arguments(v, at, "Fn::FindInMap", 3, 3)
	if arguments == nil {
		return v.newInvalid()
	}
	found := e.mappings
	for i, name := range []string{"the map of Fn::FindInMap", "the first key of Fn::FindInMap", "the second key of Fn::FindInMap"} {
		key := e.resolveText(arguments[i], at, name)
		if key == nil {
			return v.newInvalid()
		}
		if found = found.get(key.text); found == nil {
			e.problem(v, at, "Fn::FindInMap: %s, %q, is not in Mappings", name, key.text)
			return v.newInvalid()
		}
	}
	return found
}

func (e *evaluator) base64(v *value, at where) *value {
	source := e.resolveText(v, at, "the argument of Fn::Base64")
	if source == nil {
		return v.newInvalid()
	}
	return v.newText(base64.StdEncoding.EncodeToString([]byte(source.text)))
}

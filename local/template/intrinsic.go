package template

import (
	"encoding/base64"
	"strconv"
	"strings"
)

// intrinsic evaluates a function's argument. A nil result is AWS::NoValue.
type intrinsic func(l *loader, argument *value, at where) *value

// intrinsics are the functions evaluated in resources and outputs; those refused carry the reason.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html
var intrinsics map[string]intrinsic

func init() { // not a literal: the functions resolve their arguments, which look functions up here
	intrinsics = map[string]intrinsic{
		"Ref":           (*loader).ref,
		"Fn::GetAtt":    (*loader).getAtt,
		"Fn::Sub":       (*loader).sub,
		"Fn::Join":      (*loader).join,
		"Fn::Select":    (*loader).selectItem,
		"Fn::Split":     (*loader).split,
		"Fn::If":        (*loader).choose,
		"Fn::FindInMap": (*loader).findInMap,
		"Fn::Base64":    (*loader).base64,
	}
	for _, name := range []string{"Fn::And", "Fn::Or", "Fn::Not", "Fn::Equals"} {
		intrinsics[name] = refusal(name + " can be used only in Conditions")
	}
	for _, name := range []string{"Fn::ForEach", "Fn::Length", "Fn::ToJsonString"} {
		intrinsics[name] = refusal(name + " is not emulated: it belongs to the transform AWS::LanguageExtensions")
	}
	intrinsics["Fn::ImportValue"] = refusal("Fn::ImportValue is not emulated: no other stack exports values here")
	intrinsics["Fn::GetAZs"] = refusal("Fn::GetAZs is not emulated: there are no availability zones here")
	intrinsics["Fn::Cidr"] = refusal("Fn::Cidr is not emulated: there are no networks here")
	intrinsics["Fn::Transform"] = refusal("Fn::Transform is not emulated: macros run in an AWS account")
}

func refusal(message string) intrinsic {
	return func(l *loader, argument *value, at where) *value {
		l.problem(argument, at, "%s", message)
		return argument.newInvalid()
	}
}

// resolve evaluates every function in the value. It returns nil for AWS::NoValue, and leaves that out of maps and
// lists. What cannot be evaluated is reported and becomes an invalid value. The result stands where the value stood.
func (l *loader) resolve(v *value, at where) *value {
	resolved := l.evaluated(v, at)
	if resolved == nil || resolved == v {
		return resolved
	}
	moved := *resolved // a parameter's value, for instance, is shared
	moved.line, moved.column, moved.key = v.line, v.column, v.key
	return &moved
}

func (l *loader) evaluated(v *value, at where) *value {
	switch v.kind {
	case text:
		if strings.Contains(v.text, "{{resolve:") {
			l.problem(v, at, "dynamic references ({{resolve:...}}) are not emulated: their values live in an AWS account")
			return v.newInvalid()
		}
		return v
	case list:
		resolved := &value{kind: list, items: []*value{}}
		for i, item := range v.items {
			if item = l.resolve(item, at.item(i)); item != nil {
				resolved.items = append(resolved.items, item)
			}
		}
		return resolved
	case object:
		return l.resolveObject(v, at)
	}
	return v
}

func (l *loader) resolveObject(v *value, at where) *value {
	if name, argument := v.function(); name != "" {
		evaluate := intrinsics[name]
		if evaluate == nil {
			l.problem(v, at, "unknown function %s", name)
			return v.newInvalid()
		}
		if argument.kind == invalid {
			return argument
		}
		return evaluate(l, argument, at)
	}
	resolved := &value{kind: object}
	for _, f := range v.fields {
		if strings.HasPrefix(f.key, "Fn::") {
			l.problem(f.value, at.field(f.key), "%s must be the only entry of its map", f.key)
			return v.newInvalid()
		}
		if entry := l.resolve(f.value, at.field(f.key)); entry != nil {
			resolved.fields = append(resolved.fields, field{f.key, entry})
		}
	}
	return resolved
}

// resolveText evaluates a value that must be a string. It returns nil, with the problem reported, when it is not.
func (l *loader) resolveText(v *value, at where, what string) *value {
	resolved := l.resolve(v, at)
	switch {
	case resolved == nil:
		l.problem(v, at, "%s must be a string, not AWS::NoValue", what)
	case resolved.kind == text:
		return resolved
	case resolved.kind != invalid:
		l.problem(v, at, "%s must be a string", what)
	}
	return nil
}

// arguments returns a function's list of arguments, which must have between least and most entries.
func (l *loader) arguments(v *value, at where, function string, least, most int) []*value {
	if v.kind != list || len(v.items) < least || len(v.items) > most {
		l.problem(v, at, "%s needs a list of %s", function, between(least, most))
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

func (l *loader) ref(v *value, at where) *value {
	if v.kind != text {
		l.problem(v, at, "Ref needs a name")
		return v.newInvalid()
	}
	return l.lookup(v, v.text, at)
}

// lookup returns what Ref gives for a name: a pseudo parameter, a parameter or a resource.
func (l *loader) lookup(v *value, name string, at where) *value {
	if strings.HasPrefix(name, "AWS::") {
		return l.pseudoParameter(v, name, at)
	}
	if p := l.parameters[name]; p != nil {
		return p.value
	}
	r := l.target(v, name, at)
	if r == nil {
		return v.newInvalid()
	}
	if id := l.reference(r); id != "" {
		return v.newText(id)
	}
	return v.newInvalid()
}

func (l *loader) pseudoParameter(v *value, name string, at where) *value {
	if name == "AWS::NoValue" {
		return nil
	}
	if text, ok := l.pseudo[name]; ok {
		return v.newText(text)
	}
	if name == "AWS::NotificationARNs" {
		l.problem(v, at, "AWS::NotificationARNs is not emulated: a local stack notifies no topics")
	} else {
		l.problem(v, at, "unknown pseudo parameter %s", name)
	}
	return v.newInvalid()
}

func (l *loader) getAtt(v *value, at where) *value {
	if v.kind == text {
		id, attribute, _ := strings.Cut(v.text, ".")
		v = v.newList(v.newText(id), v.newText(attribute))
	}
	arguments := l.arguments(v, at, "Fn::GetAtt", 2, 2)
	if arguments == nil || arguments[0].kind != text {
		if arguments != nil {
			l.problem(v, at, "Fn::GetAtt needs a resource's logical id")
		}
		return v.newInvalid()
	}
	attribute := l.resolveText(arguments[1], at, "the attribute of Fn::GetAtt")
	if attribute == nil {
		return v.newInvalid()
	}
	return l.attributeOf(v, arguments[0].text, attribute.text, at)
}

func (l *loader) attributeOf(v *value, id, attribute string, at where) *value {
	r := l.target(v, id, at)
	if r == nil {
		return v.newInvalid()
	}
	if found := l.attribute(v, r, attribute, at); found != "" {
		return v.newText(found)
	}
	return v.newInvalid()
}

// maxText bounds what functions may build; CloudFormation's largest property values are far smaller.
const maxText = maxTemplate

func (l *loader) bounded(v *value, s string, at where) *value {
	if len(s) > maxText {
		l.problem(v, at, "the text grows beyond %d bytes", maxText)
		return v.newInvalid()
	}
	return v.newText(s)
}

// resolveTexts evaluates a list of strings. It returns false, with the problem reported, when it is not one.
func (l *loader) resolveTexts(v *value, at where, function string) ([]string, bool) {
	resolved := l.resolve(v, at)
	if resolved == nil || resolved.kind != list {
		if resolved == nil || resolved.kind != invalid {
			l.problem(v, at, "%s needs a list of strings", function)
		}
		return nil, false
	}
	items := make([]string, 0, len(resolved.items))
	for _, item := range resolved.items {
		if item.kind != text {
			if item.kind != invalid {
				l.problem(item, at, "%s: every item of the list must be a string", function)
			}
			return nil, false
		}
		items = append(items, item.text)
	}
	return items, true
}

func (l *loader) join(v *value, at where) *value {
	arguments := l.arguments(v, at, "Fn::Join", 2, 2)
	if arguments == nil || arguments[0].kind != text {
		if arguments != nil {
			l.problem(v, at, "the delimiter of Fn::Join must be a string")
		}
		return v.newInvalid()
	}
	items, ok := l.resolveTexts(arguments[1], at, "Fn::Join")
	if !ok {
		return v.newInvalid()
	}
	return l.bounded(v, strings.Join(items, arguments[0].text), at)
}

func (l *loader) selectItem(v *value, at where) *value {
	arguments := l.arguments(v, at, "Fn::Select", 2, 2)
	if arguments == nil {
		return v.newInvalid()
	}
	index := l.resolveText(arguments[0], at, "the index of Fn::Select")
	items := l.resolve(arguments[1], at)
	if index == nil || items == nil || items.kind != list {
		if index != nil && (items == nil || items.kind != invalid) {
			l.problem(v, at, "Fn::Select needs an index and a list")
		}
		return v.newInvalid()
	}
	i, err := strconv.Atoi(index.text)
	if err != nil || i < 0 || i >= len(items.items) {
		l.problem(v, at, "Fn::Select: there is no item %s in a list of %d", index.text, len(items.items))
		return v.newInvalid()
	}
	return items.items[i]
}

func (l *loader) split(v *value, at where) *value {
	arguments := l.arguments(v, at, "Fn::Split", 2, 2)
	if arguments == nil || arguments[0].kind != text || arguments[0].text == "" {
		if arguments != nil {
			l.problem(v, at, "the delimiter of Fn::Split must be a string that is not empty")
		}
		return v.newInvalid()
	}
	source := l.resolveText(arguments[1], at, "the source of Fn::Split")
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
func (l *loader) choose(v *value, at where) *value {
	branch := l.branch(v, at)
	if branch == nil {
		return v.newInvalid()
	}
	return l.resolve(branch, at)
}

// branch returns the branch of Fn::If that its condition takes, or nil with the problem reported.
func (l *loader) branch(v *value, at where) *value {
	arguments := l.arguments(v, at, "Fn::If", 3, 3)
	if arguments == nil || arguments[0].kind != text {
		if arguments != nil {
			l.problem(v, at, "the first argument of Fn::If must be the name of a condition")
		}
		return nil
	}
	holds, ok := l.condition(arguments[0], arguments[0].text, at)
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
func (l *loader) taken(v *value, at where) *value {
	for v != nil {
		name, argument := v.function()
		if name == "Ref" && argument.kind == text && argument.text == "AWS::NoValue" {
			return nil
		}
		if name != "Fn::If" {
			return v
		}
		branch := l.branch(argument, at)
		if branch == nil {
			return v.newInvalid()
		}
		v = branch
	}
	return nil
}

func (l *loader) findInMap(v *value, at where) *value {
	arguments := l.arguments(v, at, "Fn::FindInMap", 3, 3)
	if arguments == nil {
		return v.newInvalid()
	}
	found := l.mappings
	for i, name := range []string{"the map of Fn::FindInMap", "the first key of Fn::FindInMap", "the second key of Fn::FindInMap"} {
		key := l.resolveText(arguments[i], at, name)
		if key == nil {
			return v.newInvalid()
		}
		if found = found.get(key.text); found == nil {
			l.problem(v, at, "Fn::FindInMap: %s, %q, is not in Mappings", name, key.text)
			return v.newInvalid()
		}
	}
	return found
}

func (l *loader) base64(v *value, at where) *value {
	source := l.resolveText(v, at, "the argument of Fn::Base64")
	if source == nil {
		return v.newInvalid()
	}
	return v.newText(base64.StdEncoding.EncodeToString([]byte(source.text)))
}

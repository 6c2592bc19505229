package template

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// kind is what a value is made of.
type kind uint8

const (
	text    kind = iota // a string, number or boolean, as written
	list                // items
	object              // fields, in the order written
	invalid             // already reported: whoever meets it stays silent
)

// value is a piece of a template. Unlike yaml.Node it has intrinsic functions in their long form only, and after
// resolving it has none. Values are never changed once built, so trees may share them.
type value struct {
	kind         kind
	text         string
	quoted       bool // text that was quoted, so that it stays a string in JSON
	items        []*value
	fields       []field
	line, column int
	key          *value // for an object's entry, the key, for its position only
}

// field is an entry of an object.
type field struct {
	key   string
	value *value
}

// get returns the entry of that name, or nil.
func (v *value) get(key string) *value {
	if v == nil || v.kind != object {
		return nil
	}
	for _, f := range v.fields {
		if f.key == key {
			return f.value
		}
	}
	return nil
}

// function returns the intrinsic function that the value calls and its argument, or "".
func (v *value) function() (name string, argument *value) {
	if v == nil || v.kind != object || len(v.fields) != 1 {
		return "", nil
	}
	if key := v.fields[0].key; key == "Ref" || strings.HasPrefix(key, "Fn::") {
		return key, v.fields[0].value
	}
	return "", nil
}

// entry returns the position of the key of an object's entry: that of the entry as a whole.
func (v *value) entry() *value {
	if v.key != nil {
		return v.key
	}
	return v
}

// The constructors give a new value the position of the one it stems from.

func (v *value) newText(s string) *value {
	return &value{kind: text, text: s, quoted: true, line: v.line, column: v.column}
}

func (v *value) newList(items ...*value) *value {
	return &value{kind: list, items: items, line: v.line, column: v.column}
}

func (v *value) newObject(fields ...field) *value {
	// An absent property is written as a nil value, for the ease of whoever copies properties.
	fields = slices.DeleteFunc(fields, func(f field) bool { return f.value == nil })
	return &value{kind: object, fields: fields, line: v.line, column: v.column}
}

func (v *value) newRef(id string) *value { return v.newObject(field{"Ref", v.newText(id)}) }

func (v *value) newGetAtt(id, attribute string) *value {
	return v.newObject(field{"Fn::GetAtt", v.newList(v.newText(id), v.newText(attribute))})
}

func (v *value) newSub(pattern string, variables ...field) *value {
	if len(variables) == 0 {
		return v.newObject(field{"Fn::Sub", v.newText(pattern)})
	}
	return v.newObject(field{"Fn::Sub", v.newList(v.newText(pattern), v.newObject(variables...))})
}

func (v *value) newInvalid() *value { return &value{kind: invalid, line: v.line, column: v.column} }

// plain returns the value as encoding/json likes it. Unquoted numbers and booleans keep their type.
func (v *value) plain() any {
	switch v.kind {
	case list:
		items := make([]any, len(v.items))
		for i, item := range v.items {
			items[i] = item.plain()
		}
		return items
	case object:
		fields := make(map[string]any, len(v.fields))
		for _, f := range v.fields {
			fields[f.key] = f.value.plain()
		}
		return fields
	}
	if !v.quoted {
		if b, err := strconv.ParseBool(v.text); err == nil && len(v.text) >= len("true") {
			return b
		}
		if v.text != "" && strings.Contains("-0123456789", v.text[:1]) && json.Valid([]byte(v.text)) {
			return json.Number(v.text)
		}
	}
	return v.text
}

// json returns the value as JSON with sorted keys.
func (v *value) json() string {
	data, err := json.Marshal(v.plain())
	if err != nil {
		panic("template: " + err.Error()) // maps, slices, strings, booleans and valid numbers always encode
	}
	return string(data)
}

// maxTemplate bounds a template's size in bytes.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html (via Amazon S3)
const maxTemplate = 1_000_000

// maxDepth bounds how deep a template nests; real ones stay far below.
const maxDepth = 100

// parse reads YAML, of which JSON is a part, into a value. The result is nil when the text is not YAML at all.
func parse(r *report, data []byte) *value {
	p := parser{report: r}
	if len(data) > maxTemplate {
		p.problem(1, 1, "the template has %d bytes: more than CloudFormation's %d", len(data), maxTemplate)
		return nil
	}
	var document yaml.Node
	if err := yaml.Load(data, &document); err != nil {
		line, column, message := 1, 1, err.Error()
		var load *yaml.LoadError
		if errors.As(err, &load) {
			message = strings.TrimPrefix(load.Message, "yaml: ")
			line, column = max(load.Mark.Line, 1), max(load.Mark.Column, 1)
		}
		p.problem(line, column, "not YAML: %s", message)
		return nil
	}
	if document.Kind != yaml.DocumentNode || len(document.Content) != 1 {
		p.problem(1, 1, "the template is empty")
		return nil
	}
	return p.value(document.Content[0], 0)
}

// parser turns yaml.Nodes into values.
type parser struct{ report *report }

func (p *parser) problem(line, column int, format string, args ...any) {
	p.report.problem(&value{line: line, column: column}, where{}, format, args...)
}

// shortForms are the tags of YAML's short form of functions; the others that CloudFormation knows are refused by
// resolve under their long names.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html
var shortForms = map[string]string{
	"!Ref": "Ref", "!Condition": "Condition",
	"!And": "Fn::And", "!Base64": "Fn::Base64", "!Cidr": "Fn::Cidr", "!Equals": "Fn::Equals", "!FindInMap": "Fn::FindInMap",
	"!ForEach": "Fn::ForEach", "!GetAZs": "Fn::GetAZs", "!GetAtt": "Fn::GetAtt", "!If": "Fn::If",
	"!ImportValue": "Fn::ImportValue", "!Join": "Fn::Join", "!Length": "Fn::Length", "!Not": "Fn::Not", "!Or": "Fn::Or",
	"!Select": "Fn::Select", "!Split": "Fn::Split", "!Sub": "Fn::Sub", "!ToJsonString": "Fn::ToJsonString",
	"!Transform": "Fn::Transform",
}

// value converts a node; every node it returns has a position.
func (p *parser) value(n *yaml.Node, depth int) *value {
	v := &value{kind: invalid, line: max(n.Line, 1), column: max(n.Column, 1)}
	if depth > maxDepth {
		p.problem(v.line, v.column, "nested deeper than %d levels", maxDepth)
		return v
	}
	long, isShort := shortForms[n.Tag]
	switch {
	case n.Kind == yaml.AliasNode:
		p.problem(v.line, v.column, "CloudFormation does not support YAML aliases: *%s", n.Value)
		return v
	case strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!") && !isShort:
		p.problem(v.line, v.column, "unknown tag %s", n.Tag)
		return v
	case !isShort:
		return p.untagged(n, v, depth)
	}
	inner := *n
	inner.Tag = ""
	if n.Kind == yaml.ScalarNode { // what a tag stands before is text, whatever it looks like
		inner.Tag, inner.Style = "!!str", inner.Style|yaml.TaggedStyle
	}
	argument := p.untagged(&inner, &value{kind: invalid, line: v.line, column: v.column}, depth+1)
	if long == "Fn::GetAtt" && argument.kind == text {
		id, attribute, _ := strings.Cut(argument.text, ".")
		argument = argument.newList(argument.newText(id), argument.newText(attribute))
	}
	v.kind, v.fields = object, []field{{long, argument}}
	return v
}

// untagged converts a node without regard to a short form's tag, into v.
func (p *parser) untagged(n *yaml.Node, v *value, depth int) *value {
	switch n.Kind {
	case yaml.ScalarNode:
		p.scalar(n, v)
	case yaml.SequenceNode:
		v.kind = list
		for _, item := range n.Content {
			v.items = append(v.items, p.value(item, depth+1))
		}
	case yaml.MappingNode:
		v.kind = object
		seen := make(map[string]bool, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			switch {
			case key.Tag == "!!merge":
				p.problem(key.Line, key.Column, "CloudFormation does not support YAML merge keys (<<)")
				continue
			case key.Kind != yaml.ScalarNode:
				p.problem(max(key.Line, 1), max(key.Column, 1), "a map's key must be a string")
				continue
			case seen[key.Value]:
				p.problem(key.Line, key.Column, "the key %q is given twice", key.Value)
				continue
			}
			seen[key.Value] = true
			entry := p.value(n.Content[i+1], depth+1)
			entry.key = &value{kind: text, text: key.Value, quoted: true, line: key.Line, column: key.Column}
			v.fields = append(v.fields, field{key.Value, entry})
		}
	default:
		p.problem(v.line, v.column, "unexpected YAML node")
	}
	return v
}

// ambiguous are plain words that YAML 1.1, CloudFormation's version, takes for booleans and YAML 1.2 for strings.
var ambiguous = []string{"yes", "no", "on", "off"}

func (p *parser) scalar(n *yaml.Node, v *value) {
	const quotes = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	v.quoted = n.Style&quotes != 0 || n.Tag == "!!str" && n.Style&yaml.TaggedStyle != 0
	v.text = n.Value
	switch {
	case n.Tag == "!!binary":
		p.problem(v.line, v.column, "CloudFormation does not support !!binary")
	case !v.quoted && (n.Tag == "!!null" || v.text == "" || v.text == "~" || v.text == "null"):
		p.problem(v.line, v.column, "null values are not allowed in templates")
	case !v.quoted && slices.Contains(ambiguous, strings.ToLower(v.text)):
		p.problem(v.line, v.column, "%s means a boolean in YAML 1.1 and a string in YAML 1.2: quote it, or write true or false", v.text)
	case !v.quoted && len(v.text) > 1 && v.text[0] == '0' && strings.Trim(v.text, "01234567_") == "":
		p.problem(v.line, v.column, "%s means an octal number in YAML 1.1: quote it", v.text)
	default:
		v.kind = text
	}
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

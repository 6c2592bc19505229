package template

import (
	"errors"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

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

package tree

import (
	"errors"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// MaxTemplate is the largest size of a template, in bytes.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html (via Amazon S3)
const MaxTemplate = 1_000_000

// maxDepth is the deepest nesting of a template. Real templates stay far below it.
const maxDepth = 100

// Parse reads a template in YAML or JSON. It returns nil when the text is not YAML. Problems go to the report.
func Parse(r *Report, data []byte) *Value {
	p := parser{report: r}
	if len(data) > MaxTemplate {
		p.problem(1, 1, "the template has %d bytes: more than CloudFormation's %d", len(data), MaxTemplate)
		return nil
	}
	var document yaml.Node
	if err := yaml.Load(data, &document); err != nil {
		line, column, message := 1, 1, err.Error()
		if load, ok := errors.AsType[*yaml.LoadError](err); ok {
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

// parser converts yaml.Nodes to values.
type parser struct{ report *Report }

func (p *parser) problem(line, column int, format string, args ...any) {
	p.report.Problem(&Value{Line: line, Column: column}, Place{}, format, args...)
}

// shortForms maps the YAML tags of functions to the long names of the functions.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html
var shortForms = map[string]string{
	"!Ref": "Ref", "!Condition": "Condition",
	"!And": "Fn::And", "!Base64": "Fn::Base64", "!Cidr": "Fn::Cidr", "!Equals": "Fn::Equals",
	"!FindInMap": "Fn::FindInMap",
	"!ForEach":   "Fn::ForEach", "!GetAZs": "Fn::GetAZs", "!GetAtt": "Fn::GetAtt", "!If": "Fn::If",
	"!ImportValue": "Fn::ImportValue", "!Join": "Fn::Join", "!Length": "Fn::Length", "!Not": "Fn::Not", "!Or": "Fn::Or",
	"!Select": "Fn::Select", "!Split": "Fn::Split", "!Sub": "Fn::Sub", "!ToJsonString": "Fn::ToJsonString",
	"!Transform": "Fn::Transform",
}

// value converts a node. The result has a position.
func (p *parser) value(n *yaml.Node, depth int) *Value {
	v := &Value{Kind: Invalid, Line: max(n.Line, 1), Column: max(n.Column, 1)}
	if depth > maxDepth {
		p.problem(v.Line, v.Column, "nested deeper than %d levels", maxDepth)
		return v
	}
	long, isShort := shortForms[n.Tag]
	switch {
	case n.Kind == yaml.AliasNode:
		p.problem(v.Line, v.Column, "CloudFormation does not support YAML aliases: *%s", n.Value)
		return v
	case strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!") && !isShort:
		p.problem(v.Line, v.Column, "unknown tag %s", n.Tag)
		return v
	case !isShort:
		return p.untagged(n, v, depth)
	}
	inner := *n
	inner.Tag = ""
	if n.Kind == yaml.ScalarNode { // a tagged scalar is text: !Ref 1 names "1"
		inner.Tag, inner.Style = "!!str", inner.Style|yaml.TaggedStyle
	}
	argument := p.untagged(&inner, &Value{Kind: Invalid, Line: v.Line, Column: v.Column}, depth+1)
	if long == "Fn::GetAtt" && argument.Kind == Text {
		id, attribute, _ := strings.Cut(argument.Text, ".")
		argument = argument.NewList(argument.NewText(id), argument.NewText(attribute))
	}
	v.Kind, v.Fields = Object, []Field{{long, argument}}
	return v
}

// untagged converts a node into v and ignores the tag of a short form.
func (p *parser) untagged(n *yaml.Node, v *Value, depth int) *Value {
	switch n.Kind {
	case yaml.ScalarNode:
		p.scalar(n, v)
	case yaml.SequenceNode:
		v.Kind = List
		for _, item := range n.Content {
			v.Items = append(v.Items, p.value(item, depth+1))
		}
	case yaml.MappingNode:
		v.Kind = Object
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
				p.problem(key.Line, key.Column, "the key %q occurs twice", key.Value)
				continue
			}
			seen[key.Value] = true
			entry := p.value(n.Content[i+1], depth+1)
			entry.key = &Value{Kind: Text, Text: key.Value, quoted: true, Line: key.Line, Column: key.Column}
			v.Fields = append(v.Fields, Field{key.Value, entry})
		}
	default:
		p.problem(v.Line, v.Column, "unexpected YAML node")
	}
	return v
}

// ambiguous are booleans in YAML 1.1, which CloudFormation uses, and strings in YAML 1.2.
var ambiguous = []string{"yes", "no", "on", "off"}

func (p *parser) scalar(n *yaml.Node, v *Value) {
	const quotes = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	v.quoted = n.Style&quotes != 0 || n.Tag == "!!str" && n.Style&yaml.TaggedStyle != 0
	v.Text = n.Value
	switch {
	case n.Tag == "!!binary":
		p.problem(v.Line, v.Column, "CloudFormation does not support !!binary")
	case !v.quoted && (n.Tag == "!!null" || v.Text == "" || v.Text == "~" || v.Text == "null"):
		p.problem(v.Line, v.Column, "null values are not allowed in templates")
	case !v.quoted && slices.Contains(ambiguous, strings.ToLower(v.Text)):
		p.problem(v.Line, v.Column,
			"%s means a boolean in YAML 1.1 and a string in YAML 1.2: quote it, or write true or false", v.Text)
	case !v.quoted && len(v.Text) > 1 && v.Text[0] == '0' && strings.Trim(v.Text, "01234567_") == "":
		p.problem(v.Line, v.Column, "%s means an octal number in YAML 1.1: quote it", v.Text)
	default:
		v.Kind = Text
	}
}

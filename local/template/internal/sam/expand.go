package sam

import (
	"slices"

	"fanfare/local/template/internal/cfn"
	"fanfare/local/template/internal/tree"
)

// serverlessType is a resource type of SAM.
type serverlessType struct {
	section string // the name of the type in Globals
	schema  tree.Schema
	expand  func(x *expansion)
}

// serverlessTypes are the types that Expand expands.
// Source: AWS SAM developer guide, sam-specification-generated-resources.html.
var serverlessTypes = map[string]*serverlessType{
	"AWS::Serverless::Function":     {"Function", serverlessFunction, (*expansion).function},
	"AWS::Serverless::SimpleTable":  {"SimpleTable", serverlessTable, (*expansion).simpleTable},
	"AWS::Serverless::WebSocketApi": {"WebSocketApi", serverlessWebSocketAPI, (*expansion).webSocketAPI},
}

// expansion generates the resources of one SAM resource.
type expansion struct {
	e           *cfn.Evaluator
	r           *cfn.Resource
	tree.Reader // of the SAM resource's properties, merged with Globals, not evaluated
	generated   []*cfn.Resource
}

// Expand replaces every SAM resource of the evaluator by the resources that SAM generates from it.
func Expand(e *cfn.Evaluator) {
	transform := hasTransform(e)
	globals := readGlobals(e.Report, e.Section("Globals"))
	for _, r := range slices.Clone(e.Resources()) {
		t := serverlessTypes[r.Type]
		if t == nil {
			continue
		}
		at := tree.At(r.ID, "Properties")
		if !transform {
			e.Problem(r.Position, at, "a resource of type %s needs Transform: %s", r.Type, samTransform)
		}
		merged := withGlobals(e.Report, r, globals[t.section])
		x := &expansion{e: e, r: r, Reader: tree.Reader{Report: e.Report, At: at, Object: merged, Position: r.Position}}
		x.Check(t.schema)
		t.expand(x)
		e.Replace(r, x.generated)
	}
}

// samTransform is the only transform that is emulated.
const samTransform = "AWS::Serverless-2016-10-31"

// hasTransform reports whether the template has SAM's transform. It reports other transforms as problems.
func hasTransform(e *cfn.Evaluator) bool {
	v := e.Section("Transform")
	if v == nil {
		return false
	}
	transforms := []*tree.Value{v}
	if v.Kind == tree.List {
		transforms = v.Items
	}
	sam := false
	for _, transform := range transforms {
		switch {
		case transform.Kind == tree.Invalid:
		case transform.Kind == tree.Text && transform.Text == samTransform:
			sam = true
		case transform.Kind == tree.Text:
			e.Problem(transform, tree.Place{Resource: "Transform"},
				"%s is not emulated: only %s is", transform.Text, samTransform)
		default:
			e.Problem(transform, tree.Place{Resource: "Transform"}, "macros are not emulated: only %s is", samTransform)
		}
	}
	return sam
}

// add generates a resource. It leaves out properties whose value is nil.
func (x *expansion) add(id, typ string, fields ...tree.Field) *cfn.Resource {
	made := &cfn.Resource{
		ID: id, Type: typ, Position: x.r.Position, Properties: x.r.Position.NewObject(fields...), Exists: x.r.Exists,
	}
	x.generated = append(x.generated, made)
	return made
}

// copied returns the properties of these names.
func (x *expansion) copied(keys ...string) []tree.Field {
	var fields []tree.Field
	for _, key := range keys {
		fields = append(fields, tree.Entry(key, x.Value(key)))
	}
	return fields
}

// tagList returns the tags of a generated resource as a list: SAM's own tag and those of the SAM resource.
func (x *expansion) tagList(own *tree.Value) *tree.Value {
	at := x.r.Position
	tags := []*tree.Value{tag("lambda:createdBy", at.NewText("SAM"))}
	if own != nil && own.Kind == tree.Object {
		for _, f := range own.Fields {
			tags = append(tags, tag(f.Key, f.Value))
		}
	}
	return at.NewList(tags...)
}

// tag returns a tag at the position of its value.
func tag(key string, value *tree.Value) *tree.Value {
	return value.NewObject(tree.Entry("Key", value.NewText(key)), tree.Entry("Value", value))
}

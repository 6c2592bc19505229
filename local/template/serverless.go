package template

import "slices"

// serverlessType is a resource type of SAM's, which expands into resources of CloudFormation's own.
type serverlessType struct {
	section string // its name in Globals
	schema  schema
	expand  func(x *expansion)
}

// serverlessTypes are those expanded here; the others are refused like any unknown type.
// https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-specification-generated-resources.html
var serverlessTypes = map[string]*serverlessType{
	"AWS::Serverless::Function":     {"Function", serverlessFunction, (*expansion).function},
	"AWS::Serverless::SimpleTable":  {"SimpleTable", serverlessTable, (*expansion).simpleTable},
	"AWS::Serverless::WebSocketApi": {"WebSocketApi", serverlessWebSocketAPI, (*expansion).webSocketAPI},
}

// expansion turns one SAM resource into what its transform generates.
type expansion struct {
	e          *evaluator
	r          *resource
	properties // of the SAM resource, Globals merged, unresolved
	made       []*resource
}

// expandServerless replaces every SAM resource of the evaluator by those that it stands for.
func expandServerless(e *evaluator) {
	transform := hasTransform(e)
	globals := readGlobals(e.report, e.section("Globals"))
	for _, r := range slices.Clone(e.resourceList()) {
		t := serverlessTypes[r.typ]
		if t == nil {
			continue
		}
		at := where{r.id, "Properties"}
		if !transform {
			e.problem(r.position, at, "a resource of type %s needs Transform: %s", r.typ, samTransform)
		}
		merged := withGlobals(e.report, r, globals[t.section])
		x := &expansion{e: e, r: r, properties: properties{report: e.report, at: at, object: merged, position: r.position}}
		x.check(t.schema)
		t.expand(x)
		e.replace(r, x.made)
	}
}

// samTransform is the one transform that is known here.
const samTransform = "AWS::Serverless-2016-10-31"

// hasTransform reports whether SAM's transform is asked for, and refuses others.
func hasTransform(e *evaluator) bool {
	v := e.section("Transform")
	if v == nil {
		return false
	}
	transforms := []*value{v}
	if v.kind == list {
		transforms = v.items
	}
	sam := false
	for _, transform := range transforms {
		switch {
		case transform.kind == invalid:
		case transform.kind == text && transform.text == samTransform:
			sam = true
		case transform.kind == text:
			e.problem(transform, where{resource: "Transform"}, "%s is not emulated: only %s is", transform.text, samTransform)
		default:
			e.problem(transform, where{resource: "Transform"}, "macros are not emulated: only %s is", samTransform)
		}
	}
	return sam
}

// add generates a resource. Properties without a value are left out.
func (x *expansion) add(id, typ string, fields ...field) *resource {
	made := &resource{
		id: id, typ: typ, position: x.r.position, properties: x.r.position.newObject(fields...), exists: x.r.exists,
		needs: map[string]bool{},
	}
	x.made = append(x.made, made)
	return made
}

// copied returns the SAM resource's own properties of these names, those that it has.
func (x *expansion) copied(keys ...string) []field {
	var fields []field
	for _, key := range keys {
		fields = append(fields, field{key, x.value(key)})
	}
	return fields
}

// tagList returns the tags that SAM puts on what it generates: its own and the resource's, as a list.
func (x *expansion) tagList(own *value) *value {
	at := x.r.position
	tags := []*value{at.newObject(field{"Key", at.newText("lambda:createdBy")}, field{"Value", at.newText("SAM")})}
	if own != nil && own.kind == object {
		for _, f := range own.fields {
			tags = append(tags, f.value.newObject(field{"Key", f.value.newText(f.key)}, field{"Value", f.value}))
		}
	}
	return at.newList(tags...)
}

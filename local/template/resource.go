package template

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// resource is one entry of the Resources section, or one that SAM's transform generates.
type resource struct {
	id, typ    string
	position   *value
	properties *value // an object, unresolved
	dependsOn  []string
	metadata   *value
	exists     bool // its condition holds
	attributes []field
	state      progress        // of its name, see name
	named      string          // its physical name, once state is finished
	needs      map[string]bool // logical ids that must exist before it
}

// resourceType is what is known about a type of resource. Its patterns may hold {name} (the physical name), {id},
// {uuid} and {suffix} (made of the logical id), {api} (an API's id), {path} (a role's), {region}, {account}, {stack} and {queues} (what
// queue URLs begin with).
type resourceType struct {
	// schema names the properties; nil leaves them unchecked, for types that have no local part.
	schema   schema
	required []string
	// nameProperty holds the explicit name, "" when a resource of the type has none; names must match namePattern, and
	// generated ones are cut at nameLimit.
	nameProperty string
	namePattern  *regexp.Regexp
	nameLimit    int
	// ref is what Ref returns, attributes what Fn::GetAtt returns.
	ref        string
	attributes map[string]string
	// refusedAttributes are attributes that exist on AWS and cannot be had here, with the reason.
	refusedAttributes map[string]string
	// read adds a resource to the stack; nil when the type has no local part.
	read func(l *loader, r *resource, p properties)
}

// resourceTypes holds every supported type.
var resourceTypes = map[string]*resourceType{}

func init() { // not a literal: the readers look types up here
	for _, types := range []map[string]*resourceType{lambdaTypes(), iamTypes(), sqsTypes(), dynamoDBTypes(), apiGatewayTypes(),
		secretTypes(), inertTypes()} {
		maps.Copy(resourceTypes, types)
	}
}

// typeOf returns what is known about a resource's type, or nil.
func (l *loader) typeOf(r *resource) *resourceType {
	if t := resourceTypes[r.typ]; t != nil {
		return t
	}
	if slices.Contains(l.options.Inert, r.typ) {
		return &resourceType{ref: "{name}"}
	}
	return nil
}

// resourceAttributes are what may stand beside a resource's properties.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/resources-section-structure.html
var resourceAttributes = settable(`
	Condition DeletionPolicy DependsOn Description IgnoreGlobals Metadata Properties Type UpdatePolicy
	UpdateReplacePolicy`).
	with(schema{
		"Connectors":     refused("write the policies that a connector would generate"),
		"CreationPolicy": refused("no signals are waited for"),
	})

func (l *loader) readResources(section *value) {
	l.resources = map[string]*resource{}
	if section == nil {
		l.problem(l.template, where{resource: "Resources"}, "a template must have Resources")
		return
	}
	for _, f := range l.entries(section, "Resources") {
		at := where{resource: f.key}
		p := l.properties(f.value, at)
		if p.object == nil {
			continue
		}
		p.check(resourceAttributes)
		r := &resource{id: f.key, typ: p.text("Type"), position: f.value.entry(), attributes: p.object.fields, needs: map[string]bool{}}
		r.exists = l.checkCondition(p.value("Condition"), at)
		r.metadata = p.value("Metadata")
		r.dependsOn = l.readDependsOn(p)
		if l.parameters[r.id] != nil {
			l.problem(r.position, at, "a parameter has the same name")
		}
		r.properties = p.part("Properties").object
		if r.properties == nil {
			r.properties = r.position.newObject()
		}
		l.checkType(r, p)
		l.resources[r.id] = r
		l.order = append(l.order, r)
	}
}

func (l *loader) readDependsOn(p properties) []string {
	if v := p.value("DependsOn"); v != nil && v.kind == text {
		return []string{v.text}
	}
	return p.texts("DependsOn")
}

// checkType reports a type that is not supported.
func (l *loader) checkType(r *resource, p properties) {
	switch {
	case r.typ == "":
		p.require("Type")
	case l.typeOf(r) != nil || serverlessTypes[r.typ] != nil:
	case strings.HasPrefix(r.typ, "Custom::") || r.typ == "AWS::CloudFormation::CustomResource":
		p.problem("Type", "custom resources are not emulated: %s", r.typ)
	default:
		p.problem("Type", "resources of type %s are not emulated", r.typ)
	}
}

// target returns the resource of that logical id for a reference to it, which is noted as a dependency. It returns nil,
// with the problem reported, when there is none to refer to.
func (l *loader) target(v *value, id string, at where) *resource {
	r := l.resources[id]
	switch {
	case r == nil:
		if generated := l.stack.generated[id]; generated != "" {
			return l.target(v, generated, at)
		}
		l.problem(v, at, "%s is neither a resource nor a parameter of the template", id)
		return nil
	case !r.exists:
		l.problem(v, at, "%s does not exist, as its condition is false", id)
		return nil
	case l.typeOf(r) == nil:
		return nil // the type was reported
	}
	if from := l.resources[at.resource]; from != nil {
		from.needs[id] = true
	}
	return r
}

// reference returns what Ref gives for a resource, or "" when its name is wrong, which is reported.
func (l *loader) reference(r *resource) string {
	return l.form(r, l.typeOf(r).ref)
}

// attribute returns what Fn::GetAtt gives, or "" with the problem reported.
func (l *loader) attribute(v *value, r *resource, attribute string, at where) string {
	t := l.typeOf(r)
	if pattern, ok := t.attributes[attribute]; ok {
		return l.form(r, pattern)
	}
	if why, ok := t.refusedAttributes[attribute]; ok {
		l.problem(v, at, "the attribute %s of %s is not emulated: %s", attribute, r.id, why)
		return ""
	}
	l.problem(v, at, "%s, of type %s, has no attribute %q that is known here", r.id, r.typ, attribute)
	return ""
}

// resolveResources resolves every resource that exists, checks it against its type and reads it into the stack.
func (l *loader) resolveResources() {
	for _, r := range l.order {
		t := l.typeOf(r)
		if t == nil || !r.exists {
			continue
		}
		at := where{r.id, "Properties"}
		resolved := l.resolve(r.properties, at)
		if resolved.kind == invalid {
			continue
		}
		p := properties{l: l, at: at, object: resolved, position: r.position}
		if t.schema != nil {
			p.check(t.schema)
			p.require(t.required...)
		}
		if t.ref != "" {
			l.reference(r)
		}
		if t.read == nil {
			l.addInert(r)
			continue
		}
		t.read(l, r, p)
	}
	l.checkCircles()
}

// checkCircles reports resources that wait for each other, which CloudFormation refuses.
func (l *loader) checkCircles() {
	state := map[string]progress{}
	var path []string
	var visit func(id string)
	visit = func(id string) {
		r := l.resources[id]
		if r == nil || !r.exists || state[id] == finished {
			return
		}
		if state[id] == running {
			circle := append(slices.Clone(path[slices.Index(path, id):]), id)
			l.problem(r.position, where{resource: id}, "circular dependency between resources: %s", strings.Join(circle, " -> "))
			return
		}
		state[id] = running
		path = append(path, id)
		for _, need := range slices.Sorted(maps.Keys(r.needs)) {
			visit(need)
		}
		path = path[:len(path)-1]
		state[id] = finished
	}
	for _, r := range l.order {
		visit(r.id)
	}
}

// checkReferences reports every name that nothing in the template has, also where a condition keeps it from being
// evaluated, and notes what resources depend on explicitly.
func (l *loader) checkReferences(outputs *value) {
	for _, r := range l.order {
		for _, id := range r.dependsOn {
			switch target := l.resources[id]; {
			case target == nil:
				l.problem(r.position, where{r.id, "DependsOn"}, "%s is not a resource of the template", id)
			case target.exists: // CloudFormation drops the dependency otherwise
				r.needs[id] = true
			}
		}
		l.checkNames(r.properties, where{r.id, "Properties"})
	}
	for _, f := range l.entries(outputs, "Outputs") {
		l.checkNames(f.value, where{resource: "Outputs." + f.key})
	}
}

func (l *loader) checkNames(v *value, at where) {
	name, argument := v.function()
	if name != "" {
		l.checkArgument(name, argument, at)
		return
	}
	for i, item := range v.items {
		l.checkNames(item, at.item(i))
	}
	for _, f := range v.fields {
		l.checkNames(f.value, at.field(f.key))
	}
}

// checkArgument checks the names that a function uses. What has the wrong shape is reported when it is evaluated.
func (l *loader) checkArgument(function string, argument *value, at where) {
	first, variables := argument, (*value)(nil)
	if argument.kind == list && len(argument.items) > 0 {
		first = argument.items[0]
		for _, item := range argument.items {
			l.checkNames(item, at)
			variables = item // those of Fn::Sub come last
		}
	} else {
		l.checkNames(argument, at)
	}
	if first.kind != text {
		return
	}
	switch function {
	case "Ref":
		l.checkName(first, first.text, at)
	case "Fn::GetAtt":
		id, _, _ := strings.Cut(first.text, ".")
		l.checkName(first, id, at)
	case "Fn::If":
		l.condition(first, first.text, at)
	case "Fn::Sub":
		for _, match := range substitution.FindAllStringSubmatch(first.text, -1) {
			id, _, _ := strings.Cut(match[1], ".")
			if variables.get(match[1]) == nil && l.stack.generated[match[1]] == "" {
				l.checkName(first, id, at)
			}
		}
	}
}

func (l *loader) checkName(v *value, name string, at where) {
	if strings.HasPrefix(name, "AWS::") || l.parameters[name] != nil || l.resources[name] != nil || l.stack.generated[name] != "" {
		return
	}
	l.problem(v, at, "%s is neither a resource nor a parameter of the template", name)
}

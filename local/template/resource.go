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
	exists     bool            // its condition holds
	entry      properties      // the whole entry; zero for a generated resource
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
	// path returns what {path} stands for, suffix the end of generated names; nil when the type has neither.
	path, suffix func(e *evaluator, r *resource) string
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

func (e *evaluator) readResources(section *value) {
	e.resources = map[string]*resource{}
	if section == nil {
		e.problem(e.template, where{resource: "Resources"}, "a template must have Resources")
		return
	}
	for _, f := range e.entries(section, "Resources") {
		at := where{resource: f.key}
		p := e.properties(f.value, at)
		if p.object == nil {
			continue
		}
		p.check(resourceAttributes)
		r := &resource{id: f.key, typ: p.text("Type"), position: f.value.entry(), entry: p, needs: map[string]bool{}}
		r.exists = e.checkCondition(p.value("Condition"), at)
		r.metadata = p.value("Metadata")
		r.dependsOn = e.readDependsOn(p)
		if e.parameters[r.id] != nil {
			e.problem(r.position, at, "a parameter has the same name")
		}
		r.properties = p.part("Properties").object
		if r.properties == nil {
			r.properties = r.position.newObject()
		}
		e.resources[r.id] = r
		e.order = append(e.order, r)
	}
}

func (e *evaluator) readDependsOn(p properties) []string {
	if v := p.value("DependsOn"); v != nil && v.kind == text {
		return []string{v.text}
	}
	return p.texts("DependsOn")
}

// checkTypes reports the types that are not supported. SAM's own have been expanded.
func (e *evaluator) checkTypes() {
	for _, r := range e.order {
		switch {
		case r.typ == "":
			r.entry.require("Type")
		case e.typeOf(r.typ) != nil:
		case strings.HasPrefix(r.typ, "Custom::") || r.typ == "AWS::CloudFormation::CustomResource":
			r.entry.problem("Type", "custom resources are not emulated: %s", r.typ)
		default:
			r.entry.problem("Type", "resources of type %s are not emulated", r.typ)
		}
	}
}

// resourceList returns the resources in the order of the template.
func (e *evaluator) resourceList() []*resource { return e.order }

// replace puts the resources that a transform makes of one in its place.
func (e *evaluator) replace(r *resource, made []*resource) {
	delete(e.resources, r.id)
	for _, one := range made {
		if e.resources[one.id] != nil {
			e.problem(r.position, where{resource: r.id}, "SAM generates a resource %s, of which the template has another", one.id)
			continue
		}
		e.resources[one.id] = one
	}
	i := slices.Index(e.order, r)
	e.order = slices.Replace(e.order, i, i+1, made...)
}

// alias gives a resource another name, by which Ref, Fn::GetAtt and Fn::Sub find it.
func (e *evaluator) alias(name, logicalID string) { e.aliases[name] = logicalID }

// target returns the resource of that logical id for a reference to it, which is noted as a dependency. It returns nil,
// with the problem reported, when there is none to refer to.
func (e *evaluator) target(v *value, id string, at where) *resource {
	r := e.resources[id]
	switch {
	case r == nil:
		if generated := e.aliases[id]; generated != "" {
			return e.target(v, generated, at)
		}
		e.problem(v, at, "%s is neither a resource nor a parameter of the template", id)
		return nil
	case !r.exists:
		e.problem(v, at, "%s does not exist, as its condition is false", id)
		return nil
	case e.typeOf(r.typ) == nil:
		return nil // the type was reported
	}
	if from := e.resources[at.resource]; from != nil {
		from.needs[id] = true
	}
	return r
}

// reference returns what Ref gives for a resource, or "" when its name is wrong, which is reported.
func (e *evaluator) reference(r *resource) string {
	return e.form(r, e.typeOf(r.typ).ref)
}

// arn returns the ARN of a resource whose type has one, or "" when its name is wrong, which is reported.
func (e *evaluator) arn(r *resource) string {
	return e.form(r, e.typeOf(r.typ).attributes["Arn"])
}

// attribute returns what Fn::GetAtt gives, or "" with the problem reported.
func (e *evaluator) attribute(v *value, r *resource, attribute string, at where) string {
	t := e.typeOf(r.typ)
	if pattern, ok := t.attributes[attribute]; ok {
		return e.form(r, pattern)
	}
	if why, ok := t.refusedAttributes[attribute]; ok {
		e.problem(v, at, "the attribute %s of %s is not emulated: %s", attribute, r.id, why)
		return ""
	}
	e.problem(v, at, "%s, of type %s, has no attribute %q that is known here", r.id, r.typ, attribute)
	return ""
}

// resolveResource resolves a resource that exists and checks it against its type. It returns false for one that does
// not exist or cannot be resolved.
func (e *evaluator) resolveResource(r *resource) (properties, bool) {
	t := e.typeOf(r.typ)
	if t == nil || !r.exists {
		return properties{}, false
	}
	at := where{r.id, "Properties"}
	resolved := e.resolve(r.properties, at)
	if resolved.kind == invalid {
		return properties{}, false
	}
	p := properties{report: e.report, at: at, object: resolved, position: r.position}
	if t.schema != nil {
		p.check(t.schema)
		p.require(t.required...)
	}
	if t.ref != "" {
		e.reference(r)
	}
	return p, true
}

// checkCircles reports resources that wait for each other, which CloudFormation refuses.
func (e *evaluator) checkCircles() {
	state := map[string]progress{}
	var path []string
	var visit func(id string)
	visit = func(id string) {
		r := e.resources[id]
		if r == nil || !r.exists || state[id] == finished {
			return
		}
		if state[id] == running {
			circle := append(slices.Clone(path[slices.Index(path, id):]), id)
			e.problem(r.position, where{resource: id}, "circular dependency between resources: %s", strings.Join(circle, " -> "))
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
	for _, r := range e.order {
		visit(r.id)
	}
}

// dependencies returns the logical ids of everything that exists before a resource does.
func (e *evaluator) dependencies(r *resource) map[string]bool {
	all := map[string]bool{}
	var visit func(r *resource)
	visit = func(r *resource) {
		for id := range r.needs {
			if next := e.resources[id]; next != nil && !all[id] {
				all[id] = true
				visit(next)
			}
		}
	}
	visit(r)
	return all
}

// checkReferences reports every name that nothing in the template has, also where a condition keeps it from being
// evaluated, and notes what resources depend on explicitly.
func (e *evaluator) checkReferences() {
	for _, r := range e.order {
		for _, id := range r.dependsOn {
			switch target := e.resources[id]; {
			case target == nil:
				e.problem(r.position, where{r.id, "DependsOn"}, "%s is not a resource of the template", id)
			case target.exists: // CloudFormation drops the dependency otherwise
				r.needs[id] = true
			}
		}
		e.checkNames(r.properties, where{r.id, "Properties"})
	}
	for _, f := range e.entries(e.section("Outputs"), "Outputs") {
		e.checkNames(f.value, where{resource: "Outputs." + f.key})
	}
}

func (e *evaluator) checkNames(v *value, at where) {
	name, argument := v.function()
	if name != "" {
		e.checkArgument(name, argument, at)
		return
	}
	for i, item := range v.items {
		e.checkNames(item, at.item(i))
	}
	for _, f := range v.fields {
		e.checkNames(f.value, at.field(f.key))
	}
}

// checkArgument checks the names that a function uses. What has the wrong shape is reported when it is evaluated.
func (e *evaluator) checkArgument(function string, argument *value, at where) {
	first, variables := argument, (*value)(nil)
	if argument.kind == list && len(argument.items) > 0 {
		first = argument.items[0]
		for _, item := range argument.items {
			e.checkNames(item, at)
			variables = item // those of Fn::Sub come last
		}
	} else {
		e.checkNames(argument, at)
	}
	if first.kind != text {
		return
	}
	switch function {
	case "Ref":
		e.checkName(first, first.text, at)
	case "Fn::GetAtt":
		id, _, _ := strings.Cut(first.text, ".")
		e.checkName(first, id, at)
	case "Fn::If":
		e.condition(first, first.text, at)
	case "Fn::Sub":
		for _, match := range substitution.FindAllStringSubmatch(first.text, -1) {
			id, _, _ := strings.Cut(match[1], ".")
			if variables.get(match[1]) == nil && e.aliases[match[1]] == "" {
				e.checkName(first, id, at)
			}
		}
	}
}

func (e *evaluator) checkName(v *value, name string, at where) {
	if strings.HasPrefix(name, "AWS::") || e.parameters[name] != nil || e.resources[name] != nil || e.aliases[name] != "" {
		return
	}
	e.problem(v, at, "%s is neither a resource nor a parameter of the template", name)
}

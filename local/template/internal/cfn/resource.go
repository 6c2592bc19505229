package cfn

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"fanfare/local/template/internal/tree"
)

// Resource is a resource of the template, or one that SAM generates.
type Resource struct {
	ID, Type   string
	Position   *tree.Value
	Properties *tree.Value // an object, unresolved
	DependsOn  []string
	Metadata   *tree.Value
	Exists     bool        // its condition holds
	Entry      tree.Reader // the whole entry; zero for a generated resource

	state progress        // of its physical name
	named string          // its physical name, when state is finished
	needs map[string]bool // the logical ids that it depends on; may be nil
}

// Type describes a resource type. Its patterns may contain {name} (the physical name), {id}, {uuid} and {suffix} (which
// are derived from the logical id), {api} (the id of an API), {path} (see Path), {region}, {account}, {stack} and
// {queues} (the beginning of queue URLs).
type Type struct {
	// Schema has the rules of the properties; nil leaves them unchecked, for types that are not emulated.
	Schema   tree.Schema
	Required []string // names of properties
	// NameProperty is the property with the explicit name, "" when resources of the type have none. Names must match
	// NamePattern, which may be nil. Generated names are cut to NameLimit characters; 0 is no limit.
	NameProperty string
	NamePattern  *regexp.Regexp
	NameLimit    int
	// Ref is the pattern of the result of Ref, Attributes has those of Fn::GetAtt by attribute.
	Ref        string
	Attributes map[string]string
	// RefusedAttributes are attributes that are not emulated, with the reason.
	RefusedAttributes map[string]string
	// Path returns the text for {path}, Suffix the end of generated names. Both may be nil.
	Path, Suffix func(e *Evaluator, r *Resource) string
}

// resourceAttributes is the schema of a resource's declaration.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/resources-section-structure.html
var resourceAttributes = tree.Settable(`
	Condition DeletionPolicy DependsOn Description IgnoreGlobals Metadata Properties Type UpdatePolicy
	UpdateReplacePolicy`).
	With(tree.Schema{
		"Connectors":     tree.Refused("write the policies that a connector would generate"),
		"CreationPolicy": tree.Refused("no signals are waited for"),
	})

// dependOn notes that the resource depends on another.
func (r *Resource) dependOn(id string) {
	if r.needs == nil {
		r.needs = map[string]bool{}
	}
	r.needs[id] = true
}

func (e *Evaluator) readResources(section *tree.Value) {
	e.resources = map[string]*Resource{}
	if section == nil {
		e.Problem(e.template, tree.Place{Resource: "Resources"}, "a template must have Resources")
		return
	}
	for _, f := range e.entries(section, "Resources") {
		at := tree.Place{Resource: f.Key}
		p := e.Reader(f.Value, at)
		if p.Object == nil {
			continue
		}
		p.Check(resourceAttributes)
		r := &Resource{ID: f.Key, Type: p.Text("Type"), Position: f.Value.KeyPosition(), Entry: p}
		r.Exists = e.checkCondition(p.Value("Condition"), at)
		r.Metadata = p.Value("Metadata")
		r.DependsOn = e.readDependsOn(p)
		if e.parameters[r.ID] != nil {
			e.Problem(r.Position, at, "a parameter has the same name")
		}
		r.Properties = p.Part("Properties").Object
		if r.Properties == nil {
			r.Properties = r.Position.NewObject()
		}
		e.resources[r.ID] = r
		e.order = append(e.order, r)
	}
}

func (e *Evaluator) readDependsOn(p tree.Reader) []string {
	if v := p.Value("DependsOn"); v != nil && v.Kind == tree.Text {
		return []string{v.Text}
	}
	return p.Texts("DependsOn")
}

// CheckTypes reports the types that are not supported. SAM's own types must have been expanded.
func (e *Evaluator) CheckTypes() {
	for _, r := range e.order {
		switch {
		case r.Type == "":
			r.Entry.Require("Type")
		case e.typeOf(r.Type) != nil:
		case strings.HasPrefix(r.Type, "Custom::") || r.Type == "AWS::CloudFormation::CustomResource":
			r.Entry.Problem("Type", "custom resources are not emulated: %s", r.Type)
		default:
			r.Entry.Problem("Type", "resources of type %s are not emulated", r.Type)
		}
	}
}

// Resources returns the resources in the order of the template.
func (e *Evaluator) Resources() []*Resource { return e.order }

// Replace replaces a resource by those that SAM generates from it.
func (e *Evaluator) Replace(r *Resource, generated []*Resource) {
	delete(e.resources, r.ID)
	for _, one := range generated {
		if e.resources[one.ID] != nil {
			e.Problem(r.Position, tree.Place{Resource: r.ID},
				"SAM generates a resource %s, but the template has another of that name", one.ID)
			continue
		}
		e.resources[one.ID] = one
	}
	i := slices.Index(e.order, r)
	e.order = slices.Replace(e.order, i, i+1, generated...)
}

// Alias gives a resource a second name for Ref, Fn::GetAtt and Fn::Sub.
func (e *Evaluator) Alias(name, logicalID string) { e.aliases[name] = logicalID }

// target returns the resource that a reference names and notes the dependency. It reports a resource that does not
// exist and returns nil.
func (e *Evaluator) target(v *tree.Value, id string, at tree.Place) *Resource {
	r := e.resources[id]
	switch {
	case r == nil:
		if generated := e.aliases[id]; generated != "" {
			return e.target(v, generated, at)
		}
		e.Problem(v, at, "%s is neither a resource nor a parameter of the template", id)
		return nil
	case !r.Exists:
		e.Problem(v, at, "%s does not exist, as its condition is false", id)
		return nil
	case e.typeOf(r.Type) == nil:
		return nil // the type was reported
	}
	if from := e.resources[at.Resource]; from != nil {
		from.dependOn(id)
	}
	return r
}

// Reference returns the result of Ref, or "" when the resource's name is wrong, which it reports.
func (e *Evaluator) Reference(r *Resource) string {
	return e.form(r, e.typeOf(r.Type).Ref)
}

// ARN returns the attribute Arn, or "" when the resource's name is wrong, which it reports. The type must have it.
func (e *Evaluator) ARN(r *Resource) string {
	return e.form(r, e.typeOf(r.Type).Attributes["Arn"])
}

// Attribute returns the result of Fn::GetAtt. It reports an unknown attribute and returns "".
func (e *Evaluator) Attribute(v *tree.Value, r *Resource, attribute string, at tree.Place) string {
	t := e.typeOf(r.Type)
	if pattern, ok := t.Attributes[attribute]; ok {
		return e.form(r, pattern)
	}
	if why, ok := t.RefusedAttributes[attribute]; ok {
		e.Problem(v, at, "the attribute %s of %s is not emulated: %s", attribute, r.ID, why)
		return ""
	}
	e.Problem(v, at, "%s, of type %s, has no attribute %q that is known here", r.ID, r.Type, attribute)
	return ""
}

// ResolveResource evaluates the properties of a resource and checks them against its type. It returns false for a
// resource that does not exist or cannot be evaluated.
func (e *Evaluator) ResolveResource(r *Resource) (tree.Reader, bool) {
	t := e.typeOf(r.Type)
	if t == nil || !r.Exists {
		return tree.Reader{}, false
	}
	at := tree.At(r.ID, "Properties")
	resolved := e.Resolve(r.Properties, at)
	if resolved.Kind == tree.Invalid {
		return tree.Reader{}, false
	}
	p := tree.Reader{Report: e.Report, At: at, Object: resolved, Position: r.Position}
	if t.Schema != nil {
		p.Check(t.Schema)
		p.Require(t.Required...)
	}
	if t.Ref != "" {
		e.Reference(r)
	}
	return p, true
}

// CheckCycles reports resources that depend on each other, which CloudFormation refuses.
func (e *Evaluator) CheckCycles() {
	state := map[string]progress{}
	var path []string
	var visit func(id string)
	visit = func(id string) {
		r := e.resources[id]
		if r == nil || !r.Exists || state[id] == finished {
			return
		}
		if state[id] == running {
			cycle := append(slices.Clone(path[slices.Index(path, id):]), id)
			e.Problem(r.Position, tree.Place{Resource: id},
				"circular dependency between resources: %s", strings.Join(cycle, " -> "))
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
		visit(r.ID)
	}
}

// Dependencies returns the logical ids of all resources that a resource depends on, directly or not.
func (e *Evaluator) Dependencies(r *Resource) map[string]bool {
	all := map[string]bool{}
	var visit func(r *Resource)
	visit = func(r *Resource) {
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

// CheckReferences reports references to names that do not exist, also in branches that a condition does not select. It
// notes the dependencies by DependsOn.
func (e *Evaluator) CheckReferences() {
	for _, r := range e.order {
		for _, id := range r.DependsOn {
			switch target := e.resources[id]; {
			case target == nil:
				e.Problem(r.Position, tree.At(r.ID, "DependsOn"), "%s is not a resource of the template", id)
			case target.Exists: // CloudFormation ignores a dependency on a resource that does not exist
				r.dependOn(id)
			}
		}
		e.checkNames(r.Properties, tree.At(r.ID, "Properties"))
	}
	for _, f := range e.entries(e.Section("Outputs"), "Outputs") {
		e.checkNames(f.Value, tree.Place{Resource: "Outputs." + f.Key})
	}
}

func (e *Evaluator) checkNames(v *tree.Value, at tree.Place) {
	name, argument := v.Function()
	if name != "" {
		e.checkArgument(name, argument, at)
		return
	}
	for i, item := range v.Items {
		e.checkNames(item, at.Item(i))
	}
	for _, f := range v.Fields {
		e.checkNames(f.Value, at.Field(f.Key))
	}
}

// checkArgument checks the names in the argument of a function. Resolve reports arguments of the wrong kind.
func (e *Evaluator) checkArgument(function string, argument *tree.Value, at tree.Place) {
	first, variables := argument, (*tree.Value)(nil)
	if argument.Kind == tree.List && len(argument.Items) > 0 {
		first = argument.Items[0]
		for _, item := range argument.Items {
			e.checkNames(item, at)
			variables = item // the last argument of Fn::Sub
		}
	} else {
		e.checkNames(argument, at)
	}
	if first.Kind != tree.Text {
		return
	}
	switch function {
	case "Ref":
		e.checkName(first, first.Text, at)
	case "Fn::GetAtt":
		id, _, _ := strings.Cut(first.Text, ".")
		e.checkName(first, id, at)
	case "Fn::If":
		e.condition(first, first.Text, at)
	case "Fn::Sub":
		for _, match := range substitution.FindAllStringSubmatch(first.Text, -1) {
			id, _, _ := strings.Cut(match[1], ".")
			if variables.Get(match[1]) == nil && e.aliases[match[1]] == "" {
				e.checkName(first, id, at)
			}
		}
	}
}

func (e *Evaluator) checkName(v *tree.Value, name string, at tree.Place) {
	if strings.HasPrefix(name, "AWS::") || e.parameters[name] != nil || e.resources[name] != nil || e.aliases[name] != "" {
		return
	}
	e.Problem(v, at, "%s is neither a resource nor a parameter of the template", name)
}

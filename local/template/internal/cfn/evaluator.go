package cfn

import (
	"fmt"
	"regexp"
	"slices"

	"fanfare/local/template/internal/tree"
)

// Options are the facts about a stack that its template does not contain. Only Parameters and APIID may be zero.
type Options struct {
	Parameters    map[string]string // values by parameter name; a missing one takes its default
	StackName     string
	Region        string
	Account       string
	QueueEndpoint string                        // the beginning of queue URLs
	APIID         func(logicalID string) string // may be nil or return "": then the id is derived
}

// Evaluator evaluates one template. Call ReadSections, expand SAM's resources, then CheckTypes, CheckReferences,
// ResolveResource for each resource, CheckCycles and ReadOutputs. It is not safe for concurrent use.
type Evaluator struct {
	*tree.Report
	options  Options
	typeOf   func(name string) *Type // returns nil for a type that is not supported
	template *tree.Value             // the whole template
	pseudo   map[string]string

	parameters map[string]*Parameter
	mappings   *tree.Value
	conditions map[string]*condition
	resources  map[string]*Resource
	order      []*Resource       // in the order of the template
	aliases    map[string]string // other names of resources, by name
}

// NewEvaluator returns an evaluator of a template.
func NewEvaluator(r *tree.Report, template *tree.Value, options Options, typeOf func(name string) *Type) *Evaluator {
	e := &Evaluator{Report: r, options: options, typeOf: typeOf, template: template, aliases: map[string]string{}}
	e.pseudo = map[string]string{
		"AWS::AccountId": options.Account,
		"AWS::Partition": "aws",
		"AWS::Region":    options.Region,
		"AWS::StackId": fmt.Sprintf("arn:aws:cloudformation:%s:%s:stack/%s/%s",
			options.Region, options.Account, options.StackName, e.UUID("stack")),
		"AWS::StackName": options.StackName,
		"AWS::URLSuffix": "amazonaws.com",
	}
	return e
}

// sections is the schema of the top level of a template.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-anatomy.html
var sections = tree.Settable(`
	AWSTemplateFormatVersion Conditions Description Globals Mappings Metadata Outputs Parameters Resources Transform`).
	With(tree.Schema{
		"Hooks": tree.Refused("CodeDeploy's blue/green deployments have no local part"),
		"Rules": tree.Refused("CloudFormation would check its assertions against an account"),
	})

// Section returns a section of the template, or nil.
func (e *Evaluator) Section(name string) *tree.Value { return e.template.Get(name) }

// ReadSections reads all sections except the outputs, in CloudFormation's order. It evaluates parameters and
// conditions.
func (e *Evaluator) ReadSections() {
	p := e.Reader(e.template, tree.Place{})
	p.Check(sections)
	if version := p.Text("AWSTemplateFormatVersion"); version != "" && version != "2010-09-09" {
		p.Problem("AWSTemplateFormatVersion", "must be 2010-09-09")
	}
	e.readParameters(p.Value("Parameters"), e.options.Parameters)
	e.readMappings(p.Value("Mappings"))
	e.readConditions(p.Value("Conditions"))
	e.readResources(p.Value("Resources"))
}

// entryName matches the names of parameters, conditions, resources and outputs.
var entryName = regexp.MustCompile(`^[A-Za-z0-9]+$`)

// entries returns the entries of a section. It reports names that are not valid.
func (e *Evaluator) entries(section *tree.Value, name string) []tree.Field {
	p := e.Reader(section, tree.Place{Resource: name})
	if p.Object == nil {
		return nil
	}
	for _, f := range p.Object.Fields {
		if !entryName.MatchString(f.Key) {
			e.Problem(f.Value.KeyPosition(), tree.Place{Resource: name + "." + f.Key}, "names must be letters and digits only")
		}
	}
	return p.Object.Fields
}

// readMappings reads the section Mappings, whose values are strings or lists of strings.
func (e *Evaluator) readMappings(section *tree.Value) {
	e.mappings = section
	for _, m := range e.entries(section, "Mappings") {
		top := e.Reader(m.Value, tree.Place{Resource: "Mappings." + m.Key})
		if top.Object == nil {
			continue
		}
		for _, first := range top.Object.Fields {
			second := top.Part(first.Key)
			if second.Object == nil {
				continue
			}
			for _, f := range second.Object.Fields {
				isText := f.Value.Kind == tree.Text || f.Value.Kind == tree.Invalid
				isTexts := f.Value.Kind == tree.List &&
					!slices.ContainsFunc(f.Value.Items, func(v *tree.Value) bool { return v.Kind != tree.Text })
				if !isText && !isTexts {
					second.Problem(f.Key, "must be a string or a list of strings; functions are not allowed in Mappings")
				}
			}
		}
	}
}

// outputAttributes is the schema of an output's declaration.
var outputAttributes = tree.Settable(`Condition Description Value`).
	With(tree.Schema{"Export": tree.Nested(tree.Schema{"Name": tree.Accepted})})

// Output is an output whose condition holds.
type Output struct {
	Name                           string
	Position                       *tree.Value
	Value, Description, ExportName string
}

// ReadOutputs evaluates the outputs whose condition holds.
func (e *Evaluator) ReadOutputs() []Output {
	var outputs []Output
	for _, f := range e.entries(e.Section("Outputs"), "Outputs") {
		at := tree.Place{Resource: "Outputs." + f.Key}
		p := e.Reader(f.Value, at)
		p.Position = f.Value.KeyPosition()
		p.Check(outputAttributes)
		if p.Object == nil || !e.checkCondition(p.Value("Condition"), at) {
			continue
		}
		p.Require("Value")
		out := Output{Name: f.Key, Position: p.Position, Description: p.Text("Description")}
		if v := p.Value("Value"); v != nil {
			if resolved := e.resolveText(v, at.Field("Value"), "an output's value"); resolved != nil {
				out.Value = resolved.Text
			}
		}
		if export := p.Part("Export"); export.Has("Name") {
			if resolved := e.resolveText(export.Value("Name"), export.At.Field("Name"), "an export's name"); resolved != nil {
				out.ExportName = resolved.Text
			}
		}
		outputs = append(outputs, out)
	}
	return outputs
}

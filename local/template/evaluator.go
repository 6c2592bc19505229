package template

import (
	"fmt"
	"regexp"
	"slices"
)

// StackOptions are the facts about a stack that its template does not contain. All but APIID and Parameters are set.
type stackOptions struct {
	parameters    map[string]string // values by parameter name; those missing take their defaults
	stackName     string
	region        string
	account       string
	queueEndpoint string                        // the beginning of queue URLs
	apiID         func(logicalID string) string // may be nil or return ""
}

// evaluator evaluates the parameters, mappings, conditions, resources and outputs of one template. It knows resource
// types only through the registry that it is given.
type evaluator struct {
	*report
	options  stackOptions
	typeOf   func(name string) *resourceType // nil for a type that is not supported
	template *value                          // the whole template
	pseudo   map[string]string

	parameters map[string]*parameter
	mappings   *value
	conditions map[string]*condition
	resources  map[string]*resource
	order      []*resource       // in the order of the template
	aliases    map[string]string // other names of resources, by name
}

// newEvaluator returns an evaluator of a template.
func newEvaluator(r *report, template *value, options stackOptions, typeOf func(name string) *resourceType) *evaluator {
	e := &evaluator{report: r, options: options, typeOf: typeOf, template: template, aliases: map[string]string{}}
	e.pseudo = map[string]string{
		"AWS::AccountId": options.account,
		"AWS::Partition": "aws",
		"AWS::Region":    options.region,
		"AWS::StackId": fmt.Sprintf("arn:aws:cloudformation:%s:%s:stack/%s/%s",
			options.region, options.account, options.stackName, e.uuid("stack")),
		"AWS::StackName": options.stackName,
		"AWS::URLSuffix": "amazonaws.com",
	}
	return e
}

// sections are the top level of a template.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-anatomy.html
var sections = settable(`
	AWSTemplateFormatVersion Conditions Description Globals Mappings Metadata Outputs Parameters Resources Transform`).
	with(schema{
		"Hooks": refused("CodeDeploy's blue/green deployments have no local part"),
		"Rules": refused("CloudFormation would check its assertions against an account"),
	})

// section returns a section of the template, or nil.
func (e *evaluator) section(name string) *value { return e.template.get(name) }

// readSections reads everything but the outputs, in CloudFormation's order, and evaluates parameters and conditions.
func (e *evaluator) readSections() {
	p := e.properties(e.template, where{})
	p.check(sections)
	if version := p.text("AWSTemplateFormatVersion"); version != "" && version != "2010-09-09" {
		p.problem("AWSTemplateFormatVersion", "must be 2010-09-09")
	}
	e.readParameters(p.value("Parameters"), e.options.parameters)
	e.readMappings(p.value("Mappings"))
	e.readConditions(p.value("Conditions"))
	e.readResources(p.value("Resources"))
}

// entryName is what parameters, conditions, resources and outputs may be called.
var entryName = regexp.MustCompile(`^[A-Za-z0-9]+$`)

// entries returns the fields of a section whose keys are logical ids.
func (e *evaluator) entries(section *value, name string) []field {
	p := e.properties(section, where{resource: name})
	if p.object == nil {
		return nil
	}
	for _, f := range p.object.fields {
		if !entryName.MatchString(f.key) {
			e.problem(f.value.entry(), where{resource: name + "." + f.key}, "names must be letters and digits only")
		}
	}
	return p.object.fields
}

func (e *evaluator) readMappings(section *value) {
	e.mappings = section
	for _, m := range e.entries(section, "Mappings") {
		top := e.properties(m.value, where{resource: "Mappings." + m.key})
		if top.object == nil {
			continue
		}
		for _, first := range top.object.fields {
			second := top.part(first.key)
			if second.object == nil {
				continue
			}
			for _, f := range second.object.fields {
				isText := f.value.kind == text || f.value.kind == invalid
				isTexts := f.value.kind == list && !slices.ContainsFunc(f.value.items, func(v *value) bool { return v.kind != text })
				if !isText && !isTexts {
					second.problem(f.key, "must be a string or a list of strings; functions are not allowed in Mappings")
				}
			}
		}
	}
}

// output is an entry of the Outputs section whose condition holds.
type output struct {
	name                           string
	position                       *value
	value, description, exportName string
}

// readOutputs evaluates the outputs whose condition holds.
func (e *evaluator) readOutputs() []output {
	var outputs []output
	for _, f := range e.entries(e.section("Outputs"), "Outputs") {
		at := where{resource: "Outputs." + f.key}
		p := e.properties(f.value, at)
		p.position = f.value.entry()
		p.check(schema{"Value": known, "Description": known, "Export": of(schema{"Name": known}), "Condition": known})
		if p.object == nil || !e.checkCondition(p.value("Condition"), at) {
			continue
		}
		p.require("Value")
		out := output{name: f.key, position: p.position, description: p.text("Description")}
		if v := p.value("Value"); v != nil {
			if resolved := e.resolveText(v, at.field("Value"), "an output's value"); resolved != nil {
				out.value = resolved.text
			}
		}
		if export := p.part("Export"); export.has("Name") {
			if resolved := e.resolveText(export.value("Name"), export.at.field("Name"), "an export's name"); resolved != nil {
				out.exportName = resolved.text
			}
		}
		outputs = append(outputs, out)
	}
	return outputs
}

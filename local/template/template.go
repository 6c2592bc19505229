package template

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"fanfare/local/awsapi"
	"fanfare/local/iam"
)

// Options are what a template does not say itself. The zero value is usable.
type Options struct {
	// Parameters are the values given to the template's parameters, by name; those missing take their defaults.
	Parameters map[string]string
	// StackName is the value of AWS::StackName and the beginning of generated names; empty means "local".
	StackName string
	// Region is the value of AWS::Region; empty means "us-east-1". Regions outside the partition aws are refused.
	Region string
	// Account is the value of AWS::AccountId, twelve digits; empty means "000000000000".
	Account string
	// QueueEndpoint is what queue URLs begin with, like "http://127.0.0.1:4566"; empty means AWS's,
	// "https://sqs.<region>.amazonaws.com".
	QueueEndpoint string
	// APIID returns the id of the WebSocket API with a logical id: lower-case letters and digits, the same at every
	// call and different for every API. Nil, or an empty id, derives ten characters from the names of stack and API.
	APIID func(logicalID string) string
	// Inert are resource types, like "AWS::S3::Bucket", that the caller accepts without a local part, besides those
	// that the package accepts anyway. Ref gives such a resource's generated name, and it has no attributes.
	Inert []string
}

var (
	accountPattern = regexp.MustCompile(`^[0-9]{12}$`)
	regionPattern  = regexp.MustCompile(`^(af|ap|ca|eu|il|me|mx|sa|us)-[a-z]+-[0-9]$`)
	// https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html
	stackPattern = regexp.MustCompile(`^[a-zA-Z][-a-zA-Z0-9]{0,127}$`)
)

func (o Options) withDefaults() (Options, error) {
	o.StackName = cmp.Or(o.StackName, "local")
	o.Region = cmp.Or(o.Region, awsapi.DefaultRegion)
	o.Account = cmp.Or(o.Account, awsapi.DefaultAccount)
	o.QueueEndpoint = cmp.Or(o.QueueEndpoint, "https://sqs."+o.Region+".amazonaws.com")
	switch {
	case !accountPattern.MatchString(o.Account):
		return o, fmt.Errorf("account %q is not twelve digits", o.Account)
	case !regionPattern.MatchString(o.Region):
		return o, fmt.Errorf("region %q is not one of the partition aws", o.Region)
	case !stackPattern.MatchString(o.StackName):
		return o, fmt.Errorf("stack name %q is not letters, digits and hyphens that begin with a letter", o.StackName)
	}
	return o, nil
}

// LoadFile reads and resolves a template; see Load. Local code paths are relative to the file's folder.
func LoadFile(path string, options Options) (*Resolved, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the template: %w", err)
	}
	return Load(path, data, options)
}

// Load resolves a template in YAML or JSON. The name is what problems show as the file, and its folder is what local
// code paths are relative to; no file is opened. Everything wrong with the template is returned at once, as Problems;
// other errors speak of the options.
func Load(name string, data []byte, options Options) (*Resolved, error) {
	l, err := newLoader(name, data, options)
	if err != nil {
		return nil, err
	}
	return l.load()
}

func (l *loader) load() (*Resolved, error) {
	l.read()
	if len(l.problems) > 0 {
		return nil, l.problems.sorted()
	}
	return l.resolved(), nil
}

func newLoader(name string, data []byte, options Options) (*loader, error) {
	options, err := options.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("template options: %w", err)
	}
	root, problems := parse(name, data)
	if root == nil {
		return nil, problems
	}
	return &loader{
		file: name, options: options, template: root, problems: problems,
		stack: stack{generated: map[string]string{}, managed: map[string]iam.Document{}},
	}, nil
}

// loader is the state of one Load.
type loader struct {
	file     string
	options  Options
	template *value // the whole template
	pseudo   map[string]string

	parameters map[string]*parameter
	mappings   *value
	conditions map[string]*condition
	resources  map[string]*resource
	order      []*resource // as written, generated ones behind what they stem from
	outputs    []Output
	stack      stack

	problems Problems
	warnings Problems
}

func (l *loader) problem(v *value, at where, format string, args ...any) {
	l.problems = append(l.problems, l.newProblem(v, at, format, args...))
}

func (l *loader) warn(s Source, property, format string, args ...any) {
	v := &value{line: s.Line, column: s.Column}
	l.warnings = append(l.warnings, l.newProblem(v, where{s.LogicalID, property}, format, args...))
}

func (l *loader) newProblem(v *value, at where, format string, args ...any) Problem {
	return Problem{
		File: l.file, Line: v.line, Column: v.column, Resource: at.resource, Property: at.property, Message: fmt.Sprintf(format,
			args...),
	}
}

func (l *loader) source(logicalID string, v *value) Source {
	return Source{LogicalID: logicalID, File: l.file, Line: v.line, Column: v.column}
}

// sections are the top level of a template.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-anatomy.html
var sections = settable(`
	AWSTemplateFormatVersion Conditions Description Globals Mappings Metadata Outputs Parameters Resources Transform`).
	with(schema{
		"Hooks": refused("CodeDeploy's blue/green deployments have no local part"),
		"Rules": refused("CloudFormation would check its assertions against an account"),
	})

// samTransform is the one transform that is known here.
const samTransform = "AWS::Serverless-2016-10-31"

// read does what CloudFormation does, in its order.
func (l *loader) read() {
	p := l.properties(l.template, where{})
	p.check(sections)
	if version := p.text("AWSTemplateFormatVersion"); version != "" && version != "2010-09-09" {
		p.problem("AWSTemplateFormatVersion", "must be 2010-09-09")
	}
	l.pseudo = map[string]string{
		"AWS::AccountId": l.options.Account,
		"AWS::Partition": "aws",
		"AWS::Region":    l.options.Region,
		"AWS::StackId": fmt.Sprintf("arn:aws:cloudformation:%s:%s:stack/%s/%s",
			l.options.Region, l.options.Account, l.options.StackName, l.uuid("stack")),
		"AWS::StackName": l.options.StackName,
		"AWS::URLSuffix": "amazonaws.com",
	}
	l.readParameters(p.value("Parameters"), l.options.Parameters)
	l.readMappings(p.value("Mappings"))
	l.readConditions(p.value("Conditions"))
	sam := l.readTransform(p.value("Transform"))
	l.readResources(p.value("Resources"))
	l.expandServerless(sam, p.value("Globals"))
	l.checkReferences(p.value("Outputs"))
	l.resolveResources()
	l.readOutputs(p.value("Outputs"))
	l.assemble()
}

// entryName is what parameters, conditions, resources and outputs may be called.
var entryName = regexp.MustCompile(`^[A-Za-z0-9]+$`)

// entries returns the fields of a section whose keys are logical ids.
func (l *loader) entries(section *value, name string) []field {
	p := l.properties(section, where{resource: name})
	if p.object == nil {
		return nil
	}
	for _, f := range p.object.fields {
		if !entryName.MatchString(f.key) {
			l.problem(f.value.entry(), where{resource: name + "." + f.key}, "names must be letters and digits only")
		}
	}
	return p.object.fields
}

func (l *loader) readMappings(section *value) {
	l.mappings = section
	for _, m := range l.entries(section, "Mappings") {
		top := l.properties(m.value, where{resource: "Mappings." + m.key})
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

// readTransform tells whether SAM's transform is asked for, and refuses others.
func (l *loader) readTransform(v *value) bool {
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
			l.problem(transform, where{resource: "Transform"}, "%s is not emulated: only %s is", transform.text, samTransform)
		default:
			l.problem(transform, where{resource: "Transform"}, "macros are not emulated: only %s is", samTransform)
		}
	}
	return sam
}

func (l *loader) readOutputs(section *value) {
	for _, f := range l.entries(section, "Outputs") {
		at := where{resource: "Outputs." + f.key}
		p := l.properties(f.value, at)
		p.position = f.value.entry()
		p.check(schema{"Value": known, "Description": known, "Export": of(schema{"Name": known}), "Condition": known})
		if p.object == nil || !l.checkCondition(p.value("Condition"), at) {
			continue
		}
		p.require("Value")
		output := Output{Source: l.source("Outputs."+f.key, p.position), Name: f.key, Description: p.text("Description")}
		if v := p.value("Value"); v != nil {
			if resolved := l.resolveText(v, at.field("Value"), "an output's value"); resolved != nil {
				output.Value = resolved.text
			}
		}
		if export := p.part("Export"); export.has("Name") {
			if resolved := l.resolveText(export.value("Name"), export.at.field("Name"), "an export's name"); resolved != nil {
				output.ExportName = resolved.text
			}
		}
		l.outputs = append(l.outputs, output)
	}
}

// resolved gathers the result, in the order of the template.
func (l *loader) resolved() *Resolved {
	r := &Resolved{
		StackName: l.options.StackName, Region: l.options.Region, Account: l.options.Account,
		Functions: models(l.stack.functions), Queues: models(l.stack.queues), Tables: models(l.stack.tables),
		Mappings: models(l.stack.mappings), Secrets: models(l.stack.secrets), Roles: models(l.stack.roles), APIs: l.stack.apis, Inert: l.stack.inert,
		Outputs: l.outputs, Warnings: l.warnings.sorted(),
	}
	for _, p := range slices.SortedFunc(maps.Values(l.parameters), func(a, b *parameter) int {
		return cmp.Or(cmp.Compare(a.model.Line, b.model.Line), cmp.Compare(a.model.Column, b.model.Column))
	}) {
		r.Parameters = append(r.Parameters, p.model)
	}
	return r
}

// folder returns the folder that local code paths are relative to.
func (l *loader) folder(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(filepath.Dir(l.file), path)
}

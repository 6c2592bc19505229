package template

import (
	"cmp"
	"fmt"
	"os"
	"regexp"

	"fanfare/local/awsapi"
	"fanfare/local/template/internal/tree"
)

// Options are the facts about a stack that its template does not contain. The zero value is usable.
type Options struct {
	// Parameters are the values of the template's parameters, by name. A missing one takes its default.
	Parameters map[string]string
	// StackName is the value of AWS::StackName and the beginning of generated names. The default is "local".
	StackName string
	// Region is the value of AWS::Region. The default is "us-east-1". Only Regions of the partition aws are accepted.
	Region string
	// Account is the value of AWS::AccountId, twelve digits. The default is "000000000000".
	Account string
	// QueueEndpoint is the beginning of queue URLs, like "http://127.0.0.1:4566". The default is AWS's,
	// "https://sqs.<region>.amazonaws.com".
	QueueEndpoint string
	// APIID returns the id of the WebSocket API with a logical id: lower-case letters and digits, the same in every call
	// and different for every API. If APIID is nil or returns "", the id is derived from the names of stack and API.
	APIID func(logicalID string) string
	// Inert are further resource types, like "AWS::S3::Bucket", that are accepted and not emulated. Ref returns the
	// generated name of such a resource. It has no attributes.
	Inert []string
}

var (
	accountPattern = regexp.MustCompile(`^[0-9]{12}$`)
	regionPattern  = regexp.MustCompile(`^(af|ap|ca|eu|il|me|mx|sa|us)-[a-z]+-[0-9]$`)
	// https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html
	stackPattern = regexp.MustCompile(`^[a-zA-Z][-a-zA-Z0-9]{0,127}$`)
)

// withDefaults returns the options with their defaults, or an error for options that are not valid.
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
		return o, fmt.Errorf("stack name %q is not a letter followed by letters, digits and hyphens", o.StackName)
	}
	return o, nil
}

// LoadFile reads and resolves a template; see Load. Paths of local code are relative to the folder of the file.
func LoadFile(path string, options Options) (*Resolved, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read template: %w", err)
	}
	return Load(path, data, options)
}

// Load resolves a template in YAML or JSON. name is the file name in problems, and paths of local code are relative to
// its folder. Load opens no file. It returns all problems of the template together, as Problems. Any other error is
// about the options.
func Load(name string, data []byte, options Options) (*Resolved, error) {
	options, err := options.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("template options: %w", err)
	}
	r := &tree.Report{File: name}
	root := tree.Parse(r, data)
	if root == nil {
		return nil, r.Problems
	}
	return load(r, root, options)
}

// load resolves a parsed template.
func load(r *tree.Report, root *tree.Value, options Options) (*Resolved, error) {
	b := newBuilder(r, root, options)
	b.expand()
	b.build()
	if len(r.Problems) > 0 {
		return nil, r.Problems.Sorted()
	}
	return b.resolved(), nil
}

// resolved returns the result. Everything is in the order of the template.
func (b *builder) resolved() *Resolved {
	r := &Resolved{
		StackName: b.options.StackName, Region: b.options.Region, Account: b.options.Account,
		Functions: models(b.functions), Queues: models(b.queues), Tables: models(b.tables),
		Mappings: models(b.mappings), Secrets: models(b.secrets), Roles: models(b.roles), APIs: b.apis, Inert: b.inert,
		Warnings: b.Warnings.Sorted(),
	}
	for _, o := range b.outputs {
		r.Outputs = append(r.Outputs, Output{
			Source: b.source("Outputs."+o.Name, o.Position), Name: o.Name, Value: o.Value,
			Description: o.Description, ExportName: o.ExportName,
		})
	}
	for _, p := range b.Parameters() {
		r.Parameters = append(r.Parameters, Parameter{
			Source: b.source("Parameters."+p.Name, p.Position), Name: p.Name, Value: p.Given,
			NoEcho: p.NoEcho, Description: p.Description,
		})
	}
	return r
}

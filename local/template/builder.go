package template

import (
	"path/filepath"
	"strings"

	"fanfare/local/iam"
	"fanfare/local/template/internal/cfn"
	"fanfare/local/template/internal/sam"
	"fanfare/local/template/internal/tree"
)

// builder turns the resolved resources of a template into the models of this package.
type builder struct {
	*cfn.Evaluator
	options Options

	functions     []pending[Function]
	roles         []pending[*Role]
	attachments   []pending[attachment]
	managed       map[string]iam.Document // managed policies of the template, by ARN
	permissions   []pending[iam.Document]
	queues        []pending[Queue]
	queuePolicies []pending[queuePolicy]
	tables        []pending[Table]
	mappings      []pending[EventSourceMapping]
	secrets       []pending[Secret]
	parts         apiParts
	apis          []WebSocketAPI
	inert         []Inert
	outputs       []cfn.Output
}

// newBuilder returns a builder of a parsed template. The options have all defaults.
func newBuilder(r *tree.Report, root *tree.Value, options Options) *builder {
	return &builder{
		Evaluator: cfn.NewEvaluator(r, root, cfn.Options{
			Parameters: options.Parameters, StackName: options.StackName, Region: options.Region,
			Account: options.Account, QueueEndpoint: options.QueueEndpoint, APIID: options.APIID,
		}, options.typeOf),
		options: options, managed: map[string]iam.Document{},
	}
}

// expand reads the template's sections and replaces SAM's resources by those that they stand for.
func (b *builder) expand() {
	b.ReadSections()
	sam.Expand(b.Evaluator)
	b.CheckTypes()
	b.CheckReferences()
}

// build resolves every resource that exists, reads it and joins the models.
func (b *builder) build() {
	for _, r := range b.Resources() {
		p, ok := b.ResolveResource(r)
		if !ok {
			continue
		}
		if t := emulatedTypes[r.Type]; t != nil && t.read != nil {
			t.read(b, r, p)
		} else {
			b.addInert(r)
		}
	}
	b.CheckCycles()
	b.outputs = b.ReadOutputs()
	b.assemble()
}

// warn reports what fails at run time, at the beginning of a resource.
func (b *builder) warn(s Source, format string, args ...any) {
	b.Report.Warn(&tree.Value{Line: s.Line, Column: s.Column}, tree.Place{Resource: s.LogicalID}, format, args...)
}

// folder returns the folder that a local code path means.
func (b *builder) folder(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(filepath.Dir(b.File), path)
}

// source returns the place of a value for the caller of Load.
func (b *builder) source(logicalID string, v *tree.Value) Source {
	return Source{LogicalID: logicalID, File: b.File, Line: v.Line, Column: v.Column}
}

// pending is a resource with the properties that it was read from, for problems found when it meets others.
type pending[T any] struct {
	model T
	at    tree.Reader
}

func models[T any](all []pending[T]) []T {
	list := make([]T, len(all))
	for i, one := range all {
		list[i] = one.model
	}
	return list
}

// assemble joins what belongs together, and checks what AWS checks when it creates one resource that uses another.
func (b *builder) assemble() {
	b.checkNamesDiffer()
	b.attachPolicies()
	b.attachQueuePolicies()
	b.assignRoles()
	b.grantInvocations()
	b.assembleMappings()
	b.assembleAPIs()
}

// checkNamesDiffer reports resources that would have the same physical name.
func (b *builder) checkNamesDiffer() {
	taken := map[string]string{}
	check := func(kind, name string, s Source) {
		if other := taken[kind+name]; other != "" && name != "" {
			b.Problem(&tree.Value{Line: s.Line, Column: s.Column}, tree.Place{Resource: s.LogicalID}, "%s has the same name, %s", other, name)
		}
		taken[kind+name] = s.LogicalID
	}
	for _, f := range b.functions {
		check("function ", f.model.Name, f.model.Source)
	}
	for _, q := range b.queues {
		check("queue ", q.model.Name, q.model.Source)
	}
	for _, t := range b.tables {
		check("table ", t.model.Name, t.model.Source)
	}
	for _, s := range b.secrets {
		check("secret ", s.model.Name, s.model.Source)
	}
	for _, role := range b.roles {
		check("role ", role.model.Name, role.model.Source)
	}
}

const lambdaService = "lambda.amazonaws.com"

// assignRoles gives every function its role, which must be of the stack and trust Lambda.
func (b *builder) assignRoles() {
	for i := range b.functions {
		f := &b.functions[i]
		arn := f.at.Text("Role")
		if arn == "" {
			continue
		}
		role := b.roleNamed(arn)
		switch {
		case role == nil:
			f.at.Problem("Role", "the role %s is not in the template, so what it allows is unknown", arn)
		case !strings.HasPrefix(arn, "arn:"):
			f.at.Problem("Role", "must be the role's ARN, not its name")
		case !iam.Trusts(role.Trust, lambdaService):
			f.at.Problem("Role", "The role defined for the function cannot be assumed by Lambda: %s must trust %s", role.LogicalID,
				lambdaService)
		}
		f.model.Role = role
	}
}

// grantInvocations gives every function the permissions that are written for it.
func (b *builder) grantInvocations() {
	for _, permission := range b.permissions {
		name := permission.at.Text("FunctionName")
		function := b.functionNamed(name)
		if function == nil {
			if name != "" {
				permission.at.Problem("FunctionName", "%s is no function of the template", name)
			}
			continue
		}
		function.Invokers = append(function.Invokers, permission.model)
	}
}

const (
	apiGateway     = "apigateway.amazonaws.com"
	invokeFunction = "lambda:InvokeFunction"
)

// invocable tells whether API Gateway may invoke a function for a source ARN.
func (b *builder) invocable(function *Function, source string) bool {
	return iam.Authorize(nil, function.Invokers, iam.Request{
		Caller: apiGateway, Service: apiGateway, Account: b.options.Account, Action: invokeFunction, Resource: function.ARN,
		Context: map[string][]string{"aws:sourcearn": {source}, "aws:sourceaccount": {b.options.Account}},
	}) == nil
}

// pollActions are what a function's role must allow for Lambda to poll a queue on its behalf.
// https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
var pollActions = []string{"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}

func (b *builder) assembleMappings() {
	for i := range b.mappings {
		m, at := &b.mappings[i].model, b.mappings[i].at
		function := b.functionNamed(at.Text("FunctionName"))
		queue := b.queueWhere(func(q *Queue) bool { return q.ARN == m.QueueARN })
		if name := at.Text("FunctionName"); function == nil && name != "" {
			at.Problem("FunctionName", "%s is no function of the template", name)
		}
		if queue == nil && m.QueueARN != "" {
			at.Problem("EventSourceArn", "%s is not the ARN of a queue of the template; other event sources are not emulated", m.QueueARN)
		}
		if function == nil || queue == nil {
			continue
		}
		m.FunctionName = function.Name
		if queue.VisibilityTimeout < function.Timeout {
			at.Problem("EventSourceArn", "Queue visibility timeout: %d seconds is less than Function timeout: %d seconds",
				int(queue.VisibilityTimeout.Seconds()), int(function.Timeout.Seconds()))
		}
		if strings.HasSuffix(queue.Name, ".fifo") && (m.BatchSize > maxUnwindowed || m.Window > 0) {
			at.Problem("BatchSize", "a FIFO queue's batches have at most %d messages and no window", maxUnwindowed)
		}
		if function.Role == nil {
			continue
		}
		for _, action := range pollActions {
			denied := iam.Authorize(function.Role.Documents(), queue.Policy, request(function, action, queue.ARN, b.options))
			if denied != nil {
				_, name, _ := strings.Cut(action, ":")
				at.Problem("EventSourceArn", "The provided execution role does not have permissions to call %s on SQS: %v", name, denied)
			}
		}
	}
}

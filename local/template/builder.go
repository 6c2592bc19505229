package template

import (
	"path/filepath"
	"strings"

	"fanfare/local/iam"
	"fanfare/local/template/internal/cfn"
	"fanfare/local/template/internal/sam"
	"fanfare/local/template/internal/tree"
)

// builder builds the models of this package from the resources of a template.
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

// newBuilder returns a builder for a parsed template. The options must have their defaults.
func newBuilder(r *tree.Report, root *tree.Value, options Options) *builder {
	return &builder{
		Evaluator: cfn.NewEvaluator(r, root, cfn.Options{
			Parameters: options.Parameters, StackName: options.StackName, Region: options.Region,
			Account: options.Account, QueueEndpoint: options.QueueEndpoint, APIID: options.APIID,
		}, options.typeOf),
		options: options, managed: map[string]iam.Document{},
	}
}

// expand reads the sections of the template and expands SAM's resources.
func (b *builder) expand() {
	b.ReadSections()
	sam.Expand(b.Evaluator)
	b.CheckTypes()
	b.CheckReferences()
}

// build evaluates and reads the resources and then combines them.
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

// warn adds a warning about a resource.
func (b *builder) warn(s Source, format string, args ...any) {
	b.Warn(&tree.Value{Line: s.Line, Column: s.Column}, tree.Place{Resource: s.LogicalID}, format, args...)
}

// folder returns a path of local code, relative to the folder of the template.
func (b *builder) folder(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(filepath.Dir(b.File), path)
}

// source returns the position of a value for the caller of Load.
func (b *builder) source(logicalID string, v *tree.Value) Source {
	return Source{LogicalID: logicalID, File: b.File, Line: v.Line, Column: v.Column}
}

// pending is a resource with its properties, for problems that are found when resources are combined.
type pending[T any] struct {
	model T
	at    tree.Reader
}

// models returns the resources without their properties.
func models[T any](all []pending[T]) []T {
	list := make([]T, len(all))
	for i, one := range all {
		list[i] = one.model
	}
	return list
}

// assemble combines the resources that use each other. It makes the checks that AWS makes when it creates them.
func (b *builder) assemble() {
	b.checkUniqueNames()
	b.attachPolicies()
	b.attachQueuePolicies()
	b.assignRoles()
	b.grantInvocations()
	b.assembleMappings()
	b.assembleAPIs()
}

// checkUniqueNames reports resources that have the same physical name.
func (b *builder) checkUniqueNames() {
	used := map[string]string{}
	check := func(kind, name string, s Source) {
		if other := used[kind+name]; other != "" && name != "" {
			b.Problem(&tree.Value{Line: s.Line, Column: s.Column}, tree.Place{Resource: s.LogicalID}, "%s has the same name, %s",
				other, name)
		}
		used[kind+name] = s.LogicalID
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

// assignRoles sets the role of every function. The role must be in the template and trust Lambda.
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
			f.at.Problem("Role", "the role %s is not in the template, so its policies are unknown", arn)
		case !strings.HasPrefix(arn, "arn:"):
			f.at.Problem("Role", "must be the role's ARN, not its name")
		case !iam.Trusts(role.Trust, lambdaService):
			f.at.Problem("Role", "The role defined for the function cannot be assumed by Lambda: %s must trust %s",
				role.LogicalID, lambdaService)
		}
		f.model.Role = role
	}
}

// grantInvocations adds the permissions to the functions that they name.
func (b *builder) grantInvocations() {
	for _, permission := range b.permissions {
		name := permission.at.Text("FunctionName")
		function := b.functionNamed(name)
		if function == nil {
			if name != "" {
				permission.at.Problem("FunctionName", "the template has no function %s", name)
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

// invocable reports whether API Gateway may invoke a function for a source ARN.
func (b *builder) invocable(function *Function, source string) bool {
	return iam.Authorize(nil, function.Invokers, iam.Request{
		Caller: apiGateway, Service: apiGateway, Account: b.options.Account, Action: invokeFunction, Resource: function.ARN,
		Context: map[string][]string{"aws:sourcearn": {source}, "aws:sourceaccount": {b.options.Account}},
	}) == nil
}

// pollActions are the actions that a function's role must allow, so that Lambda can poll a queue.
// https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
var pollActions = []string{"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}

// assembleMappings checks every event source mapping against its queue and its function.
func (b *builder) assembleMappings() {
	for i := range b.mappings {
		m, at := &b.mappings[i].model, b.mappings[i].at
		function := b.functionNamed(at.Text("FunctionName"))
		queue := b.queueWhere(func(q *Queue) bool { return q.ARN == m.QueueARN })
		if name := at.Text("FunctionName"); function == nil && name != "" {
			at.Problem("FunctionName", "the template has no function %s", name)
		}
		if queue == nil && m.QueueARN != "" {
			at.Problem("EventSourceArn", "%s is not the ARN of a queue of the template; other event sources are not emulated",
				m.QueueARN)
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
			at.Problem("BatchSize", "a batch of a FIFO queue has at most %d messages and no window", maxUnwindowed)
		}
		if function.Role == nil {
			continue
		}
		for _, action := range pollActions {
			denied := iam.Authorize(function.Role.Documents(), queue.Policy, request(function, action, queue.ARN, b.options))
			if denied != nil {
				_, name, _ := strings.Cut(action, ":")
				at.Problem("EventSourceArn", "The provided execution role does not have permissions to call %s on SQS: %v", name,
					denied)
			}
		}
	}
}

package template

import (
	"strings"

	"fanfare/local/iam"
)

// stack gathers what is read from resources, until all are read and can be put together.
type stack struct {
	generated map[string]string // what templates may call a resource that SAM generates, to its logical id

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
}

// pending is a resource with the properties that it was read from, for problems found when it meets others.
type pending[T any] struct {
	model T
	at    properties
}

func models[T any](all []pending[T]) []T {
	list := make([]T, len(all))
	for i, one := range all {
		list[i] = one.model
	}
	return list
}

// assemble joins what belongs together, and checks what AWS checks when it creates one resource that uses another.
func (l *loader) assemble() {
	l.checkNamesDiffer()
	l.attachPolicies()
	l.attachQueuePolicies()
	l.assignRoles()
	l.grantInvocations()
	l.assembleMappings()
	l.assembleAPIs()
}

// checkNamesDiffer reports resources that would have the same physical name.
func (l *loader) checkNamesDiffer() {
	taken := map[string]string{}
	check := func(kind, name string, s Source) {
		if other := taken[kind+name]; other != "" && name != "" {
			l.problem(&value{line: s.Line, column: s.Column}, where{resource: s.LogicalID}, "%s has the same name, %s", other, name)
		}
		taken[kind+name] = s.LogicalID
	}
	for _, f := range l.stack.functions {
		check("function ", f.model.Name, f.model.Source)
	}
	for _, q := range l.stack.queues {
		check("queue ", q.model.Name, q.model.Source)
	}
	for _, t := range l.stack.tables {
		check("table ", t.model.Name, t.model.Source)
	}
	for _, s := range l.stack.secrets {
		check("secret ", s.model.Name, s.model.Source)
	}
	for _, role := range l.stack.roles {
		check("role ", role.model.Name, role.model.Source)
	}
}

const lambdaService = "lambda.amazonaws.com"

// assignRoles gives every function its role, which must be of the stack and trust Lambda.
func (l *loader) assignRoles() {
	for i := range l.stack.functions {
		f := &l.stack.functions[i]
		arn := f.at.text("Role")
		if arn == "" {
			continue
		}
		role := l.roleNamed(arn)
		switch {
		case role == nil:
			f.at.problem("Role", "the role %s is not in the template, so what it allows is unknown", arn)
		case !strings.HasPrefix(arn, "arn:"):
			f.at.problem("Role", "must be the role's ARN, not its name")
		case !iam.Trusts(role.Trust, lambdaService):
			f.at.problem("Role", "The role defined for the function cannot be assumed by Lambda: %s must trust %s", role.LogicalID,
				lambdaService)
		}
		f.model.Role = role
	}
}

// grantInvocations gives every function the permissions that are written for it.
func (l *loader) grantInvocations() {
	for _, permission := range l.stack.permissions {
		name := permission.at.text("FunctionName")
		function := l.functionNamed(name)
		if function == nil {
			if name != "" {
				permission.at.problem("FunctionName", "%s is no function of the template", name)
			}
			continue
		}
		function.Invokers = append(function.Invokers, permission.model)
	}
}

// invocable tells whether API Gateway may invoke a function for a source ARN.
func (l *loader) invocable(function *Function, source string) bool {
	return iam.Authorize(nil, function.Invokers, iam.Request{
		Caller: apiGateway, Service: apiGateway, Account: l.options.Account, Action: invokeFunction, Resource: function.ARN,
		Context: map[string][]string{"aws:sourcearn": {source}, "aws:sourceaccount": {l.options.Account}},
	}) == nil
}

// pollActions are what a function's role must allow for Lambda to poll a queue on its behalf.
// https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
var pollActions = []string{"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}

func (l *loader) assembleMappings() {
	for i := range l.stack.mappings {
		m, at := &l.stack.mappings[i].model, l.stack.mappings[i].at
		function := l.functionNamed(at.text("FunctionName"))
		queue := l.queueWhere(func(q *Queue) bool { return q.ARN == m.QueueARN })
		if name := at.text("FunctionName"); function == nil && name != "" {
			at.problem("FunctionName", "%s is no function of the template", name)
		}
		if queue == nil && m.QueueARN != "" {
			at.problem("EventSourceArn", "%s is not the ARN of a queue of the template; other event sources are not emulated", m.QueueARN)
		}
		if function == nil || queue == nil {
			continue
		}
		m.FunctionName = function.Name
		if queue.VisibilityTimeout < function.Timeout {
			at.problem("EventSourceArn", "Queue visibility timeout: %d seconds is less than Function timeout: %d seconds",
				int(queue.VisibilityTimeout.Seconds()), int(function.Timeout.Seconds()))
		}
		if strings.HasSuffix(queue.Name, ".fifo") && (m.BatchSize > maxUnwindowed || m.Window > 0) {
			at.problem("BatchSize", "a FIFO queue's batches have at most %d messages and no window", maxUnwindowed)
		}
		if function.Role == nil {
			continue
		}
		for _, action := range pollActions {
			denied := iam.Authorize(function.Role.Documents(), queue.Policy, request(function, action, queue.ARN, l.options))
			if denied != nil {
				_, name, _ := strings.Cut(action, ":")
				at.problem("EventSourceArn", "The provided execution role does not have permissions to call %s on SQS: %v", name, denied)
			}
		}
	}
}

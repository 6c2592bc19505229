package iam

import (
	"slices"
	"strings"
)

// Request is what a caller wants to do. Action, Resource and one of Role and Service are needed.
type Request struct {
	// Caller is the ARN that a denial names, for a function that of its role's session:
	// "arn:aws:sts::000000000000:assumed-role/<role>/<function>".
	Caller string
	// Role is the ARN of the caller's role, which principals of resource policies are compared with; empty for a
	// service.
	Role string
	// Service is the calling service, like "apigateway.amazonaws.com"; empty for a role.
	Service string
	// Account is the account of the resource, twelve digits.
	Account string
	// Action is like "sqs:SendMessage"; case does not matter.
	Action string
	// Resource is an ARN, or "*" for actions that have no resource.
	Resource string
	// Context holds the values of condition keys, by key in lower case (see ContextKeys); a key that is missing is
	// missing for the policies too.
	Context map[string][]string
}

// Denied says that a request is not allowed, in AWS's words.
type Denied struct {
	// Caller, Action and Resource are the request's.
	Caller, Action, Resource string
	// Explicit is true when a statement denies the request, false when none allows it.
	Explicit bool
	// ByResource is true when it is the resource's policy that denies.
	ByResource bool
}

// Error returns AWS's sentence.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
func (d *Denied) Error() string {
	kind, article := "identity-based", "an"
	if d.ByResource {
		kind, article = "resource-based", "a"
	}
	why := "because no " + kind + " policy allows the " + d.Action + " action"
	if d.Explicit {
		why = "with an explicit deny in " + article + " " + kind + " policy"
	}
	return "User: " + d.Caller + " is not authorized to perform: " + d.Action + " on resource: " + d.Resource + " " + why
}

// Authorize weighs a request against the caller's own policies and those of the resource. It returns nil when the
// request is allowed and a *Denied when it is not.
//
// Within one account either kind of policy can allow; an explicit Deny in any overrules.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-basics-resource-identity.html
func Authorize(identity, resource []Document, request Request) error {
	denied := &Denied{Caller: request.Caller, Action: request.Action, Resource: request.Resource}
	allowed := false
	for _, policies := range []struct {
		documents  []Document
		ofResource bool
	}{{identity, false}, {resource, true}} {
		for _, document := range policies.documents {
			for _, statement := range document.Statements {
				if !statement.applies(request, policies.ofResource) {
					continue
				}
				if statement.Deny {
					denied.Explicit, denied.ByResource = true, policies.ofResource
					return denied
				}
				allowed = true
			}
		}
	}
	if allowed {
		return nil
	}
	// A service has no identity policy that could have allowed it.
	denied.ByResource = request.Service != ""
	return denied
}

// Trusts tells whether a role's trust policy lets a service, like "lambda.amazonaws.com", assume the role.
func Trusts(trust Document, service string) bool {
	request := Request{Service: service, Action: "sts:AssumeRole", Resource: "*"}
	return Authorize(nil, []Document{trust}, request) == nil
}

// applies tells whether the statement speaks of the request.
func (s Statement) applies(request Request, ofResource bool) bool {
	if ofResource && !slices.ContainsFunc(s.Principals, func(p Principal) bool { return p.includes(request, s.Deny) }) {
		return false
	}
	names := func(pattern string) bool {
		return strings.EqualFold(pattern, request.Action) || strings.ContainsAny(pattern, "*?") &&
			Match(strings.ToLower(pattern), strings.ToLower(request.Action))
	}
	if len(s.Actions) > 0 && !slices.ContainsFunc(s.Actions, names) || slices.ContainsFunc(s.NotActions, names) {
		return false
	}
	covers := func(pattern string) bool { return MatchARN(pattern, request.Resource) }
	if len(s.Resources) > 0 && !slices.ContainsFunc(s.Resources, covers) || slices.ContainsFunc(s.NotResources, covers) {
		return false
	}
	for _, condition := range s.Conditions {
		values, present := request.Context[strings.ToLower(condition.Key)]
		if !condition.holds(values, present) {
			return false
		}
	}
	return true
}

// includes tells whether the principal stands for the caller. An account stands for its roles when it is denied
// something; when it is allowed something, its roles still need a policy of their own.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
func (p Principal) includes(request Request, deny bool) bool {
	switch p.Type {
	case "*":
		return true
	case "Service":
		return request.Service != "" && p.ID == request.Service
	case "AWS":
		account := p.ID == request.Account || strings.HasPrefix(p.ID, "arn:") && strings.HasSuffix(p.ID, ":"+request.Account+":root")
		return p.ID == "*" || request.Role != "" && (p.ID == request.Role || p.ID == request.Caller || deny && account)
	default:
		return false
	}
}

package iam

import (
	"slices"
	"strings"
)

// Request is a request of a caller. Action, Resource and one of Role and Service are required.
type Request struct {
	// Caller is the ARN in the text of a denial. For a function it is the ARN of the role session,
	// "arn:aws:sts::000000000000:assumed-role/<role>/<function>".
	Caller string
	// Role is the ARN of the caller's role, for the principals of resource policies. It is empty for a service.
	Role string
	// Service is the calling service, like "apigateway.amazonaws.com". It is empty for a role.
	Service string
	// Account is the account of the resource, twelve digits.
	Account string
	// Action is an action like "sqs:SendMessage". It is not case-sensitive.
	Action string
	// Resource is an ARN, or "*" for actions that have no resource.
	Resource string
	// Context has the values of condition keys, by key in lower case (see ContextKeys).
	Context map[string][]string
}

// Denied is the error of a request that is not allowed. Its text is AWS's.
type Denied struct {
	// Caller, Action and Resource are those of the request.
	Caller, Action, Resource string
	// Explicit is true when a statement denies the request, false when none allows it.
	Explicit bool
	// ByResource is true when a policy of the resource denies the request.
	ByResource bool
}

// Error returns AWS's text.
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

// Authorize decides on a request by the policies of the caller (identity) and of the resource. It returns nil when the
// request is allowed and a *Denied when it is not.
//
// Within one account a policy of either kind can allow a request. A Deny in any policy overrides every Allow.
// Source: IAM User Guide, reference_policies_evaluation-logic_policy-eval-basics-resource-identity.html.
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
	// A service has no identity policy.
	denied.ByResource = request.Service != ""
	return denied
}

// Trusts reports whether a role's trust policy allows a service, like "lambda.amazonaws.com", to assume the role.
func Trusts(trust Document, service string) bool {
	request := Request{Service: service, Action: "sts:AssumeRole", Resource: "*"}
	return Authorize(nil, []Document{trust}, request) == nil
}

// applies reports whether the statement applies to the request.
func (s Statement) applies(request Request, ofResource bool) bool {
	if ofResource && !slices.ContainsFunc(s.Principals, func(p Principal) bool { return p.includes(request, s.Deny) }) {
		return false
	}
	matches := func(pattern string) bool {
		return strings.EqualFold(pattern, request.Action) || strings.ContainsAny(pattern, "*?") &&
			Match(strings.ToLower(pattern), strings.ToLower(request.Action))
	}
	if len(s.Actions) > 0 && !slices.ContainsFunc(s.Actions, matches) || slices.ContainsFunc(s.NotActions, matches) {
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

// includes reports whether the principal includes the caller. In a Deny an account includes its roles. In an Allow it
// does not, because the roles need a policy of their own.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
func (p Principal) includes(request Request, deny bool) bool {
	switch p.Type {
	case "*":
		return true
	case "Service":
		return request.Service != "" && p.ID == request.Service
	case "AWS":
		account := p.ID == request.Account || strings.HasPrefix(p.ID, "arn:") &&
			strings.HasSuffix(p.ID, ":"+request.Account+":root")
		return p.ID == "*" || request.Role != "" && (p.ID == request.Role || p.ID == request.Caller || deny && account)
	default:
		return false
	}
}

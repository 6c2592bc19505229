package template

import (
	"fmt"

	"fanfare/local/iam"
)

// Authorize tells whether a function of the stack may perform an action (like "sqs:SendMessage") on a resource, by the
// policies of its role and, for a queue of the stack, by the queue's own. It returns nil or an *iam.Denied with AWS's
// message; a function that is not of the stack may do nothing. It is safe for concurrent use as long as nobody changes
// the Resolved.
func (r *Resolved) Authorize(function, action, resource string) error {
	options := Options{Region: r.Region, Account: r.Account}
	for i := range r.Functions {
		if r.Functions[i].Name != function {
			continue
		}
		var policies []iam.Document
		for j := range r.Queues {
			if r.Queues[j].ARN == resource {
				policies = r.Queues[j].Policy
			}
		}
		return authorize(&r.Functions[i], policies, action, resource, options)
	}
	return &iam.Denied{Caller: function, Action: action, Resource: resource}
}

// authorize weighs what a function asks for. On one machine requests travel without TLS, which AWS would never see, so
// they count as secure.
func authorize(f *Function, policies []iam.Document, action, resource string, o Options) error {
	return iam.Authorize(f.Role.Documents(), policies, iam.Request{
		Caller: fmt.Sprintf("arn:aws:sts::%s:assumed-role/%s/%s", o.Account, f.Role.Name, f.Name), Role: f.Role.ARN,
		Account: o.Account, Action: action, Resource: resource,
		Context: map[string][]string{
			"aws:principalaccount": {o.Account}, "aws:principalarn": {f.Role.ARN}, "aws:principaltype": {"AssumedRole"},
			"aws:requestedregion": {o.Region}, "aws:resourceaccount": {o.Account}, "aws:securetransport": {"true"},
			"aws:viaawsservice": {"false"},
		},
	})
}

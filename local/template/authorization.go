package template

import (
	"fmt"

	"fanfare/local/iam"
)

// Request returns the request of a function of the stack for an action, like "sqs:SendMessage", on a resource. It has
// the caller and the value of every context key that a policy may use. Pass it to iam.Authorize with
// f.Role.Documents() and, for a queue, Queue.Policy.
func (r *Resolved) Request(f Function, action, resource string) iam.Request {
	return request(&f, action, resource, Options{Region: r.Region, Account: r.Account})
}

// request returns the request of a function. Requests on one machine have no TLS. They count as secure, because all
// requests to AWS have TLS.
func request(f *Function, action, resource string, o Options) iam.Request {
	return iam.Request{
		Caller: fmt.Sprintf("arn:aws:sts::%s:assumed-role/%s/%s", o.Account, f.Role.Name, f.Name), Role: f.Role.ARN,
		Account: o.Account, Action: action, Resource: resource,
		Context: map[string][]string{
			"aws:principalaccount": {o.Account}, "aws:principalarn": {f.Role.ARN}, "aws:principaltype": {"AssumedRole"},
			"aws:requestedregion": {o.Region}, "aws:resourceaccount": {o.Account}, "aws:securetransport": {"true"},
			"aws:viaawsservice": {"false"},
		},
	}
}

package stack

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"

	"fanfare/local/iam"
	"fanfare/local/template"
)

// identities authorizes calls by the template's policies. The access key identifies the caller.
type identities struct {
	stack     *template.Resolved
	functions map[string]template.Function // by access key
	resources map[string][]iam.Document    // resource policies, by ARN
}

func newIdentities(r *template.Resolved) *identities {
	ids := &identities{stack: r, functions: make(map[string]template.Function), resources: make(map[string][]iam.Document)}
	for _, f := range r.Functions {
		ids.functions[accessKey(f.Name)] = f
	}
	for _, q := range r.Queues {
		ids.resources[q.ARN] = q.Policy
	}
	return ids
}

// accessKey returns the access key of a function. It begins with ASIA, like that of a role session on AWS.
func accessKey(function string) string {
	sum := sha256.Sum256([]byte(function))
	return "ASIA" + base32.StdEncoding.EncodeToString(sum[:10])
}

// authorize decides on a call. The policies of its role apply to a function. Any other key belongs to an administrator
// of the account. Only the denials of resource policies apply to it.
func (ids *identities) authorize(accessKeyID, action, resource string) error {
	if f, ok := ids.functions[accessKeyID]; ok {
		return iam.Authorize(f.Role.Documents(), ids.resources[resource], ids.stack.Request(f, action, resource))
	}
	return iam.Authorize([]iam.Document{administrator}, ids.resources[resource], iam.Request{
		Account: ids.stack.Account, Action: action, Resource: resource,
		Caller: fmt.Sprintf("arn:aws:iam::%s:user/local", ids.stack.Account),
		// Requests on loopback have no TLS. They count as secure, because all requests to AWS have TLS.
		Context: map[string][]string{"aws:securetransport": {"true"}},
	})
}

// administrator allows everything.
var administrator = func() iam.Document {
	const policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`
	document, err := iam.Parse([]byte(policy), iam.Identity)
	if err != nil {
		panic(err)
	}
	return document
}()

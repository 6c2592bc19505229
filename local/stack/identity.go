package stack

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"

	"fanfare/local/iam"
	"fanfare/local/template"
)

// identities tell by an access key who calls, and decide by the template's policies whether they may.
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

// accessKey returns the access key of a function's role session; sessions have keys that begin with ASIA.
func accessKey(function string) string {
	sum := sha256.Sum256([]byte(function))
	return "ASIA" + base32.StdEncoding.EncodeToString(sum[:10])
}

// authorize decides on a call. Functions may do what their roles allow; every other key is an administrator of the
// account, who is still bound by what resource policies deny.
func (ids *identities) authorize(accessKeyID, action, resource string) error {
	if f, ok := ids.functions[accessKeyID]; ok {
		return iam.Authorize(f.Role.Documents(), ids.resources[resource], ids.stack.Request(f, action, resource))
	}
	return iam.Authorize([]iam.Document{administrator}, ids.resources[resource], iam.Request{
		Account: ids.stack.Account, Action: action, Resource: resource,
		Caller: fmt.Sprintf("arn:aws:iam::%s:user/local", ids.stack.Account),
		// Loopback stands for TLS: what a policy demands of the transport is met.
		Context: map[string][]string{"aws:securetransport": {"true"}},
	})
}

var administrator = func() iam.Document {
	document, err := iam.Parse([]byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`), iam.Identity)
	if err != nil {
		panic(err)
	}
	return document
}()

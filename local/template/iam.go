package template

import (
	"regexp"
	"strings"

	"fanfare/local/iam"
	"fanfare/local/template/internal/cfn"
	"fanfare/local/template/internal/tree"
)

func iamTypes() map[string]*emulatedType {
	return map[string]*emulatedType{
		"AWS::IAM::Role": {Type: cfn.Type{
			Schema: tree.Settable(`
				AssumeRolePolicyDocument Description ManagedPolicyArns MaxSessionDuration Path RoleName Tags`).
				All(tree.Returned, `Arn RoleId`).
				With(tree.Schema{
					"PermissionsBoundary": tree.Refused("only the role's own policies are evaluated"),
					"Policies":            tree.Nested(tree.Schema{"PolicyName": tree.Accepted, "PolicyDocument": tree.Accepted}),
				}),
			Required: []string{"AssumeRolePolicyDocument"}, NameProperty: "RoleName", NamePattern: roleName, NameLimit: 64,
			Ref: "{name}", Path: rolePath,
			Attributes:        map[string]string{"Arn": "arn:aws:iam::{account}:role{path}{name}"},
			RefusedAttributes: map[string]string{"RoleId": "IAM generates it"},
		}, read: (*builder).readRole,
		},
		"AWS::IAM::Policy": {Type: cfn.Type{
			Schema: tree.Schema{
				"PolicyDocument": tree.Accepted, "PolicyName": tree.Accepted, "Roles": tree.Accepted, "Id": tree.Returned,
				"Groups": tree.Refused("there are no users and groups here"),
				"Users":  tree.Refused("there are no users and groups here"),
			},
			Required: []string{"PolicyDocument", "PolicyName"}, Ref: "{stack}-{id}",
			Attributes: map[string]string{"Id": "{stack}-{id}"},
		}, read: (*builder).readPolicy,
		},
		"AWS::IAM::RolePolicy": {Type: cfn.Type{
			Schema:   tree.Schema{"PolicyDocument": tree.Accepted, "PolicyName": tree.Accepted, "RoleName": tree.Accepted},
			Required: []string{"PolicyDocument", "PolicyName", "RoleName"}, Ref: "{id}",
		}, read: (*builder).readPolicy,
		},
		"AWS::IAM::ManagedPolicy": {Type: cfn.Type{
			Schema: tree.Settable(`Description ManagedPolicyName Path PolicyDocument Roles`).
				All(tree.Returned, `
				AttachmentCount CreateDate DefaultVersionId IsAttachable PermissionsBoundaryUsageCount PolicyArn
				PolicyId UpdateDate`).
				With(tree.Schema{
					"Groups": tree.Refused("there are no users and groups here"),
					"Users":  tree.Refused("there are no users and groups here"),
				}),
			Required: []string{"PolicyDocument"}, NameProperty: "ManagedPolicyName", NamePattern: roleName, NameLimit: 128,
			Path:              rolePath,
			Ref:               "arn:aws:iam::{account}:policy{path}{name}",
			Attributes:        map[string]string{"PolicyArn": "arn:aws:iam::{account}:policy{path}{name}"},
			RefusedAttributes: map[string]string{"PolicyId": "IAM generates it"},
		}, read: (*builder).readManagedPolicy,
		},
	}
}

var (
	// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html
	roleName    = regexp.MustCompile(`^[\w+=,.@-]{1,128}$`)
	pathPattern = regexp.MustCompile(`^/([!-.0-~]+/)*$`)
)

// rolePath returns the path of a role or managed policy, "/" without one.
func rolePath(e *cfn.Evaluator, r *cfn.Resource) string {
	v, at := r.Properties.Get("Path"), tree.At(r.ID, "Properties.Path")
	if v == nil {
		return "/"
	}
	resolved := e.Resolve(v, at)
	switch {
	case resolved == nil:
		return "/"
	case resolved.Kind == tree.Text && pathPattern.MatchString(resolved.Text) && len(resolved.Text) <= 512:
		return resolved.Text
	case resolved.Kind != tree.Invalid:
		e.Problem(v, at, "a path must begin and end with /")
	}
	return ""
}

// document reads a policy document from a property.
func document(p tree.Reader, key string, kind iam.Kind) iam.Document {
	v := p.Value(key)
	if v == nil || v.Kind == tree.Invalid {
		return iam.Document{}
	}
	// An invalid value in the document has been reported, and "*" is valid in the place of most.
	document, err := iam.Parse([]byte(v.Completed("*").JSON()), kind)
	if err != nil {
		p.Problem(key, "%v", err)
	}
	return document
}

func (b *builder) readRole(r *cfn.Resource, p tree.Reader) {
	role := &Role{
		Source: b.source(r.ID, r.Position), Name: b.Name(r), ARN: b.ARN(r),
		Trust: document(p, "AssumeRolePolicyDocument", iam.Trust),
	}
	for _, inline := range p.Parts("Policies") {
		inline.Require("PolicyName", "PolicyDocument")
		role.Policies = append(role.Policies,
			Policy{inline.Text("PolicyName"), document(inline, "PolicyDocument", iam.Identity)})
	}
	b.roles = append(b.roles, pending[*Role]{role, p})
}

// attachment is a policy that is a resource and is attached to roles.
type attachment struct {
	policy Policy
	roles  []string
}

// readPolicy reads AWS::IAM::Policy and AWS::IAM::RolePolicy.
func (b *builder) readPolicy(r *cfn.Resource, p tree.Reader) {
	a := attachment{Policy{p.Text("PolicyName"), document(p, "PolicyDocument", iam.Identity)}, p.Texts("Roles")}
	if name := p.Text("RoleName"); name != "" {
		a.roles = append(a.roles, name)
	}
	if len(a.roles) == 0 && !p.Invalid("Roles") && !p.Invalid("RoleName") {
		p.Report.Problem(p.Position, p.At, "the policy is attached to no role")
	}
	b.attachments = append(b.attachments, pending[attachment]{a, p})
}

func (b *builder) readManagedPolicy(r *cfn.Resource, p tree.Reader) {
	a := attachment{Policy{b.Reference(r), document(p, "PolicyDocument", iam.Identity)}, p.Texts("Roles")}
	b.attachments = append(b.attachments, pending[attachment]{a, p})
	b.managed[a.policy.Name] = a.policy.Document
}

// attachPolicies adds the managed policies and the attached policies to the roles.
func (b *builder) attachPolicies() {
	for _, role := range b.roles {
		for i, arn := range role.at.Texts("ManagedPolicyArns") {
			document, ok := b.managed[arn]
			if !ok {
				document, ok = iam.Managed(arn)
			}
			if !ok {
				role.at.Report.Problem(role.at.Value("ManagedPolicyArns"), role.at.At.Field("ManagedPolicyArns").Item(i),
					"the managed policy %s is neither in the template nor supported (supported are %s)",
					arn, strings.Join(iam.ManagedNames(), ", "))
			}
			role.model.Policies = append(role.model.Policies, Policy{arn, document})
		}
	}
	for _, attached := range b.attachments {
		for _, name := range attached.model.roles {
			role := b.roleNamed(name)
			if role == nil {
				attached.at.Report.Problem(attached.at.Position, attached.at.At, "the role %s is not in the template", name)
				continue
			}
			role.Policies = append(role.Policies, attached.model.policy)
		}
	}
}

// roleNamed returns the role with a name or an ARN, or nil.
func (b *builder) roleNamed(name string) *Role {
	for _, role := range b.roles {
		if name == role.model.Name || name == role.model.ARN {
			return role.model
		}
	}
	return nil
}

package template

import (
	"regexp"
	"strings"

	"fanfare/local/iam"
)

func iamTypes() map[string]*emulatedType {
	return map[string]*emulatedType{
		"AWS::IAM::Role": {resourceType: resourceType{
			schema: settable(`
				AssumeRolePolicyDocument Description ManagedPolicyArns MaxSessionDuration Path RoleName Tags`).
				all(returned, `Arn RoleId`).
				with(schema{
					"PermissionsBoundary": refused("only the role's own policies are evaluated"),
					"Policies":            of(schema{"PolicyName": known, "PolicyDocument": known}),
				}),
			required: []string{"AssumeRolePolicyDocument"}, nameProperty: "RoleName", namePattern: roleName, nameLimit: 64, ref: "{name}", path: rolePath,
			attributes:        map[string]string{"Arn": "arn:aws:iam::{account}:role{path}{name}"},
			refusedAttributes: map[string]string{"RoleId": "IAM makes it up"},
		}, read: (*builder).readRole,
		},
		"AWS::IAM::Policy": {resourceType: resourceType{
			schema: schema{
				"PolicyDocument": known, "PolicyName": known, "Roles": known, "Id": returned,
				"Groups": refused("there are no users and groups here"), "Users": refused("there are no users and groups here"),
			},
			required: []string{"PolicyDocument", "PolicyName"}, ref: "{stack}-{id}", attributes: map[string]string{"Id": "{stack}-{id}"},
		}, read: (*builder).readPolicy,
		},
		"AWS::IAM::RolePolicy": {resourceType: resourceType{
			schema:   schema{"PolicyDocument": known, "PolicyName": known, "RoleName": known},
			required: []string{"PolicyDocument", "PolicyName", "RoleName"}, ref: "{id}",
		}, read: (*builder).readPolicy,
		},
		"AWS::IAM::ManagedPolicy": {resourceType: resourceType{
			schema: settable(`Description ManagedPolicyName Path PolicyDocument Roles`).
				all(returned, `
				AttachmentCount CreateDate DefaultVersionId IsAttachable PermissionsBoundaryUsageCount PolicyArn
				PolicyId UpdateDate`).
				with(schema{
					"Groups": refused("there are no users and groups here"),
					"Users":  refused("there are no users and groups here"),
				}),
			required: []string{"PolicyDocument"}, nameProperty: "ManagedPolicyName", namePattern: roleName, nameLimit: 128, path: rolePath,
			ref: "arn:aws:iam::{account}:policy{path}{name}", attributes: map[string]string{"PolicyArn": "arn:aws:iam::{account}:policy{path}{name}"},
			refusedAttributes: map[string]string{"PolicyId": "IAM makes it up"},
		}, read: (*builder).readManagedPolicy,
		},
	}
}

var (
	// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html
	roleName    = regexp.MustCompile(`^[\w+=,.@-]{1,128}$`)
	pathPattern = regexp.MustCompile(`^/([!-.0-~]+/)*$`)
)

// rolePath returns the path of a role or managed policy, "/" when it has none.
func rolePath(e *evaluator, r *resource) string {
	v, at := r.properties.get("Path"), where{r.id, "Properties.Path"}
	if v == nil {
		return "/"
	}
	resolved := e.resolve(v, at)
	switch {
	case resolved == nil:
		return "/"
	case resolved.kind == text && pathPattern.MatchString(resolved.text) && len(resolved.text) <= 512:
		return resolved.text
	case resolved.kind != invalid:
		e.problem(v, at, "a path must begin and end with /")
	}
	return ""
}

// document reads a policy document out of a property.
func document(p properties, key string, kind iam.Kind) iam.Document {
	v := p.value(key)
	if v == nil || v.kind == invalid {
		return iam.Document{}
	}
	document, err := iam.Parse([]byte(v.json()), kind)
	if err != nil {
		p.problem(key, "%v", err)
	}
	return document
}

func (b *builder) readRole(r *resource, p properties) {
	role := &Role{
		Source: b.source(r.id, r.position), Name: b.name(r), ARN: b.arn(r),
		Trust: document(p, "AssumeRolePolicyDocument", iam.Trust),
	}
	for _, inline := range p.parts("Policies") {
		inline.require("PolicyName", "PolicyDocument")
		role.Policies = append(role.Policies, Policy{inline.text("PolicyName"), document(inline, "PolicyDocument", iam.Identity)})
	}
	b.roles = append(b.roles, pending[*Role]{role, p})
}

// attachment is a policy that is attached to roles by a resource of its own.
type attachment struct {
	policy Policy
	roles  []string
}

// readPolicy reads AWS::IAM::Policy and AWS::IAM::RolePolicy.
func (b *builder) readPolicy(r *resource, p properties) {
	a := attachment{Policy{p.text("PolicyName"), document(p, "PolicyDocument", iam.Identity)}, p.texts("Roles")}
	if name := p.text("RoleName"); name != "" {
		a.roles = append(a.roles, name)
	}
	if len(a.roles) == 0 {
		p.report.problem(p.position, p.at, "the policy is attached to no role")
	}
	b.attachments = append(b.attachments, pending[attachment]{a, p})
}

func (b *builder) readManagedPolicy(r *resource, p properties) {
	a := attachment{Policy{b.reference(r), document(p, "PolicyDocument", iam.Identity)}, p.texts("Roles")}
	b.attachments = append(b.attachments, pending[attachment]{a, p})
	b.managed[a.policy.Name] = a.policy.Document
}

// attachPolicies gives every role what is attached to it, once all are read.
func (b *builder) attachPolicies() {
	for _, role := range b.roles {
		for i, arn := range role.at.texts("ManagedPolicyArns") {
			document, ok := b.managed[arn]
			if !ok {
				document, ok = iam.Managed(arn)
			}
			if !ok {
				role.at.report.problem(role.at.value("ManagedPolicyArns"), role.at.at.field("ManagedPolicyArns").item(i),
					"the managed policy %s is neither in the template nor known here (known are %s)", arn, strings.Join(iam.ManagedNames(),
						", "))
			}
			role.model.Policies = append(role.model.Policies, Policy{arn, document})
		}
	}
	for _, attached := range b.attachments {
		for _, name := range attached.model.roles {
			role := b.roleNamed(name)
			if role == nil {
				attached.at.report.problem(attached.at.position, attached.at.at, "the role %s is not in the template", name)
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

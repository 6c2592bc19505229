package template

import (
	"regexp"
	"strings"

	"fanfare/local/iam"
)

func iamTypes() map[string]*resourceType {
	return map[string]*resourceType{
		"AWS::IAM::Role": {
			schema: settable(`
				AssumeRolePolicyDocument Description ManagedPolicyArns MaxSessionDuration Path RoleName Tags`).
				all(returned, `Arn RoleId`).
				with(schema{
					"PermissionsBoundary": refused("only the role's own policies are evaluated"),
					"Policies":            of(schema{"PolicyName": known, "PolicyDocument": known}),
				}),
			required: []string{"AssumeRolePolicyDocument"}, nameProperty: "RoleName", namePattern: roleName, nameLimit: 64, ref: "{name}",
			attributes:        map[string]string{"Arn": "arn:aws:iam::{account}:role{path}{name}"},
			refusedAttributes: map[string]string{"RoleId": "IAM makes it up"},
			read:              (*loader).readRole,
		},
		"AWS::IAM::Policy": {
			schema: schema{
				"PolicyDocument": known, "PolicyName": known, "Roles": known, "Id": returned,
				"Groups": refused("there are no users and groups here"), "Users": refused("there are no users and groups here"),
			},
			required: []string{"PolicyDocument", "PolicyName"}, ref: "{stack}-{id}", attributes: map[string]string{"Id": "{stack}-{id}"},
			read: (*loader).readPolicy,
		},
		"AWS::IAM::RolePolicy": {
			schema:   schema{"PolicyDocument": known, "PolicyName": known, "RoleName": known},
			required: []string{"PolicyDocument", "PolicyName", "RoleName"}, ref: "{id}", read: (*loader).readPolicy,
		},
		"AWS::IAM::ManagedPolicy": {
			schema: settable(`Description ManagedPolicyName Path PolicyDocument Roles`).
				all(returned, `
				AttachmentCount CreateDate DefaultVersionId IsAttachable PermissionsBoundaryUsageCount PolicyArn
				PolicyId UpdateDate`).
				with(schema{
					"Groups": refused("there are no users and groups here"),
					"Users":  refused("there are no users and groups here"),
				}),
			required: []string{"PolicyDocument"}, nameProperty: "ManagedPolicyName", namePattern: roleName, nameLimit: 128,
			ref: "arn:aws:iam::{account}:policy{path}{name}", attributes: map[string]string{"PolicyArn": "arn:aws:iam::{account}:policy{path}{name}"},
			refusedAttributes: map[string]string{"PolicyId": "IAM makes it up"},
			read:              (*loader).readManagedPolicy,
		},
	}
}

var (
	// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html
	roleName = regexp.MustCompile(`^[\w+=,.@-]{1,128}$`)
	rolePath = regexp.MustCompile(`^/([!-.0-~]+/)*$`)
)

// rolePath returns the path of a role or managed policy, "/" when it has none.
func (l *loader) rolePath(r *resource) string {
	v, at := r.properties.get("Path"), where{r.id, "Properties.Path"}
	if v == nil {
		return "/"
	}
	resolved := l.resolve(v, at)
	switch {
	case resolved == nil:
		return "/"
	case resolved.kind == text && rolePath.MatchString(resolved.text) && len(resolved.text) <= 512:
		return resolved.text
	case resolved.kind != invalid:
		l.problem(v, at, "a path must begin and end with /")
	}
	return ""
}

// document reads a policy document out of a property.
func (p properties) document(key string, kind iam.Kind) iam.Document {
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

func (l *loader) readRole(r *resource, p properties) {
	role := &Role{
		Source: l.source(r.id, r.position), Name: l.name(r), ARN: l.form(r, l.typeOf(r).attributes["Arn"]),
		Trust: p.document("AssumeRolePolicyDocument", iam.Trust),
	}
	for _, inline := range p.parts("Policies") {
		inline.require("PolicyName", "PolicyDocument")
		role.Policies = append(role.Policies, Policy{inline.text("PolicyName"), inline.document("PolicyDocument", iam.Identity)})
	}
	l.stack.roles = append(l.stack.roles, pending[*Role]{role, p})
}

// attachment is a policy that is attached to roles by a resource of its own.
type attachment struct {
	policy Policy
	roles  []string
}

// readPolicy reads AWS::IAM::Policy and AWS::IAM::RolePolicy.
func (l *loader) readPolicy(r *resource, p properties) {
	a := attachment{Policy{p.text("PolicyName"), p.document("PolicyDocument", iam.Identity)}, p.texts("Roles")}
	if name := p.text("RoleName"); name != "" {
		a.roles = append(a.roles, name)
	}
	if len(a.roles) == 0 {
		p.l.problem(p.position, p.at, "the policy is attached to no role")
	}
	l.stack.attachments = append(l.stack.attachments, pending[attachment]{a, p})
}

func (l *loader) readManagedPolicy(r *resource, p properties) {
	a := attachment{Policy{l.reference(r), p.document("PolicyDocument", iam.Identity)}, p.texts("Roles")}
	l.stack.attachments = append(l.stack.attachments, pending[attachment]{a, p})
	l.stack.managed[a.policy.Name] = a.policy.Document
}

// attachPolicies gives every role what is attached to it, once all are read.
func (l *loader) attachPolicies() {
	for _, role := range l.stack.roles {
		for i, arn := range role.at.texts("ManagedPolicyArns") {
			document, ok := l.stack.managed[arn]
			if !ok {
				document, ok = iam.Managed(arn)
			}
			if !ok {
				role.at.l.problem(role.at.value("ManagedPolicyArns"), role.at.at.field("ManagedPolicyArns").item(i),
					"the managed policy %s is neither in the template nor known here (known are %s)", arn, strings.Join(iam.ManagedNames(),
						", "))
			}
			role.model.Policies = append(role.model.Policies, Policy{arn, document})
		}
	}
	for _, attached := range l.stack.attachments {
		for _, name := range attached.model.roles {
			role := l.roleNamed(name)
			if role == nil {
				attached.at.l.problem(attached.at.position, attached.at.at, "the role %s is not in the template", name)
				continue
			}
			role.Policies = append(role.Policies, attached.model.policy)
		}
	}
}

// roleNamed returns the role with a name or an ARN, or nil.
func (l *loader) roleNamed(name string) *Role {
	for _, role := range l.stack.roles {
		if name == role.model.Name || name == role.model.ARN {
			return role.model
		}
	}
	return nil
}

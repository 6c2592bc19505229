// Package iam decides whether a caller may perform an action, as AWS Identity and Access Management does.
//
// Parse reads a policy document. Authorize decides on a request by the policies of the caller and of the resource: a
// Deny overrides every Allow, and without an Allow the request is denied. The text of a denial is AWS's, so that a
// function without a permission fails with the same error as on AWS.
//
// Supported are identity policies and resource policies of one account, with Action, NotAction, Resource, NotResource,
// Principal and Condition. Policy variables, permissions boundaries, session policies, service control policies and
// NotPrincipal are not. Parse fails with the name of a condition operator or context key that cannot be evaluated on
// one machine (dates, addresses, binary values, keys of single AWS services), unless the statement is only about
// services that are not emulated.
//
// Documents do not change after Parse and are safe for concurrent use.
//
// Source of the policy language: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
package iam

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Kind is the kind of a policy. It determines the elements that its statements must have.
type Kind int

const (
	// Identity is a policy of a role. Its statements have resources and no principal.
	Identity Kind = iota
	// Resource is a policy of a resource, such as a queue. Its statements have principals and resources.
	Resource
	// Trust is the AssumeRolePolicyDocument of a role. Its statements have principals and no resource.
	Trust
)

// Document is a parsed policy. The zero value has no statements and allows nothing.
type Document struct {
	// Version is the version of the policy language, "2012-10-17" or "2008-10-17" (the default).
	Version string
	// ID is the optional Id element.
	ID string
	// Statements are in the order written, which does not affect the result.
	Statements []Statement
}

// Statement allows or denies actions on resources under conditions.
type Statement struct {
	// Sid is the optional name of the statement.
	Sid string
	// Deny is true for Effect Deny and false for Effect Allow.
	Deny bool
	// Actions are patterns like "sqs:Send*", which are not case-sensitive. Exactly one of Actions and NotActions is set.
	Actions, NotActions []string
	// Resources are patterns of ARNs. Exactly one of Resources and NotResources is set, in a trust policy none.
	Resources, NotResources []string
	// Principals are the callers to which a resource or trust policy applies. They are nil in an identity policy.
	Principals []Principal
	// Conditions must all hold.
	Conditions []Condition
}

// Principal is one entry of a Principal element.
type Principal struct {
	// Type is "AWS", "Service", "Federated", "CanonicalUser", or "*" for all callers, without an ID.
	Type string
	// ID is an ARN, an account id, the name of a service, or "*".
	ID string
}

// languageVersions are the versions of the policy language.
var languageVersions = []string{"2008-10-17", "2012-10-17"}

// maxDocument is the largest policy document, in bytes. IAM's largest quota, of inline policies, is 10,240 characters.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
const maxDocument = 1 << 20

// Parse reads a policy document in JSON. It returns an error for an unknown element, for a statement without an element
// that the kind requires, and for a condition operator or context key that is not supported.
func Parse(document []byte, kind Kind) (Document, error) {
	if len(document) > maxDocument {
		return Document{}, fmt.Errorf("policy document: %d bytes, more than %d", len(document), maxDocument)
	}
	var raw struct {
		Version   *string
		ID        *string `json:"Id"`
		Statement oneOrMany[rawStatement]
	}
	if err := decodeStrictly(document, &raw); err != nil {
		return Document{}, fmt.Errorf("policy document: %w", err)
	}
	parsed := Document{Version: languageVersions[0]}
	if raw.Version != nil {
		parsed.Version = *raw.Version
	}
	if !slices.Contains(languageVersions, parsed.Version) {
		return Document{}, fmt.Errorf("policy document: Version %q is not one of %s", parsed.Version,
			strings.Join(languageVersions,
				", "))
	}
	if raw.ID != nil {
		parsed.ID = *raw.ID
	}
	if len(raw.Statement) == 0 {
		return Document{}, errors.New("policy document: Statement is missing or empty")
	}
	for i, statement := range raw.Statement {
		s, err := statement.parse(kind)
		if err != nil {
			return Document{}, fmt.Errorf("policy document: statement %d: %w", i+1, err)
		}
		parsed.Statements = append(parsed.Statements, s)
	}
	return parsed, nil
}

// rawStatement is a statement in JSON.
type rawStatement struct {
	Sid          string
	Effect       string
	Action       oneOrMany[string]
	NotAction    oneOrMany[string]
	Resource     oneOrMany[string]
	NotResource  oneOrMany[string]
	Principal    json.RawMessage
	NotPrincipal json.RawMessage
	Condition    map[string]map[string]oneOrMany[scalar]
}

func (r rawStatement) parse(kind Kind) (Statement, error) {
	s := Statement{
		Sid: r.Sid, Actions: r.Action, NotActions: r.NotAction, Resources: r.Resource, NotResources: r.NotResource,
	}
	switch r.Effect {
	case "Allow":
	case "Deny":
		s.Deny = true
	default:
		return s, fmt.Errorf("the Effect %q is neither Allow nor Deny", r.Effect)
	}
	if (len(r.Action) == 0) == (len(r.NotAction) == 0) {
		return s, errors.New("exactly one of Action and NotAction must be given, with at least one action")
	}
	for _, action := range slices.Concat(r.Action, r.NotAction) {
		if action != "*" && !strings.Contains(action, ":") {
			return s, fmt.Errorf("action %q has no service: it must be like sqs:SendMessage", action)
		}
	}
	resources := len(r.Resource) + len(r.NotResource)
	switch {
	case len(r.Resource) > 0 && len(r.NotResource) > 0:
		return s, errors.New("only one of Resource and NotResource may be given")
	case kind == Trust && resources > 0:
		return s, errors.New("a trust policy must not have resources")
	case kind != Trust && resources == 0:
		return s, errors.New("a Resource or NotResource must be given")
	}
	for _, resource := range slices.Concat(r.Resource, r.NotResource) {
		if !strings.HasPrefix(resource, "arn:") && resource != "*" {
			return s, fmt.Errorf("resource %q is neither an ARN nor *", resource)
		}
		if strings.Contains(resource, "${") && s.concernsLocal() {
			return s, fmt.Errorf("resource %q: policy variables are not supported", resource)
		}
	}
	if r.NotPrincipal != nil {
		return s, errors.New("NotPrincipal is not supported")
	}
	switch {
	case kind == Identity && r.Principal != nil:
		return s, errors.New("an identity policy must not have a Principal")
	case kind != Identity && r.Principal == nil:
		return s, errors.New("Principal must be given")
	case r.Principal != nil:
		var err error
		if s.Principals, err = parsePrincipals(r.Principal); err != nil {
			return s, err
		}
	}
	var err error
	s.Conditions, err = parseConditions(r.Condition, s.concernsLocal())
	return s, err
}

// localServices are the prefixes of the actions of the emulated services.
var localServices = []string{"dynamodb", "execute-api", "lambda", "secretsmanager", "sqs", "sts"}

// concernsLocal reports whether the statement concerns an emulated service. Others, about S3 for example, may have
// elements that are not supported.
func (s Statement) concernsLocal() bool {
	return len(s.NotActions) > 0 || slices.ContainsFunc(s.Actions, func(action string) bool {
		prefix, _, _ := strings.Cut(strings.ToLower(action), ":")
		return slices.ContainsFunc(localServices, func(service string) bool { return Match(prefix, service) })
	})
}

// principalTypes are the keys of a Principal element.
var principalTypes = []string{"AWS", "Service", "Federated", "CanonicalUser"}

// parsePrincipals reads a Principal element.
func parsePrincipals(raw json.RawMessage) ([]Principal, error) {
	var anyone string
	if json.Unmarshal(raw, &anyone) == nil {
		if anyone != "*" {
			return nil, fmt.Errorf("Principal %q: a string must be *", anyone)
		}
		return []Principal{{Type: "*"}}, nil
	}
	var byType map[string]oneOrMany[scalar]
	if err := decodeStrictly(raw, &byType); err != nil {
		return nil, fmt.Errorf("Principal: %w", err)
	}
	var principals []Principal
	for _, kind := range principalTypes {
		for _, id := range byType[kind] {
			principals = append(principals, Principal{Type: kind, ID: string(id)})
		}
		delete(byType, kind)
	}
	for kind := range byType {
		return nil, fmt.Errorf("Principal: unknown type %q", kind)
	}
	if len(principals) == 0 {
		return nil, errors.New("Principal is empty")
	}
	return principals, nil
}

// oneOrMany is a value or a list of values in JSON.
type oneOrMany[T any] []T

// UnmarshalJSON implements json.Unmarshaler.
func (o *oneOrMany[T]) UnmarshalJSON(data []byte) error {
	if trimmed := bytes.TrimSpace(data); len(trimmed) > 0 && trimmed[0] == '[' {
		var many []T
		if err := decodeStrictly(data, &many); err != nil {
			return err
		}
		*o = many
		return nil
	}
	var one T
	if err := decodeStrictly(data, &one); err != nil {
		return err
	}
	*o = oneOrMany[T]{one}
	return nil
}

// scalar is a string, number or boolean in JSON, as text.
type scalar string

// UnmarshalJSON implements json.Unmarshaler.
func (s *scalar) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) == nil && string(data) != "null" {
		*s = scalar(text)
		return nil
	}
	switch trimmed := bytes.TrimSpace(data); {
	case len(trimmed) == 0 || trimmed[0] == '{' || trimmed[0] == '[' || string(trimmed) == "null":
		return fmt.Errorf("%.40s is not a string, number or boolean", data)
	default:
		*s = scalar(trimmed)
	}
	return nil
}

// decodeStrictly decodes exactly one JSON value. Unknown fields are an error.
func decodeStrictly(data []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more data after the JSON value")
	}
	return nil
}

// Package iam decides, as AWS Identity and Access Management would, whether a caller may perform an action.
//
// Parse reads a policy document, and Authorize weighs a request against the policies of the caller and of the
// resource: an explicit Deny wins, then an Allow in either, and without one the request is denied. What it returns is
// AWS's own sentence, so that a function that lacks a permission fails here with the words it would see in the cloud.
//
// Evaluated are identity policies and resource policies of one account, with Action, NotAction, Resource, NotResource,
// Principal and Condition. Policy variables, permissions boundaries, session policies, service control policies and
// NotPrincipal are missing. Condition operators and context keys that cannot be evaluated on one machine (dates,
// addresses, binary values, keys that only a service of AWS's knows) make Parse fail by name rather than decide wrongly,
// unless the statement speaks only of services that do not exist here.
//
// Everything here is immutable once parsed and safe for concurrent use.
//
// Source of the language: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
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

// Kind says where a policy is attached, which decides the elements its statements must have.
type Kind int

const (
	// Identity is a policy of a role: statements name resources and no principal.
	Identity Kind = iota
	// Resource is a policy of a resource, such as a queue: statements name principals and resources.
	Resource
	// Trust is a role's AssumeRolePolicyDocument: statements name principals and no resource.
	Trust
)

// Document is a parsed policy. The zero value has no statements and allows nothing.
type Document struct {
	// Version is the policy language's version, "2012-10-17" or "2008-10-17" (the default, without variables).
	Version string
	// ID is the optional Id element.
	ID string
	// Statements are in the order written, which means nothing to the outcome.
	Statements []Statement
}

// Statement allows or denies some actions on some resources, on some conditions.
type Statement struct {
	// Sid is the statement's optional name.
	Sid string
	// Deny tells Effect Deny from Effect Allow.
	Deny bool
	// Actions holds patterns like "sqs:Send*", matched without regard to case. Exactly one of Actions and NotActions
	// is set.
	Actions, NotActions []string
	// Resources holds ARN patterns. At most one of Resources and NotResources is set; a trust policy has neither.
	Resources, NotResources []string
	// Principals are whom a resource or trust policy speaks of; nil in an identity policy.
	Principals []Principal
	// Conditions must all hold.
	Conditions []Condition
}

// Principal is one entry of a Principal element.
type Principal struct {
	// Type is "AWS", "Service", "Federated" or "CanonicalUser"; "*" stands for anyone, with no ID.
	Type string
	// ID is an ARN, an account's number, a service's name, or "*".
	ID string
}

// languageVersions are the values of Version that IAM knows.
var languageVersions = []string{"2008-10-17", "2012-10-17"}

// maxDocument bounds a policy document, in bytes; IAM's largest quota (inline policies of a role) is 10,240 characters.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
const maxDocument = 1 << 20

// Parse reads a policy document in JSON. It fails on elements IAM does not know, on statements that lack what the kind
// of policy demands, and, naming it, on every condition operator or context key that cannot be evaluated here.
func Parse(document []byte, kind Kind) (Document, error) {
	if len(document) > maxDocument {
		return Document{}, fmt.Errorf("policy document of %d bytes: more than %d", len(document), maxDocument)
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
		return Document{}, fmt.Errorf("policy document: Version %q is not one of %s", parsed.Version, strings.Join(languageVersions,
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

// rawStatement is a statement as JSON spells it.
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
			return s, fmt.Errorf("action %q lacks its service: it must be like sqs:SendMessage", action)
		}
	}
	resources := len(r.Resource) + len(r.NotResource)
	switch {
	case len(r.Resource) > 0 && len(r.NotResource) > 0:
		return s, errors.New("only one of Resource and NotResource may be given")
	case kind == Trust && resources > 0:
		return s, errors.New("a role's trust policy must not name resources")
	case kind != Trust && resources == 0:
		return s, errors.New("a Resource or NotResource must be given")
	}
	for _, resource := range slices.Concat(r.Resource, r.NotResource) {
		if !strings.HasPrefix(resource, "arn:") && resource != "*" {
			return s, fmt.Errorf("resource %q is neither an ARN nor *", resource)
		}
		if strings.Contains(resource, "${") && s.decidesHere() {
			return s, fmt.Errorf("resource %q: policy variables are not evaluated here", resource)
		}
	}
	if r.NotPrincipal != nil {
		return s, errors.New("NotPrincipal is not evaluated here")
	}
	switch {
	case kind == Identity && r.Principal != nil:
		return s, errors.New("a role's policy must not name a Principal")
	case kind != Identity && r.Principal == nil:
		return s, errors.New("Principal must be given")
	case r.Principal != nil:
		var err error
		if s.Principals, err = parsePrincipals(r.Principal); err != nil {
			return s, err
		}
	}
	var err error
	s.Conditions, err = parseConditions(r.Condition, s.decidesHere())
	return s, err
}

// localServices are the prefixes of the actions that services on one machine ask about.
var localServices = []string{"dynamodb", "execute-api", "lambda", "secretsmanager", "sqs", "sts"}

// decidesHere tells whether the statement can decide about anything on one machine. What cannot be evaluated in others,
// about S3 or CloudWatch for example, does no harm.
func (s Statement) decidesHere() bool {
	return len(s.NotActions) > 0 || slices.ContainsFunc(s.Actions, func(action string) bool {
		prefix, _, _ := strings.Cut(strings.ToLower(action), ":")
		return slices.ContainsFunc(localServices, func(service string) bool { return Match(prefix, service) })
	})
}

// principalTypes are the keys of a Principal element.
var principalTypes = []string{"AWS", "Service", "Federated", "CanonicalUser"}

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
		return nil, errors.New("Principal names nobody")
	}
	return principals, nil
}

// oneOrMany reads what policies may write as a single value or as a list.
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

// scalar reads a string, number or boolean as text, as condition values may be written.
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

// decodeStrictly reads exactly one JSON value, without unknown fields.
func decodeStrictly(data []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more follows the JSON value")
	}
	return nil
}

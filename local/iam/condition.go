package iam

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Condition compares the values of a context key with values of the policy.
type Condition struct {
	// Operator is the operator as written, with its set prefix and its suffix IfExists: "ForAnyValue:StringLike",
	// "ArnLikeIfExists".
	Operator string
	// Key is the context key, like "aws:SourceArn". It is not case-sensitive.
	Key string
	// Values are the values of the policy. One of them must match; with a negated operator none may match.
	Values []string

	compare  func(policy, request string) bool
	negated  bool   // true when no value of the policy may match
	ifExists bool   // true when the condition holds without the key
	set      string // "", "ForAllValues" or "ForAnyValue"
	null     bool   // true for the operator Null
}

// comparisons are the supported operators that are not negated.
var comparisons = map[string]func(policy, request string) bool{
	"StringEquals":             func(policy, request string) bool { return policy == request },
	"StringEqualsIgnoreCase":   strings.EqualFold,
	"StringLike":               Match,
	"ArnEquals":                MatchSegments, // ArnEquals and ArnLike are the same
	"ArnLike":                  MatchSegments,
	"Bool":                     strings.EqualFold,
	"NumericEquals":            numeric(func(policy, request float64) bool { return request == policy }),
	"NumericLessThan":          numeric(func(policy, request float64) bool { return request < policy }),
	"NumericLessThanEquals":    numeric(func(policy, request float64) bool { return request <= policy }),
	"NumericGreaterThan":       numeric(func(policy, request float64) bool { return request > policy }),
	"NumericGreaterThanEquals": numeric(func(policy, request float64) bool { return request >= policy }),
}

// negations maps the negated operators to the operators that they negate.
var negations = map[string]string{
	"StringNotEquals":           "StringEquals",
	"StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
	"StringNotLike":             "StringLike",
	"ArnNotEquals":              "ArnEquals",
	"ArnNotLike":                "ArnLike",
	"NumericNotEquals":          "NumericEquals",
}

// ContextKeys are the supported context keys, in lower case: those that have a value on one machine. Parse refuses a
// policy with another key, because its result would be a guess.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
var ContextKeys = []string{
	"aws:calledvia",
	"aws:principalaccount",
	"aws:principalarn",
	"aws:principaltype",
	"aws:requestedregion",
	"aws:resourceaccount",
	"aws:securetransport",
	"aws:sourceaccount",
	"aws:sourcearn",
	"aws:viaawsservice",
}

// numeric returns a comparison of numbers. Text that is not a number does not match.
func numeric(compare func(policy, request float64) bool) func(policy, request string) bool {
	return func(policy, request string) bool {
		p, err := strconv.ParseFloat(policy, 64)
		if err != nil {
			return false
		}
		r, err := strconv.ParseFloat(request, 64)
		return err == nil && compare(p, r)
	}
}

// parseConditions reads a Condition element. A condition that cannot be evaluated is an error if matters is true.
func parseConditions(raw map[string]map[string]oneOrMany[scalar], matters bool) ([]Condition, error) {
	var conditions []Condition
	for _, operator := range slices.Sorted(maps.Keys(raw)) {
		for _, key := range slices.Sorted(maps.Keys(raw[operator])) {
			condition, err := newCondition(operator, key, raw[operator][key])
			if err != nil && matters {
				return nil, fmt.Errorf("Condition %s of %s: %w", operator, key, err)
			}
			if err != nil {
				condition = Condition{Operator: operator, Key: key, Values: condition.Values}
			}
			conditions = append(conditions, condition)
		}
	}
	return conditions, nil
}

func newCondition(operator, key string, values []scalar) (Condition, error) {
	c := Condition{Operator: operator, Key: key}
	for _, value := range values {
		c.Values = append(c.Values, string(value))
	}
	base := operator
	if set, rest, found := strings.Cut(base, ":"); found {
		if set != "ForAllValues" && set != "ForAnyValue" {
			return c, fmt.Errorf("unknown set operator %q", set)
		}
		c.set, base = set, rest
	}
	base, c.ifExists = strings.CutSuffix(base, "IfExists")
	if positive, ok := negations[base]; ok {
		c.negated, base = true, positive
	}
	c.compare = comparisons[base]
	c.null = base == "Null" && c.set == "" && !c.ifExists
	if c.compare == nil && !c.null {
		return c, errors.New("the operator is not supported")
	}
	if !slices.Contains(ContextKeys, strings.ToLower(key)) {
		return c, fmt.Errorf("the key is not supported (supported are %s)", strings.Join(ContextKeys, ", "))
	}
	for _, value := range c.Values {
		if strings.Contains(value, "${") {
			return c, fmt.Errorf("the policy variable in %q is not supported", value)
		}
	}
	return c, nil
}

// holds reports whether the values of the key fulfil the condition. present is false when the request has no such key.
// Source: IAM User Guide, reference_policies_condition-logic-multiple-context-keys-or-values.html.
func (c Condition) holds(values []string, present bool) bool {
	if c.compare == nil && !c.null {
		return false // in a statement about services that are not emulated
	}
	if c.null {
		// {"Null": {"key": "true"}} holds when the key is absent.
		return slices.ContainsFunc(c.Values,
			func(v string) bool { return strings.EqualFold(v, strconv.FormatBool(!present)) })
	}
	if !present {
		// Without the key a negated comparison and ForAllValues hold.
		return c.ifExists || c.set == "ForAllValues" || c.negated && c.set == ""
	}
	fulfils := func(value string) bool {
		matched := slices.ContainsFunc(c.Values, func(policy string) bool { return c.compare(policy, value) })
		return matched != c.negated
	}
	if c.set == "ForAllValues" {
		return !slices.ContainsFunc(values, func(value string) bool { return !fulfils(value) })
	}
	return slices.ContainsFunc(values, fulfils)
}

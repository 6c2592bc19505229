package iam

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Condition compares a value of the request with those of the policy.
type Condition struct {
	// Operator is spelled as in the policy, with its set prefix and IfExists suffix: "ForAnyValue:StringLike",
	// "ArnLikeIfExists".
	Operator string
	// Key names what is compared, like "aws:SourceArn"; keys ignore case.
	Key string
	// Values are the policy's; one that matches is enough, and none may match a negated operator.
	Values []string

	compare  func(policy, request string) bool
	negated  bool   // true when no value of the policy may match
	ifExists bool   // true when a key that the request lacks fulfils the condition
	set      string // "", "ForAllValues" or "ForAnyValue"
	null     bool   // the operator Null asks for a key's absence
}

// comparisons are the operators evaluated here, in their positive form.
var comparisons = map[string]func(policy, request string) bool{
	"StringEquals":             func(policy, request string) bool { return policy == request },
	"StringEqualsIgnoreCase":   strings.EqualFold,
	"StringLike":               Match,
	"ArnEquals":                MatchSegments, // the two Arn operators behave identically
	"ArnLike":                  MatchSegments,
	"Bool":                     strings.EqualFold,
	"NumericEquals":            numeric(func(policy, request float64) bool { return request == policy }),
	"NumericLessThan":          numeric(func(policy, request float64) bool { return request < policy }),
	"NumericLessThanEquals":    numeric(func(policy, request float64) bool { return request <= policy }),
	"NumericGreaterThan":       numeric(func(policy, request float64) bool { return request > policy }),
	"NumericGreaterThanEquals": numeric(func(policy, request float64) bool { return request >= policy }),
}

// negations maps the negated operators to what they negate.
var negations = map[string]string{
	"StringNotEquals":           "StringEquals",
	"StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
	"StringNotLike":             "StringLike",
	"ArnNotEquals":              "ArnEquals",
	"ArnNotLike":                "ArnLike",
	"NumericNotEquals":          "NumericEquals",
}

// ContextKeys are the condition keys that a policy may use here, in lower case: those that a caller of Authorize on
// one machine can supply. A policy that asks for another is refused by Parse, as its outcome could only be guessed.
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

// parseConditions reads a Condition element. What cannot be evaluated is an error if the statement matters here.
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
		return c, fmt.Errorf("the operator is not evaluated here")
	}
	if !slices.Contains(ContextKeys, strings.ToLower(key)) {
		return c, fmt.Errorf("the key is not known here (known are %s)", strings.Join(ContextKeys, ", "))
	}
	for _, value := range c.Values {
		if strings.Contains(value, "${") {
			return c, fmt.Errorf("the policy variable in %q is not evaluated here", value)
		}
	}
	return c, nil
}

// holds tells whether the request's values for the key fulfil the condition. present says whether the request knows
// the key at all.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-logic-multiple-context-keys-or-values.html
func (c Condition) holds(values []string, present bool) bool {
	if c.compare == nil && !c.null {
		return false // of a statement about services that do not exist here
	}
	if c.null {
		// {"Null": {"key": "true"}} asks for the key's absence.
		return slices.ContainsFunc(c.Values, func(v string) bool { return strings.EqualFold(v, strconv.FormatBool(!present)) })
	}
	if !present {
		// Without the key a negated comparison is true, and ForAllValues has nothing to object to.
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

package template

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"regexp"
	"strings"
)

// placeholder is a part of a pattern that differs between resources.
var placeholder = regexp.MustCompile(`\{[A-Za-z]+\}`)

// form fills a pattern of the resource's type. It returns "" when a part is wrong, which is then reported.
func (e *evaluator) form(r *resource, pattern string) string {
	broken := false
	formed := placeholder.ReplaceAllStringFunc(pattern, func(match string) string {
		part := e.formPart(r, match[1:len(match)-1])
		broken = broken || part == ""
		return part
	})
	if broken {
		return ""
	}
	return formed
}

// formPart returns what stands for a placeholder; see resourceType.
func (e *evaluator) formPart(r *resource, part string) string {
	switch part {
	case "name":
		return e.name(r)
	case "id":
		return e.hash(r.id, idLength)
	case "uuid":
		return e.uuid(r.id)
	case "api":
		if e.options.apiID != nil {
			if id := e.options.apiID(r.id); id != "" {
				return id
			}
		}
		return e.hash(r.id, apiIDLength)
	case "region":
		return e.options.region
	case "account":
		return e.options.account
	case "stack":
		return e.options.stackName
	case "suffix":
		return e.hash(r.id, suffixLength)
	case "queues":
		return e.options.queueEndpoint
	case "path":
		return e.typeOf(r.typ).path(e, r)
	default:
		panic("template: unknown placeholder " + part) // TestEveryReferenceCanBeFormed tries every pattern
	}
}

const (
	apiIDLength = 10 // as API Gateway's API ids
	idLength    = 7  // as API Gateway's route and integration ids
	// suffixLength is that of what Secrets Manager adds to a secret's name in its ARN.
	suffixLength = 6
)

// hash returns lower-case letters and digits that stay the same for a logical id of a stack.
func (e *evaluator) hash(id string, length int) string {
	sum := sha256.Sum256([]byte(e.options.stackName + "/" + id))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:length]
}

// uuid returns a UUID that stays the same for a logical id of a stack.
func (e *evaluator) uuid(id string) string {
	sum := sha256.Sum256([]byte(e.options.stackName + "/" + id))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80 // version 8, RFC 9562 section 5.8
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

// name returns the physical name: the explicit one, or else stack and logical id. AWS adds a random suffix to the
// latter; here names stay the same from run to run.
func (e *evaluator) name(r *resource) string {
	if r.state == finished {
		return r.named
	}
	t, at := e.typeOf(r.typ), where{r.id, "Properties." + e.typeOf(r.typ).nameProperty}
	explicit := r.properties.get(t.nameProperty)
	if r.state == running {
		e.problem(explicit, at, "the name of %s depends on itself", r.id)
		return ""
	}
	r.state = running
	defer func() { r.state = finished }()
	if explicit != nil {
		resolved := e.resolve(explicit, at)
		switch {
		case resolved == nil: // AWS::NoValue: generated
		case resolved.kind == text:
			if t.namePattern != nil && !t.namePattern.MatchString(resolved.text) {
				e.problem(explicit, at, "%.100q is not a valid name: it must match %s", resolved.text, t.namePattern)
				return ""
			}
			r.named = resolved.text
			return r.named
		default:
			if resolved.kind != invalid {
				e.problem(explicit, at, "must be a string")
			}
			return ""
		}
	}
	r.named = e.options.stackName + "-" + r.id
	limit, suffix := t.nameLimit, ""
	if t.suffix != nil {
		suffix = t.suffix(e, r)
	}
	if limit > 0 && len(r.named)+len(suffix) > limit {
		r.named = r.named[:limit-len(suffix)-idLength-1] + "-" + e.hash(r.id, idLength)
	}
	r.named += suffix
	return r.named
}

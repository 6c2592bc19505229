package cfn

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"regexp"
	"strings"

	"fanfare/local/template/internal/tree"
)

// placeholder matches a placeholder of a pattern; see Type.
var placeholder = regexp.MustCompile(`\{[A-Za-z]+\}`)

// form fills in a pattern of the resource's type. It returns "" when a part is wrong, which has been reported.
func (e *Evaluator) form(r *Resource, pattern string) string {
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

// formPart returns the text for a placeholder.
func (e *Evaluator) formPart(r *Resource, part string) string {
	switch part {
	case "name":
		return e.Name(r)
	case "id":
		return e.hash(r.ID, idLength)
	case "uuid":
		return e.UUID(r.ID)
	case "api":
		if e.options.APIID != nil {
			if id := e.options.APIID(r.ID); id != "" {
				return id
			}
		}
		return e.hash(r.ID, apiIDLength)
	case "region":
		return e.options.Region
	case "account":
		return e.options.Account
	case "stack":
		return e.options.StackName
	case "suffix":
		return e.hash(r.ID, suffixLength)
	case "queues":
		return e.options.QueueEndpoint
	case "path":
		return e.typeOf(r.Type).Path(e, r)
	default:
		panic("template: unknown placeholder " + part) // TestResourceTypes_References tries every pattern
	}
}

const (
	apiIDLength  = 10 // of API Gateway's API ids
	idLength     = 7  // of API Gateway's route and integration ids
	suffixLength = 6  // of the random end of a secret's ARN
)

// hash returns lower-case letters and digits, always the same for a logical id of a stack.
func (e *Evaluator) hash(id string, length int) string {
	sum := sha256.Sum256([]byte(e.options.StackName + "/" + id))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:length]
}

// UUID returns a UUID, always the same for a logical id of a stack.
func (e *Evaluator) UUID(id string) string {
	sum := sha256.Sum256([]byte(e.options.StackName + "/" + id))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80 // version 8, RFC 9562 section 5.8
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

// Name returns the physical name of a resource: the explicit one, or the names of stack and resource. AWS adds a random
// suffix to the latter. Here names are the same in every run.
func (e *Evaluator) Name(r *Resource) string {
	if r.state == finished {
		return r.named
	}
	t, at := e.typeOf(r.Type), tree.At(r.ID, "Properties."+e.typeOf(r.Type).NameProperty)
	explicit := r.Properties.Get(t.NameProperty)
	if r.state == running {
		e.Problem(explicit, at, "the name of %s depends on itself", r.ID)
		return ""
	}
	r.state = running
	defer func() { r.state = finished }()
	if explicit != nil {
		resolved := e.Resolve(explicit, at)
		switch {
		case resolved == nil: // AWS::NoValue: generated
		case resolved.Kind == tree.Text:
			if t.NamePattern != nil && !t.NamePattern.MatchString(resolved.Text) {
				e.Problem(explicit, at, "%.100q is not a valid name: it must match %s", resolved.Text, t.NamePattern)
				return ""
			}
			r.named = resolved.Text
			return r.named
		default:
			if resolved.Kind != tree.Invalid {
				e.Problem(explicit, at, "must be a string")
			}
			return ""
		}
	}
	r.named = e.options.StackName + "-" + r.ID
	limit, suffix := t.NameLimit, ""
	if t.Suffix != nil {
		suffix = t.Suffix(e, r)
	}
	if limit > 0 && len(r.named)+len(suffix) > limit {
		r.named = r.named[:limit-len(suffix)-idLength-1] + "-" + e.hash(r.ID, idLength)
	}
	r.named += suffix
	return r.named
}

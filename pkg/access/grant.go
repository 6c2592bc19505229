package access

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Mode is who may connect and publish: the template's parameter Access.
type Mode string

// The modes.
const (
	Open   Mode = "open"   // anyone connects and publishes
	Listen Mode = "listen" // anyone connects; only backends publish, on the broadcast queue
	JWT    Mode = "jwt"    // a valid token connects; publishing needs a claim of it
)

// Grant is what a client's token is worth.
type Grant struct {
	// Principal is who the client is: the token's sub.
	Principal string
	// Publish is the right to publish.
	Publish bool
	// Until is when the token expires, leeway included. From then on its client may no longer publish.
	Until time.Time
}

// Names of the values in API Gateway's authorizer context. It makes a string of each.
const (
	contextPublish = "publish" // "true" or "false"
	contextUntil   = "until"   // epoch seconds
)

// Context returns the grant as an authorizer hands it to API Gateway. The principal goes beside it, as principalId.
func (g Grant) Context() map[string]any {
	return map[string]any{
		contextPublish: strconv.FormatBool(g.Publish),
		contextUntil:   strconv.FormatInt(g.Until.Unix(), 10),
	}
}

// ReadGrant reads what Context wrote out of an event's requestContext.authorizer, as encoding/json decodes it.
func ReadGrant(authorizer any) (Grant, error) {
	values, ok := authorizer.(map[string]any)
	if !ok {
		return Grant{}, errors.New("the event has no authorizer context")
	}
	text := func(name string) string { s, _ := values[name].(string); return s }
	g := Grant{Principal: text("principalId"), Publish: text(contextPublish) == "true"}
	until, err := strconv.ParseInt(text(contextUntil), 10, 64)
	if err != nil {
		return Grant{}, fmt.Errorf("the authorizer context's %s is %.40q", contextUntil, text(contextUntil))
	}
	if g.Principal == "" {
		return Grant{}, errors.New("the authorizer context has no principal")
	}
	g.Until = time.Unix(until, 0)
	return g, nil
}

// Refusal is why a client may not publish: the code and the message of the error frame that it gets.
type Refusal struct{ Code, Message string }

// Codes of refusals.
const (
	CodeListenOnly = "listen_only"      // nobody publishes over a connection: the mode is listen
	CodeNoRight    = "no_publish_right" // the token lacks the claim
	CodeExpired    = "token_expired"    // connect again with a new one
)

// MayPublish tells why a client may not publish at a time, or nil if it may. authorizer is the event's
// requestContext.authorizer, which only the mode jwt looks at.
func (m Mode) MayPublish(authorizer any, now time.Time) *Refusal {
	switch m {
	case Open:
		return nil
	case JWT:
		grant, err := ReadGrant(authorizer)
		switch {
		case err != nil || !grant.Publish:
			return &Refusal{CodeNoRight, "Your token does not give the right to publish."}
		case !now.Before(grant.Until):
			return &Refusal{CodeExpired, "Your token has expired. Connect again with a new one to publish."}
		}
		return nil
	default:
		return &Refusal{CodeListenOnly, "Clients may only listen here."}
	}
}

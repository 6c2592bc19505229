package access

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Mode is the template's parameter Access: it decides who may connect and publish.
type Mode string

// The modes.
const (
	Open   Mode = "open"   // every client may connect and publish
	Listen Mode = "listen" // every client may connect; only backends publish, on the broadcast queue
	JWT    Mode = "jwt"    // clients need a valid token to connect, and a claim in it to publish
)

// Grant holds the rights that a client's token gives.
type Grant struct {
	// Principal identifies the client: the token's sub.
	Principal string
	// Publish is the right to publish.
	Publish bool
	// Until is the token's expiry, leeway included. From then on the client may no longer publish.
	Until time.Time
}

// Names of the values in API Gateway's authorizer context. API Gateway converts each value to a string.
const (
	contextPublish = "publish" // "true" or "false"
	contextUntil   = "until"   // epoch seconds
)

// Context returns the grant as values for API Gateway's authorizer context, without the principal, which is
// principalId.
func (g Grant) Context() map[string]any {
	return map[string]any{
		contextPublish: strconv.FormatBool(g.Publish),
		contextUntil:   strconv.FormatInt(g.Until.Unix(), 10),
	}
}

// ReadGrant reads the grant from an event's requestContext.authorizer as encoding/json decodes it.
func ReadGrant(authorizer any) (Grant, error) {
	values, ok := authorizer.(map[string]any)
	if !ok {
		return Grant{}, errors.New("read a grant: the event has no authorizer context")
	}
	text := func(name string) string { s, _ := values[name].(string); return s }
	g := Grant{Principal: text("principalId"), Publish: text(contextPublish) == "true"}
	until, err := strconv.ParseInt(text(contextUntil), 10, 64)
	if err != nil {
		return Grant{}, fmt.Errorf("read a grant: %s is %.40q, not a time", contextUntil, text(contextUntil))
	}
	if g.Principal == "" {
		return Grant{}, errors.New("read a grant: there is no principal")
	}
	g.Until = time.Unix(until, 0)
	return g, nil
}

// Refusal holds the code and the message of the error frame for a client that may not publish.
type Refusal struct{ Code, Message string }

// Codes of refusals.
const (
	CodeListenOnly = "listen_only"      // in the mode listen no client publishes
	CodeNoRight    = "no_publish_right" // the token lacks the claim
	CodeExpired    = "token_expired"    // the client must connect again with a new token
)

// MayPublish returns the refusal if a client may not publish at the time, or nil if it may. authorizer is the event's
// requestContext.authorizer; only the mode jwt reads it.
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

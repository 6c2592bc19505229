package simulation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fanfare/pkg/broadcast"
	"fanfare/pkg/ingress"
	"fanfare/test/audit"
)

// gateway is API Gateway: it holds the clients' connections.
type gateway struct {
	world    *world
	clients  map[string]*client
	names    []string          // of clients, in the order in which they connected
	payloads map[string]string // the broadcast's id by its payload
	log      []spending
}

// spending is an entry against the budget: a post, or the burst of a new process.
type spending struct {
	at    time.Time
	burst bool
}

// maxUnnoticed is the longest time until API Gateway notices that a client has vanished.
const maxUnnoticed = 20 * time.Second

type state int

const (
	connecting state = iota // the $connect function has not returned
	open
	lost // the client has vanished, and API Gateway has not noticed
	closed
)

// client is a connection.
type client struct {
	name    string
	state   state
	since   time.Time // start of its connecting
	audit   *audit.Client
	stalled bool // does not read: its buffer is full
	slow    bool // posts to it take seconds
	flaky   float64
	refused int // posts that were not accepted, for any reason
	// falselyGone is the end of the last time in which posts were answered 410 while it was open.
	falselyGone time.Time
}

// post is a payload delivered to a client.
type post struct{ broadcast, client string }

// connect connects a client: API Gateway runs the connect function and then opens the connection, or refuses it.
func (g *gateway) connect(name string, c *client, returns time.Duration) {
	w := g.world
	c.name, c.state, c.since = name, connecting, time.Now()
	c.audit = w.trail.Client(name)
	g.clients[name] = c
	g.names = append(g.names, name)
	at := time.Now()
	w.spawn("connect", 10*time.Second, func(ctx context.Context) {
		err := ingress.Connect(ctx, registryClient{w}, name, at)
		// The row is written some time before the function has returned and its answer has arrived.
		latency := func() (there, back time.Duration) { return returns, 0 }
		_ = w.do(context.WithoutCancel(ctx), "connected "+name, latency, nil, func() error {
			switch {
			case err != nil:
				c.state = closed // refused; its row may be there
				w.trail.Dead(1)
			case c.state == connecting:
				c.state = open
				c.audit.Open(time.Now())
			}
			return nil
		})
	})
}

// leave closes a client's connection. The client may vanish, which API Gateway notices after the given time. The
// disconnect function may not run, or may fail.
func (g *gateway) leave(c *client, vanishes time.Duration, runs bool) {
	w := g.world
	if c.state != open {
		return
	}
	c.audit.Close(time.Now(), audit.ByClient)
	c.state = lost
	w.after(vanishes, "close "+c.name, func() { g.close(c, runs) })
}

// age closes the connection if it is two hours old: API Gateway keeps none for longer.
func (c *client) age() {
	if end := c.since.Add(broadcast.MaxConnectionAge); c.state == open && !time.Now().Before(end) {
		c.state = closed
		c.audit.Close(end, audit.ByClient)
	}
}

func (g *gateway) close(c *client, runs bool) {
	w := g.world
	c.state = closed
	if runs {
		w.spawn("disconnect", 10*time.Second, func(ctx context.Context) {
			_ = ingress.Disconnect(ctx, registryClient{w}, c.name) // best effort
		})
	}
}

// gatewayClient is @connections for a sender. Failures have the classes that pkg/push gives them.
type gatewayClient struct{ world *world }

// postTimeout is the timeout of a post in pkg/push.
const postTimeout = 5 * time.Second

var (
	errGone      = broadcast.Gone(errors.New("simulated: 410"))
	errThrottled = broadcast.Retry(broadcast.ReasonThrottled, errors.New("simulated: 429"))
	errServer    = broadcast.Retry(broadcast.ReasonServer, errors.New("simulated: 500"))
	errNetwork   = broadcast.Retry(broadcast.ReasonNetwork, errors.New("simulated: connection reset"))
	errForbidden = errors.New("simulated: 403")
)

func (p gatewayClient) Post(ctx context.Context, connection string, payload []byte) error {
	w := p.world
	timedOut := false
	latency := func() (there, back time.Duration) {
		w.gateway.log = append(w.gateway.log, spending{at: time.Now()})
		there, back = w.settings.Posts.latency(w)()
		if c := w.gateway.clients[connection]; c != nil && c.slow && !w.settings.calm {
			there, back = w.divide(w.between(time.Second, 8*time.Second))
		}
		if timedOut = there+back > postTimeout; timedOut {
			return postTimeout, 0
		}
		return there, back
	}
	err := w.do(ctx, fmt.Sprintf("Post %.20q to %s", payload, connection), latency, nil, func() error {
		c := w.gateway.clients[connection]
		err := w.gateway.post(invoked(ctx), c, w.gateway.payloads[string(payload)], payload, timedOut)
		if err != nil && c != nil {
			c.refused++
		}
		return err
	})
	if failed := failure(""); errors.As(err, &failed) {
		return errNetwork
	}
	return err
}

// post decides the result of a post.
func (g *gateway) post(inv *invocation, c *client, id string, payload []byte, timedOut bool) error {
	w, s := g.world, &g.world.settings
	if s.Forbidden.covers(time.Since(w.begin)) && !s.calm {
		w.census.Forbidden++
		return errForbidden
	}
	deliver := func() {
		if c == nil || c.state != open {
			return
		}
		c.audit.Receive(payload, time.Now())
		if w.answerLost {
			w.trail.MayRepeat(id, c.name)
		} else {
			inv.delivered = append(inv.delivered, post{id, c.name})
		}
	}
	flaky := 0.0
	if c != nil {
		c.age()
		flaky = c.flaky
	}
	switch {
	case timedOut:
		if w.random.IntN(2) == 0 {
			// The sender has given it up, and it is delivered later: perhaps after a retry.
			w.after(w.between(0, 20*time.Second), "late post", func() { g.lose(c, deliver) })
		}
		return errNetwork
	case w.chance(s.Throttled):
		w.census.Throttled++
		return errThrottled
	case w.chance(s.Posts.Before * flaky):
		return [...]error{errServer, errNetwork}[w.random.IntN(2)]
	case c == nil || c.state == connecting || c.state == closed:
		return errGone
	case g.falselyGone(c):
		w.census.FalselyGone++
		return errGone
	case c.stalled && !s.calm:
		w.census.Throttled++
		return errThrottled
	case w.chance(s.Posts.After * flaky):
		g.lose(c, deliver)
		return [...]error{errServer, errNetwork}[w.random.IntN(2)]
	}
	w.census.Posted++
	deliver()
	return nil
}

// Posts to an open connection are answered 410 for less than maxFalselyGone, and again after falselyGonePause at the
// earliest. A delivery whose batches meet more such times than broadcast.MaxConfirmations counts as gone; the pause is
// so long because crashes and outages make each of these batches wait for several visibility timeouts.
const (
	maxFalselyGone   = broadcast.SettlingAge
	falselyGonePause = 30 * time.Minute
)

// falselyGone reports whether API Gateway answers 410 for an open connection. It does so for some seconds, which may
// begin at any post to a connection whose row has no record of an earlier 410. With such a record it would be a second
// 410 without a success between them, after which the system deletes the row.
func (g *gateway) falselyGone(c *client) bool {
	w, now := g.world, time.Now()
	if now.Before(c.falselyGone) {
		return !w.settings.calm
	}
	if i, found := w.registry.find(c.name); found && w.registry.rows[i].goneAt.IsZero() &&
		!now.Before(c.falselyGone.Add(falselyGonePause)) && w.chance(w.settings.FalselyGone) {
		c.falselyGone = now.Add(w.between(1, maxFalselyGone-1))
		return true
	}
	return false
}

// lose delivers a post and loses the answer: the post may be repeated.
func (g *gateway) lose(c *client, deliver func()) {
	if c != nil && c.state == open {
		g.world.answerLost = true
		deliver()
		g.world.answerLost = false
		g.world.census.AnswersLost++
	}
}

func (p gatewayClient) Disconnect(ctx context.Context, connection string) error {
	w := p.world
	return w.do(ctx, "Disconnect "+connection, w.settings.Posts.latency(w), nil, func() error {
		if c := w.gateway.clients[connection]; c != nil && c.state == open {
			c.audit.Close(time.Now(), audit.BySystem)
			w.gateway.close(c, true)
			w.census.Disconnected++
		}
		return nil
	})
}

// allowRepeats allows the repeats that follow from the death of an invocation: of posts whose outcome is not recorded.
func (w *world) allowRepeats(inv *invocation) {
	if !inv.dead && !inv.outOfTime {
		return
	}
	for _, p := range inv.delivered {
		recorded := false
		for _, part := range w.ledger.batches[p.broadcast] {
			if part.settled && part.claim.Owner == inv.id {
				recorded = true
			}
		}
		if !recorded {
			w.trail.MayRepeat(p.broadcast, p.client)
			w.census.Unrecorded++
		}
	}
}

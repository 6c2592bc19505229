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
	names    []string          // of clients, in the order of their coming
	payloads map[string]string // the broadcast's id by its payload
	log      []spending
}

// spending is what a sender may have spent of its budget: a post, or the burst that a new process begins with.
type spending struct {
	at    time.Time
	burst bool
}

// unnoticed is how long API Gateway may take to notice that a client has vanished.
const unnoticed = 20 * time.Second

type state int

const (
	connecting state = iota // the $connect function has not returned
	open
	lost // the client has vanished, and API Gateway does not know
	closed
)

// client is a connection.
type client struct {
	name    string
	state   state
	since   time.Time // when it began to connect
	audit   *audit.Client
	stalled bool // does not read: its buffer is full
	slow    bool // takes seconds to take a post
	flaky   float64
	refused int // posts that were not accepted, for whatever reason
}

// parcel is a payload delivered to a client.
type parcel struct{ broadcast, client string }

// connect is a client's coming: API Gateway runs the connect function and then opens the connection, or refuses it.
func (g *gateway) connect(name string, c *client, returns time.Duration) {
	w := g.world
	c.name, c.state, c.since = name, connecting, time.Now()
	c.audit = w.trail.Client(name)
	g.clients[name] = c
	g.names = append(g.names, name)
	at := time.Now()
	w.spawn("connect", 10*time.Second, func(ctx context.Context) {
		err := ingress.Connect(ctx, registryClient{w}, name, at)
		// The row is there, and it takes a while until the function has returned and its answer has arrived.
		w.do(context.WithoutCancel(ctx), "connected "+name, func() (there, back time.Duration) { return returns, 0 }, nil, func() error {
			switch {
			case err != nil:
				c.state = closed // refused; its row may be there all the same
				w.trail.Dead(1)
			case c.state == connecting:
				c.state = open
				c.audit.Open(time.Now())
			}
			return nil
		})
	})
}

// leave is a client's going. It may vanish, which API Gateway notices after a while; and the disconnect function may not
// run, or not succeed.
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
			ingress.Disconnect(ctx, registryClient{w}, c.name) // best effort, as API Gateway has it
		})
	}
}

// gatewayClient is @connections as a sender reaches it. Failures have the fates that pkg/push gives them.
type gatewayClient struct{ world *world }

// postTimeout is after how long pkg/push gives a post up.
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
	if _, planted := err.(failure); planted {
		return errNetwork
	}
	return err
}

// post decides what becomes of a post.
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
		if w.unheard {
			w.trail.MayRepeat(id, c.name)
		} else {
			inv.delivered = append(inv.delivered, parcel{id, c.name})
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
			// It was given up, and arrives all the same: maybe after the delivery has been tried again.
			w.after(w.between(0, 20*time.Second), "late post", func() { g.lose(c, id, deliver) })
		}
		return errNetwork
	case w.chance(s.Throttled):
		w.census.Throttled++
		return errThrottled
	case w.chance(s.Posts.Before * flaky):
		return [...]error{errServer, errNetwork}[w.random.IntN(2)]
	case c == nil || c.state == connecting || c.state == closed:
		return errGone
	case c.stalled && !s.calm:
		w.census.Throttled++
		return errThrottled
	case w.chance(s.Posts.After * flaky):
		g.lose(c, id, deliver)
		return [...]error{errServer, errNetwork}[w.random.IntN(2)]
	}
	w.census.Posted++
	deliver()
	return nil
}

// lose delivers, and loses the answer: that one post may be repeated.
func (g *gateway) lose(c *client, id string, deliver func()) {
	if c != nil && c.state == open {
		g.world.unheard = true
		deliver()
		g.world.unheard = false
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

// license allows the repeats that follow from the death of an invocation: of what it delivered and did not record.
func (w *world) license(inv *invocation) {
	if !inv.dead {
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

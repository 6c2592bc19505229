package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"fanfare/publish"
	"fanfare/test/audit"
	"fanfare/test/localtest"
	"fanfare/test/wsclient"
)

// clientGroup is the clients of a run, with the record of everything that they were to receive. It is safe for
// concurrent use.
type clientGroup struct {
	*system
	trail   *audit.Trail
	refused atomic.Int64 // connects that failed
	final   atomic.Int64 // number of the first of the final broadcasts; 0 before them

	mu          sync.Mutex
	joined      int
	sequence    int                  // of payloads
	offered     map[int]time.Time    // by the payload's number
	ids         []string             // of the accepted broadcasts
	publishedAt map[string]time.Time // time of acceptance, by the broadcast's id
	acks        []time.Duration      // from a client's publish to its ack
}

func newClientGroup(s *system) *clientGroup {
	return &clientGroup{
		system: s, trail: audit.NewTrail(time.Now()),
		offered: make(map[int]time.Time), publishedAt: make(map[string]time.Time),
	}
}

// client is one connection.
type client struct {
	group   *clientGroup
	name    string
	conn    *wsclient.Client
	audit   *audit.Client
	replies chan wsclient.Reply
	resume  chan struct{} // closed when the client reads
	leaving atomic.Bool
	final   atomic.Int64 // number of the final broadcasts that it has received

	mu        sync.Mutex
	latencies []time.Duration // from the offer of a broadcast to its receipt
}

// join connects a client, and repeats refused connects until ctx ends. A stalled client reads only after the caller has
// closed resume.
func (g *clientGroup) join(ctx context.Context, stalled bool) (*client, error) {
	for {
		c := &client{group: g, replies: make(chan wsclient.Reply, 1), resume: make(chan struct{})}
		var err error
		c.conn, err = wsclient.Dial(ctx, g.WebSocket, wsclient.Options{
			Receive: c.receive, Ended: c.ended, Resume: c.resume,
		})
		if err != nil {
			if ctx.Err() != nil {
				return nil, errors.Join(ctx.Err(), err)
			}
			g.refused.Add(1)
			time.Sleep(rand.N(200 * time.Millisecond))
			continue
		}
		g.mu.Lock()
		g.joined++
		c.name = fmt.Sprintf("client %d", g.joined)
		g.mu.Unlock()
		c.audit = g.trail.Client(c.name)
		c.audit.Open(time.Now())
		if !stalled {
			close(c.resume)
		}
		return c, nil
	}
}

// receive records a payload.
func (c *client) receive(payload []byte) {
	now := time.Now()
	if bytes.HasPrefix(payload, []byte("{")) { // broadcasts are no JSON
		if reply, ok := wsclient.ParseReply(string(payload)); ok {
			if reply.Type != "pong" {
				select {
				case c.replies <- reply:
				default: // the client waits for no reply
				}
			}
			return
		}
	}
	c.audit.Receive(payload, now)
	var n int
	if _, err := fmt.Sscanf(string(payload[:min(len(payload), 20)]), "broadcast %d ", &n); err != nil {
		return
	}
	c.group.mu.Lock()
	offered := c.group.offered[n]
	c.group.mu.Unlock()
	c.mu.Lock()
	c.latencies = append(c.latencies, now.Sub(offered))
	c.mu.Unlock()
	if first := c.group.final.Load(); first > 0 && n >= int(first) {
		c.final.Add(1)
	}
}

// ended records the end of the connection.
func (c *client) ended(error) {
	party := audit.BySystem
	if c.leaving.Load() {
		party = audit.ByClient
	}
	c.audit.Close(time.Now(), party)
}

// leave ends the connection: abruptly, or with a closing handshake.
func (c *client) leave(abruptly bool) {
	c.leaving.Store(true)
	if abruptly {
		c.conn.Abort()
	} else {
		c.conn.Close()
	}
}

// joinAll connects n clients.
func (g *clientGroup) joinAll(t *testing.T, n int, stalled bool) []*client {
	t.Helper()
	clients := make([]*client, n)
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(32)
	for i := range clients {
		group.Go(func() (err error) {
			clients[i], err = g.join(ctx, stalled)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	return clients
}

// payload returns a new payload of at least size bytes, and records its offer.
func (g *clientGroup) payload(t *testing.T, size int, publisher string) ([]byte, *audit.Broadcast) {
	g.mu.Lock()
	g.sequence++
	n := g.sequence
	now := time.Now()
	g.offered[n] = now
	g.mu.Unlock()
	payload := fmt.Appendf(nil, "broadcast %d ", n)
	payload = append(payload, bytes.Repeat([]byte("."), max(0, size-len(payload)))...)
	b, err := g.trail.Offer(payload, publisher, now)
	if err != nil {
		t.Error(err)
	}
	return payload, b
}

// accepted records that the system has accepted a broadcast.
func (g *clientGroup) accepted(b *audit.Broadcast, id string) {
	now := time.Now()
	b.Accept(id, now)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.publishedAt[id] = now
	g.ids = append(g.ids, id)
}

// enqueue publishes a payload of size bytes as a backend does: after an error, again under the same id.
func (g *clientGroup) enqueue(t *testing.T, size int) {
	payload, b := g.payload(t, size, "a backend")
	q := publish.Queue{Client: g.SQS, URL: g.QueueURL(broadcastQueue)}
	m := publish.Message{Payload: payload, ID: fmt.Sprintf("%016x", rand.Uint64())}
	_, err := q.Send(t.Context(), m)
	for tries := 1; err != nil && tries < 10; tries++ {
		_, err = q.Send(t.Context(), m)
	}
	if err != nil {
		t.Error(err)
		return
	}
	g.accepted(b, m.ID)
}

// publish publishes a payload of size bytes as a client does, and waits for the reply. Without an ack the system owes
// no delivery.
func (c *client) publish(t *testing.T, size int) {
	payload, b := c.group.payload(t, size, "a client")
	begin := time.Now()
	if err := c.conn.Send(t.Context(), string(payload)); err != nil {
		t.Error(err)
		return
	}
	select {
	case reply := <-c.replies:
		if reply.Type == "ack" {
			c.group.accepted(b, reply.ID)
			c.group.mu.Lock()
			c.group.acks = append(c.group.acks, time.Since(begin))
			c.group.mu.Unlock()
		}
	case <-time.After(localtest.Deadline):
		t.Errorf("%s got no reply within %v", c.name, localtest.Deadline)
	}
}

// churn runs n goroutines that connect clients and leave again, until ctx ends.
func (g *clientGroup) churn(ctx context.Context, n int, group *sync.WaitGroup) {
	for range n {
		group.Go(func() {
			for ctx.Err() == nil {
				c, err := g.join(ctx, false)
				if err != nil {
					return
				}
				select {
				case <-time.After(time.Duration(rand.N(3000)) * time.Millisecond):
				case <-ctx.Done():
				}
				c.leave(rand.N(2) == 0)
			}
		})
	}
}

// keepAlive lets each client send pings until ctx ends. API Gateway closes connections after 10 idle minutes of its
// clock.
func keepAlive(ctx context.Context, clients []*client) {
	for {
		select {
		case <-time.After(10 * time.Minute / speed / 2):
		case <-ctx.Done():
			return
		}
		for _, c := range clients {
			// A client whose connection has ended is found by the audit.
			_ = c.conn.Send(ctx, `{"action":"ping"}`)
		}
	}
}

// percentile sorts durations and returns the p-th part of them, with p from 0 to 1.
func percentile(all []time.Duration, p float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(len(all)-1, int(p*float64(len(all))))]
}

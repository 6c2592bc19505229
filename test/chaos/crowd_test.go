package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"golang.org/x/sync/errgroup"

	"fanfare/test/audit"
)

// crowd is the clients of a run, and all that they were to receive.
type crowd struct {
	*world
	trail    *audit.Trail
	received atomic.Int64
	refused  atomic.Int64 // attempts to connect
	finale   atomic.Int64 // the number of the first of the last broadcasts

	mu       sync.Mutex
	names    int
	ids      []string // of the broadcasts that were accepted
	acks     []time.Duration
	sequence int
	offered  map[int]time.Time
	// publishedAt is when a broadcast was accepted, by its id.
	publishedAt map[string]time.Time
}

func gather(w *world) *crowd {
	return &crowd{world: w, trail: audit.NewTrail(time.Now()), offered: make(map[int]time.Time), publishedAt: make(map[string]time.Time)}
}

// client is one connection.
type client struct {
	crowd   *crowd
	name    string
	conn    net.Conn
	audit   *audit.Client
	answers chan reply
	resume  chan struct{} // closed when it reads
	ended   chan struct{} // closed when it has read the last
	leaving atomic.Bool
	finale  atomic.Int64 // how many of the last broadcasts it has received
	writing sync.Mutex

	mu   sync.Mutex
	late []time.Duration // from the offer to the reception
}

type reply struct{ Type, ID, Code string }

// join connects, however often it is refused. A stalled client does not read until its channel resume is closed.
func (c *crowd) join(ctx context.Context, stalled bool) (*client, error) {
	for {
		conn, early, _, err := ws.Dial(ctx, c.webSocket)
		if err != nil {
			if ctx.Err() != nil {
				return nil, errors.Join(ctx.Err(), err)
			}
			c.refused.Add(1)
			time.Sleep(rand.N(200 * time.Millisecond))
			continue
		}
		c.mu.Lock()
		c.names++
		name := fmt.Sprintf("client %d", c.names)
		c.mu.Unlock()
		k := &client{
			crowd: c, name: name, conn: conn, audit: c.trail.Client(name),
			answers: make(chan reply, 1), resume: make(chan struct{}), ended: make(chan struct{}),
		}
		k.audit.Open(time.Now())
		var from io.Reader = conn
		if early != nil { // it came with the handshake's answer
			from = early
		}
		if !stalled {
			close(k.resume)
		}
		go k.read(from)
		return k, nil
	}
}

func (k *client) read(from io.Reader) {
	defer close(k.ended)
	<-k.resume
	socket := struct {
		io.Reader
		io.Writer
	}{from, k.conn}
	for {
		data, _, err := wsutil.ReadServerData(socket)
		now := time.Now()
		if err != nil {
			party := audit.BySystem
			if k.leaving.Load() {
				party = audit.ByClient
			}
			k.audit.Close(now, party)
			return
		}
		if bytes.HasPrefix(data, []byte(`{"type":`)) {
			var r reply
			if json.Unmarshal(data, &r) == nil && r.Type != "pong" {
				select {
				case k.answers <- r:
				default: // nobody asked
				}
			}
			continue
		}
		k.audit.Receive(data, now)
		k.crowd.received.Add(1)
		var n int
		if _, err := fmt.Sscanf(string(data[:min(len(data), 20)]), "broadcast %d ", &n); err == nil {
			k.crowd.mu.Lock()
			offered := k.crowd.offered[n]
			k.crowd.mu.Unlock()
			k.mu.Lock()
			k.late = append(k.late, now.Sub(offered))
			k.mu.Unlock()
			if first := k.crowd.finale.Load(); first > 0 && n >= int(first) {
				k.finale.Add(1)
			}
		}
	}
}

// leave ends the connection, with or without a word.
func (k *client) leave(abruptly bool) {
	k.leaving.Store(true)
	if abruptly {
		k.conn.(*net.TCPConn).SetLinger(0)
	} else {
		k.write([]byte{0x03, 0xe8}, ws.OpClose)
	}
	k.conn.Close()
	<-k.ended
}

func (k *client) write(payload []byte, op ws.OpCode) error {
	k.writing.Lock()
	defer k.writing.Unlock()
	return wsutil.WriteClientMessage(k.conn, op, payload)
}

// joinAll connects n clients.
func (c *crowd) joinAll(t *testing.T, n int, stalled bool) []*client {
	t.Helper()
	clients := make([]*client, n)
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(32)
	for i := range clients {
		group.Go(func() (err error) {
			clients[i], err = c.join(ctx, stalled)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	return clients
}

// payload returns a new payload of about so many bytes, and records the offer.
func (c *crowd) payload(t *testing.T, size int, publisher string) ([]byte, *audit.Broadcast) {
	c.mu.Lock()
	c.sequence++
	n := c.sequence
	now := time.Now()
	c.offered[n] = now
	c.mu.Unlock()
	payload := fmt.Appendf(nil, "broadcast %d ", n)
	payload = append(payload, bytes.Repeat([]byte("."), max(0, size-len(payload)))...)
	b, err := c.trail.Offer(payload, publisher, now)
	if err != nil {
		t.Error(err)
	}
	return payload, b
}

func (c *crowd) accepted(b *audit.Broadcast, id string) {
	now := time.Now()
	b.Accept(id, now)
	c.mu.Lock()
	c.publishedAt[id] = now
	c.ids = append(c.ids, id)
	c.mu.Unlock()
}

// enqueue publishes as a backend does.
func (c *crowd) enqueue(t *testing.T, size int) {
	payload, b := c.payload(t, size, "a backend")
	out, err := c.mq.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: aws.String(c.queues + "broadcast"), MessageBody: aws.String(string(payload))})
	if err != nil {
		t.Error(err)
		return
	}
	c.accepted(b, *out.MessageId)
}

// publish publishes as a client does, and waits for the answer. Without one nothing is owed to anybody.
func (k *client) publish(t *testing.T, size int) {
	payload, b := k.crowd.payload(t, size, "a client")
	begin := time.Now()
	if err := k.write(payload, ws.OpText); err != nil {
		t.Error(err)
		return
	}
	select {
	case r := <-k.answers:
		if r.Type == "ack" {
			k.crowd.accepted(b, r.ID)
			k.crowd.mu.Lock()
			k.crowd.acks = append(k.crowd.acks, time.Since(begin))
			k.crowd.mu.Unlock()
		}
	case <-time.After(patience):
		t.Error("a publishing client has no answer")
	}
}

// churn lets n clients come and go until ctx ends.
func (c *crowd) churn(ctx context.Context, n int, group *sync.WaitGroup) {
	for range n {
		group.Go(func() {
			for ctx.Err() == nil {
				k, err := c.join(ctx, false)
				if err != nil {
					return
				}
				select {
				case <-time.After(time.Duration(rand.N(3000)) * time.Millisecond):
				case <-ctx.Done():
				}
				k.leave(rand.N(2) == 0)
			}
		})
	}
}

// keepAlive lets each client send a ping now and then, so that none is closed for idleness, which comes early at this
// clock's speed.
func keepAlive(ctx context.Context, clients []*client) {
	for {
		select {
		case <-time.After(10 * time.Minute / speed / 2):
		case <-ctx.Done():
			return
		}
		for _, k := range clients {
			k.write([]byte(`{"action":"ping"}`), ws.OpText)
		}
	}
}

// percentile returns the p-th part of sorted durations.
func percentile(all []time.Duration, p float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(len(all)-1, int(p*float64(len(all))))]
}

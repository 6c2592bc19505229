package simulation

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"fanfare/pkg/broadcast"
	"fanfare/pkg/handler"
	"fanfare/pkg/ingress"
	"fanfare/pkg/queue"
	"fanfare/publish"
	"fanfare/test/audit"
)

// Result is the result of a run.
type Result struct {
	Broken  []error // broken promises
	Verdict *audit.Verdict
	Census  Census
	Points  int    // number of crash points: effects of dispatchers, senders and operators
	Digest  uint64 // hash of all events; equal for equal runs
	Log     string // all events, if a log was requested
}

// Run runs a scenario: with its faults until the system is at rest; then without faults, with the dead letters redriven
// (with RedrivenEarly also once before); at last with one more broadcast. The same seed and settings make the same run.
func Run(t *testing.T, seed uint64, s Settings, log bool) (result Result) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(seed, s)
		if log {
			w.tracer.lines = new(strings.Builder)
		}
		w.play()
		result.Broken, result.Census, result.Points, result.Digest = w.broken, w.census, w.points, w.tracer.digest.Sum64()
		result.Verdict = w.verify()
		result.Broken = w.broken
		if log {
			result.Log = w.tracer.lines.String()
		}
	})
	return result
}

func newWorld(seed uint64, s Settings) *world {
	w := &world{
		settings: s, random: rand.New(rand.NewPCG(seed, 2)), begin: time.Now(), wake: make(chan struct{}, 1),
		trail: audit.NewTrail(time.Now()), registry: &registry{}, ledger: newLedger(),
		offers: make(map[string]*audit.Broadcast), broadcasts: make(map[string]bool), queues: make(map[string]*messageQueue),
		mappings: make(map[string]*mapping),
		running:  make(map[*invocation]bool), tracer: tracer{digest: fnv.New64a()},
	}
	w.table = registryClient{w}
	w.gateway = &gateway{world: w, clients: make(map[string]*client), payloads: make(map[string]string)}
	for _, q := range []*messageQueue{
		{name: "broadcast-dead"}, {name: "continuation-dead"}, {name: "send-dead"},
		{name: "broadcast", visibility: 6 * handler.DispatcherTimeout, maxReceives: 5},
		{name: "continuation", visibility: 6 * handler.DispatcherTimeout, maxReceives: 5},
		{name: "send", visibility: 6 * handler.SenderTimeout, maxReceives: 5},
	} {
		q.world, q.stored, q.dead = w, make(map[string]bool), w.queues[q.name+"-dead"]
		w.queues[q.name] = q
	}
	w.mapping("dispatcher", "broadcast", 10, s.DispatcherConcurrency, handler.DispatcherTimeout, w.dispatcher)
	w.mapping("dispatcher", "continuation", 10, s.DispatcherConcurrency, handler.DispatcherTimeout, w.dispatcher)
	w.mapping("sender", "send", 1, s.SenderConcurrency, handler.SenderTimeout, w.sender)
	return w
}

func (w *world) mapping(name, queue string, batch, concurrency int, timeout time.Duration, start func() function) {
	m := &mapping{
		world: w, name: name, queue: w.queues[queue], batch: batch, concurrency: concurrency, timeout: timeout, start: start,
	}
	m.queue.poll = m.poll
	w.mappings[name] = m
}

func (w *world) play() {
	w.script()
	if w.settings.plant != nil {
		w.settings.plant(w)
	}
	w.run()
	w.checkAtRest()
	if w.settings.RedrivenEarly {
		w.redrive()
		w.checkAtRest()
	}
	w.settings.calm = true
	for w.deadLetters() { // a redriven message may cause new dead letters
		w.redrive()
	}
	w.after(time.Minute, "all connections have settled", func() {
		w.publish(w.settings.Broadcasts)
	})
	w.run()
}

// script schedules clients that connect and disconnect, and broadcasts, at times that the seed decides.
func (w *world) script() {
	s, r := &w.settings, w.random
	sometime := func() time.Duration { return time.Millisecond + w.between(0, s.Duration) }
	trait := func() *client {
		c := &client{stalled: r.Float64() < s.Stalled, slow: r.Float64() < s.Slow}
		if r.Float64() < s.Flaky {
			c.flaky = 1
		}
		return c
	}
	for i := range s.Clients {
		c := trait()
		c.name, c.state = fmt.Sprintf("c%d", i), open
		c.audit = w.trail.Client(c.name)
		c.audit.Open(w.begin)
		w.gateway.clients[c.name] = c
		w.gateway.names = append(w.gateway.names, c.name)
		age := time.Duration(r.IntN(1800)) * time.Second
		c.since = w.begin.Add(-age)
		w.row(c.name, age)
	}
	for i := range s.DeadRows {
		w.row(fmt.Sprintf("dead%d", i), time.Duration(r.IntN(7000))*time.Second)
	}
	for i := range s.Expired {
		w.row(fmt.Sprintf("expired%d", i), 3*time.Hour)
	}
	w.trail.Dead(s.DeadRows)
	for i := range s.Joining {
		c, returns := trait(), w.between(0, 1900*time.Millisecond)
		w.after(sometime(), "client connects", func() { w.gateway.connect(fmt.Sprintf("n%d", i), c, returns) })
	}
	for range s.Leaving {
		vanishes, runs := w.between(0, maxUnnoticed), r.IntN(2) == 0
		if r.IntN(2) == 0 {
			vanishes = 0
		}
		w.after(sometime(), "client disconnects", func() {
			if names := w.gateway.names; len(names) > 0 {
				w.gateway.leave(w.gateway.clients[names[r.IntN(len(names))]], vanishes, runs)
			}
		})
	}
	for n := range s.Broadcasts {
		at := sometime()
		if n > 0 && r.IntN(2) == 0 {
			at = time.Millisecond // many are dispatched in one pass
		}
		w.after(at, "broadcast", func() { w.publish(n) })
	}
}

func (w *world) row(id string, age time.Duration) {
	connected := w.begin.Add(-age)
	expires := connected.Add(broadcast.MaxConnectionAge + 5*time.Minute)
	w.registry.put(row{id: id, connectedAt: connected, expiresAt: expires})
}

// publish publishes a broadcast: from a client through pkg/ingress, or from a backend directly to the queue.
func (w *world) publish(n int) {
	s, r := &w.settings, w.random
	if w.chance(s.Unreadable) {
		w.publishUnreadable(n)
		return
	}
	payload := fmt.Appendf(nil, `{"n":%d}`, n)
	if r.IntN(8) == 0 {
		payload = append(payload, 0) // SQS does not carry it as text
	}
	if w.chance(s.Large) {
		payload = append(payload, make([]byte, broadcast.MaxPayloadBytes-len(payload))...)
	}
	var exclude []string
	for _, name := range w.gateway.names {
		if w.chance(s.Excluding) && r.IntN(3) == 0 {
			exclude = append(exclude, name)
		}
	}
	publisher := "client"
	if len(exclude) > 0 || r.IntN(2) == 0 {
		publisher = "backend"
	}
	ownID := ""
	if publisher == "backend" && n%2 == 0 {
		ownID = fmt.Sprintf("b-%d", n)
	}
	offer, err := w.trail.Offer(payload, publisher, time.Now(), exclude...)
	if err != nil {
		panic(err)
	}
	w.offers[string(payload)] = offer
	w.spawn("publish", 10*time.Second, func(ctx context.Context) {
		var id string
		if publisher == "client" {
			publisher := ingress.Publisher{
				Queue: &queue.Broadcasts{Client: w.sqsClient(3), URL: "broadcast"},
				NewID: func() string { return fmt.Sprintf("c-%d", n) },
			}
			reply, err := publisher.Publish(ctx, ingress.Client{Connection: "publisher"}, payload)
			if (reply.Type == "ack") != (err == nil) {
				panic(fmt.Sprintf("got reply %+v with error %v", reply, err))
			}
			id = reply.ID
		} else {
			id = w.backend(ctx, payload, exclude, ownID)
		}
		_ = w.do(context.WithoutCancel(ctx), "acknowledged", instantly, nil, func() error {
			if id == "" {
				return nil
			}
			if !w.broadcasts[id] {
				w.fail("broadcast %s was acknowledged, and SQS has not stored it", id)
			}
			offer.Accept(id, time.Now())
			w.census.Accepted++
			return nil
		})
	})
}

// backend publishes as any client of SQS does: with an id of its own and with retries, or without both.
func (w *world) backend(ctx context.Context, payload []byte, exclude []string, id string) string {
	in := &sqs.SendMessageInput{
		QueueUrl: aws.String("broadcast"), MessageAttributes: make(map[string]types.MessageAttributeValue),
	}
	body, attributes := publish.Message{Payload: payload, ID: id}.Encode()
	if len(exclude) > 0 {
		attributes[publish.AttributeExclude] = strings.Join(exclude, ", ") // a space after the comma is allowed
	}
	in.MessageBody = &body
	for name, value := range attributes {
		in.MessageAttributes[name] = types.MessageAttributeValue{DataType: aws.String("String"), StringValue: &value}
	}
	attempts := 1
	if id != "" {
		attempts = 3
	}
	out, err := w.sqsClient(attempts).SendMessage(ctx, in)
	if err != nil {
		return ""
	}
	return cmp.Or(id, *out.MessageId)
}

// publishUnreadable puts a message on the broadcast queue that can never be dispatched.
func (w *world) publishUnreadable(n int) {
	body, attributes := fmt.Sprintf("unreadable %d", n), map[string]string{"encoding": "base64"}
	switch w.random.IntN(5) {
	case 0:
		attributes["encoding"] = "rot13"
	case 1:
		body = strings.Repeat("x", broadcast.MaxPayloadBytes+1)
		attributes = nil
	case 2:
		attributes = map[string]string{"broadcast": "b", "segment": "4/4", "stretch": "0", "hop": "0", "sentAt": "0"}
	case 3:
		body = base64.StdEncoding.EncodeToString(nil) + "===="
	case 4:
		body = base64.StdEncoding.EncodeToString([]byte("\xff")) // not UTF-8
	}
	w.queues["broadcast"].send(body, attributes, 0)
	w.census.Unreadable++
}

// stored records a message that SQS has stored: its payload is a broadcast from then on, even if the answer is lost.
func (w *world) stored(m *message) {
	decoded, err := publish.Decode(m.body, m.attributes)
	payload := string(decoded.Payload)
	if offer := w.offers[payload]; err == nil && offer != nil {
		id := cmp.Or(decoded.ID, m.id)
		w.broadcasts[id] = true
		w.gateway.payloads[payload] = id
		offer.Identify(id)
	}
}

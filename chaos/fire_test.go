package chaos

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"fanfare/audit"
	"fanfare/pkg/broadcast"
	"fanfare/pkg/ledger"
	"fanfare/pkg/queue"
)

// fire is a run under faults.
type fire struct {
	name     string
	settings []string          // of the local AWS
	faults   map[string]string // of the local AWS, while clients come and go and messages are published
	settling string            // share of posts that are answered 410 while everybody is connecting
	kills    int               // invocations that are to end with their process
	lost     bool              // answers get lost: each may repeat the one post
	clients  int               // that stay
	stalled  int               // of them, do not read until the end
	dead     int               // rows of connections that are long gone
	churners int
	messages int
	every    time.Duration
	size     int // of a payload, in bytes
}

// all are the faults of the issue at once.
var all = map[string]string{
	"seed":                                   "7",
	"apigateway.RateExceeded":                "0.1",
	"apigateway.ServerError":                 "0.05",
	"apigateway.LostDisconnect":              "0.1",
	"sqs.DuplicateInFlight":                  "0.1",
	"sqs.Reorder":                            "0.1",
	"sqs.Operations":                         "SendMessageBatch",
	"sqs.EntryRefused":                       "0.05",
	"sqs.EntryMisjudged":                     "0.05",
	"dynamodb.ProvisionedThroughputExceeded": "0.1",
	"dynamodb.Unprocessed":                   "0.1",
	"lambda.ErrorAfter":                      "0.02",
}

// some returns those of all whose names begin so.
func some(prefixes ...string) map[string]string {
	chosen := map[string]string{"seed": all["seed"]}
	for name, value := range all {
		for _, prefix := range prefixes {
			if strings.HasPrefix(name, prefix) {
				chosen[name] = value
			}
		}
	}
	return chosen
}

// TestUnderFire holds the promises under each fault alone and under all of them.
func TestUnderFire(t *testing.T) {
	small := fire{clients: 200, stalled: 2, dead: 86, churners: 4, messages: 40, every: 100 * time.Millisecond, size: 16 << 10,
		settings: []string{"--parameter", "MaxAttempts=6"}}
	with := func(name string, change func(*fire)) fire {
		f := small
		f.name = name
		change(&f)
		return f
	}
	everything := with("everything at once", func(f *fire) { f.faults, f.settling, f.kills = all, "0.01", 10 })
	if !*long {
		everything.messages, everything.kills = 24, 6
		everything.run(t, brisk(t))
		return
	}
	for _, f := range []fire{
		with("none: stalled readers, dead rows, churn", func(f *fire) {}),
		with("10 % 429", func(f *fire) { f.faults = some("apigateway.Rate") }),
		with("5 % 5xx", func(f *fire) { f.faults = some("apigateway.ServerError") }),
		with("1 % 410 while connecting", func(f *fire) { f.settling = "0.01" }),
		with("10 % of $disconnect lost", func(f *fire) { f.faults = some("apigateway.Lost") }),
		with("10 % SQS duplicates, 10 % out of order", func(f *fire) { f.faults = some("sqs.Dup", "sqs.Reorder") }),
		with("5 % of batch entries refused, 5 % stored and refused", func(f *fire) { f.faults = some("sqs.Op", "sqs.Entry") }),
		with("10 % DynamoDB throttling, 10 % unprocessed", func(f *fire) { f.faults = some("dynamodb") }),
		with("2 % of invocations reported as failed after their success", func(f *fire) { f.faults = some("lambda") }),
		with("everything but kills", func(f *fire) { f.faults, f.settling = all, "0.01" }),
		with("1 % answers lost, 1 % 5xx after delivery", func(f *fire) {
			f.faults, f.lost = map[string]string{"apigateway.LostAnswer": "0.01", "apigateway.DeliveredError": "0.01"}, true
		}),
		with("kill -9 of senders and dispatchers", func(f *fire) { f.kills = 30 }),
	} {
		t.Run(f.name, func(t *testing.T) { f.run(t, brisk(t)) })
	}
	everything.clients, everything.stalled, everything.dead, everything.churners = 2000, 20, 857, 20
	everything.kills, everything.messages, everything.every = 100, 40, 400*time.Millisecond
	everything.settings = nil
	t.Run(everything.name, func(t *testing.T) { everything.run(t, "template.yaml") })
}

func (f fire) run(t *testing.T, template string) {
	begin := time.Now()
	phase := func(what string) { t.Logf("after %.1f s: %s", time.Since(begin).Seconds(), what) }
	w := start(t, template, f.settings...)
	c := gather(w)
	phase("started")

	// Everybody connects; meanwhile, and for less than the ten seconds that a connection takes to settle, some are answered
	// as API Gateway answers for a connection whose $connect has not finished.
	stayers := c.joinAll(t, f.clients/2, false)
	if f.settling != "" {
		w.control(t, http.MethodPost, "faults", map[string]string{"apigateway.Gone": f.settling})
		over := time.After(broadcast.SettlingAge / 2)
		for range 5 {
			c.enqueue(t, f.size)
		}
		stayers = append(stayers, c.joinAll(t, 20, false)...)
		<-over
		w.control(t, http.MethodDelete, "faults", nil)
	}
	before := w.connections(t)
	stalled := c.joinAll(t, f.stalled, true)
	deaf := w.connections(t)
	maps.DeleteFunc(deaf, func(id string, _ bool) bool { return before[id] })
	stayers = append(stayers, c.joinAll(t, f.clients-len(stayers)-len(stalled), false)...)
	w.haunt(t, f.dead)
	c.trail.Dead(f.dead)
	phase("everybody is connected")
	if f.faults != nil {
		w.control(t, http.MethodPost, "faults", f.faults)
	}
	publishing, ceasefire := context.WithCancel(t.Context())
	var group sync.WaitGroup
	defer group.Wait()
	defer ceasefire()
	c.churn(publishing, f.churners, &group)
	if f.kills > 0 {
		group.Go(func() {
			for w.crashes() < f.kills {
				select {
				case <-time.After(100*time.Millisecond + rand.N(400*time.Millisecond)):
					w.kill(t)
				case <-publishing.Done():
					return
				}
			}
		})
	}
	living, end := context.WithCancel(t.Context())
	defer end()
	group.Go(func() { keepAlive(living, slices.Concat(stayers, stalled)) })

	for n := 0; n < f.messages || w.crashes() < f.kills; n++ {
		if n%4 == 0 {
			stayers[n%len(stayers)].publish(t, f.size)
		} else {
			c.enqueue(t, f.size)
		}
		time.Sleep(f.every)
		for n >= f.messages && w.crashes() < f.kills && w.waiting(t, "send") > 20 { // there is enough to be killed for
			time.Sleep(f.every)
		}
	}
	if crashes := w.crashes(); crashes < f.kills {
		t.Errorf("only %d of %d invocations were killed", crashes, f.kills)
	}
	ceasefire()
	phase(fmt.Sprintf("published %d, killed %d", len(c.ids), w.crashes()))
	redriven := c.settle(t)
	phase("settled")

	// Once more in peace: what a killed sender had no time to clear away goes now, and nobody living is left out. Frames
	// reach a client in the order of their posts, so whoever has the last has all that was posted to it.
	w.control(t, http.MethodDelete, "faults", nil)
	for _, k := range stalled {
		close(k.resume)
	}
	redriven += c.last(t, slices.Concat(stayers, stalled))
	phase("received by everybody")
	if rows := len(w.connections(t)); rows != f.clients {
		t.Errorf("%d rows are left for %d connections", rows, f.clients)
	}
	w.holdNoLetters(t, deaf)
	end()
	group.Wait()

	reports, largest, unanswered := c.reports(t)
	licensed := unanswered // posts that a sender waited for too long may have been delivered
	if f.kills > 0 {
		licensed += w.crashes() * largest
		// Who received something from a sender that was killed, and then left, was not there when it was sent again.
		for _, name := range c.churned {
			for _, id := range c.ids {
				c.trail.MayRepeat(id, name)
			}
		}
	}
	sum := total(reports)
	if f.lost {
		licensed += sum.Posts / 25 // twice what befell; each is one post
	}
	c.trail.MayRepeatAny(licensed)
	c.trail.Dead(int(c.refused.Load())) // some may have a row, and never opened
	v := c.trail.Judge(audit.Options{Join: time.Hour})
	if err := v.Err(); err != nil {
		t.Error(err)
	}
	unserved := int64(0) // of clients that read: the ledger says why
	for name, n := range v.Unserved {
		if !slices.ContainsFunc(stalled, func(k *client) bool { return k.name == name }) {
			unserved += n
		}
	}
	memory := w.held()
	row := fmt.Sprintf("| %s | %d | %d | %d | %d | %d | %d | %d of at most %d | %d | %d | %v | %d | %d | %.0f s | local %d, sender %d, dispatcher %d |",
		f.name, v.Clients, v.Broadcasts, w.crashes(), v.Owed, v.Missing, unserved, v.Repeats, licensed, sum.Gone, sum.Retries, words(sum.Failed), redriven,
		sum.Audience, time.Since(begin).Seconds(), memory["local"], memory["sender"], memory["dispatcher"])
	t.Logf("\n| fault | connections | broadcasts | kills | owed | missing | failed for who reads | repeated | gone | retried posts | failed | redriven | in the ledger | took | most memory, MB |\n%s", row)
}

func words(failed map[string]int) string {
	if len(failed) == 0 {
		return "0"
	}
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(failed)) {
		parts = append(parts, fmt.Sprintf("%d %s", failed[reason], reason))
	}
	return strings.Join(parts, ", ")
}

// haunt writes rows of connections that are long gone.
func (w *world) haunt(t *testing.T, n int) {
	t.Helper()
	for i := range n {
		if _, err := w.db.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("websocket_connections"), Item: map[string]types.AttributeValue{
			"connectionId": &types.AttributeValueMemberS{Value: fmt.Sprintf("GhostGhost%05d=", i)},
			"connectedAt":  &types.AttributeValueMemberN{Value: "1000"},
			"expiresAt":    &types.AttributeValueMemberN{Value: "99999999999"},
		}}); err != nil {
			t.Fatal(err)
		}
	}
}

// connections returns the ids in the connections table.
func (w *world) connections(t *testing.T) map[string]bool {
	t.Helper()
	ids := make(map[string]bool)
	pages := dynamodb.NewScanPaginator(w.db, &dynamodb.ScanInput{TableName: aws.String("websocket_connections"), ConsistentRead: aws.Bool(true), ProjectionExpression: aws.String("connectionId")})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Items {
			ids[item["connectionId"].(*types.AttributeValueMemberS).Value] = true
		}
	}
	return ids
}

// holdNoLetters holds the system to it that a client whose own buffer stays full leaves nothing on the dead-letter queue,
// whatever other faults its last attempts have met.
func (w *world) holdNoLetters(t *testing.T, deaf map[string]bool) {
	t.Helper()
	letters := &queue.DeadLetters{Client: w.mq, URL: w.queues + "send-dead-letter"}
	if err := letters.Each(t.Context(), func(l queue.Letter) (bool, error) {
		b, err := broadcast.DecodeBatch(l.Body)
		if err != nil {
			return false, err
		}
		for _, id := range slices.Concat(b.Connections, b.Settling) {
			if deaf[id] {
				t.Errorf("the dead-letter queue holds batch %s for a client that does not read: %s, %s", b.ID, l.Reason, l.Detail)
			}
		}
		return false, nil
	}); err != nil {
		t.Error(err)
	}
}

// settle waits until nothing of any broadcast is outstanding. What SQS has moved to a dead-letter queue without its having
// been accounted for is sent back, as an operator would; it returns how much.
func (c *crowd) settle(t *testing.T) (redriven int) {
	t.Helper()
	open := slices.Clone(c.ids)
	tries := 0
	for begin := time.Now(); len(open) > 0; tries++ {
		open = slices.DeleteFunc(open, func(id string) bool {
			r, err := c.books.Report(t.Context(), id)
			return err == nil && r.Dispatched && r.Outstanding == 0
		})
		if time.Since(begin) > 2*patience {
			t.Fatalf("%d broadcasts are outstanding; the first is %s", len(open), open[0])
		}
		if tries%20 == 19 {
			redriven += c.redrive(t)
		}
		time.Sleep(300 * time.Millisecond)
	}
	return redriven
}

func (c *crowd) redrive(t *testing.T) (n int) {
	t.Helper()
	for name, back := range map[string]func(context.Context, queue.Letter) error{
		"broadcast": (&queue.Broadcasts{Client: c.mq, URL: c.queues + "broadcast"}).Redrive,
		"send":      (&queue.Batches{Client: c.mq, URL: c.queues + "send"}).Redrive,
	} {
		letters := &queue.DeadLetters{Client: c.mq, URL: c.queues + name + "-dead-letter"}
		if err := letters.Each(t.Context(), func(l queue.Letter) (bool, error) {
			if l.Reason != "" {
				return false, nil // accounted for
			}
			n++
			return true, back(t.Context(), l)
		}); err != nil {
			t.Error(err)
		}
	}
	return n
}

// last publishes a few last broadcasts and waits until the clients have them.
func (c *crowd) last(t *testing.T, clients []*client) (redriven int) {
	t.Helper()
	const messages = 3
	c.finale.Store(int64(c.sequence + 1))
	for range messages {
		c.enqueue(t, 100)
	}
	redriven = c.settle(t)
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		lacking := 0
		for _, k := range clients {
			if k.finale.Load() < messages {
				lacking++
			}
		}
		if lacking == 0 {
			return redriven
		}
		if time.Since(begin) > patience {
			t.Errorf("%d clients have not received the last broadcasts", lacking)
			return redriven
		}
	}
}

// reports puts the books into the trail, and returns them with the most deliveries that one invocation has claimed and
// the number of those that were tried again because a post had no answer.
func (c *crowd) reports(t *testing.T) (reports []ledger.Report, largest, unanswered int) {
	t.Helper()
	for _, id := range c.ids {
		r, err := c.books.Report(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		reports = append(reports, r)
		if err := c.trail.Report(id, audit.Report{Audience: r.Audience, Delivered: r.Delivered, Gone: r.Gone, Failed: r.Failed, Outstanding: r.Outstanding}); err != nil {
			t.Fatal(err)
		}
	}
	claims := make(map[string]int)
	pages := dynamodb.NewScanPaginator(c.db, &dynamodb.ScanInput{TableName: aws.String("websocket_broadcasts"), ConsistentRead: aws.Bool(true)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Items {
			owner, claimed := item["owner"].(*types.AttributeValueMemberS)
			if !claimed {
				continue
			}
			var size int
			fmt.Sscan(item["size"].(*types.AttributeValueMemberN).Value, &size)
			claims[owner.Value] += size
			largest = max(largest, claims[owner.Value])
			if reason, found := item["reason"].(*types.AttributeValueMemberS); found && reason.Value == broadcast.ReasonNetwork {
				unanswered += size
			}
		}
	}
	return reports, largest, unanswered
}

func total(reports []ledger.Report) ledger.Report {
	sum := ledger.Report{Failed: make(map[string]int)}
	for _, r := range reports {
		sum.Audience, sum.Delivered, sum.Gone = sum.Audience+r.Audience, sum.Delivered+r.Delivered, sum.Gone+r.Gone
		sum.Posts, sum.Retries = sum.Posts+r.Posts, sum.Retries+r.Retries
		for reason, n := range r.Failed {
			sum.Failed[reason] += n
		}
	}
	return sum
}

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

	"fanfare/pkg/broadcast"
	"fanfare/pkg/ledger"
	"fanfare/test/audit"
)

// fire is a run under faults.
type fire struct {
	name     string
	settings []string          // of the local AWS
	faults   map[string]string // of the local AWS, while clients come and go and messages are published
	settling string            // share of posts that are answered 410 while everybody is connecting
	joining  time.Duration     // for how long; below the age at which a connection has settled
	kills    int               // invocations that are to end with their process
	lost     bool              // answers get lost: each may repeat the one post
	slow     bool              // AWS's clock is not hurried
	clients  int               // that stay
	stalled  int               // of them, do not read until the end
	dead     int               // rows of connections that are long gone
	churners int
	messages int
	every    time.Duration
	size     int // of a payload, in bytes
}

// unnoticed is how long the gateway may take to see that a client has vanished: it is no fault if the ledger has a delivery
// to a client that had gone without a word so shortly before.
const unnoticed = 2 * time.Second

// maxFrame is the most that a client may send in one frame. Source: API Gateway developer guide, "Quotas for configuring and
// running a WebSocket API".
const maxFrame = 32 << 10

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
		joining: broadcast.SettlingAge / 2, settings: []string{"--parameter", "MaxAttempts=6"}}
	with := func(name string, change func(*fire)) fire {
		f := small
		f.name = name
		change(&f)
		return f
	}
	everything := with("everything at once", func(f *fire) { f.faults, f.settling, f.kills = all, "0.01", 10 })
	if !*long {
		t.Parallel()
		// The fewer messages are larger, so that they fill the buffer of whoever does not read.
		everything.clients, everything.stalled, everything.dead, everything.churners = 80, 1, 34, 3
		everything.messages, everything.kills, everything.size = 20, 4, 64<<10
		everything.settling, everything.joining = "0.05", time.Second
		everything.settings = []string{"--parameter", "MaxAttempts=4"}
		everything.run(t, brisk(t))
		return
	}
	for _, f := range []fire{
		with("none: stalled readers, dead rows, churn", func(f *fire) {}),
		with("10 % 429", func(f *fire) { f.faults = some("apigateway.Rate") }),
		with("5 % 5xx", func(f *fire) { f.faults = some("apigateway.ServerError") }),
		with("1 % 410 while connecting", func(f *fire) { f.settling = "0.01" }),
		with("10 % of $disconnect lost", func(f *fire) { f.faults, f.slow = some("apigateway.Lost"), true }),
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
	if f.slow {
		f.settings = append(f.settings, "--speed", "1")
	}
	w := start(t, template, f.settings...)
	c := gather(w)
	phase("started")

	// Everybody connects; meanwhile, and for less than the ten seconds that a connection takes to settle, some are answered
	// as API Gateway answers for a connection whose $connect has not finished.
	stayers := c.joinAll(t, f.clients/2, false)
	if f.settling != "" {
		w.control(t, http.MethodPost, "faults", map[string]string{"apigateway.Gone": f.settling})
		over := time.After(f.joining)
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
	maps.DeleteFunc(deaf, func(id string, _ time.Time) bool { return !before[id].IsZero() })
	stayers = append(stayers, c.joinAll(t, f.clients-len(stayers)-len(stalled), false)...)
	living := w.connections(t)
	if len(living) != f.clients {
		t.Errorf("%d rows for %d connections", len(living), f.clients)
	}
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
	alive, end := context.WithCancel(t.Context())
	defer end()
	group.Go(func() { keepAlive(alive, slices.Concat(stayers, stalled)) })

	for n := 0; n < f.messages || w.crashes() < f.kills; n++ {
		if n%4 == 0 {
			stayers[n%len(stayers)].publish(t, min(f.size, maxFrame))
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
	if f.slow { // The row of a client whose $disconnect was lost goes with the first broadcast after it has settled.
		for _, connected := range w.connections(t) {
			time.Sleep(time.Until(connected.Add(broadcast.SettlingAge)))
		}
	}
	phase("settled")

	// Once more in peace: what a killed sender had no time to clear away goes now, and nobody living is left out. Frames
	// reach a client in the order of their posts, so whoever has the last has all that was posted to it.
	w.control(t, http.MethodDelete, "faults", nil)
	for _, k := range stalled {
		close(k.resume)
	}
	lastly := time.Now()
	redriven += c.last(t, slices.Concat(stayers, stalled))
	phase("received by everybody")
	rows := w.connections(t)
	for id := range living {
		if rows[id].IsZero() {
			t.Errorf("the row of %s is gone, and the client is there", id)
		}
		delete(rows, id)
	}
	for id, connected := range rows {
		// A row may stay of which no $disconnect tells, as that was lost, or as $connect was reported as failed after it had
		// succeeded: until the connection has settled. Its time is AWS's clock's, and functions have their own: a hurried clock
		// makes connections younger.
		untold := f.faults["apigateway.LostDisconnect"] != "" || c.refused.Load() > 0
		if !untold || connected.Add(broadcast.SettlingAge).Before(lastly) {
			t.Errorf("there is a row of %s, and no such client; it connected at %v", id, connected)
		}
	}
	end()
	group.Wait()

	// A post without an answer may have been delivered, and so may any of a sender that could not say what it did: the ledger
	// knows of both, broadcast by broadcast. A dispatcher that dies repeats nothing.
	causes := []string{ledger.TakenOver, broadcast.ReasonNetwork}
	if f.lost {
		causes = append(causes, broadcast.ReasonServer)
	}
	sum := total(c.reports(t, causes...))
	if n := sum.Repeatable[ledger.TakenOver]; n > 0 && w.unsettled() == 0 {
		t.Errorf("batches of %d deliveries were taken over, and every sender has recorded what it did", n)
	}
	w.noLetters(t, deaf)
	c.trail.Dead(int(c.refused.Load())) // some may have a row, and never opened
	v := c.trail.Check(audit.Options{Join: time.Hour, Unnoticed: unnoticed, MayRepeat: true})
	if err := v.Err(); err != nil {
		t.Error(err)
	}
	unserved := int64(0) // of clients that read: the ledger says why
	for name, n := range v.Unserved {
		if !slices.ContainsFunc(stalled, func(k *client) bool { return k.name == name }) {
			unserved += n
		}
	}
	if f.stalled > 0 && sum.Failed[broadcast.ReasonBufferFull] == 0 {
		t.Errorf("failed %v: no buffer has been full, so nothing is shown of those that do not read", sum.Failed)
	}
	memory := w.held()
	if memory["sender"] == 0 || memory["dispatcher"] == 0 {
		t.Errorf("the processes %v were seen: without those of senders and dispatchers none is killed", memory)
	}
	row := fmt.Sprintf("| %s | %d | %d | %d | %d | %d | %d | %d of at most %d | %d | %d | %v | %d | %d | %.0f s | local %d, sender %d, dispatcher %d |",
		f.name, v.Clients, v.Broadcasts, w.crashes(), v.Owed, v.Missing, unserved, v.Repeats, sum.AllRepeatable(), sum.Gone, sum.Retries, words(sum.Failed), redriven,
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

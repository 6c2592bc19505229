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
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"fanfare/pkg/broadcast"
	"fanfare/pkg/ledger"
	"fanfare/test/audit"
)

// scenario is a run under faults.
type scenario struct {
	name         string
	args         []string          // of the local AWS
	faults       map[string]string // of the local AWS, while clients come and go and messages are published
	gone         string            // share of posts that are answered 410 while clients connect; "" for none
	settled      bool              // the faults begin when every connection has settled
	joining      time.Duration     // duration of that; below the age at which a connection has settled
	kills        int               // invocations that have to end with their process
	lostAnswers  bool              // answers to posts get lost: each may repeat the post
	normalSpeed  bool              // AWS's clock runs as fast as the functions' clocks
	clients      int               // that stay, including the stalled ones
	stalled      int               // clients that do not read until the end
	deadRows     int               // rows of connections that do not exist
	churners     int               // goroutines that connect clients and leave again
	messages     int
	interval     time.Duration // between two messages
	payloadBytes int
}

// unnoticed is the time that the gateway may take to notice that a client has vanished. Deliveries to such a client
// may count in the ledger.
const unnoticed = 2 * time.Second

// maxFrame is the largest frame that a client may send. Source: API Gateway developer guide, "Quotas for configuring
// and running a WebSocket API".
const maxFrame = 32 << 10

// allFaults are the faults of the scenario with everything at once.
var allFaults = map[string]string{
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
	"lambda.ErrorAfter":                      "0.02",
}

// someFaults returns the seed and those of allFaults whose names begin with one of the prefixes.
func someFaults(prefixes ...string) map[string]string {
	chosen := map[string]string{"seed": allFaults["seed"]}
	for name, value := range allFaults {
		if slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
			chosen[name] = value
		}
	}
	return chosen
}

// TestSystem_Faults checks the system's promises under each fault alone and under all of them. The short form has
// only the latter.
func TestSystem_Faults(t *testing.T) {
	with := func(name string, change func(*scenario)) scenario {
		s := scenario{
			name: name, args: []string{"--parameter", "MaxAttempts=6"}, joining: broadcast.SettlingAge / 2,
			clients: 200, stalled: 2, deadRows: 86, churners: 4,
			messages: 40, interval: 100 * time.Millisecond, payloadBytes: 16 << 10,
		}
		change(&s)
		return s
	}
	everything := with("everything at once", func(s *scenario) { s.faults, s.gone, s.kills = allFaults, "0.01", 10 })
	if !*long {
		t.Parallel()
		// The messages are fewer and larger, so that they fill the buffers of clients that do not read.
		everything.clients, everything.stalled, everything.deadRows, everything.churners = 80, 1, 34, 3
		everything.messages, everything.kills, everything.payloadBytes = 20, 4, 64<<10
		everything.gone, everything.joining = "0.05", time.Second
		everything.args = []string{"--parameter", "MaxAttempts=4"}
		everything.run(t, shortTimeouts(t))
		return
	}
	for _, s := range []scenario{
		with("none: stalled readers, dead rows, churn", func(*scenario) {}),
		with("10 % 429", func(s *scenario) { s.faults = someFaults("apigateway.Rate") }),
		with("5 % 5xx", func(s *scenario) { s.faults = someFaults("apigateway.ServerError") }),
		with("1 % 410 while connecting", func(s *scenario) { s.gone = "0.01" }),
		with("1 % 410 for settled connections", func(s *scenario) {
			s.faults = map[string]string{"seed": "7", "apigateway.Gone": "0.01", "apigateway.GonePause": "60s"}
			s.settled, s.normalSpeed = true, true
		}),
		with("10 % of $disconnect lost", func(s *scenario) {
			s.faults, s.normalSpeed = someFaults("apigateway.Lost"), true
		}),
		with("10 % SQS duplicates, 10 % out of order", func(s *scenario) { s.faults = someFaults("sqs.Dup", "sqs.Reorder") }),
		with("5 % of batch entries refused, 5 % stored and refused", func(s *scenario) {
			s.faults = someFaults("sqs.Op", "sqs.Entry")
		}),
		with("10 % DynamoDB throttling", func(s *scenario) { s.faults = someFaults("dynamodb") }),
		with("2 % of invocations reported as failed after their success", func(s *scenario) {
			s.faults = someFaults("lambda")
		}),
		with("everything but kills", func(s *scenario) { s.faults, s.gone = allFaults, "0.01" }),
		with("1 % answers lost, 1 % 5xx after delivery", func(s *scenario) {
			s.faults = map[string]string{"apigateway.LostAnswer": "0.01", "apigateway.DeliveredError": "0.01"}
			s.lostAnswers = true
		}),
		with("half of the answers of SendMessage lost", func(s *scenario) {
			s.faults = map[string]string{"sqs.ServerErrorDone": "0.5", "sqs.Operations": "SendMessage"}
		}),
		with("kill -9 of senders and dispatchers", func(s *scenario) { s.kills = 30 }),
	} {
		t.Run(s.name, func(t *testing.T) { s.run(t, shortTimeouts(t)) })
	}
	everything.clients, everything.stalled, everything.deadRows, everything.churners = 2000, 20, 857, 20
	everything.kills, everything.messages, everything.interval = 100, 40, 400*time.Millisecond
	everything.args = []string{"--speed", "1"}
	t.Run(everything.name, func(t *testing.T) { everything.run(t, "") })
}

// run is one running scenario.
type run struct {
	scenario
	*clientGroup
	begin time.Time

	readers        []*client
	stalledClients []*client            // read only at the end
	connected      map[string]time.Time // times of both kinds' connects, by connection id
	stalledIDs     map[string]time.Time // those of stalledClients
	finalAt        time.Time            // time of the final broadcasts
	marked         map[string]bool      // connections whose rows were seen with the record of a 410
}

// run runs the scenario with the template at path.
func (s scenario) run(t *testing.T, path string) {
	begin := time.Now()
	if s.normalSpeed {
		s.args = append(s.args, "--speed", "1")
	}
	r := &run{scenario: s, clientGroup: newClientGroup(start(t, path, s.args...)), begin: begin}
	r.log(t, "started")
	r.connect(t)

	if s.settled {
		r.waitSettled(t)
	}
	if s.faults != nil {
		r.control(t, http.MethodPost, "faults", s.faults)
	}
	alive, end := context.WithCancel(t.Context())
	var keeping sync.WaitGroup
	defer keeping.Wait()
	defer end()
	keeping.Go(func() { keepAlive(alive, slices.Concat(r.readers, r.stalledClients)) })
	if s.settled {
		keeping.Go(func() { r.watchMarks(alive) })
	}
	r.publishAll(t)
	redriven := r.settle(t)
	if s.normalSpeed {
		// The row of a client whose $disconnect was lost is deleted with the first broadcast after it has settled.
		r.waitSettled(t)
	}
	r.waitMarks(t)
	r.log(t, "settled")

	// Without faults the rows that a killed sender had no time to delete are deleted now, and every open connection is
	// reached. A client receives frames in the order of their posts, so a client with the final ones has received all.
	r.control(t, http.MethodDelete, "faults", nil)
	for _, c := range r.stalledClients {
		close(c.resume)
	}
	r.finalAt = time.Now()
	redriven += r.publishFinal(t, slices.Concat(r.readers, r.stalledClients))
	if r.waitMarks(t) > 0 { // rows that the final broadcasts were the first to find gone
		r.enqueue(t, 100)
		redriven += r.settle(t)
	}
	r.log(t, "received by every client")
	r.checkRows(t)
	end()
	keeping.Wait()
	r.judge(t, redriven)
	if s.settled {
		r.checkMarks(t)
	}
}

// watchMarks keeps which rows have the record of a 410, until ctx ends.
func (r *run) watchMarks(ctx context.Context) {
	r.marked = make(map[string]bool)
	for ctx.Err() == nil {
		for _, id := range r.marks(ctx) {
			r.marked[id] = true
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// marks returns the open connections whose rows have the record of a 410.
func (r *run) marks(ctx context.Context) (ids []string) {
	out, err := r.scanMarks(ctx)
	if err != nil {
		return nil // ctx has ended
	}
	for _, item := range out.Items {
		if id, ok := item["connectionId"].(*types.AttributeValueMemberS); ok && !r.connected[id.Value].IsZero() {
			ids = append(ids, id.Value)
		}
	}
	return ids
}

// checkMarks checks that open connections were answered 410, and that their rows have no record of it at the end.
func (r *run) checkMarks(t *testing.T) {
	t.Logf("the rows of %d of %d open connections had the record of a 410", len(r.marked), len(r.connected))
	if len(r.marked) == 0 {
		t.Error("got no open connection with the record of a 410, want some: the fault has shown nothing")
	}
	if got := r.marks(t.Context()); len(got) > 0 {
		t.Errorf("got %v with the record of a 410 after the final broadcasts, want none", got)
	}
}

// waitSettled waits until no connection is younger than broadcast.SettlingAge.
func (r *run) waitSettled(t *testing.T) {
	t.Helper()
	for _, connected := range r.ConnectionRows(t) {
		time.Sleep(time.Until(connected.Add(broadcast.SettlingAge)))
	}
}

// waitMarks waits until each record of a 410 is so old that the next 410 deletes the row, and returns their number. A
// fast clock of AWS shortens the delay of the batches that confirm a 410, and the functions compare the time of the
// record with their own clock.
func (r *run) waitMarks(t *testing.T) (marks int) {
	t.Helper()
	out, err := r.scanMarks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range out.Items {
		var row struct {
			GoneAt int64 `dynamodbav:"goneAt"`
		}
		if err := attributevalue.UnmarshalMap(item, &row); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Until(time.UnixMilli(row.GoneAt).Add(broadcast.SettlingAge)))
	}
	return len(out.Items)
}

// scanMarks returns the rows with the record of a 410.
func (r *run) scanMarks(ctx context.Context) (*dynamodb.ScanOutput, error) {
	return r.DynamoDB.Scan(ctx, &dynamodb.ScanInput{
		TableName: aws.String(r.Outputs["ConnectionsTableName"]), ConsistentRead: aws.Bool(true),
		FilterExpression: aws.String("attribute_exists(goneAt)"),
	})
}

func (r *run) log(t *testing.T, phase string) {
	t.Helper()
	t.Logf("after %.1f s: %s", time.Since(r.begin).Seconds(), phase)
}

// connect connects the clients and adds the dead rows. During r.joining, some posts to the first clients are answered
// 410, as API Gateway answers for a connection whose $connect has not ended.
func (r *run) connect(t *testing.T) {
	r.readers = r.joinAll(t, r.clients/2, false)
	if r.gone != "" {
		r.control(t, http.MethodPost, "faults", map[string]string{"apigateway.Gone": r.gone})
		over := time.After(r.joining)
		for range 5 {
			r.enqueue(t, r.payloadBytes)
		}
		r.readers = append(r.readers, r.joinAll(t, 20, false)...)
		<-over
		r.control(t, http.MethodDelete, "faults", nil)
	}
	before := r.ConnectionRows(t)
	r.stalledClients = r.joinAll(t, r.stalled, true)
	r.stalledIDs = r.ConnectionRows(t)
	maps.DeleteFunc(r.stalledIDs, func(id string, _ time.Time) bool { return !before[id].IsZero() })
	r.readers = append(r.readers, r.joinAll(t, r.clients-len(r.readers)-len(r.stalledClients), false)...)
	r.connected = r.ConnectionRows(t)
	if got := len(r.connected); got != r.clients {
		t.Errorf("got %d rows, want %d", got, r.clients)
	}
	r.AddGoneConnections(t, r.deadRows)
	r.trail.Dead(r.deadRows)
	r.log(t, "all clients are connected")
}

// publishAll publishes the messages, and further ones until enough invocations have been killed. Meanwhile clients
// come and go.
func (r *run) publishAll(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	r.churn(ctx, r.churners, &group)
	if r.kills > 0 {
		group.Go(func() {
			for r.crashes() < r.kills {
				select {
				case <-time.After(100*time.Millisecond + rand.N(400*time.Millisecond)):
					r.kill(t)
				case <-ctx.Done():
					return
				}
			}
		})
	}
	for n := 0; n < r.messages || r.crashes() < r.kills; n++ {
		if n%4 == 0 {
			r.readers[n%len(r.readers)].publish(t, min(r.payloadBytes, maxFrame))
		} else {
			r.enqueue(t, r.payloadBytes)
		}
		time.Sleep(r.interval)
		// Enough batches to be killed for are queued.
		for n >= r.messages && r.crashes() < r.kills && r.Queued(t, sendQueue) > 20 {
			time.Sleep(r.interval)
		}
	}
	if got := r.crashes(); got < r.kills {
		t.Errorf("got %d killed invocations, want at least %d", got, r.kills)
	}
	cancel()
	r.log(t, fmt.Sprintf("published %d, killed %d", len(r.ids), r.crashes()))
}

// checkRows checks that the table has the rows of the open connections and no others.
func (r *run) checkRows(t *testing.T) {
	rows := r.ConnectionRows(t)
	for id := range r.connected {
		if rows[id].IsZero() {
			t.Errorf("connection %s: got no row, want that of an open connection", id)
		}
		delete(rows, id)
	}
	// A row without a $disconnect may stay until the connection has settled: the $disconnect was lost, or $connect was
	// reported as failed after it had written the row. AWS's clock has set its time, the functions compare it with their
	// own: with a fast clock of AWS connections seem younger.
	mayStay := r.faults["apigateway.LostDisconnect"] != "" || r.refused.Load() > 0
	for id, connected := range rows {
		if !mayStay || connected.Add(broadcast.SettlingAge).Before(r.finalAt) {
			t.Errorf("connection %s: got a row of %v, want none of a closed connection", id, connected)
		}
	}
}

// judge compares the record of the clients with the ledger, and logs the results as a row of a table.
func (r *run) judge(t *testing.T, redriven int) {
	// A post without an answer may have been delivered, and so may any post of a sender that recorded no outcome. The
	// ledger counts both for each broadcast. A dispatcher that dies repeats nothing.
	causes := []string{ledger.TakenOver, broadcast.ReasonNetwork}
	if r.lostAnswers {
		causes = append(causes, broadcast.ReasonServer)
	}
	sum := total(r.reports(t, causes...))
	if n := sum.Repeatable[ledger.TakenOver]; n > 0 && r.unrecordedSends() == 0 {
		t.Errorf("got %d deliveries in batches that another sender took over, want 0 as every sender recorded its outcome", n)
	}
	r.checkDeadLetters(t, r.stalledIDs)
	r.trail.Dead(int(r.refused.Load())) // a refused connection may have a row
	v := r.trail.Check(audit.Options{Join: time.Hour, Unnoticed: unnoticed, MayRepeat: true})
	if err := v.Err(); err != nil {
		t.Error(err)
	}
	unserved := int64(0) // failed deliveries to clients that read
	for name, n := range v.Unserved {
		if !slices.ContainsFunc(r.stalledClients, func(c *client) bool { return c.name == name }) {
			unserved += n
		}
	}
	if r.stalled > 0 && sum.Failed[broadcast.ReasonBufferFull] == 0 {
		t.Errorf("got the failures %v, want some for full buffers: the stalled clients have shown nothing", sum.Failed)
	}
	memory := r.peakMemories()
	if memory["sender"] == 0 || memory["dispatcher"] == 0 {
		t.Errorf("got the processes %v, want senders and dispatchers among them: others are not killed", memory)
	}
	header := []string{
		"fault", "connections", "broadcasts", "kills", "owed", "missing", "failed for who reads", "repeated", "gone",
		"retried posts", "failed", "redriven", "in the ledger", "took", "most memory, MB",
	}
	row := []any{
		r.name, v.Clients, v.Broadcasts, r.crashes(), v.Owed, v.Missing, unserved,
		fmt.Sprintf("%d of at most %d", v.Repeats, sum.AllRepeatable()), sum.Gone, sum.Retries, counts(sum.Failed), redriven,
		sum.Audience, fmt.Sprintf("%.0f s", time.Since(r.begin).Seconds()),
		fmt.Sprintf("local %d, sender %d, dispatcher %d", memory["local"], memory["sender"], memory["dispatcher"]),
	}
	var text strings.Builder
	for _, cell := range row {
		fmt.Fprintf(&text, "| %v ", cell)
	}
	t.Logf("\n| %s |\n%s|", strings.Join(header, " | "), text.String())
}

// counts returns the counts by reason, such as "3 buffer-full, 1 network", or "0".
func counts(failed map[string]int) string {
	if len(failed) == 0 {
		return "0"
	}
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(failed)) {
		parts = append(parts, fmt.Sprintf("%d %s", failed[reason], reason))
	}
	return strings.Join(parts, ", ")
}

package localtest

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"fanfare/pkg/ledger"
	"fanfare/test/awstest"
)

// Services holds the addresses of a running local AWS and clients of its services. Its methods, except QueueURL, are
// for Fanfare's own stack. It is safe for concurrent use.
type Services struct {
	WebSocket string            // URL of the first WebSocket API
	Endpoint  string            // URL of SQS, DynamoDB, Secrets Manager and /_local/
	Outputs   map[string]string // of the stack, by name
	DynamoDB  *dynamodb.Client
	SQS       *sqs.Client
}

func newServices(webSocket, endpoint string, outputs map[string]string) Services {
	cfg := awstest.Config(endpoint)
	return Services{
		WebSocket: webSocket, Endpoint: endpoint, Outputs: outputs,
		DynamoDB: dynamodb.NewFromConfig(cfg), SQS: sqs.NewFromConfig(cfg),
	}
}

// QueueURL returns the URL of the queue of that name.
func (s *Services) QueueURL(name string) string { return s.Endpoint + "/000000000000/" + name }

// Ledger returns the delivery ledger.
func (s *Services) Ledger() *ledger.Table {
	return &ledger.Table{Client: s.DynamoDB, Name: s.Outputs["BroadcastsTableName"]}
}

// ConnectionRows returns the rows of the connections table: the time of each connect, by connection id.
func (s *Services) ConnectionRows(t testing.TB) map[string]time.Time {
	t.Helper()
	rows := make(map[string]time.Time)
	pages := dynamodb.NewScanPaginator(s.DynamoDB, &dynamodb.ScanInput{
		TableName: aws.String(s.Outputs["ConnectionsTableName"]), ConsistentRead: aws.Bool(true),
		ProjectionExpression: aws.String("connectionId, connectedAt"),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Items {
			var row struct {
				ConnectionID string `dynamodbav:"connectionId"`
				ConnectedAt  int64  `dynamodbav:"connectedAt"`
			}
			if err := attributevalue.UnmarshalMap(item, &row); err != nil {
				t.Fatal(err)
			}
			rows[row.ConnectionID] = time.UnixMilli(row.ConnectedAt)
		}
	}
	return rows
}

// AddGoneConnections writes n rows of connections that do not exist at the API.
func (s *Services) AddGoneConnections(t testing.TB, n int) {
	t.Helper()
	for i := range n {
		if _, err := s.DynamoDB.PutItem(t.Context(), &dynamodb.PutItemInput{
			TableName: aws.String(s.Outputs["ConnectionsTableName"]), Item: GoneConnection(i),
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// GoneConnection returns the i-th row of a connection that does not exist. It connected so long ago that it counts as
// gone.
func GoneConnection(i int) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{
		"connectionId": &types.AttributeValueMemberS{Value: fmt.Sprintf("GhostGhost%05d=", i)},
		"connectedAt":  &types.AttributeValueMemberN{Value: "1000"},
		"expiresAt":    &types.AttributeValueMemberN{Value: "99999999999"},
	}
}

// Enqueue publishes body as a backend does, and returns the broadcast's id.
func (s *Services) Enqueue(t testing.TB, body string) string {
	t.Helper()
	out, err := s.SQS.SendMessage(t.Context(), &sqs.SendMessageInput{
		QueueUrl: aws.String(s.Outputs["BroadcastQueueUrl"]), MessageBody: &body,
	})
	if err != nil {
		t.Fatal(err)
	}
	return *out.MessageId
}

// Queued returns the number of messages in a queue: visible, hidden and delayed.
func (s *Services) Queued(t testing.TB, queue string) int {
	t.Helper()
	out, err := s.SQS.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{
		QueueUrl: aws.String(s.QueueURL(queue)), AttributeNames: []sqstypes.QueueAttributeName{"All"},
	})
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for _, state := range []string{"", "NotVisible", "Delayed"} {
		n, err := strconv.Atoi(out.Attributes["ApproximateNumberOfMessages"+state])
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return sum
}

// Report waits until no delivery of the broadcast is outstanding, and returns the ledger's report.
func (s *Services) Report(t testing.TB, id string) ledger.Report {
	t.Helper()
	var r ledger.Report
	Eventually(t, "no delivery of broadcast "+id+" is outstanding", func() bool {
		var err error
		if r, err = s.Ledger().Report(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		return r.Dispatched && r.Outstanding == 0
	})
	return r
}

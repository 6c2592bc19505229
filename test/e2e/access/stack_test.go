// Package access_test tests every mode of access over real sockets, on Fanfare's template.
package access_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"fanfare/local/stack"
	"fanfare/local/template"
	"fanfare/test/awstest"
	"fanfare/test/localtest"
	"fanfare/test/tokentest"
	"fanfare/test/wsclient"
)

func TestMain(m *testing.M) {
	os.Setenv("GOFLAGS", localtest.Flags) // the functions are built by this process
	os.Exit(m.Run())
}

// deployment is a running stack and its secret. The stack runs in the test's process, because the tests count
// invocations and search everything that functions and services log for tokens; the program prints only a part of
// either.
type deployment struct {
	*localtest.Stack
	secret []byte // nil for a stack without one
}

// start runs the stack with these parameters until the test ends.
func start(t *testing.T, parameters map[string]string) *deployment {
	t.Helper()
	s, err := localtest.StartStack(t, localtest.Template(), stack.Options{
		BuildDir: localtest.BuildDir(), Template: template.Options{StackName: "fanfare", Parameters: parameters},
	})
	if err != nil {
		t.Fatal(err)
	}
	d := &deployment{Stack: s}
	if arn := s.Outputs["TokenSecretArn"]; arn != "" {
		client := secretsmanager.NewFromConfig(awstest.Config(s.Endpoint))
		out, err := client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &arn})
		if err != nil {
			t.Fatal(err)
		}
		d.secret = []byte(aws.ToString(out.SecretString))
	}
	return d
}

// invoked returns the number of invocations of a function, by its name without the stack's.
func (d *deployment) invoked(function string) int { return d.Invocations("fanfare-" + function) }

// rows returns the number of rows in the connections table.
func (d *deployment) rows(t *testing.T) int {
	t.Helper()
	return len(d.ConnectionRows(t))
}

// broadcasts returns the number of broadcasts in the ledger.
func (d *deployment) broadcasts(t *testing.T) int {
	t.Helper()
	ids := make(map[string]bool)
	pages := dynamodb.NewScanPaginator(d.DynamoDB, &dynamodb.ScanInput{
		TableName: aws.String(d.Outputs["BroadcastsTableName"]), ConsistentRead: aws.Bool(true),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Items {
			ids[item["broadcastId"].(*types.AttributeValueMemberS).Value] = true
		}
	}
	return len(ids)
}

// signed signs claims with the stack's secret.
func (d *deployment) signed(claims tokentest.Claims) string {
	claims = claims.With(tokentest.Claims{"iss": "fanfare"})
	return tokentest.Token(`{"alg":"HS256","typ":"JWT"}`, claims, tokentest.HS256(d.secret))
}

// issuer serves a JWK set, as the jwks_uri of an identity provider does.
func issuer(t *testing.T, set []byte) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(set) }))
	t.Cleanup(server.Close)
	return server.URL
}

// handshake is the part of a client's request that may hold a token.
type handshake struct {
	protocols []string
	header    http.Header
	query     string
}

// bearer holds a token as browsers send it; "" is no token.
func bearer(token string) handshake {
	if token == "" {
		return handshake{}
	}
	return handshake{protocols: []string{"fanfare.bearer", token}}
}

// connect opens a connection until the test ends, and returns the handshake's status: 101, or that of a refusal, with
// nil.
func (d *deployment) connect(t *testing.T, h handshake) (*wsclient.Client, int) {
	t.Helper()
	c, err := wsclient.Dial(localtest.Context(t), d.WebSocket+h.query, wsclient.Options{
		Subprotocols: h.protocols, Header: h.header,
	})
	if status := wsclient.Refused(err); status != 0 {
		return nil, status
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Abort)
	return c, http.StatusSwitchingProtocols
}

// mustConnect opens a connection and fails the test if it is refused.
func (d *deployment) mustConnect(t *testing.T, h handshake) *wsclient.Client {
	t.Helper()
	c, status := d.connect(t, h)
	if c == nil {
		t.Fatalf("connect: got status %d, want 101", status)
	}
	return c
}

// skipTo waits for a frame with this payload, past others.
func skipTo(t *testing.T, c *wsclient.Client, payload string) {
	t.Helper()
	for c.MustNext(t) != payload {
	}
}

// outcome returns the outcome of a publish: "ack" or the code of the error.
func outcome(reply wsclient.Reply) string {
	if reply.Type == "ack" {
		return "ack"
	}
	return reply.Code
}

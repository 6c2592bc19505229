// Package access_test tries every mode of access over real sockets, on the stack as it is deployed.
package access_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"fanfare/local/lambda"
	"fanfare/local/stack"
	"fanfare/local/template"
	"fanfare/test/awstest"
	"fanfare/test/localtest"
	"fanfare/test/tokentest"
)

// patience is how long anything may take; a test that waits so long has failed.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	os.Setenv("GOFLAGS", localtest.Flags) // the functions are built by this process
	os.Exit(m.Run())
}

// world is a running stack.
type world struct {
	*stack.Stack
	dynamodb *dynamodb.Client
	sqs      *sqs.Client
	secret   []byte // of a stack that has one

	mu          sync.Mutex
	invocations map[string]int // by function, without the stack's name
	logs        strings.Builder
}

// start runs the stack with these parameters until the test ends.
func start(t *testing.T, parameters map[string]string) *world {
	t.Helper()
	w := &world{invocations: make(map[string]int)}
	starting, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // it builds the functions
	defer cancel()
	var err error
	w.Stack, err = stack.Start(starting, "../../../template.yaml", stack.Options{
		BuildDir: localtest.BuildDir(), Template: template.Options{StackName: "fanfare", Parameters: parameters},
		Log: slog.New(slog.NewTextHandler(&lockedWriter{w: w}, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Output: func(_, _ string, line []byte) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.logs.Write(line)
			w.logs.WriteByte('\n')
		},
		Invocation: func(r lambda.Report) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.invocations[strings.TrimPrefix(r.Function, "fanfare-")]++
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := w.Stop(ctx); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the functions' logs:\n%s", w.log())
		}
	})
	cfg := awstest.Config(w.AWSEndpoint)
	w.dynamodb, w.sqs = dynamodb.NewFromConfig(cfg), sqs.NewFromConfig(cfg)
	if arn := w.output("TokenSecretArn"); arn != "" {
		out, err := secretsmanager.NewFromConfig(cfg).GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &arn})
		if err != nil {
			t.Fatal(err)
		}
		w.secret = []byte(aws.ToString(out.SecretString))
	}
	return w
}

type lockedWriter struct{ w *world }

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return l.w.logs.Write(p)
}

func (w *world) log() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.logs.String()
}

// invoked returns how often a function has been.
func (w *world) invoked(function string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.invocations[function]
}

func (w *world) output(name string) string {
	for _, output := range w.Resolved.Outputs {
		if output.Name == name {
			return w.Local(output.Value)
		}
	}
	return ""
}

// rows returns how many connections the table knows.
func (w *world) rows(t *testing.T) int {
	t.Helper()
	out, err := w.dynamodb.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String(w.output("ConnectionsTableName")), ConsistentRead: aws.Bool(true)})
	if err != nil {
		t.Fatal(err)
	}
	return int(out.Count)
}

// broadcasts returns how many the ledger knows.
func (w *world) broadcasts(t *testing.T) int {
	t.Helper()
	ids := make(map[string]bool)
	pages := dynamodb.NewScanPaginator(w.dynamodb, &dynamodb.ScanInput{TableName: aws.String(w.output("BroadcastsTableName")), ConsistentRead: aws.Bool(true)})
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

// enqueue publishes as a backend does.
func (w *world) enqueue(t *testing.T, body string) {
	t.Helper()
	if _, err := w.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: aws.String(w.output("BroadcastQueueUrl")), MessageBody: &body}); err != nil {
		t.Fatal(err)
	}
}

// signed signs claims with the stack's secret.
func (w *world) signed(claims tokentest.Claims) string {
	return tokentest.Token(`{"alg":"HS256","typ":"JWT"}`, claims.With(tokentest.Claims{"iss": "fanfare"}), tokentest.HS256(w.secret))
}

// issuer serves a JWK set, as a provider's jwks_uri does.
func issuer(t *testing.T, set []byte) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(set) }))
	t.Cleanup(server.Close)
	return server.URL
}

// client is a WebSocket client.
type client struct {
	conn     net.Conn
	protocol string
	frames   chan string
}

// handshake is what a client shows.
type handshake struct {
	protocols []string
	header    http.Header
	query     string
}

// bearer shows a token as browsers do.
func bearer(token string) handshake {
	if token == "" {
		return handshake{}
	}
	return handshake{protocols: []string{"fanfare.bearer", token}}
}

// connect opens a connection, or returns the status with which it was refused.
func (w *world) connect(t *testing.T, h handshake) (*client, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	dialer := ws.Dialer{Protocols: h.protocols, Header: ws.HandshakeHeaderHTTP(h.header)}
	conn, early, answer, err := dialer.Dial(ctx, "ws"+strings.TrimPrefix(w.Endpoints[0], "http")+h.query)
	if status, refused := err.(ws.StatusError); refused {
		return nil, int(status)
	}
	if err != nil {
		t.Fatal(err)
	}
	c := &client{conn: conn, protocol: answer.Protocol, frames: make(chan string, 1000)}
	t.Cleanup(func() { conn.Close() })
	var in io.Reader = conn
	if early != nil {
		in = early
	}
	go func() {
		defer close(c.frames)
		for {
			data, err := wsutil.ReadServerText(struct {
				io.Reader
				io.Writer
			}{in, conn})
			if err != nil {
				return
			}
			c.frames <- string(data)
		}
	}()
	return c, http.StatusSwitchingProtocols
}

// mustConnect opens a connection that may not be refused.
func (w *world) mustConnect(t *testing.T, h handshake) *client {
	t.Helper()
	c, status := w.connect(t, h)
	if c == nil {
		t.Fatalf("refused with %d", status)
	}
	return c
}

// next returns the next frame that the client gets.
func (c *client) next(t *testing.T) string {
	t.Helper()
	select {
	case frame, ok := <-c.frames:
		if !ok {
			t.Fatal("the connection was closed")
		}
		return frame
	case <-time.After(patience):
		t.Fatal("no frame came")
	}
	return ""
}

func (c *client) send(t *testing.T, text string) {
	t.Helper()
	if err := wsutil.WriteClientText(c.conn, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// reply is the answer to a client that publishes.
type reply struct{ Type, ID, Code, Message string }

// publish sends a frame and returns the answer to it. The broadcast itself may come before or after; it is put aside.
func (c *client) publish(t *testing.T, text string) reply {
	t.Helper()
	c.send(t, text)
	for {
		frame := c.next(t)
		var r reply
		if json.Unmarshal([]byte(frame), &r) == nil && (r.Type == "ack" || r.Type == "error") {
			return r
		}
	}
}

// receives waits until the client gets a frame, past others.
func (c *client) receives(t *testing.T, want string) {
	t.Helper()
	for c.next(t) != want {
	}
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never came to pass that %s", what)
		}
	}
}

// say describes an outcome in a word: the status of a refused handshake, the code of a refused publish, or "ack".
func (r reply) say() string {
	if r.Type == "ack" {
		return "ack"
	}
	return fmt.Sprint(r.Code)
}

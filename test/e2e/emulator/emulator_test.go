// Package emulator tests the local AWS as a whole, with our template and with those of others: real sockets, functions in
// processes of their own, AWS's SDK.
package emulator

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"go.uber.org/goleak"
	"go.yaml.in/yaml/v4"

	"fanfare/local/apigateway"
	"fanfare/local/lambda"
	"fanfare/local/stack"
	"fanfare/test/awstest"
	"fanfare/test/localtest"
)

const repository = "../../.."

// patience is how long anything may take before a test gives up. It is no measurement: nothing takes this long.
const patience = 90 * time.Second

// poll is how often a condition is looked at.
const poll = 10 * time.Millisecond

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := functions(); err == nil {
		os.RemoveAll(dir)
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// functions builds the functions of our template once, into <dir>/functions/<name>/bootstrap.
var functions = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "fanfare-emulator-")
	if err != nil {
		return "", err
	}
	entries, err := os.ReadDir(filepath.Join(repository, "functions"))
	if err != nil {
		return "", err
	}
	for _, entry := range entries {
		program, err := localtest.Program("functions/" + entry.Name())
		if err != nil {
			return "", err
		}
		folder := filepath.Join(dir, "functions", entry.Name())
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return "", err
		}
		if err := os.Symlink(program, filepath.Join(folder, "bootstrap")); err != nil {
			return "", err
		}
	}
	return dir, nil
})

// readTemplate reads a template for editing.
func readTemplate(t testing.TB, path string) *yaml.Node {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		t.Fatal(err)
	}
	return document.Content[0]
}

// at returns what stands under the keys, or nil.
func at(n *yaml.Node, keys ...string) *yaml.Node {
	for _, key := range keys {
		if n == nil || n.Kind != yaml.MappingNode {
			return nil
		}
		var found *yaml.Node
		for i := 0; i < len(n.Content); i += 2 {
			if n.Content[i].Value == key {
				found = n.Content[i+1]
			}
		}
		n = found
	}
	return n
}

// remove takes a key out of a mapping.
func remove(n *yaml.Node, key string) {
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			n.Content = slices.Delete(n.Content, i, i+2)
			return
		}
	}
}

// ours returns our template, with functions that are built already: a stack starts in no time.
func ours(t testing.TB) *yaml.Node {
	t.Helper()
	root := readTemplate(t, filepath.Join(repository, "template.yaml"))
	resources := at(root, "Resources")
	for i := 1; i < len(resources.Content); i += 2 {
		if at(resources.Content[i], "Metadata", "BuildMethod") != nil {
			remove(resources.Content[i], "Metadata")
		}
	}
	return root
}

// writeTemplate writes our template beside the functions, where its paths lead to them.
func writeTemplate(t testing.TB, root *yaml.Node) string {
	t.Helper()
	dir, err := functions()
	if err != nil {
		t.Fatal(err)
	}
	data, err := yaml.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.CreateTemp(dir, "*.yaml")
	if err == nil {
		_, err = file.Write(data)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Name()
}

// world is a running stack, with what it has told so far.
type world struct {
	*stack.Stack
	dynamodb *dynamodb.Client
	sqs      *sqs.Client

	mu    sync.Mutex
	lines []string
	posts []apigateway.Event
}

// start runs a template until the test ends.
func start(t testing.TB, path string, o stack.Options) *world {
	t.Helper()
	w, err := try(t, path, o)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// try is start, for templates that may not start.
func try(t testing.TB, path string, o stack.Options) (*world, error) {
	t.Helper()
	w := &world{}
	if o.BuildDir == "" {
		o.BuildDir = t.TempDir()
	}
	o.Output = func(function, _ string, line []byte) { w.tell(function + ": " + string(line)) }
	o.Invocation = func(r lambda.Report) {
		if r.Status != lambda.StatusSuccess {
			w.tell(r.String())
		}
	}
	o.Gateway = w.gateway
	var err error
	if w.Stack, err = stack.Start(t.Context(), path, o); err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := w.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
		if t.Failed() {
			t.Logf("the stack told:\n%s", w.told())
		}
	})
	cfg := awstest.Config(w.AWSEndpoint)
	w.dynamodb, w.sqs = dynamodb.NewFromConfig(cfg), sqs.NewFromConfig(cfg)
	return w, nil
}

func (w *world) tell(line string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, line)
}

func (w *world) told() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.lines, "\n")
}

func (w *world) gateway(e apigateway.Event) {
	if e.Kind == apigateway.Posted {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.posts = append(w.posts, e)
		return
	}
	if e.Err != nil || e.Kind == apigateway.Refused {
		w.tell(fmt.Sprintf("gateway: %s %s %d %s: %v", e.Kind, e.Route, e.Status, e.Reason, e.Err))
	}
}

// posted reports whether there was a management request of that method and status.
func (w *world) posted(method string, status int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.posts, func(e apigateway.Event) bool { return e.Method == method && e.Status == status })
}

// url is where clients connect.
func (w *world) url(api int) string { return "ws" + strings.TrimPrefix(w.Endpoints[api], "http") }

// until waits for a condition; its error is ctx's, with what was waited for.
func until(ctx context.Context, what string, done func() bool) error {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting until %s: %w", what, ctx.Err())
		}
	}
	return nil
}

// client is a WebSocket client that keeps what it receives.
type client struct {
	conn   closer
	mu     sync.Mutex
	frames []string
	closed chan ws.StatusCode
}

type closer interface {
	Write([]byte) (int, error)
	Read([]byte) (int, error)
	Close() error
}

// dial connects a client, until the test ends.
func dial(ctx context.Context, t testing.TB, url string, d ws.Dialer) (*client, error) {
	conn, early, _, err := d.Dial(ctx, url)
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn, closed: make(chan ws.StatusCode, 1)}
	done := make(chan struct{})
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	go func() {
		defer close(done)
		var reader interface {
			Read([]byte) (int, error)
		} = conn
		if early != nil {
			reader = early
		}
		for {
			data, _, err := wsutil.ReadServerData(struct {
				reading
				writing
			}{reader, conn})
			if err != nil {
				code := ws.StatusNoStatusRcvd
				if closed, ok := err.(wsutil.ClosedError); ok {
					code = closed.Code
				}
				c.closed <- code
				return
			}
			c.mu.Lock()
			c.frames = append(c.frames, string(data))
			c.mu.Unlock()
		}
	}()
	return c, nil
}

type (
	reading interface{ Read([]byte) (int, error) }
	writing interface{ Write([]byte) (int, error) }
)

func (c *client) send(text string) error { return wsutil.WriteClientText(c.conn, []byte(text)) }

// received returns the frames so far.
func (c *client) received() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.frames)
}

// has waits until the client has received a frame that contains the text.
func (c *client) has(ctx context.Context, text string) error {
	return until(ctx, fmt.Sprintf("a client receives %.60q", text), func() bool {
		return slices.ContainsFunc(c.received(), func(f string) bool { return strings.Contains(f, text) })
	})
}

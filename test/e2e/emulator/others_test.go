package emulator

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/gobwas/ws"
	"go.yaml.in/yaml/v4"

	"fanfare/local/clock"
	"fanfare/local/stack"
	"fanfare/local/template"
	"fanfare/test/localtest"
)

// These tests run the applications of templates that are not ours (see local/template/testdata), with functions in Go and
// in Python.

// application puts a template into a folder with its functions, ready to run, and returns the template's path.
// programs say what each CodeUri holds: a Go package or a Python file of testdata.
func application(t *testing.T, root *yaml.Node, programs map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for folder, program := range programs {
		folder = filepath.Join(dir, folder)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		bootstrap := filepath.Join(folder, "bootstrap")
		if !strings.HasSuffix(program, ".py") {
			cmd := exec.Command("go", "build", "-o", bootstrap, "./testdata/"+program)
			cmd.Env = localtest.Environment()
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			continue
		}
		// The interpreter's own path: a version manager's would not work in a function's environment.
		python, err := exec.Command("python3", "-c", "import sys; print(sys.executable)").Output()
		if err != nil {
			t.Skip("no python3 to run functions that are not Go: ", err)
		}
		source := []byte("#!" + string(python))
		for _, file := range []string{"runtime.py", program} {
			text, err := os.ReadFile(filepath.Join("testdata", file))
			if err != nil {
				t.Fatal(err)
			}
			source = append(source, text...)
		}
		if err := os.WriteFile(bootstrap, source, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	data, err := yaml.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "template.yaml")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func theirs(t *testing.T, name string) *yaml.Node {
	t.Helper()
	return readTemplate(t, filepath.Join(repository, "local/template/testdata", name))
}

// refused reports the status with which a handshake is refused.
func refused(t *testing.T, url string, d ws.Dialer) int {
	t.Helper()
	c, err := dial(t.Context(), t, url, d)
	if err == nil {
		c.conn.Close()
		return http.StatusSwitchingProtocols
	}
	status, ok := err.(ws.StatusError)
	if !ok {
		t.Fatal(err)
	}
	return int(status)
}

func patient(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// must ends the test on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestChatWithAnAuthorizerAndAQueue(t *testing.T) {
	t.Parallel()
	programs := map[string]string{
		"functions/auth": "chat/auth.py", "functions/deliver": "chat/deliver.py", "functions/connect": "chat/connect", "functions/send": "chat/send",
	}
	root := theirs(t, "chat.yaml")
	resources := at(root, "Resources")
	for _, built := range []string{"ConnectFunction", "SendFunction"} {
		remove(at(resources, built), "Metadata")
	}

	// Its secondary index is refused by name, with its place.
	if _, err := try(t, application(t, root, programs), stack.Options{}); err == nil ||
		!strings.Contains(err.Error(), "Connections: secondary indexes are not emulated") || !strings.Contains(err.Error(), "template.yaml:") {
		t.Fatalf("with a secondary index: %v", err)
	}
	table := at(resources, "Connections", "Properties")
	remove(table, "GlobalSecondaryIndexes")
	definitions := at(table, "AttributeDefinitions")
	definitions.Content = definitions.Content[:1]

	// API Gateway needs one more permission than its author has written.
	resources.Content = append(resources.Content, text("SendPermission"), allowInvoking("SendFunction"))

	w := start(t, application(t, root, programs), stack.Options{Clock: clock.New(20), Template: template.Options{StackName: "chat"}}) // hides messages for 3 s
	ctx := patient(t)
	for query, want := range map[string]int{
		"": http.StatusUnauthorized, "?token=": http.StatusUnauthorized, "?token=nobody": http.StatusUnauthorized,
		"?token=mallory": http.StatusForbidden, "?token=broken": http.StatusInternalServerError,
	} {
		if got := refused(t, w.url(0)+query, ws.Dialer{}); got != want {
			t.Errorf("%q is answered with %d, want %d", query, got, want)
		}
	}
	if n := strings.Count(w.told(), "asked about"); n != 3 {
		t.Errorf("the authorizer was asked %d times, want 3: without a token it is not", n)
	}

	c, err := dial(ctx, t, w.url(0)+"?token=alice", ws.Dialer{})
	must(t, err)
	rows, err := w.dynamodb.Scan(ctx, &dynamodb.ScanInput{TableName: aws.String("chat_connections")})
	must(t, err)
	if len(rows.Items) != 1 || rows.Items[0]["user"].(*types.AttributeValueMemberS).Value != "alice" ||
		rows.Items[0]["level"].(*types.AttributeValueMemberS).Value != "string 3" { // contexts are stringified
		t.Errorf("the rows are %v", rows.Items)
	}

	must(t, c.send(`{"action":"send-message","text":"hello"}`))
	must(t, until(ctx, "the message comes through the queue", func() bool { return strings.Contains(w.told(), "delivering hello of alice") }))
	must(t, c.send(`{"action":"nonsense"}`)) // there is no $default
	must(t, c.has(ctx, `"message": "Forbidden"`))

	// The one that fails is tried five times and then kept aside; nothing else comes back.
	must(t, c.send(`{"action":"send-message","text":"bad"}`))
	must(t, until(ctx, "it is a dead letter", func() bool {
		out, err := w.sqs.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: aws.String(w.AWSEndpoint + "/000000000000/chat-dead")})
		return err == nil && len(out.Messages) == 1 && strings.Contains(*out.Messages[0].Body, `"bad"`)
	}))
	told := w.told()
	if hello, bad := strings.Count(told, "delivering hello"), strings.Count(told, "delivering bad"); hello != 1 || bad != 5 {
		t.Errorf("hello was delivered %d times and bad %d times, want 1 and 5", hello, bad)
	}
	// The API's canonical URL leads here.
	if !strings.Contains(told, "callback "+w.Endpoints[0]) {
		t.Errorf("the callback URL does not lead to %s", w.Endpoints[0])
	}
}

// allowInvoking is a permission of API Gateway to invoke a function.
func allowInvoking(function string) *yaml.Node {
	return &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{
		text("Type"), text("AWS::Lambda::Permission"), text("Properties"), {Kind: yaml.MappingNode, Content: []*yaml.Node{
			text("Action"), text("lambda:InvokeFunction"), text("Principal"), text("apigateway.amazonaws.com"),
			text("FunctionName"), reference(function),
		}},
	}}
}

func reference(id string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!Ref", Style: yaml.TaggedStyle, Value: id}
}

func TestEchoWithRouteResponses(t *testing.T) {
	t.Parallel()
	w := start(t, application(t, theirs(t, "echo.yaml"), map[string]string{"echo": "echo/echo.py"}), stack.Options{})
	ctx := patient(t)
	c, err := dial(ctx, t, w.url(0), ws.Dialer{})
	must(t, err)
	for _, test := range []struct{ send, has string }{
		{"hello", "green: hello"},
		{`{"action":"unknown"}`, `green: {"action":"unknown"}`},
		{`{"action":"ping"}`, `{"type":"pong"}`},
		{"fail", `"message": "Internal server error"`},
	} {
		before := len(c.received())
		must(t, c.send(test.send))
		must(t, until(ctx, "there is an answer", func() bool { return len(c.received()) > before }))
		if got := c.received()[before]; !strings.Contains(got, test.has) {
			t.Errorf("%s is answered with %s, want %s", test.send, got, test.has)
		}
	}
	must(t, until(ctx, "the failure is told", func() bool { return strings.Contains(w.told(), "asked to") }))
}

func TestRoomsOfTheShortForm(t *testing.T) {
	t.Parallel()
	root := theirs(t, "rooms.yaml")
	// Its function has no other way to learn the table's name.
	join := at(root, "Resources", "Join", "Properties")
	join.Content = append(join.Content, text("Environment"), &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{
		text("Variables"), {Kind: yaml.MappingNode, Content: []*yaml.Node{text("MEMBERS"), reference("Members")}},
	}})
	path := application(t, root, map[string]string{"guard": "rooms/guard.py", "say": "rooms/say.py", "join": "rooms/join"})
	w := start(t, path, stack.Options{Template: template.Options{StackName: "rooms"}})
	ctx := patient(t)
	if len(w.Endpoints) != 2 || !strings.HasSuffix(w.Endpoints[0], "/live") {
		t.Fatalf("the endpoints are %v", w.Endpoints)
	}
	if got := refused(t, w.url(0), ws.Dialer{}); got != http.StatusUnauthorized {
		t.Errorf("without the header: %d", got)
	}
	c, err := dial(ctx, t, w.url(0), ws.Dialer{Header: ws.HandshakeHeaderHTTP{"Authorization": {"me"}}})
	must(t, err)
	members := func() int {
		out, err := w.dynamodb.Scan(ctx, &dynamodb.ScanInput{TableName: &w.Resolved.Tables[0].Name})
		must(t, err)
		return len(out.Items)
	}
	if n := members(); n != 1 {
		t.Errorf("%d members after one has joined", n)
	}

	// A function without the permission is denied by name.
	must(t, c.send(`{"type":"sendMessage"}`))
	must(t, until(ctx, "the post is denied", func() bool { return strings.Contains(w.told(), "live 403") }))
	must(t, c.send("anything else")) // $default has no route response either: the short form makes none
	must(t, until(ctx, "the post is denied", func() bool { return strings.Count(w.told(), "live 403") == 2 }))
	for _, want := range []string{"/rooms-Say is not authorized to perform: execute-api:ManageConnections on resource: arn:aws:execute-api:us-east-1:",
		"/live/POST/@connections/"} {
		if !strings.Contains(w.told(), want) {
			t.Errorf("the denial does not name %q", want)
		}
	}
	if frames := c.received(); len(frames) != 0 {
		t.Errorf("without a route response the client receives %v", frames)
	}

	// The other API has no authorizer, and the function serves a queue, too.
	plain, err := dial(ctx, t, w.url(1), ws.Dialer{})
	must(t, err)
	must(t, plain.send("anything"))
	url := ""
	for _, q := range w.Resolved.Queues {
		url = q.URL
	}
	_, err = w.sqs.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("x")})
	must(t, err)
	must(t, until(ctx, "the queue's message is taken", func() bool { return strings.Contains(w.told(), "lost: 1") }))
	if frames := plain.received(); len(frames) != 0 {
		t.Errorf("the other API answers %v", frames)
	}

	// DynamoDBWritePolicy does not let anyone delete, on AWS either.
	c.conn.Close()
	must(t, until(ctx, "the deletion is denied", func() bool {
		return strings.Contains(w.told(), "/rooms-Join is not authorized to perform: dynamodb:DeleteItem on resource: arn:aws:dynamodb:us-east-1:000000000000:table/rooms-Members")
	}))
	if n := members(); n != 1 {
		t.Errorf("%d members are left", n)
	}
}

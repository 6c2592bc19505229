package emulator

import (
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
	"go.yaml.in/yaml/v4"

	"fanfare/local/clock"
	"fanfare/local/stack"
	"fanfare/local/template"
	"fanfare/test/localtest"
	"fanfare/test/wsclient"
)

// These tests run applications of other templates than Fanfare's (local/template/testdata), with functions in Go and in
// Python.

// application writes a template into a folder with its functions, ready to run, and returns the template's path.
// programs maps each CodeUri to a Go package or a Python file of testdata.
func application(t *testing.T, root *yaml.Node, programs map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for folder, program := range programs {
		folder = filepath.Join(dir, folder)
		must(t, os.MkdirAll(folder, 0o755))
		bootstrap := filepath.Join(folder, "bootstrap")
		if !strings.HasSuffix(program, ".py") {
			cmd := exec.Command("go", "build", "-o", bootstrap, "./testdata/"+program)
			cmd.Env = localtest.Environment()
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("build %s: %v\n%s", program, err, out)
			}
			continue
		}
		// The path of the interpreter itself: the shim of a version manager does not work in a function's environment.
		python, err := exec.Command("python3", "-c", "import sys; print(sys.executable)").Output()
		if err != nil {
			t.Skip("NOT RUN: this needs python3: ", err)
		}
		source := []byte("#!" + string(python))
		for _, file := range []string{"runtime.py", program} {
			text, err := os.ReadFile(filepath.Join("testdata", file))
			must(t, err)
			source = append(source, text...)
		}
		must(t, os.WriteFile(bootstrap, source, 0o755))
	}
	data, err := yaml.Marshal(root)
	must(t, err)
	path := filepath.Join(dir, "template.yaml")
	must(t, os.WriteFile(path, data, 0o644))
	return path
}

// exampleTemplate reads a template of local/template/testdata.
func exampleTemplate(t *testing.T, name string) *yaml.Node {
	t.Helper()
	return readTemplate(t, filepath.Join(localtest.Root(), "local", "template", "testdata", name))
}

// status returns the status of a handshake. An accepted connection is closed.
func status(t *testing.T, url string, o wsclient.Options) int {
	t.Helper()
	c, err := wsclient.Dial(localtest.Context(t), url, o)
	if err == nil {
		c.Close()
		return http.StatusSwitchingProtocols
	}
	code := wsclient.Refused(err)
	if code == 0 {
		t.Fatal(err)
	}
	return code
}

// must ends the test on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// The application chat has an authorizer, a queue with a dead-letter queue, and no $default route.
func TestTemplate_Chat(t *testing.T) {
	t.Parallel()
	programs := map[string]string{
		"functions/auth": "chat/auth.py", "functions/deliver": "chat/deliver.py",
		"functions/connect": "chat/connect", "functions/send": "chat/send",
	}
	root := exampleTemplate(t, "chat.yaml")
	resources := at(root, "Resources")
	for _, built := range []string{"ConnectFunction", "SendFunction"} {
		remove(at(resources, built), "Metadata")
	}

	// Its secondary index is refused with its name and its place.
	_, err := tryStart(t, application(t, root, programs), stack.Options{})
	want := "Connections: index rooms: secondary indexes are not emulated"
	if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "template.yaml:") {
		t.Fatalf("secondary index: got %v, want %q with its place", err, want)
	}
	table := at(resources, "Connections", "Properties")
	remove(table, "GlobalSecondaryIndexes")
	definitions := at(table, "AttributeDefinitions")
	definitions.Content = definitions.Content[:1]

	// The template lacks a permission that API Gateway needs.
	resources.Content = append(resources.Content, text("SendPermission"), allowInvoking("SendFunction"))

	s := start(t, application(t, root, programs), stack.Options{
		Clock:    clock.New(20), // a message is hidden for 3 s
		Template: template.Options{StackName: "chat"},
	})
	ctx := localtest.Context(t)
	for query, want := range map[string]int{
		"": http.StatusUnauthorized, "?token=": http.StatusUnauthorized, "?token=unknown": http.StatusUnauthorized,
		"?token=mallory": http.StatusForbidden, "?token=broken": http.StatusInternalServerError,
	} {
		if got := status(t, s.WebSocket+query, wsclient.Options{}); got != want {
			t.Errorf("handshake with %q: got status %d, want %d", query, got, want)
		}
	}
	if got := strings.Count(s.LogText(), "asked about"); got != 3 {
		t.Errorf("got %d invocations of the authorizer, want 3: none without a token", got)
	}

	c := wsclient.Connect(t, s.WebSocket+"?token=alice", wsclient.Options{})
	rows, err := s.DynamoDB.Scan(ctx, &dynamodb.ScanInput{TableName: aws.String("chat_connections")})
	must(t, err)
	attribute := func(name string) string {
		value, _ := rows.Items[0][name].(*types.AttributeValueMemberS)
		if value == nil {
			return ""
		}
		return value.Value
	}
	// API Gateway makes strings of the values of an authorizer's context.
	if len(rows.Items) != 1 || attribute("user") != "alice" || attribute("level") != "string 3" {
		t.Errorf("got the rows %v, want one of alice with level string 3", rows.Items)
	}

	c.MustSend(t, `{"action":"send-message","text":"hello"}`)
	localtest.Eventually(t, "the message passes the queue", func() bool {
		return strings.Contains(s.LogText(), "delivering hello of alice")
	})
	c.MustSend(t, `{"action":"nonsense"}`) // there is no $default
	must(t, c.AwaitContaining(ctx, `"message": "Forbidden"`))

	// A message that fails becomes a dead letter after five attempts. The other one is not repeated.
	c.MustSend(t, `{"action":"send-message","text":"bad"}`)
	localtest.Eventually(t, "the failed message is a dead letter", func() bool {
		out, err := s.SQS.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: aws.String(s.QueueURL("chat-dead"))})
		return err == nil && len(out.Messages) == 1 && strings.Contains(*out.Messages[0].Body, `"bad"`)
	})
	log := s.LogText()
	if hello, bad := strings.Count(log, "delivering hello"), strings.Count(log, "delivering bad"); hello != 1 || bad != 5 {
		t.Errorf("got %d deliveries of hello and %d of bad, want 1 and 5", hello, bad)
	}
	// The function gets the local URL of the API in place of AWS's.
	if want := "callback " + s.Endpoints[0]; !strings.Contains(log, want) {
		t.Errorf("got a log without %q, want that callback URL", want)
	}
}

// allowInvoking returns a permission of API Gateway to invoke a function.
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

// The application echo has route responses and a mock integration.
func TestTemplate_Echo(t *testing.T) {
	t.Parallel()
	s := startEcho(t, stack.Options{})
	c := wsclient.Connect(t, s.WebSocket, wsclient.Options{})
	for _, test := range []struct{ frame, want string }{
		{"hello", "green: hello"},
		{`{"action":"unknown"}`, `green: {"action":"unknown"}`},
		{`{"action":"ping"}`, `{"type":"pong"}`},
		{"fail", `"message": "Internal server error"`},
	} {
		c.MustSend(t, test.frame)
		if got := c.MustNext(t); !strings.Contains(got, test.want) {
			t.Errorf("%s: got %s, want %s", test.frame, got, test.want)
		}
	}
	localtest.Eventually(t, "the failure is logged", func() bool { return strings.Contains(s.LogText(), "asked to") })
}

// The application rooms is written in SAM's short form of WebSocket APIs, and has two of them.
func TestTemplate_Rooms(t *testing.T) {
	t.Parallel()
	root := exampleTemplate(t, "rooms.yaml")
	// The function Join gets the table's name, which the template does not hand to it.
	join := at(root, "Resources", "Join", "Properties")
	join.Content = append(join.Content, text("Environment"), &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{
		text("Variables"), {Kind: yaml.MappingNode, Content: []*yaml.Node{text("MEMBERS"), reference("Members")}},
	}})
	path := application(t, root, map[string]string{
		"guard": "rooms/guard.py", "say": "rooms/say.py", "join": "rooms/join",
	})
	s := start(t, path, stack.Options{Template: template.Options{StackName: "rooms"}})
	ctx := localtest.Context(t)
	if len(s.Endpoints) != 2 || !strings.HasSuffix(s.Endpoints[0], "/live") {
		t.Fatalf("got the endpoints %v, want 2, the first with the stage live", s.Endpoints)
	}
	if got := status(t, s.WebSocket, wsclient.Options{}); got != http.StatusUnauthorized {
		t.Errorf("without the header: got status %d, want 401", got)
	}
	c := wsclient.Connect(t, s.WebSocket, wsclient.Options{Header: http.Header{"Authorization": {"me"}}})
	members := func() int {
		out, err := s.DynamoDB.Scan(ctx, &dynamodb.ScanInput{TableName: &s.Resolved.Tables[0].Name})
		must(t, err)
		return len(out.Items)
	}
	if got := members(); got != 1 {
		t.Errorf("after one connect: got %d members, want 1", got)
	}

	// A function without the permission to post is denied. Neither route has a response: the short form makes none.
	c.MustSend(t, `{"type":"sendMessage"}`)
	localtest.Eventually(t, "the post is denied", func() bool { return strings.Contains(s.LogText(), "live 403") })
	c.MustSend(t, "anything else") // goes to $default
	localtest.Eventually(t, "the post of $default is denied", func() bool {
		return strings.Count(s.LogText(), "live 403") == 2
	})
	for _, want := range []string{
		"/rooms-Say is not authorized to perform: execute-api:ManageConnections on resource: arn:aws:execute-api:us-east-1:",
		"/live/POST/@connections/",
	} {
		if !strings.Contains(s.LogText(), want) {
			t.Errorf("got a denial without %q, want it named", want)
		}
	}
	if got := c.Frames(); len(got) != 0 {
		t.Errorf("got the frames %v, want none without a route response", got)
	}

	// The other API has no authorizer. Its function also serves a queue.
	plain := wsclient.Connect(t, s.WebSocketURL(1), wsclient.Options{})
	plain.MustSend(t, "anything")
	url := ""
	for _, q := range s.Resolved.Queues {
		url = q.URL
	}
	_, err := s.SQS.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("x")})
	must(t, err)
	localtest.Eventually(t, "the queue's message is received", func() bool {
		return strings.Contains(s.LogText(), "lost: 1")
	})
	if got := plain.Frames(); len(got) != 0 {
		t.Errorf("other API: got the frames %v, want none", got)
	}

	// DynamoDBWritePolicy does not allow to delete, on AWS either.
	c.Close()
	localtest.Eventually(t, "the deletion is denied", func() bool {
		return strings.Contains(s.LogText(), "/rooms-Join is not authorized to perform: dynamodb:DeleteItem on resource: "+
			"arn:aws:dynamodb:us-east-1:000000000000:table/rooms-Members")
	})
	if got := members(); got != 1 {
		t.Errorf("after the denial: got %d members, want 1", got)
	}
}

package emulator

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"go.yaml.in/yaml/v4"

	"fanfare/local/clock"
	"fanfare/local/stack"
	"fanfare/local/template"
	"fanfare/test/awstest"
	"fanfare/test/localtest"
	"fanfare/test/tokentest"
	"fanfare/test/wsclient"
)

// notEmulated are actions of services that local/ does not emulate, by the service's name: Lambda writes a function's
// logs, and the X-Ray daemon its segments, with the function's role. No test here can show that they are needed.
var notEmulated = map[string]string{
	"logs:CreateLogStream":     "CloudWatch Logs",
	"logs:PutLogEvents":        "CloudWatch Logs",
	"xray:PutTraceSegments":    "X-Ray",
	"xray:PutTelemetryRecords": "X-Ray",
}

// permission is one action on one resource that a role's policy allows, or a permission to invoke a function.
type permission struct {
	holder    string // logical id of the role, or of the AWS::Lambda::Permission
	statement int
	action    string
	resource  int // index in the statement's resources
	function  string
}

func (p permission) String() string {
	if p.action == "lambda:InvokeFunction" {
		return p.holder + ": " + p.action
	}
	return fmt.Sprintf("%s: statement %d: %s on resource %d", p.holder, p.statement+1, p.action, p.resource+1)
}

// list returns the items of a list, or the single item that IAM accepts instead of a list.
func list(n *yaml.Node) []*yaml.Node {
	if n.Kind == yaml.SequenceNode {
		return n.Content
	}
	return []*yaml.Node{n}
}

func sequence(items ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: items}
}

// statements returns the list of statements of a role's policy. Each role of Fanfare's has one policy.
func statements(role *yaml.Node) *yaml.Node {
	return at(list(at(role, "Properties", "Policies"))[0], "PolicyDocument", "Statement")
}

// resolveConditions replaces every choice between two statements by the first: with the parameters of exerciseOptions
// all conditions are true.
func resolveConditions(all *yaml.Node) {
	for i, statement := range all.Content {
		if statement.Tag == "!If" {
			all.Content[i] = statement.Content[1]
		}
	}
}

// permissions returns every permission of the template.
func permissions(root *yaml.Node) []permission {
	var all []permission
	resources := at(root, "Resources")
	for i := 0; i < len(resources.Content); i += 2 {
		id, resource := resources.Content[i].Value, resources.Content[i+1]
		switch at(resource, "Type").Value {
		case "AWS::IAM::Role":
			for s, statement := range statements(resource).Content {
				for _, action := range list(at(statement, "Action")) {
					for r := range list(at(statement, "Resource")) {
						all = append(all, permission{
							holder: id, statement: s, action: action.Value, resource: r, function: strings.TrimSuffix(id, "Role"),
						})
					}
				}
			}
		case "AWS::Lambda::Permission":
			all = append(all, permission{holder: id, action: at(resource, "Properties", "Action").Value})
		}
	}
	return all
}

// removeFrom removes the permission from the template.
func (p permission) removeFrom(root *yaml.Node) {
	resources := at(root, "Resources")
	if p.action == "lambda:InvokeFunction" {
		remove(resources, p.holder)
		return
	}
	all := statements(at(resources, p.holder))
	old := all.Content[p.statement]
	var kept []*yaml.Node
	for _, action := range list(at(old, "Action")) {
		var on []*yaml.Node
		for r, resource := range list(at(old, "Resource")) {
			if action.Value != p.action || r != p.resource {
				on = append(on, resource)
			}
		}
		if len(on) > 0 {
			kept = append(kept, statement(sequence(action), sequence(on...)))
		}
	}
	all.Content = slices.Replace(all.Content, p.statement, p.statement+1, kept...)
}

func statement(action, resource *yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: []*yaml.Node{
		text("Effect"), text("Allow"), text("Action"), action, text("Resource"), resource,
	}}
}

func text(s string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.DoubleQuotedStyle, Value: s}
}

// exerciseTemplate returns Fanfare's template with short timeouts: a dispatcher reads one page and hands on the rest,
// and a sender soon gives up recording an outcome.
func exerciseTemplate(t testing.TB) *yaml.Node {
	root := fanfareTemplate(t)
	at(root, "Resources", "DispatcherFunction", "Properties", "Timeout").Value = "15"
	at(root, "Resources", "SenderFunction", "Properties", "Timeout").Value = "10"
	resources := at(root, "Resources")
	for i := 1; i < len(resources.Content); i += 2 {
		if at(resources.Content[i], "Type").Value == "AWS::IAM::Role" {
			resolveConditions(statements(resources.Content[i]))
		}
	}
	return root
}

func exerciseOptions() stack.Options {
	return stack.Options{
		Clock: clock.New(10),
		Template: template.Options{StackName: "fanfare", Parameters: map[string]string{
			"FullBuffers": "disconnect", "MaxAttempts": "2", "ScanSegments": "1", "Access": "jwt", "PublishesPerSecond": "100",
		}},
	}
}

// exercise makes the stack use every permission that it has, until ctx ends.
func exercise(ctx context.Context, t testing.TB, s *localtest.Stack) error {
	token, err := publisherToken(ctx, s)
	if err != nil {
		return err
	}
	var clients []*wsclient.Client
	for range 4 {
		c, err := dial(ctx, t, s.WebSocket, wsclient.Options{Subprotocols: []string{"fanfare.bearer", token}})
		if err != nil {
			return fmt.Errorf("connect: %w", err)
		}
		clients = append(clients, c)
	}
	table := aws.String(s.Outputs["ConnectionsTableName"])
	unmarked := localtest.GoneConnection(0)
	rows := func() int { // all but the unmarked one
		out, err := s.DynamoDB.Scan(ctx, &dynamodb.ScanInput{
			TableName: table, Select: types.SelectCount, FilterExpression: aws.String("connectionId <> :unmarked"),
			ExpressionAttributeValues: map[string]types.AttributeValue{":unmarked": unmarked["connectionId"]},
		})
		if err != nil {
			return -1
		}
		return int(out.Count)
	}
	clients[3].Close()
	untilRows := func(n int) error {
		return localtest.Until(ctx, fmt.Sprintf("%d rows are left", n), func() bool { return rows() == n })
	}
	if err := untilRows(3); err != nil {
		return err
	}

	// A client publishes, then a backend.
	if err := clients[0].Send(ctx, "hello"); err != nil {
		return err
	}
	if err := clients[1].Await(ctx, "hello"); err != nil {
		return err
	}
	queue := func(name, body string) (string, error) {
		url := s.QueueURL("websocket-" + name)
		out, err := s.SQS.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &url, MessageBody: &body})
		if err != nil {
			return "", err
		}
		return *out.MessageId, nil
	}
	id, err := queue("broadcast", "from a backend")
	if err != nil {
		return err
	}
	if err := clients[2].Await(ctx, "from a backend"); err != nil {
		return err
	}
	report := func(id string) error {
		return localtest.Until(ctx, "no delivery of "+id+" is outstanding", func() bool {
			r, err := s.Ledger().Report(ctx, id)
			return err == nil && r.Dispatched && r.Outstanding == 0
		})
	}
	if err := report(id); err != nil {
		return err
	}

	// Messages that can never be sent become dead letters.
	if _, err := queue("broadcast", strings.Repeat("x", 131_073)); err != nil {
		return err
	}
	if _, err := queue("continuation", "no continuation"); err != nil {
		return err
	}
	if _, err := queue("send", "no batch"); err != nil {
		return err
	}
	for _, name := range []string{"broadcast", "continuation", "send"} {
		letters := s.QueueURL("websocket-" + name + "-dead-letter")
		if err := localtest.Until(ctx, "there is a dead letter of "+name, func() bool {
			return visible(ctx, s, letters) > 0
		}); err != nil {
			return err
		}
	}

	// Rows without a connection, which make a table of more than one page. All but the first were answered 410 before, so
	// that the next one deletes them; the first is marked.
	for i := range 4 {
		row := unmarked
		if i > 0 {
			row = localtest.GoneConnection(i)
			row["goneAt"] = &types.AttributeValueMemberN{Value: "2000"}
			row["ballast"] = &types.AttributeValueMemberB{Value: make([]byte, 390<<10)}
		}
		if _, err := s.DynamoDB.PutItem(ctx, &dynamodb.PutItemInput{TableName: table, Item: row}); err != nil {
			return err
		}
	}
	if id, err = queue("broadcast", "to open and gone connections"); err != nil {
		return err
	}
	if err := report(id); err != nil {
		return err
	}
	// A dispatcher that has handed on the rest may log so after all of it is done.
	if err := localtest.Until(ctx, "a dispatcher has handed on a rest", func() bool {
		return strings.Contains(s.LogText(), `"continued":1`)
	}); err != nil {
		return err
	}
	if err := untilRows(3); err != nil { // the marked ones are deleted
		return err
	}

	// Posts to clients that do not read are repeated, then the clients are disconnected.
	if err := s.SetFaults(stack.Faults{}); err != nil {
		return err
	}
	faults := s.Faults()
	faults.APIGateway.BufferFull = 0.5
	if err := s.SetFaults(faults); err != nil {
		return err
	}
	disconnected := func() bool { return s.Posted(http.MethodDelete, http.StatusNoContent) }
	for n := 0; !disconnected(); n++ {
		// A batch of one connection fails as a whole. Clients may be disconnected while this reads the table.
		if rows() < 2 {
			return localtest.Until(ctx, "a client is disconnected", disconnected)
		}
		if id, err = queue("broadcast", fmt.Sprint("to slow clients ", n)); err != nil {
			return err
		}
		if err := report(id); err != nil {
			return err
		}
	}
	return nil
}

// publisherToken returns a token that lets a client connect and publish.
func publisherToken(ctx context.Context, s *localtest.Stack) (string, error) {
	client := secretsmanager.NewFromConfig(awstest.Config(s.Endpoint))
	arn := s.Outputs["TokenSecretArn"]
	out, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &arn})
	if err != nil {
		return "", err
	}
	claims := tokentest.Claims{
		"iss": "fanfare", "aud": "fanfare", "sub": "tester", "scope": "publish", "exp": time.Now().Add(time.Hour).Unix(),
	}
	return tokentest.Token(`{"alg":"HS256","typ":"JWT"}`, claims, tokentest.HS256([]byte(*out.SecretString))), nil
}

// visible returns the number of visible messages of a queue, or -1 on an error.
func visible(ctx context.Context, s *localtest.Stack, url string) int {
	const name = sqstypes.QueueAttributeNameApproximateNumberOfMessages
	out, err := s.SQS.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: &url, AttributeNames: []sqstypes.QueueAttributeName{name},
	})
	if err != nil {
		return -1
	}
	n, err := strconv.Atoi(out.Attributes[string(name)])
	if err != nil {
		return -1
	}
	return n
}

// denial matches AWS's error for a missing permission.
var denial = regexp.MustCompile(`(?:User: |)(\S+) is not authorized to perform: (\S+) on resource: ([^\s"\\]+)`)

// Each permission of the template is needed: without it something fails, and the failure names function, action and
// resource. With all of them nothing is denied.
func TestPermissions_AllNeeded(t *testing.T) {
	t.Run("all", func(t *testing.T) {
		t.Parallel()
		s := start(t, writeTemplate(t, exerciseTemplate(t)), exerciseOptions())
		if err := exercise(localtest.Context(t), t, s); err != nil {
			t.Error(err)
		}
		if found := denial.FindString(s.LogText()); found != "" {
			t.Errorf("got a denial: %s, want none", found)
		}
	})
	all := permissions(exerciseTemplate(t))
	if len(all) < 20 {
		t.Fatalf("got %d permissions, want at least 20", len(all))
	}
	untested := make(map[string]string)
	for _, p := range all {
		if service, ok := notEmulated[p.action]; ok {
			untested[p.action] = service
			continue
		}
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel()
			p.test(t)
		})
	}
	for action, service := range untested {
		t.Logf("not tested: %s: %s is not emulated", action, service)
	}
}

// test runs the exercise on a stack without the permission, until something is denied.
func (p permission) test(t *testing.T) {
	root := exerciseTemplate(t)
	p.removeFrom(root)
	s, err := tryStart(t, writeTemplate(t, root), exerciseOptions())
	if err != nil { // an event source that may not read its queue is refused at the start, as on AWS
		p.check(t, err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), localtest.Deadline)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- exercise(ctx, t, s) }()
	denied := func() bool { return denial.MatchString(s.LogText()) }
	for !denied() {
		select {
		case err := <-ended:
			if !denied() {
				t.Fatalf("got no denial, so the permission is not needed (the exercise ended with: %v)", err)
			}
			p.check(t, s.LogText())
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
	cancel()
	<-ended
	p.check(t, s.LogText())
}

// check checks that every denial in log names the permission's action, a resource, and the permission's function.
func (p permission) check(t *testing.T, log string) {
	t.Helper()
	for _, found := range denial.FindAllStringSubmatch(log, -1) {
		caller, action, resource := found[1], found[2], found[3]
		if action != p.action || !strings.HasPrefix(resource, "arn:aws:") {
			t.Errorf("got the denial %s, want one of %s on an ARN", found[0], p.action)
		}
		if function := strings.ToLower(p.function); function != "" && !strings.HasSuffix(caller, "/fanfare-"+function) {
			t.Errorf("got the denial %s, want one of the function %s", found[0], function)
		}
	}
	t.Log(denial.FindString(log))
}

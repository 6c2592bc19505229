package emulator

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/gobwas/ws"
	"go.yaml.in/yaml/v4"

	"fanfare/local/clock"
	"fanfare/local/stack"
	"fanfare/local/template"
	"fanfare/pkg/ledger"
	"fanfare/test/awstest"
	"fanfare/test/tokentest"
)

// noLocalPart are actions of services that do not exist on one machine, so that nothing here can show that they are
// needed: Lambda writes a function's logs, and the X-Ray daemon its segments, as the function's role.
var noLocalPart = map[string]string{
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

// list returns the items of a list, or the one that stands for it.
func list(n *yaml.Node) []*yaml.Node {
	if n.Kind == yaml.SequenceNode {
		return n.Content
	}
	return []*yaml.Node{n}
}

func sequence(items ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: items}
}

// statements returns the list of statements of a role's policy. Each of our roles has one.
func statements(role *yaml.Node) *yaml.Node {
	return at(list(at(role, "Properties", "Policies"))[0], "PolicyDocument", "Statement")
}

// assume takes the first of every choice between two statements: the parameters of strain make all conditions hold.
func assume(all *yaml.Node) {
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
						all = append(all, permission{holder: id, statement: s, action: action.Value, resource: r, function: strings.TrimSuffix(id, "Role")})
					}
				}
			}
		case "AWS::Lambda::Permission":
			all = append(all, permission{holder: id, action: at(resource, "Properties", "Action").Value})
		}
	}
	return all
}

// without takes the permission out of the template.
func (p permission) without(root *yaml.Node) {
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

// strained returns our template, in which everything happens soon that can happen: a dispatcher never has time for more than
// one page, so that it hands on the rest, and a sender gives up soon.
func strained(t testing.TB) *yaml.Node {
	root := ours(t)
	at(root, "Resources", "DispatcherFunction", "Properties", "Timeout").Value = "15"
	at(root, "Resources", "SenderFunction", "Properties", "Timeout").Value = "10" // how long it tries to record an outcome
	resources := at(root, "Resources")
	for i := 1; i < len(resources.Content); i += 2 {
		if at(resources.Content[i], "Type").Value == "AWS::IAM::Role" {
			assume(statements(resources.Content[i]))
		}
	}
	return root
}

func strain() stack.Options {
	return stack.Options{
		Clock: clock.New(10),
		Template: template.Options{StackName: "fanfare", Parameters: map[string]string{
			"FullBuffers": "disconnect", "MaxAttempts": "2", "ScanSegments": "1", "Access": "jwt", "PublishesPerSecond": "100",
		}},
	}
}

// exercise makes the stack do everything that it can do, until ctx ends.
func (w *world) exercise(ctx context.Context, t testing.TB) error {
	token, err := w.token(ctx)
	if err != nil {
		return err
	}
	var clients []*client
	for range 4 {
		c, err := dial(ctx, t, w.url(0), ws.Dialer{Protocols: []string{"fanfare.bearer", token}})
		if err != nil {
			return fmt.Errorf("connect: %w", err)
		}
		clients = append(clients, c)
	}
	rows := func() int {
		out, err := w.dynamodb.Scan(ctx, &dynamodb.ScanInput{TableName: aws.String("websocket_connections"), Select: types.SelectCount})
		if err != nil {
			return -1
		}
		return int(out.Count)
	}
	clients[3].conn.Close()
	if err := until(ctx, "the row of a closed connection is deleted", func() bool { return rows() == 3 }); err != nil {
		return err
	}

	// A client publishes, then a backend.
	if err := clients[0].send("hello"); err != nil {
		return err
	}
	if err := clients[1].has(ctx, "hello"); err != nil {
		return err
	}
	queue := func(name, body string) (string, error) {
		out, err := w.sqs.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: aws.String(w.AWSEndpoint + "/000000000000/websocket-" + name), MessageBody: &body})
		if err != nil {
			return "", err
		}
		return *out.MessageId, nil
	}
	id, err := queue("broadcast", "from a backend")
	if err != nil {
		return err
	}
	if err := clients[2].has(ctx, "from a backend"); err != nil {
		return err
	}
	report := func(id string) error {
		table := &ledger.Table{Client: w.dynamodb, Name: "websocket_broadcasts"}
		return until(ctx, "the ledger is settled", func() bool {
			r, err := table.Report(ctx, id)
			return err == nil && r.Dispatched && r.Outstanding == 0
		})
	}
	if err := report(id); err != nil {
		return err
	}

	// What can never be sent is buried.
	if _, err := queue("broadcast", strings.Repeat("x", 131_073)); err != nil {
		return err
	}
	if _, err := queue("send", "no batch"); err != nil {
		return err
	}
	for _, name := range []string{"broadcast", "send"} {
		if err := until(ctx, "there is a dead letter of "+name, func() bool { return w.visible(ctx, name+"-dead-letter") > 0 }); err != nil {
			return err
		}
	}

	// Clients that have gone without anybody noticing, and a table of more than one page.
	for i := range 3 {
		if _, err := w.dynamodb.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String("websocket_connections"), Item: map[string]types.AttributeValue{
			"connectionId": &types.AttributeValueMemberS{Value: fmt.Sprintf("GhostGhost%05d=", i)},
			"connectedAt":  &types.AttributeValueMemberN{Value: "1000"},
			"expiresAt":    &types.AttributeValueMemberN{Value: "99999999999"},
			"ballast":      &types.AttributeValueMemberB{Value: make([]byte, 390<<10)},
		}}); err != nil {
			return err
		}
	}
	if id, err = queue("broadcast", "to the living and the dead"); err != nil {
		return err
	}
	if err := report(id); err != nil {
		return err
	}
	// A dispatcher that has handed the rest on may come to say so when all of it is done.
	if err := until(ctx, "a dispatcher has handed something on", func() bool { return strings.Contains(w.told(), `"continued":1`) }); err != nil {
		return err
	}
	if err := until(ctx, "the rows of the dead are deleted", func() bool { return rows() == 3 }); err != nil {
		return err
	}

	// Clients that do not read: tried again, then disconnected.
	if err := w.SetFaults(stack.Faults{}); err != nil {
		return err
	}
	faults := w.Faults()
	faults.APIGateway.BufferFull = 0.5
	if err := w.SetFaults(faults); err != nil {
		return err
	}
	for n := 0; !w.posted(http.MethodDelete, http.StatusNoContent); n++ {
		if rows() < 2 { // nobody is left to fail among others
			return errors.New("all have gone")
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

// token returns one that lets its holder connect and publish.
func (w *world) token(ctx context.Context) (string, error) {
	if len(w.Resolved.Secrets) != 1 {
		return "", fmt.Errorf("there are %d secrets", len(w.Resolved.Secrets))
	}
	client := secretsmanager.NewFromConfig(awstest.Config(w.AWSEndpoint))
	out, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &w.Resolved.Secrets[0].ARN})
	if err != nil {
		return "", err
	}
	claims := tokentest.Claims{
		"iss": "fanfare", "aud": "fanfare", "sub": "tester", "scope": "publish", "exp": time.Now().Add(time.Hour).Unix(),
	}
	return tokentest.Token(`{"alg":"HS256","typ":"JWT"}`, claims, tokentest.HS256([]byte(*out.SecretString))), nil
}

// visible returns how many messages wait in a queue.
func (w *world) visible(ctx context.Context, name string) int {
	out, err := w.sqs.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: aws.String(w.AWSEndpoint + "/000000000000/websocket-" + name), AttributeNames: []sqstypes.QueueAttributeName{"ApproximateNumberOfMessages"},
	})
	if err != nil {
		return -1
	}
	n := 0
	fmt.Sscan(out.Attributes["ApproximateNumberOfMessages"], &n)
	return n
}

// denial is AWS's sentence.
var denial = regexp.MustCompile(`(?:User: |)(\S+) is not authorized to perform: (\S+) on resource: ([^\s"\\]+)`)

// Each permission of the template is needed: without it something fails, and the failure names function, action and
// resource. With all of them nothing is denied.
func TestEveryPermissionIsNeeded(t *testing.T) {
	t.Run("all", func(t *testing.T) {
		t.Parallel()
		w := start(t, writeTemplate(t, strained(t)), strain())
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := w.exercise(ctx, t); err != nil {
			t.Error(err)
		}
		if found := denial.FindString(w.told()); found != "" {
			t.Errorf("something was denied: %s", found)
		}
	})
	all := permissions(strained(t))
	if len(all) < 20 {
		t.Fatalf("only %d permissions were found", len(all))
	}
	var untested sync.Map
	for _, p := range all {
		if service, ok := noLocalPart[p.action]; ok {
			untested.Store(p.action, service)
			continue
		}
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel()
			root := strained(t)
			p.without(root)
			w, err := try(t, writeTemplate(t, root), strain())
			if err != nil { // a mapping that may not read its queue is refused at the start, as AWS does
				p.check(t, err.Error())
				return
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- w.exercise(ctx, t) }()
			for {
				if found := denial.FindString(w.told()); found != "" {
					cancel()
					<-done
					p.check(t, w.told())
					return
				}
				select {
				case err := <-done:
					if denial.FindString(w.told()) != "" {
						p.check(t, w.told())
						return
					}
					t.Fatalf("nothing was denied, so that the permission is superfluous (the exercise ended with: %v)", err)
				case <-time.After(poll):
				}
			}
		})
	}
	untested.Range(func(action, service any) bool {
		t.Logf("not tested: %s: %s has no local part", action, service)
		return true
	})
}

// check wants the denial to name who, what and on what.
func (p permission) check(t *testing.T, told string) {
	t.Helper()
	for _, found := range denial.FindAllStringSubmatch(told, -1) {
		caller, action, resource := found[1], found[2], found[3]
		if action != p.action || !strings.HasPrefix(resource, "arn:aws:") {
			t.Errorf("%s was denied", found[0])
		}
		if function := strings.ToLower(p.function); function != "" && !strings.HasSuffix(caller, "/fanfare-"+function) {
			t.Errorf("%s was denied to another function", found[0])
		}
	}
	t.Log(denial.FindString(told))
}

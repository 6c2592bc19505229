package stack_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"fanfare/local/stack"
)

// TestMain runs the tests, or the function of their template in a process that the local Lambda has started.
func TestMain(m *testing.M) {
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") != "" {
		lambda.Start(answer)
		return
	}
	os.Exit(m.Run())
}

// answer is the function of the route $default: it posts the message back to the URL of AWS's samples, or answers with
// the status that the message names.
func answer(ctx context.Context, e events.APIGatewayWebsocketProxyRequest) (events.APIGatewayProxyResponse, error) {
	if status, ok := strings.CutPrefix(e.Body, "status "); ok {
		return events.APIGatewayProxyResponse{StatusCode: int(status[0]-'0') * 100}, nil
	}
	options := []func(*config.LoadOptions) error{}
	if e.Body == "own client" {
		options = append(options, config.WithHTTPClient(&http.Client{}))
	}
	conf, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return events.APIGatewayProxyResponse{}, err
	}
	client := apigatewaymanagementapi.NewFromConfig(conf, func(o *apigatewaymanagementapi.Options) {
		o.BaseEndpoint = aws.String("https://" + e.RequestContext.DomainName + "/" + e.RequestContext.Stage)
	})
	_, err = client.PostToConnection(ctx, &apigatewaymanagementapi.PostToConnectionInput{
		ConnectionId: &e.RequestContext.ConnectionID, Data: []byte(e.Body + " posted"),
	})
	return events.APIGatewayProxyResponse{StatusCode: 200}, err
}

const chat = `
Transform: AWS::Serverless-2016-10-31
Resources:
  Queue: {Type: AWS::SQS::Queue, Properties: {QueueName: jobs}}
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: {Name: chat, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}
  Stage: {Type: AWS::ApiGatewayV2::Stage, Properties: {ApiId: !Ref Api, StageName: v1, AutoDeploy: true}}
  Function:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: provided.al2023
      Handler: bootstrap
      CodeUri: function
      Timeout: 30
      Policies:
        - Statement: [{Effect: Allow, Action: "execute-api:ManageConnections", Resource: "*"}]
  Integration:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Api
      IntegrationType: AWS_PROXY
      IntegrationUri: !GetAtt Function.Arn
  Route:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Api, RouteKey: $default, Target: !Sub "integrations/${Integration}"}
  Permission:
    Type: AWS::Lambda::Permission
    Properties: {Action: "lambda:InvokeFunction", FunctionName: !Ref Function, Principal: apigateway.amazonaws.com}
`

// start runs the stack of chat.
func start(t *testing.T, o stack.Options) *stack.Stack {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "function"), 0o755); err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(program, filepath.Join(dir, "function", "bootstrap")); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "template.yaml")
	if err := os.WriteFile(path, []byte(chat), 0o600); err != nil {
		t.Fatal(err)
	}
	o.BuildDir = filepath.Join(dir, "build")
	s, err := stack.Start(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Errorf("stop: got %v, want nil", err)
		}
		if left, err := filepath.Glob(filepath.Join(o.BuildDir, ".ca-*")); err != nil || len(left) > 0 {
			t.Errorf("after Stop: got bundles %v, %v, want none", left, err)
		}
	})
	return s
}

// dial connects to the API as a client.
func dial(t *testing.T, s *stack.Stack, scheme string, o ws.Dialer) net.Conn {
	t.Helper()
	conn, _, _, err := o.Dial(t.Context(), scheme+strings.TrimPrefix(s.Endpoints[0], "http"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// exchange sends a text message and returns the next one from the API.
func exchange(t *testing.T, conn net.Conn, message string) string {
	t.Helper()
	if err := wsutil.WriteClientText(conn, []byte(message)); err != nil {
		t.Fatal(err)
	}
	got, err := wsutil.ReadServerText(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

// TestStack_PostOverTLS checks that a function can post to "https://" + domainName + "/" + stage, with the default
// client of AWS's SDK and with one of its own.
func TestStack_PostOverTLS(t *testing.T) {
	s := start(t, stack.Options{})
	conn := dial(t, s, "ws", ws.Dialer{})
	for _, message := range []string{"default client", "own client"} {
		if got, want := exchange(t, conn, message), message+" posted"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// TestStack_SecureClient checks that a WebSocket over TLS carries messages in both directions.
func TestStack_SecureClient(t *testing.T) {
	s := start(t, stack.Options{})
	bundles, err := filepath.Glob(filepath.Join(s.Resolved.Functions[0].Folder, "..", "build", ".ca-*.pem"))
	if err != nil || len(bundles) != 1 {
		t.Fatalf("got bundles %v, %v, want one", bundles, err)
	}
	bundle, err := os.ReadFile(bundles[0])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	conn := dial(t, s, "wss", ws.Dialer{TLSConfig: &tls.Config{RootCAs: roots}})
	if got, want := exchange(t, conn, "secure"), "secure posted"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	long := strings.Repeat("x", 30_000)
	if got, want := exchange(t, conn, long), long+" posted"; got != want {
		t.Errorf("long message: got %d bytes, want %d", len(got), len(want))
	}
}

// TestStart_AllFaults checks that what is not emulated is reported in one run, each fault with its line.
func TestStart_AllFaults(t *testing.T) {
	path := filepath.Join(t.TempDir(), "template.yaml")
	const source = `Resources:
  First: {Type: AWS::SQS::Queue, Properties: {FifoQueue: true}}
  Second: {Type: AWS::SQS::Queue, Properties: {FifoQueue: true}}
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: a, AttributeType: S}]
      KeySchema: [{AttributeName: a, KeyType: HASH}]
      GlobalSecondaryIndexes:
        - {IndexName: one, KeySchema: [{AttributeName: a, KeyType: HASH}], Projection: {ProjectionType: ALL}}
        - {IndexName: two, KeySchema: [{AttributeName: a, KeyType: HASH}], Projection: {ProjectionType: ALL}}
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: {Name: a, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.header.x}
  Stage: {Type: AWS::ApiGatewayV2::Stage, Properties: {ApiId: !Ref Api, StageName: v1, AutoDeploy: true}}
  Mock:
    Type: AWS::ApiGatewayV2::Integration
    Properties: {ApiId: !Ref Api, IntegrationType: MOCK, RequestTemplates: {$default: "#set($x = 1)"}}
  MockRoute: {Type: AWS::ApiGatewayV2::Route,
    Properties: {ApiId: !Ref Api, RouteKey: a, Target: !Sub "integrations/${Mock}"}}
  Empty: {Type: AWS::ApiGatewayV2::Route, Properties: {ApiId: !Ref Api, RouteKey: b}}
`
	if err := os.WriteFile(path, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := stack.Start(t.Context(), path, stack.Options{BuildDir: t.TempDir()})
	if err == nil {
		t.Fatal("got nil, want an error")
	}
	got := strings.Split(err.Error(), "\n")
	want := []string{":2: First: ", ":3: Second: ", ":11: Table: index one: secondary", ":12: Table: index two: secondary",
		":13: Api: RouteSelectionExpression: ", `:20: MockRoute: route "a": integration: RequestTemplates`,
		`:22: Empty: route "b": the route has no integration`}
	if len(got) != len(want) {
		t.Fatalf("got %q, want %d lines", got, len(want))
	}
	for i := range want {
		if !strings.HasPrefix(got[i], path+want[i]) {
			t.Errorf("got %q, want a prefix %q", got[i], path+want[i])
		}
	}
}

// TestStack_Hosts checks that both ports serve requests for this machine only, so that a page whose DNS name was
// rebound to it reaches neither, and that no page reaches the AWS port.
func TestStack_Hosts(t *testing.T) {
	s := start(t, stack.Options{})
	port := func(url string) string {
		_, port, _ := strings.Cut(strings.TrimPrefix(url, "http://"), ":")
		port, _, _ = strings.Cut(port, "/")
		return port
	}
	secret := http.Header{"X-Amz-Target": {"secretsmanager.GetSecretValue"}}
	queues := http.Header{"X-Amz-Target": {"AmazonSQS.ListQueues"}, "Content-Type": {"application/x-amz-json-1.0"}}
	handshake := http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-WebSocket-Version": {"13"},
		"Sec-Websocket-Key": {"MDEyMzQ1Njc4OWFiY2RlZg=="}}
	with := func(h http.Header, name, value string) http.Header {
		h = h.Clone()
		h.Set(name, value)
		return h
	}
	apiName := s.Resolved.APIs[0].ID + ".execute-api.us-east-1.amazonaws.com"
	aws, api := s.AWSEndpoint, s.Endpoints[0]
	for _, test := range []struct {
		method, url, host string
		header            http.Header
		want              int
	}{
		{"POST", aws, "rebound.example:" + port(aws), secret, 403},
		{"POST", aws, "rebound.example", queues, 403},
		{"GET", aws + "/_local/faults", "rebound.example", nil, 403},
		{"POST", aws, "", queues, 200}, // "" is the host of the URL
		{"POST", aws, "localhost:" + port(aws), queues, 200},
		{"POST", aws, "aws.localhost", queues, 200},
		{"GET", aws + "/_local/faults", "127.0.0.1", nil, 200},
		{"POST", aws, "", with(queues, "Origin", "http://127.0.0.1:8000"), 403},
		{"POST", aws, "", with(queues, "Sec-Fetch-Site", "cross-site"), 403},
		{"GET", aws + "/_local/faults", "", http.Header{"Origin": {"http://localhost"}}, 403},
		{"GET", api, "rebound.example:" + port(api), handshake, 403},
		{"GET", api + "/@connections/x", "rebound.example", nil, 403},
		{"GET", api, "", with(handshake, "Origin", "https://app.example"), 101},
		{"GET", api, "localhost:" + port(api), handshake, 101},
		{"GET", api, apiName, handshake, 101},
		{"GET", api, "other.execute-api.us-east-1.amazonaws.com", handshake, 403},
	} {
		r, err := http.NewRequestWithContext(t.Context(), test.method, test.url, strings.NewReader(map[string]string{
			"POST": "{}"}[test.method]))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = test.host
		if test.header != nil {
			r.Header = test.header
		}
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		if got := answer.StatusCode; got != test.want {
			t.Errorf("%s %s, Host %q, %v: got %d, want %d", test.method, test.url, test.host, test.header, got, test.want)
		}
		if answer.StatusCode != http.StatusSwitchingProtocols {
			_, _ = io.Copy(io.Discard, answer.Body)
		}
		answer.Body.Close()
	}
}

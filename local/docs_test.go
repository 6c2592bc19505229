package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	dynamodbclient "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	sqsclient "github.com/aws/aws-sdk-go-v2/service/sqs"

	"fanfare/local/dynamodb"
	"fanfare/local/sqs"
	"fanfare/local/stack"
	"fanfare/local/template"
)

// These tests compare docs/local.md with the code.

var update = flag.Bool("update", false, "write the generated part of docs/local.md")

const manualPath = "../docs/local.md"

func manual(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(manualPath)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestManual_Faults checks that the manual has a line for each fault and no other line.
func TestManual_Faults(t *testing.T) {
	var listed []string
	rows := regexp.MustCompile("(?m)^\\| `((?:apigateway|sqs|dynamodb|lambda)\\.\\w+)` \\| \\w+ \\| .+ \\|$")
	for _, row := range rows.FindAllStringSubmatch(manual(t), -1) {
		listed = append(listed, row[1])
	}
	slices.Sort(listed)
	if names := stack.FaultNames(); !slices.Equal(listed, names) {
		t.Errorf("got faults\n%v\nwant\n%v", listed, names)
	}
}

// TestManual_Tests checks that the tests that the manual names exist.
func TestManual_Tests(t *testing.T) {
	rows := regexp.MustCompile(`(?m)^\| (\d+)\. .* \| (.*) \|$`).FindAllStringSubmatch(manual(t), -1)
	if len(rows) != 15 {
		t.Fatalf("got %d behaviours, want 15", len(rows))
	}
	group := regexp.MustCompile("^`([a-z0-9/]+)`: ((?:`Test\\w+` ?)+)$")
	for _, row := range rows {
		for part := range strings.SplitSeq(row[2], "; ") {
			found := group.FindStringSubmatch(part)
			if found == nil {
				t.Errorf("behaviour %s: got %q, want a package and its tests", row[1], part)
				continue
			}
			files, err := filepath.Glob(filepath.Join("..", found[1], "*_test.go"))
			if err != nil || len(files) == 0 {
				t.Errorf("behaviour %s: got no tests in %s", row[1], found[1])
			}
			var source []byte
			for _, file := range files {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				source = append(source, text...)
			}
			for name := range strings.FieldsSeq(strings.ReplaceAll(found[2], "`", " ")) {
				if !bytes.Contains(source, []byte("func "+name+"(t *testing.T)")) {
					t.Errorf("behaviour %s: got no %s in %s", row[1], name, found[1])
				}
			}
		}
	}
}

// described are the packages whose documentation is in the manual.
var described = []struct{ title, pkg string }{
	{"API Gateway", "apigateway"}, {"Lambda", "lambda"}, {"Event source mappings", "eventsource"}, {"SQS", "sqs"},
	{"DynamoDB", "dynamodb"}, {"Secrets Manager", "secrets"}, {"IAM", "iam"}, {"Templates", "template"}, {"X-Ray", "xray"},
}

// TestManual_Generated compares the generated part with the documentation and the operations of the packages.
func TestManual_Generated(t *testing.T) {
	var out strings.Builder
	fmt.Fprint(&out, "### Operations\n\nEvery other operation is answered with an error that names it.\n\n")
	fmt.Fprintf(&out, "- SQS: %s\n- DynamoDB: %s\n- Secrets Manager: GetSecretValue\n",
		strings.Join(sqs.Operations(), ", "), strings.Join(dynamodb.Operations(), ", "))
	for _, d := range described {
		fmt.Fprintf(&out, "\n### %s\n\n%s", d.title, documentation(t, d.pkg))
	}
	before, rest, ok := strings.Cut(manual(t), "<!-- generated -->\n")
	_, after, closed := strings.Cut(rest, "<!-- /generated -->")
	if !ok || !closed {
		t.Fatal("got no marks of the generated part")
	}
	want := before + "<!-- generated -->\n" + out.String() + "<!-- /generated -->" + after
	if *update {
		if err := os.WriteFile(manualPath, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if manual(t) != want {
		t.Error("got an outdated docs/local.md; go test ./local -run Manual -update writes it")
	}
}

// documentation returns the comment of a package as Markdown, with headings of level 4.
func documentation(t *testing.T, pkg string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(pkg, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if text := packageComment(parsed); text != "" {
			printer := &comment.Printer{
				HeadingLevel: 4, HeadingID: func(*comment.Heading) string { return "" },
				DocLinkURL: func(*comment.DocLink) string { return "" },
			}
			var p comment.Parser
			// Without the links, which work only on pages of Go documentation.
			markdown := string(printer.Markdown(p.Parse(text)))
			return regexp.MustCompile(`\[([^\]]*)\]\(\)`).ReplaceAllString(markdown, "$1")
		}
	}
	t.Fatalf("got no comment of package %s", pkg)
	return ""
}

func packageComment(file *ast.File) string {
	if file.Doc == nil {
		return ""
	}
	return file.Doc.Text()
}

// TestOperations_Refused checks that each operation of AWS's SDK that is not emulated is refused with its name.
func TestOperations_Refused(t *testing.T) {
	for _, service := range []struct {
		target   string
		handler  http.Handler
		client   any
		emulated []string
	}{
		{"AmazonSQS.", sqs.New(sqs.Options{}), (*sqsclient.Client)(nil), sqs.Operations()},
		{"DynamoDB_20120810.", newDynamoDB(t), (*dynamodbclient.Client)(nil), dynamodb.Operations()},
	} {
		methods, refused := reflect.TypeOf(service.client), 0
		for method := range methods.Methods() {
			name := method.Name
			if name == "Options" || slices.Contains(service.emulated, name) {
				continue
			}
			refused++
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("{}"))
			r.Header.Set("X-Amz-Target", service.target+name)
			r.Header.Set("Authorization", "AWS4-HMAC-SHA256 "+
				"Credential=test/20250101/us-east-1/x/aws4_request, SignedHeaders=host, Signature=0")
			w := httptest.NewRecorder()
			service.handler.ServeHTTP(w, r)
			if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), name) {
				t.Errorf("%s%s: got %d %s, want 400 and the name", service.target, name, w.Code, w.Body)
			}
		}
		for _, name := range service.emulated {
			if _, ok := methods.MethodByName(name); !ok {
				t.Errorf("got %s%s, want an operation of AWS", service.target, name)
			}
		}
		if refused == 0 {
			t.Errorf("%s: got no refused operation", service.target)
		}
	}
}

func newDynamoDB(t *testing.T) http.Handler {
	s := dynamodb.New(dynamodb.Options{})
	t.Cleanup(s.Close)
	return s
}

// TestManual_Missing checks that the template features that the manual lists as missing are refused with their lines.
func TestManual_Missing(t *testing.T) {
	function := func(change string) string {
		return "  F:\n    Type: AWS::Serverless::Function\n    Properties: {Handler: bootstrap, CodeUri: ., " + change + "}\n"
	}
	event := func(kind string) string {
		return function("Runtime: provided.al2023, Events: {E: {Type: " + kind + ", Properties: {}}}")
	}
	api := "  A: {Type: AWS::ApiGatewayV2::Api, Properties: {Name: a, ProtocolType: WEBSOCKET, " +
		"RouteSelectionExpression: $request.body.a}}\n"
	const provided = "Runtime: provided.al2023, "
	sources := map[string]string{
		"image":           function(provided + "PackageType: Image"),
		"layer":           function(provided + "Layers: [a]"),
		"alias":           function(provided + "AutoPublishAlias: live"),
		"function URL":    function(provided + "FunctionUrlConfig: {AuthType: NONE}"),
		"event filter":    function(provided + "Events: {E: {Type: SQS, Properties: {Queue: a, FilterCriteria: {}}}}"),
		"HTTP API":        strings.Replace(api, "WEBSOCKET", "HTTP", 1),
		"macro":           "  F: {'Fn::Transform': {Name: m}, Type: AWS::SQS::Queue}\n",
		"custom resource": "  C: {Type: Custom::Thing, Properties: {ServiceToken: a}}\n",
	}
	for _, runtime := range []string{"nodejs22.x", "python3.13", "java21", "ruby3.4", "dotnet8", "go1.x"} {
		sources[runtime] = function("Runtime: " + runtime)
	}
	for _, kind := range []string{"S3", "SNS", "Kinesis", "DynamoDB", "Schedule", "EventBridgeRule", "Api", "HttpApi"} {
		sources["event "+kind] = event(kind)
	}
	for _, kind := range []string{"AWS_IAM", "JWT"} {
		sources["authorization "+kind] = api + "  R: {Type: AWS::ApiGatewayV2::Route, Properties: {ApiId: !Ref A, " +
			"RouteKey: a, AuthorizationType: " + kind + "}}\n"
	}
	for _, kind := range []string{"HTTP", "HTTP_PROXY", "AWS"} {
		sources["integration "+kind] = api + "  I: {Type: AWS::ApiGatewayV2::Integration, Properties: {ApiId: !Ref A, " +
			"IntegrationType: " + kind + ", IntegrationUri: 'http://a'}}\n"
	}
	for _, kind := range []string{"ApiGateway::RestApi", "Serverless::Api", "Serverless::HttpApi",
		"ApiGatewayV2::DomainName", "S3::Bucket", "Events::Rule", "Kinesis::Stream", "StepFunctions::StateMachine",
		"Cognito::UserPool",
		"Serverless::Application", "Serverless::LayerVersion", "CloudFormation::Stack", "Lambda::Version", "Lambda::Alias",
		"Lambda::Url", "DynamoDB::GlobalTable"} {
		sources[kind] = "  X: {Type: AWS::" + kind + ", Properties: {}}\n"
	}
	for name, source := range sources {
		_, err := template.Load("t.yaml", []byte("Transform: AWS::Serverless-2016-10-31\nResources:\n"+source),
			template.Options{})
		if problems, ok := errors.AsType[template.Problems](err); !ok || problems[0].Line < 3 {
			t.Errorf("%s: got %v, want a problem with its line", name, err)
		}
	}
}

package main

import (
	"bytes"
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
)

// These tests hold docs/local.md against the code.

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

// The manual has a line for each fault and for nothing else.
func TestTheManualListsTheFaults(t *testing.T) {
	var listed []string
	for _, row := range regexp.MustCompile("(?m)^\\| `((?:apigateway|sqs|dynamodb|lambda)\\.\\w+)` \\| \\w+ \\| .+ \\|$").FindAllStringSubmatch(manual(t), -1) {
		listed = append(listed, row[1])
	}
	slices.Sort(listed)
	if names := stack.FaultNames(); !slices.Equal(listed, names) {
		t.Errorf("the manual lists\n%v\nand there are\n%v", listed, names)
	}
}

// The tests that the manual names exist where it says.
func TestTheManualsTestsExist(t *testing.T) {
	rows := regexp.MustCompile(`(?m)^\| (\d+)\. .* \| (.*) \|$`).FindAllStringSubmatch(manual(t), -1)
	if len(rows) != 15 {
		t.Fatalf("%d behaviours, want 15", len(rows))
	}
	group := regexp.MustCompile("^`([a-z0-9/]+)`: ((?:`Test\\w+` ?)+)$")
	for _, row := range rows {
		for part := range strings.SplitSeq(row[2], "; ") {
			found := group.FindStringSubmatch(part)
			if found == nil {
				t.Errorf("behaviour %s: %q is not a package and its tests", row[1], part)
				continue
			}
			files, err := filepath.Glob(filepath.Join("..", found[1], "*_test.go"))
			if err != nil || len(files) == 0 {
				t.Errorf("behaviour %s: no tests in %s", row[1], found[1])
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
					t.Errorf("behaviour %s: %s has no %s", row[1], found[1], name)
				}
			}
		}
	}
}

// described are the packages whose documentation says what they are faithful in.
var described = []struct{ title, pkg string }{
	{"API Gateway", "apigateway"}, {"Lambda", "lambda"}, {"Event source mappings", "eventsource"}, {"SQS", "sqs"},
	{"DynamoDB", "dynamodb"}, {"Secrets Manager", "secrets"}, {"IAM", "iam"}, {"Templates", "template"}, {"X-Ray", "xray"},
}

// TestTheManualSaysWhatThePackagesSay holds the generated part against the packages' documentation and operations.
func TestTheManualSaysWhatThePackagesSay(t *testing.T) {
	var out strings.Builder
	fmt.Fprintf(&out, "### Operations\n\nOver the wire, every other operation is answered with an error that names it.\n\n")
	fmt.Fprintf(&out, "- SQS: %s\n- DynamoDB: %s\n- Secrets Manager: GetSecretValue\n", strings.Join(sqs.Operations(), ", "), strings.Join(dynamodb.Operations(), ", "))
	for _, d := range described {
		fmt.Fprintf(&out, "\n### %s\n\n%s", d.title, documentation(t, d.pkg))
	}
	before, rest, ok := strings.Cut(manual(t), "<!-- generated -->\n")
	_, after, closed := strings.Cut(rest, "<!-- /generated -->")
	if !ok || !closed {
		t.Fatal("the manual has lost the marks of its generated part")
	}
	want := before + "<!-- generated -->\n" + out.String() + "<!-- /generated -->" + after
	if *update {
		if err := os.WriteFile(manualPath, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if manual(t) != want {
		t.Error("docs/local.md is not what the packages say: go test ./local -run Manual -update")
	}
}

// documentation returns a package's comment in Markdown, its headings two levels down.
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
			printer := &comment.Printer{HeadingLevel: 4, HeadingID: func(*comment.Heading) string { return "" }, DocLinkURL: func(*comment.DocLink) string { return "" }}
			var p comment.Parser
			// Without the links, which lead nowhere outside Go's own pages.
			markdown := string(printer.Markdown(p.Parse(text)))
			return regexp.MustCompile(`\[([^\]]*)\]\(\)`).ReplaceAllString(markdown, "$1")
		}
	}
	t.Fatalf("package %s has no comment", pkg)
	return ""
}

func packageComment(file *ast.File) string {
	if file.Doc == nil {
		return ""
	}
	return file.Doc.Text()
}

// What AWS has and local has not is refused by name: the operations are those of AWS's SDK.
func TestOperationsThatAreNotEmulatedAreRefused(t *testing.T) {
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
		for i := range methods.NumMethod() {
			name := methods.Method(i).Name
			if name == "Options" || slices.Contains(service.emulated, name) {
				continue
			}
			refused++
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("{}"))
			r.Header.Set("X-Amz-Target", service.target+name)
			r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20250101/us-east-1/x/aws4_request, SignedHeaders=host, Signature=0")
			w := httptest.NewRecorder()
			service.handler.ServeHTTP(w, r)
			if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), name) {
				t.Errorf("%s%s: %d %s", service.target, name, w.Code, w.Body)
			}
		}
		for _, name := range service.emulated {
			if _, ok := methods.MethodByName(name); !ok {
				t.Errorf("%s%s is not of AWS", service.target, name)
			}
		}
		if refused == 0 {
			t.Errorf("%s: nothing is left to refuse", service.target)
		}
	}
}

func newDynamoDB(t *testing.T) http.Handler {
	s := dynamodb.New(dynamodb.Options{})
	t.Cleanup(s.Close)
	return s
}

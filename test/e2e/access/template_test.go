package access_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"fanfare/local/iam"
	"fanfare/local/template"
	"fanfare/pkg/access"
	"fanfare/pkg/token"
	"fanfare/test/localtest"
)

// TestTemplate_LeastPrivilege checks the statements of docs/security.md about the infrastructure, for every mode.
func TestTemplate_LeastPrivilege(t *testing.T) {
	_, err := template.LoadFile(localtest.Template(), template.Options{})
	if err == nil || !strings.Contains(err.Error(), "Access has no default") {
		t.Errorf("without the parameter Access: got %v, want an error that names it", err)
	}
	for _, access := range []string{"open", "listen", "jwt"} {
		t.Run(access, func(t *testing.T) {
			r, err := template.LoadFile(localtest.Template(), template.Options{
				StackName: "fanfare", Parameters: map[string]string{"Access": access, "PublishesPerSecond": "1"},
			})
			if err != nil {
				t.Fatal(err)
			}
			checkQueues(t, r)
			checkFunctions(t, r)
			checkPublishers(t, r, access != "listen")
			checkSecrets(t, r, access == "jwt")
		})
	}
}

// checkQueues checks that queues are encrypted and refuse requests without TLS.
func checkQueues(t *testing.T, r *template.Resolved) {
	t.Helper()
	administrator := []iam.Document{parse(t, `{"Version":"2012-10-17",
		"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`)}
	for _, q := range r.Queues {
		if q.Attributes["SqsManagedSseEnabled"] != "true" {
			t.Errorf("%s: got no encryption at rest", q.Name)
		}
		for secure, allowed := range map[string]bool{"true": true, "false": false} {
			err := iam.Authorize(administrator, q.Policy, iam.Request{
				Caller: "me", Role: "me", Account: r.Account, Action: "sqs:SendMessage", Resource: q.ARN,
				Context: map[string][]string{"aws:securetransport": {secure}},
			})
			if (err == nil) != allowed {
				t.Errorf("%s with aws:SecureTransport %s: got %v, want allowed %v", q.Name, secure, err, allowed)
			}
		}
	}
}

// checkFunctions checks that each function has a log group of its own, no secret in its environment, and no permission
// with a wildcard.
func checkFunctions(t *testing.T, r *template.Resolved) {
	t.Helper()
	logGroups := make(map[string]bool)
	for _, inert := range r.Inert {
		logGroups[inert.LogicalID] = logGroups[inert.LogicalID] || inert.Type == "AWS::Logs::LogGroup"
	}
	secretName := regexp.MustCompile(`(?i)password|key|secret|token`)
	for _, f := range r.Functions {
		own := strings.TrimSuffix(f.LogicalID, "Function") + "Logs"
		if !logGroups[own] || f.Logging.Group != "/aws/lambda/"+f.Name {
			t.Errorf("%s: got the log group %s, want one of the template with its retention", f.LogicalID, f.Logging.Group)
		}
		for name, value := range f.Environment {
			if secretName.MatchString(name) && strings.Contains(value, "secret") && !strings.HasPrefix(value, "arn:") {
				t.Errorf("%s: got a secret in %s", f.LogicalID, name)
			}
		}
		for _, p := range f.Role.Policies {
			for _, s := range p.Document.Statements {
				for _, action := range s.Actions {
					tracing := strings.HasPrefix(action, "xray:") // has no narrower resource
					if strings.Contains(action, "*") || !tracing && slices.Contains(s.Resources, "*") {
						t.Errorf("%s: got %s on %v, want no wildcard", f.LogicalID, action, s.Resources)
					}
				}
			}
		}
	}
}

// checkPublishers checks that only the default function may write to the broadcast queue, and only if clients may
// publish, and that it may not write to the continuation queue.
func checkPublishers(t *testing.T, r *template.Resolved, clientsPublish bool) {
	t.Helper()
	queue, continuations := "", ""
	for _, q := range r.Queues {
		switch q.LogicalID {
		case "BroadcastQueue":
			queue = q.ARN
		case "ContinuationQueue":
			continuations = q.ARN
		}
	}
	if err := authorize(r, "fanfare-default", "sqs:SendMessage", continuations); err == nil || continuations == "" {
		t.Errorf("default: sqs:SendMessage on continuation queue %q: got %v, want a denial", continuations, err)
	}
	if err := authorize(r, "fanfare-default", "sqs:SendMessage", queue); (err == nil) != clientsPublish {
		t.Errorf("default: sqs:SendMessage: got %v, want allowed %v", err, clientsPublish)
	}
	for function, action := range map[string]string{
		"fanfare-connect": "sqs:SendMessage", "fanfare-disconnect": "sqs:SendMessage",
		"fanfare-default": "sqs:ReceiveMessage",
	} {
		if err := authorize(r, function, action, queue); err == nil {
			t.Errorf("%s: %s: got no error, want a denial", function, action)
		}
	}
}

// checkSecrets checks that a stack that signs tokens has one generated secret, which only the authorizer may read,
// and that other stacks have none.
func checkSecrets(t *testing.T, r *template.Resolved, signs bool) {
	t.Helper()
	if !signs {
		if len(r.Secrets) != 0 {
			t.Errorf("got %d secrets, want none", len(r.Secrets))
		}
		return
	}
	for _, f := range r.Functions {
		err := authorize(r, f.Name, "secretsmanager:GetSecretValue", r.Secrets[0].ARN)
		if want := f.LogicalID == "AuthorizerFunction"; (err == nil) != want {
			t.Errorf("%s: read the secret: got %v, want allowed %v", f.LogicalID, err, want)
		}
	}
	if r.Secrets[0].Value != "" || r.Secrets[0].Generate == nil {
		t.Error("got the value of the secret in the template, want it generated")
	}
}

func parse(t *testing.T, document string) iam.Document {
	t.Helper()
	parsed, err := iam.Parse([]byte(document), iam.Identity)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// authorize returns the denial of an action by the policies of a function's role, or nil if they allow it.
func authorize(r *template.Resolved, function, action, resource string) error {
	for _, f := range r.Functions {
		if f.Name == function {
			return iam.Authorize(f.Role.Documents(), nil, r.Request(f, action, resource))
		}
	}
	return errors.New("no such function: " + function)
}

// The tests that docs/security.md names exist.
func TestSecurityPage_NamedTestsExist(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(localtest.Root(), "docs", "security.md"))
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	root := localtest.Root()
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		hidden := path != root && strings.HasPrefix(filepath.Base(path), ".")
		if entry != nil && entry.IsDir() && (entry.Name() == "build" || hidden) {
			return fs.SkipDir
		}
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		data, err := os.ReadFile(path)
		code.Write(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9_]+)`").FindAllStringSubmatch(string(page), -1)
	if len(names) < 20 {
		t.Errorf("got %d names of tests, want at least 20", len(names))
	}
	for _, name := range names {
		if !strings.Contains(code.String(), "\nfunc "+name[1]+"(") {
			t.Errorf("%s: got no such test", name[1])
		}
	}
}

// TestTemplate_Unmatchable checks that the template refuses values that no client, token or topic can match, and that
// it accepts the others, as the functions do.
func TestTemplate_Unmatchable(t *testing.T) {
	for parameter, values := range map[string]map[string]bool{
		"AllowedOrigins": {
			"*": true, "null": true, "https://app.example": true, "https://app.example, https://*.below.example:8443": true,
			"http://[::1]:3000": true, "capacitor://localhost": true,
			"app.example": false, "https://app.example/": false, "https://*app.example": false,
			"https://app.*": false, "https://app.example:0443": false, "https://app.example, b.example": false,
		},
		"TokenJwksUrl": {
			"": true, "https://issuer.example/jwks?x=y": true, "http://127.0.0.1:1234/jwks": true,
			"https://": false, "https:///jwks": false, "https://u@issuer.example/": false, "http://issuer.example/": false,
			"http://127.0.0.1:1@issuer.example/": false, "https://issuer.example/#a": false, " https://a.example/": false,
		},
		"TokenIssuer": {
			"https://issuer.example/": true, "my issuer": true, "": false, " fanfare": false, "fanfare ": false,
		},
		"TokenAudience": {"fanfare": true, "urn:fanfare": true, "": false, " fanfare": false, "fanfare ": false},
		"PublishClaim": {
			"scope=publish": true, "https://a.example/?x=y=true": true, "scope": false, "=publish": false,
			" scope=publish": false, "scope =publish": false, "scope=publish ": false, "scope=a b": false,
		},
		"AlarmTopicArn": {
			"": true, "arn:aws:sns:us-east-1:123456789012:alarms": true,
			"arn:aws:sns:us-east-1:123456789012:alarms.fifo": true,
			"alarms": false, "arn:aws:sqs:us-east-1:123456789012:alarms": false,
			"arn:aws:sns:us-east-1:123456789012:alarms:3f": false, "arn:aws:sns:us-east-1:123456789012:my alarms": false,
		},
	} {
		for value, want := range values {
			_, err := template.LoadFile(localtest.Template(), template.Options{
				Parameters: map[string]string{"Access": "jwt", parameter: value},
			})
			if (err == nil) != want {
				t.Errorf("%s = %q: got %v, want accepted %v", parameter, value, err, want)
			}
			if parameter == "AllowedOrigins" {
				if origins, err := access.ParseOrigins(value); (err == nil) != want {
					t.Errorf("ParseOrigins(%q): got %v, %v, want accepted %v", value, origins, err, want)
				}
			}
			if parameter == "PublishClaim" {
				if claim, err := token.ParseClaim(value); (err == nil) != want {
					t.Errorf("ParseClaim(%q): got %v, %v, want accepted %v", value, claim, err, want)
				}
			}
		}
	}
}

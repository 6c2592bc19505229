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
)

// TestTheTemplateIsClosed holds what the security page says of the infrastructure, for every mode.
func TestTheTemplateIsClosed(t *testing.T) {
	if _, err := template.LoadFile("../../../template.yaml", template.Options{}); err == nil || !strings.Contains(err.Error(), "Access has no default") {
		t.Errorf("a stack without a decision on access: %v", err)
	}
	for _, access := range []string{"open", "listen", "jwt"} {
		t.Run(access, func(t *testing.T) {
			r, err := template.LoadFile("../../../template.yaml", template.Options{StackName: "fanfare", Parameters: map[string]string{"Access": access, "PublishesPerSecond": "1"}})
			if err != nil {
				t.Fatal(err)
			}
			for _, q := range r.Queues {
				if q.Attributes["SqsManagedSseEnabled"] != "true" {
					t.Errorf("%s is not encrypted", q.Name)
				}
				for secure, allowed := range map[string]bool{"true": true, "false": false} {
					administrator := []iam.Document{parse(t, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`)}
					err := iam.Authorize(administrator, q.Policy, iam.Request{
						Caller: "me", Role: "me", Account: r.Account, Action: "sqs:SendMessage", Resource: q.ARN,
						Context: map[string][]string{"aws:securetransport": {secure}},
					})
					if (err == nil) != allowed {
						t.Errorf("%s, TLS %s: %v", q.Name, secure, err)
					}
				}
			}
			groups := make(map[string]bool)
			for _, inert := range r.Inert {
				groups[inert.LogicalID] = groups[inert.LogicalID] || inert.Type == "AWS::Logs::LogGroup"
			}
			for _, f := range r.Functions {
				if own := strings.TrimSuffix(f.LogicalID, "Function") + "Logs"; !groups[own] || f.Logging.Group != "/aws/lambda/"+f.Name {
					t.Errorf("%s has no log group of its own (its retention is the template's)", f.LogicalID)
				}
				for name, value := range f.Environment {
					if regexp.MustCompile(`(?i)password|key|secret|token`).MatchString(name) && strings.Contains(value, "secret") && !strings.HasPrefix(value, "arn:") {
						t.Errorf("%s has a secret in %s", f.LogicalID, name)
					}
				}
				for _, p := range f.Role.Policies {
					for _, s := range p.Document.Statements {
						for _, action := range s.Actions {
							tracing := strings.HasPrefix(action, "xray:") // knows no narrower resource
							if strings.Contains(action, "*") || !tracing && slices.Contains(s.Resources, "*") {
								t.Errorf("%s may %s on %v", f.LogicalID, action, s.Resources)
							}
						}
					}
				}
			}
			// Only who may publish can: by the role's own permissions, whatever the function does.
			queue := ""
			for _, q := range r.Queues {
				if q.LogicalID == "BroadcastQueue" {
					queue = q.ARN
				}
			}
			if err := may(r, "fanfare-default", "sqs:SendMessage", queue); (err == nil) != (access != "listen") {
				t.Errorf("default publishes: %v", err)
			}
			for function, action := range map[string]string{"fanfare-connect": "sqs:SendMessage", "fanfare-disconnect": "sqs:SendMessage", "fanfare-default": "sqs:ReceiveMessage"} {
				if err := may(r, function, action, queue); err == nil {
					t.Errorf("%s may %s", function, action)
				}
			}
			if access == "jwt" {
				secret := r.Secrets[0].ARN
				for _, f := range r.Functions {
					if err := may(r, f.Name, "secretsmanager:GetSecretValue", secret); (err == nil) != (f.LogicalID == "AuthorizerFunction") {
						t.Errorf("%s reads the secret: %v", f.LogicalID, err)
					}
				}
				if r.Secrets[0].Value != "" || r.Secrets[0].Generate == nil {
					t.Error("the secret stands in the template")
				}
			} else if len(r.Secrets) != 0 {
				t.Errorf("%d secrets that nobody needs", len(r.Secrets))
			}
		})
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

// may asks the policies of a function's role.
func may(r *template.Resolved, function, action, resource string) error {
	for _, f := range r.Functions {
		if f.Name == function {
			return iam.Authorize(f.Role.Documents(), nil, r.Request(f, action, resource))
		}
	}
	return errors.New("there is no such function")
}

// TestTheSecurityPageNamesTestsThatExist holds that no answer to a threat rests on a test that has gone.
func TestTheSecurityPageNamesTestsThatExist(t *testing.T) {
	page, err := os.ReadFile("../../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	err = filepath.WalkDir("../../..", func(path string, entry fs.DirEntry, err error) error {
		if entry != nil && entry.IsDir() && (entry.Name() == "build" || strings.HasPrefix(entry.Name(), ".") && entry.Name() != "..") {
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
	names := regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9]+)`").FindAllStringSubmatch(string(page), -1)
	if len(names) < 20 {
		t.Errorf("only %d tests are named", len(names))
	}
	for _, name := range names {
		if !strings.Contains(code.String(), "\nfunc "+name[1]+"(") {
			t.Errorf("there is no %s", name[1])
		}
	}
}

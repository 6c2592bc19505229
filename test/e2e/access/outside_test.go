package access_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"fanfare/test/localtest"
	"fanfare/test/tokentest"
)

// tool returns the first of these programs that is there and, with args, ends well; or skips the test, saying what is
// missing. Where "make tools" has put things is looked at first.
func tool(t *testing.T, needs string, candidates []string, args ...string) string {
	t.Helper()
	for _, name := range candidates {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		if path, err = filepath.Abs(path); err == nil && exec.Command(path, args...).Run() == nil {
			return path
		}
	}
	t.Skipf("NOT RUN: this needs %s", needs)
	return ""
}

var pythons = []string{"../../../build/tools/venv/bin/python3", "python3"}

// nodeScript puts a script where Node finds the packages that "make tools" installed, or skips the test.
func nodeScript(t *testing.T, script, pkg string) (node, path string) {
	t.Helper()
	node = tool(t, "Node", []string{"node"}, "--version")
	modules, err := filepath.Abs("../../../build/tools/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(modules, pkg)); errors.Is(err, fs.ErrNotExist) {
		t.Skipf("NOT RUN: this needs the npm package %s", pkg)
	}
	dir := t.TempDir()
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, filepath.Base(script))
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return node, path
}

// TestTokensOfOtherIssuers connects with tokens that libraries signed which nobody here wrote.
func TestTokensOfOtherIssuers(t *testing.T) {
	for name, command := range map[string]func(*testing.T) *exec.Cmd{
		"PyJWT": func(t *testing.T) *exec.Cmd {
			return exec.Command(tool(t, "Python with PyJWT and cryptography", pythons, "-c", "import jwt, cryptography"), "testdata/issuer.py")
		},
		"jose for Node": func(t *testing.T) *exec.Cmd {
			node, script := nodeScript(t, "testdata/issuer.mjs", "jose")
			return exec.Command(node, script)
		},
	} {
		t.Run(name, func(t *testing.T) {
			listener := tokentest.Listener(time.Now())
			claims, err := json.Marshal(map[string]tokentest.Claims{
				"listener": listener, "publisher": listener.With(tokentest.Claims{"scope": "openid publish"}),
				"expired": listener.With(tokentest.Claims{"exp": 1}), "other": listener.With(tokentest.Claims{"aud": "other"}),
			})
			if err != nil {
				t.Fatal(err)
			}
			cmd := command(t)
			cmd.Stdin = bytes.NewReader(claims)
			cmd.Stderr = os.Stderr
			said, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			var issued struct {
				JWKS   json.RawMessage   `json:"jwks"`
				Tokens map[string]string `json:"tokens"`
			}
			if err := json.Unmarshal(said, &issued); err != nil || len(issued.Tokens) != 8 {
				t.Fatalf("%v: %s", err, said)
			}
			w := start(t, map[string]string{"Access": "jwt", "TokenIssuer": "https://issuer.example", "TokenJwksUrl": issuer(t, issued.JWKS)})
			for name, token := range issued.Tokens {
				c, status := w.connect(t, bearer(token))
				who, _, _ := strings.Cut(name, " ")
				if want := map[string]int{"listener": 101, "publisher": 101, "expired": 403, "other": 403}[who]; status != want {
					t.Errorf("%s: %d, want %d", name, status, want)
				}
				if c == nil {
					continue
				}
				if got, want := c.publish(t, "hello"), map[string]string{"listener": "no_publish_right", "publisher": "ack"}[who]; got.say() != want {
					t.Errorf("%s: publishing is answered with %+v, want %s", name, got, want)
				}
			}
		})
	}
}

// TestABrowser has Chromium connect, listen and publish with tokens, from an allowed origin and from another one.
func TestABrowser(t *testing.T) {
	chromium := tool(t, "Chromium", []string{"chromium", "chromium-browser", "google-chrome"}, "--version")
	said := make(chan map[string]string, 1)
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			http.ServeFile(w, r, "testdata/page.html")
			return
		}
		var result map[string]string
		if err := json.NewDecoder(r.Body).Decode(&result); err != nil {
			result = map[string]string{"error": err.Error()}
		}
		said <- result
	})
	ours, theirs := httptest.NewServer(page), httptest.NewServer(page)
	defer ours.Close()
	defer theirs.Close()
	w := start(t, map[string]string{"Access": "jwt", "AllowedOrigins": ours.URL})
	listener := tokentest.Listener(time.Now())
	query := url.Values{
		"url":      {"ws" + strings.TrimPrefix(w.Endpoints[0], "http")},
		"listener": {w.signed(listener)}, "publisher": {w.signed(listener.With(tokentest.Claims{"scope": "publish"}))},
	}.Encode()

	for site, want := range map[string]map[string]string{
		ours.URL: {
			"withoutToken": "refused", "withRubbish": "refused", "listener": "fanfare.bearer", "listenerPublishes": "no_publish_right",
			"publisher": "fanfare.bearer", "heard": "hello from a page",
		},
		theirs.URL: {"withoutToken": "refused", "withRubbish": "refused", "listener": "refused"},
	} {
		browser := exec.CommandContext(t.Context(), chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
			"--disable-background-networking", "--disable-dev-shm-usage", "--user-data-dir="+t.TempDir(), "--remote-debugging-port=0", site+"/?"+query)
		browser.WaitDelay = patience
		if err := browser.Start(); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-said:
			for what, answer := range want {
				if got[what] != answer {
					t.Errorf("%s: %q, want %q", what, got[what], answer)
				}
			}
			if len(got) != len(want) {
				t.Errorf("the page says %v", got)
			}
		case <-time.After(2 * patience):
			t.Error("the page says nothing")
		}
		browser.Process.Kill()
		browser.Wait()
	}
}

// TestExamplesPublish runs the examples for backends, each of which reaches a client.
func TestExamplesPublish(t *testing.T) {
	w := start(t, map[string]string{"Access": "listen"})
	c := w.mustConnect(t, handshake{})
	const folder = "../../../examples/publish/"
	for name, command := range map[string]func(t *testing.T, message string) *exec.Cmd{
		"aws": func(t *testing.T, message string) *exec.Cmd {
			aws := tool(t, "the AWS CLI", []string{"../../../build/tools/venv/bin/aws", "aws"}, "--version")
			cmd := exec.Command("sh", folder+"publish.sh", message)
			cmd.Env = []string{"PATH=" + filepath.Dir(aws) + ":" + os.Getenv("PATH")}
			return cmd
		},
		"python": func(t *testing.T, message string) *exec.Cmd {
			return exec.Command(tool(t, "Python with boto3", pythons, "-c", "import boto3"), folder+"publish.py", message)
		},
		"node": func(t *testing.T, message string) *exec.Cmd {
			node, script := nodeScript(t, folder+"publish.mjs", "@aws-sdk/client-sqs")
			return exec.Command(node, script, message)
		},
		"go": func(t *testing.T, message string) *exec.Cmd { return exec.Command("go", "run", folder, message) },
	} {
		t.Run(name, func(t *testing.T) {
			cmd := command(t, "hello from "+name)
			if cmd.Env == nil {
				cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
			}
			for _, variable := range []string{"HOME", "GOPATH", "GOMODCACHE", "GOCACHE", "GOFLAGS", "GOPROXY", "PYENV_ROOT"} {
				if value := os.Getenv(variable); value != "" {
					cmd.Env = append(cmd.Env, variable+"="+value)
				}
			}
			cmd.Env = append(cmd.Env, "QUEUE_URL="+w.output("BroadcastQueueUrl"), "AWS_ENDPOINT_URL="+w.AWSEndpoint,
				"AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1", "AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=x")
			var errs bytes.Buffer
			cmd.Stderr = &errs
			id, err := cmd.Output()
			if err != nil || len(strings.TrimSpace(string(id))) != 36 {
				t.Fatalf("%v: it prints %q and %s", err, id, errs.String())
			}
			if frame := c.next(t); frame != "hello from "+name {
				t.Errorf("the client got %q", frame)
			}
		})
	}
}

// TestTheCommandMakesTokens connects with the tokens that "make run ACCESS=jwt" prints.
func TestTheCommandMakesTokens(t *testing.T) {
	w := start(t, map[string]string{"Access": "jwt"})
	fanfare, err := localtest.Program("cmd/fanfare")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(fanfare, "token", "--try", "ws://there")
	cmd.Env = append(os.Environ(), "OUTPUT_TokenSecretArn="+w.output("TokenSecretArn"), "AWS_ENDPOINT_URL="+w.AWSEndpoint,
		"AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=x")
	cmd.Stderr = os.Stderr
	said, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile(`(?m)^  (\w+)\n  npx wscat -c ws://there -s fanfare.bearer -s (\S+)$`).FindAllStringSubmatch(string(said), -1)
	if len(lines) != 2 {
		t.Fatalf("it prints %s", said)
	}
	for _, line := range lines {
		c := w.mustConnect(t, bearer(line[2]))
		if got, want := c.publish(t, "hello"), map[string]string{"listener": "no_publish_right", "publisher": "ack"}[line[1]]; got.say() != want {
			t.Errorf("%s: publishing is answered with %+v", line[1], got)
		}
	}
}

package access_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
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

	"fanfare/publish"
	"fanfare/test/localtest"
	"fanfare/test/tokentest"
)

// tool returns the path of the first candidate that exists and ends with exit code 0 when it is run with args.
// Without one it skips the test and names what the test needs.
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

// pythons are interpreters: that of "make tools" and the system's.
var pythons = []string{"../../../build/tools/venv/bin/python3", "python3"}

// nodeScript copies a script to a folder where Node finds the packages of "make tools". It skips the test without
// Node or the package.
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

// Tokens signed by other libraries than this module's are accepted and refused as they should be.
func TestToken_OtherLibraries(t *testing.T) {
	for name, command := range map[string]func(*testing.T) *exec.Cmd{
		"PyJWT": func(t *testing.T) *exec.Cmd {
			python := tool(t, "Python with PyJWT and cryptography", pythons, "-c", "import jwt, cryptography")
			return exec.Command(python, "testdata/issuer.py")
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
			output, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			var issued struct {
				JWKS   json.RawMessage   `json:"jwks"`
				Tokens map[string]string `json:"tokens"`
			}
			if err := json.Unmarshal(output, &issued); err != nil || len(issued.Tokens) != 8 {
				t.Fatalf("got %v and %s, want a JSON object with 8 tokens", err, output)
			}
			d := start(t, map[string]string{
				"Access": "jwt", "TokenIssuer": "https://issuer.example", "TokenJwksUrl": issuer(t, issued.JWKS),
			})
			statuses := map[string]int{"listener": 101, "publisher": 101, "expired": 403, "other": 403}
			for name, token := range issued.Tokens {
				kind, _, _ := strings.Cut(name, " ")
				c, status := d.connect(t, bearer(token))
				if want := statuses[kind]; status != want {
					t.Errorf("%s: got status %d, want %d", name, status, want)
				}
				if c == nil {
					continue
				}
				if got, want := c.MustPublish(t, "hello"), publishOutcomes[kind]; outcome(got) != want {
					t.Errorf("%s: publish: got %+v, want %s", name, got, want)
				}
			}
		})
	}
}

// publishOutcomes are the outcomes of a publish with a valid token in jwt mode.
var publishOutcomes = map[string]string{"listener": "no_publish_right", "publisher": "ack"}

// TestBrowser has Chromium connect, listen and publish with tokens, from an allowed origin and from another one.
func TestBrowser(t *testing.T) {
	chromium := tool(t, "Chromium", []string{"chromium", "chromium-browser", "google-chrome"}, "--version")
	results := make(chan map[string]string, 1)
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			http.ServeFile(w, r, "testdata/page.html")
			return
		}
		var result map[string]string
		if err := json.NewDecoder(r.Body).Decode(&result); err != nil {
			result = map[string]string{"error": err.Error()}
		}
		results <- result
	})
	ours, theirs := httptest.NewServer(page), httptest.NewServer(page)
	defer ours.Close()
	defer theirs.Close()
	d := start(t, map[string]string{"Access": "jwt", "AllowedOrigins": ours.URL})
	listener := tokentest.Listener(time.Now())
	query := url.Values{
		"url": {d.WebSocket}, "listener": {d.signed(listener)},
		"publisher": {d.signed(listener.With(tokentest.Claims{"scope": "publish"}))},
	}.Encode()

	for site, want := range map[string]map[string]string{
		ours.URL: {
			"withoutToken": "refused", "withRubbish": "refused", "listener": "fanfare.bearer",
			"listenerPublishes": "no_publish_right", "publisher": "fanfare.bearer", "heard": "hello from a page",
		},
		theirs.URL: {"withoutToken": "refused", "withRubbish": "refused", "listener": "refused"},
	} {
		browser := exec.CommandContext(t.Context(), chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
			"--disable-background-networking", "--disable-dev-shm-usage", "--user-data-dir="+t.TempDir(),
			"--remote-debugging-port=0", site+"/?"+query)
		browser.WaitDelay = localtest.Deadline
		if err := browser.Start(); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-results:
			if !maps.Equal(got, want) {
				t.Errorf("%s: got %v, want %v", site, got, want)
			}
		case <-time.After(localtest.Deadline):
			t.Errorf("%s: got no result of the page within %v", site, localtest.Deadline)
		}
		browser.Process.Kill()
		browser.Wait()
	}
}

// Each of the examples for backends reaches a client.
func TestExamples_Publish(t *testing.T) {
	d := start(t, map[string]string{"Access": "listen"})
	c := d.mustConnect(t, handshake{})
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
			cmd := command(t, "file://message from "+name) // the AWS CLI must not read a file
			if cmd.Env == nil {
				cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
			}
			for _, variable := range []string{"HOME", "GOPATH", "GOMODCACHE", "GOCACHE", "GOFLAGS", "GOPROXY", "PYENV_ROOT"} {
				if value := os.Getenv(variable); value != "" {
					cmd.Env = append(cmd.Env, variable+"="+value)
				}
			}
			cmd.Env = append(cmd.Env, "QUEUE_URL="+d.Outputs["BroadcastQueueUrl"], "AWS_ENDPOINT_URL="+d.Endpoint,
				"AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1", "AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=x")
			var errs bytes.Buffer
			cmd.Stderr = &errs
			id, err := cmd.Output()
			if err != nil || publish.CheckID(strings.TrimSpace(string(id))) != nil {
				t.Fatalf("got %v, the output %q and the errors %s, want a broadcast id", err, id, errs.String())
			}
			if got, want := c.MustNext(t), "file://message from "+name; got != want {
				t.Errorf("the client got %q, want %q", got, want)
			}
		})
	}
}

// The tokens that "make run ACCESS=jwt" prints connect and publish.
func TestCommand_Token(t *testing.T) {
	d := start(t, map[string]string{"Access": "jwt"})
	fanfare, err := localtest.Program("cmd/fanfare")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(fanfare, "token", "--try", "ws://there")
	cmd.Env = append(os.Environ(), "OUTPUT_TokenSecretArn="+d.Outputs["TokenSecretArn"],
		"AWS_ENDPOINT_URL="+d.Endpoint, "AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=x")
	cmd.Stderr = os.Stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^  (\w+)\n  npx wscat -c ws://there -s fanfare.bearer -s (\S+)$`)
	lines := line.FindAllStringSubmatch(string(output), -1)
	if len(lines) != 2 {
		t.Fatalf("got %s, want 2 commands with tokens", output)
	}
	for _, line := range lines {
		c := d.mustConnect(t, bearer(line[2]))
		if got, want := c.MustPublish(t, "hello"), publishOutcomes[line[1]]; outcome(got) != want {
			t.Errorf("%s: publish: got %+v, want %s", line[1], got, want)
		}
	}
}

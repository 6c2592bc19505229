package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fanfare/local/apigateway"
	"fanfare/local/lambda"
)

func TestTerminal_Write(t *testing.T) {
	for in, want := range map[string]string{
		"plain ü 😀\tx\n":          "plain ü 😀\tx\n",
		"\x1b[2J\x1b]0;title\a":   `\x1b[2J\x1b]0;title\a`,
		"a\rb\bc\x00d\x7f\u009bm": `a\rb\bc\x00d\x7f\u009bm`,
		"\u202egnp\u200b\ufeff":   `\u202egnp\u200b\ufeff`,
		"\xff\xc3(":               `\xff\xc3(`,
	} {
		var whole, parts strings.Builder
		fmt.Fprint(&terminal{out: &whole}, in)
		byteWise := &terminal{out: &parts}
		for i := range len(in) {
			if n, err := byteWise.Write([]byte{in[i]}); n != 1 || err != nil {
				t.Errorf("%q: got %d, %v, want 1, nil", in, n, err)
			}
		}
		if whole.String() != want || parts.String() != want {
			t.Errorf("%q: got %q and %q in parts, want %q", in, &whole, &parts, want)
		}
	}
}

// TestConsole_Escapes prints text from outside in every place of a line.
func TestConsole_Escapes(t *testing.T) {
	const evil = "\x1b]0;owned\a\x1b[31m\r\u009b2J"
	var out strings.Builder
	c := newConsole(&out, "stack-", false)
	at := time.Now()
	for _, kind := range []apigateway.Kind{apigateway.Connected, apigateway.Refused, apigateway.Received,
		apigateway.Posted, apigateway.Disconnected} {
		c.gateway(apigateway.Event{Time: at, Kind: kind, Connection: evil, Route: evil, Method: evil, Reason: evil,
			Err: errors.New(evil)})
	}
	c.function("stack-"+evil, "", []byte(evil))
	c.function("stack-f", "", []byte(`{"msg":"\u001b[31m","\u001b":"\u001b","level":"\u001b"}`))
	c.invocation(lambda.Report{Function: evil, Status: lambda.StatusError})
	c.banner(evil)
	if text := out.String(); strings.ContainsAny(text, "\x1b\a\r\u009b") || !strings.Contains(text, `\x1b]0;owned\a`) {
		t.Errorf("got %q, want escapes in the place of control characters", text)
	}
}

// TestRun_Escapes checks that neither the output nor the logs nor the error of a run contain control characters of a
// template or of the command of --ready.
func TestRun_Escapes(t *testing.T) {
	dir := t.TempDir()
	template := filepath.Join(dir, "template.yaml")
	const source = "Resources:\n  Queue:\n    Type: AWS::SQS::Queue\n    Properties: {QueueName: \"\\e[2Jx\"}\n"
	if err := os.WriteFile(template, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr strings.Builder
	err := program{&stdout, &stderr}.main(t.Context(), options{Template: template, BuildDir: dir, Speed: 1})
	if got, want := err, 1; got != want || !strings.Contains(stderr.String(), `\x1b[2Jx`) ||
		strings.Contains(stderr.String(), "\x1b") {
		t.Errorf("wrong template: got %v and %q, want %v and an escaped name", got, &stderr, want)
	}
	if err := os.WriteFile(template, []byte("Resources: {Queue: {Type: AWS::SQS::Queue}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	stderr.Reset()
	err = program{&stdout, &stderr}.main(t.Context(), options{Template: template, BuildDir: dir, Speed: 1,
		Ready: `printf '\033[1mout'; printf '\033[1merr' >&2; exit 1`})
	if err != 1 || !strings.Contains(stdout.String(), `\x1b[1mout`) || !strings.Contains(stderr.String(), `\x1b[1merr`) ||
		strings.Contains(stdout.String()+stderr.String(), "\x1b") {
		t.Errorf("--ready: got %v, %q and %q, want 1 and escaped output", err, &stdout, &stderr)
	}
}

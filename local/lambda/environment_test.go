package lambda_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"fanfare/local/lambda"
)

// A function receives the variables of Lambda and of its configuration, and none of the parent process.
func TestFunction_Environment(t *testing.T) {
	t.Setenv("AWS_CA_BUNDLE", "/nowhere")
	t.Setenv("AWS_PROFILE", "private")
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	dir := goDir(t)
	s, _ := start(t,
		lambda.Options{
			Region: "eu-west-1", Account: "123456789012", XRayDaemonAddress: "127.0.0.1:2000",
			Env: map[string]string{"AWS_ENDPOINT_URL": "http://127.0.0.1:4566", "MINE": "overridden"},
		},
		lambda.Function{
			Name: "f", Dir: dir, Handler: "main.handler", MemoryMB: 256,
			AccessKeyID: "AKIA", SecretAccessKey: "secret", SessionToken: "token",
			Env: map[string]string{"MINE": "hers", "TZ": "Europe/Berlin", "EMPTY": ""},
		},
		lambda.Function{Name: "bare", Dir: dir})
	a := invoke[answer](t, s, "f", order{"do": "env"})
	want := map[string]string{
		"_HANDLER": "main.handler", "AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1",
		"AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
		"AWS_LAMBDA_FUNCTION_VERSION":    "$LATEST",
		"AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand", "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/f",
		"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token",
		"LAMBDA_TASK_ROOT": dir, "LAMBDA_RUNTIME_DIR": "/var/runtime", "TZ": "Europe/Berlin", "LANG": "en_US.UTF-8",
		"PATH":                     "/usr/local/bin:/usr/bin/:/bin:/opt/bin",
		"LD_LIBRARY_PATH":          "/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:" + dir + ":" + dir + "/lib:/opt/lib",
		"AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR", "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000",
		"AWS_ENDPOINT_URL": "http://127.0.0.1:4566", "MINE": "hers", "EMPTY": "",
	}
	for name, pattern := range map[string]string{
		"AWS_LAMBDA_RUNTIME_API":     `^127\.0\.0\.1:\d+/[A-Z2-7]{26}$`,
		"AWS_LAMBDA_LOG_STREAM_NAME": `^\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}$`,
		"_X_AMZN_TRACE_ID":           "^" + regexp.QuoteMeta(a.Trace) + "$", // set by aws-lambda-go
	} {
		if !regexp.MustCompile(pattern).MatchString(a.Env[name]) {
			t.Errorf("variable %s: got %q, want %s", name, a.Env[name], pattern)
		}
		delete(a.Env, name)
	}
	delete(a.Env, "PWD") // set by os/exec
	if !maps.Equal(a.Env, want) {
		for _, name := range slices.Sorted(maps.Keys(a.Env)) {
			if value, ok := want[name]; !ok || value != a.Env[name] {
				t.Errorf("variable %s: got %q, want %q (present: %v)", name, a.Env[name], value, ok)
			}
			delete(want, name)
		}
		t.Errorf("variables: missing %q", want)
	}
	if a.Dir != dir {
		t.Errorf("working directory: got %q, want %q", a.Dir, dir)
	}

	bare := invoke[answer](t, s, "bare", order{"do": "env"}).Env
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} {
		if value, ok := bare[name]; ok {
			t.Errorf("variable %s without credentials: got %q, want none", name, value)
		}
	}
	for name, want := range map[string]string{
		"MINE": "overridden", "TZ": ":UTC", "_HANDLER": "bootstrap", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
	} {
		if bare[name] != want {
			t.Errorf("default of %s: got %q, want %q", name, bare[name], want)
		}
	}
}

func TestService_AddRefusals(t *testing.T) {
	s, _ := start(t, lambda.Options{}, lambda.Function{Name: "taken", Dir: "."})
	for _, test := range []struct {
		fn   lambda.Function
		want string
	}{
		{lambda.Function{Name: "", Dir: "."}, "function name"},
		{lambda.Function{Name: "a b", Dir: "."}, "function name"},
		{lambda.Function{Name: strings.Repeat("a", 65), Dir: "."}, "function name"},
		{lambda.Function{Name: "f"}, "Dir is missing"},
		{lambda.Function{Name: "taken", Dir: "."}, "ResourceConflictException"},
		{lambda.Function{Name: "f", Dir: ".", Timeout: 901e9}, "Timeout 15m1s"},
		{lambda.Function{Name: "f", Dir: ".", Timeout: -1}, "Timeout"},
		{lambda.Function{Name: "f", Dir: ".", MemoryMB: 127}, "MemoryMB 127"},
		{lambda.Function{Name: "f", Dir: ".", MemoryMB: 10241}, "MemoryMB 10241"},
		{lambda.Function{Name: "f", Dir: ".", ReservedConcurrency: -2}, "ReservedConcurrency -2"},
		{lambda.Function{Name: "f", Dir: ".", ReservedConcurrency: 901}, "below its minimum value of [100]"},
		{lambda.Function{Name: "f", Dir: ".", Env: map[string]string{
			"AWS_REGION": "x", "A": "1", "AWS_LAMBDA_RUNTIME_API": "x",
		}}, "environment variable \"A\""},
		{lambda.Function{Name: "f", Dir: ".", Env: map[string]string{"AWS_REGION": "x", "_HANDLER": "x"}},
			"Reserved keys used in this request: AWS_REGION, _HANDLER"},
		{lambda.Function{Name: "f", Dir: ".", Env: map[string]string{"1A": "x"}}, "\"1A\""},
		{lambda.Function{Name: "f", Dir: ".", Env: map[string]string{"AB": "x\x00y"}}, "NUL"},
		{lambda.Function{Name: "f", Dir: ".", Env: map[string]string{"AB": strings.Repeat("x", 4095)}},
			"4KB limit (4097 bytes)"},
	} {
		if err := s.Add(test.fn); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("Add(%+v): got error %v, want one with %q", test.fn, err, test.want)
		}
	}
	atLimits := lambda.Function{
		Name: "f", Dir: ".", ReservedConcurrency: 900, Env: map[string]string{"AB": strings.Repeat("x", 4094)},
	}
	if err := s.Add(atLimits); err != nil {
		t.Errorf("Add at the limits: got error %v, want none", err)
	}
}

func TestNew_Refusals(t *testing.T) {
	for i, o := range []lambda.Options{
		{AccountConcurrency: -1}, {StartConcurrency: -1}, {IdleLifetime: -1},
		{Faults: lambda.Faults{Kill: 1.5}}, {Faults: lambda.Faults{Kill: 0.6, Timeout: 0.6}},
	} {
		if s, err := lambda.New(o); err == nil {
			t.Errorf("New with options %d: got no error, want one", i)
			_ = s.Shutdown(t.Context())
		}
	}
}

// Every line has the id of its invocation, including a line written just before the invocation ends.
func TestOutput_RequestIDs(t *testing.T) {
	s, seen := start(t, lambda.Options{}, lambda.Function{Name: "f", Dir: goDir(t)})
	var want []string
	for i := range 20 {
		name := fmt.Sprint("run ", i)
		a := invoke[answer](t, s, "f", order{"do": "print", "n": 3, "text": name})
		for j := range 3 {
			want = append(want, fmt.Sprintf("%s|%s %d", a.RequestID, name, j))
		}
	}
	if got := seen.Lines(); !slices.Equal(got, want) {
		t.Errorf("got lines %q, want %q", got, want)
	}
}

func TestOutput_Lines(t *testing.T) {
	const longest = 256 << 10
	long := strings.Repeat("0123456789abcdef", longest/16)
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"no final newline", "a\nb", []string{"a", "b"}},
		{"empty lines", "\n\na\n", []string{"", "", "a"}},
		{"carriage return", "a\r\nb\rc\n", []string{"a", "b\rc"}},
		{"longest", long + "\nx\n", []string{long, "x"}},
		{"one byte too long", long + "x\n", []string{long, "x"}},
		{"much too long", long + long + "xyz\n", []string{long, long, "xyz"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, seen := start(t, lambda.Options{}, lambda.Function{Name: "f", Dir: goDir(t)})
			a := invoke[answer](t, s, "f", order{"do": "printf", "text": test.text})
			var got []string
			for _, line := range seen.Lines() {
				id, text, _ := strings.Cut(line, "|")
				if id != a.RequestID {
					t.Errorf("request id of a line: got %q, want %q", id, a.RequestID)
				}
				got = append(got, text)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %d lines %.100q, want %d", len(got), got, len(test.want))
			}
		})
	}
}

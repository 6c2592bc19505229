package lambda

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits of a function's configuration.
// Source: docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html and the API model of CreateFunction.
const (
	DefaultTimeout  = 3 * time.Second
	MaxTimeout      = 900 * time.Second
	DefaultMemoryMB = 128
	MaxMemoryMB     = 10240
	MaxEnvBytes     = 4096 // total size of the names and values of the function's own variables

	// DefaultAccountConcurrency is the concurrency quota of an account and Region. New accounts may have less.
	DefaultAccountConcurrency = 1000

	// minUnreserved is the concurrency that reservations must leave to the other functions.
	minUnreserved = 100
)

// NoConcurrency as ReservedConcurrency throttles every invocation. In a template it is ReservedConcurrentExecutions: 0.
const NoConcurrency = -1

// Function is the configuration of a function.
type Function struct {
	// Name is 1 to 64 letters, digits, hyphens and underscores.
	Name string
	// ARN of the function; "" means one built from Name and the service's Region and account.
	ARN string
	// Dir contains the executable bootstrap. It is the process's working directory and LAMBDA_TASK_ROOT.
	Dir string
	// Handler is the function's _HANDLER variable; "" means "bootstrap".
	Handler string
	// Env are the function's own variables. As on AWS, reserved names and more than MaxEnvBytes are refused.
	Env map[string]string
	// Timeout of one invocation, up to MaxTimeout; 0 means DefaultTimeout. AWS accepts whole seconds from 1; fractions
	// are accepted here, for tests.
	Timeout time.Duration
	// MemoryMB is 128 to MaxMemoryMB; 0 means DefaultMemoryMB. It is passed to the function but not enforced.
	MemoryMB int
	// ReservedConcurrency is the number of concurrent invocations reserved for this function. 0 reserves none, so
	// that the function shares the unreserved rest of the account's; NoConcurrency allows none.
	ReservedConcurrency int
	// AllowRecursion is RecursiveLoop: Allow. Without it a loop through SQS or Lambda ends after about 16 turns.
	AllowRecursion bool
	// Credentials of the function's execution role, passed to it in its environment.
	AccessKeyID, SecretAccessKey, SessionToken string
}

var (
	validName     = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
	validVariable = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_]+$`)
)

// reserved are the variables that a function's configuration must not set.
// Source: docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html (TZ is no longer among them).
var reserved = []string{
	"_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV",
	"AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION",
	"AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME",
	"AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
	"AWS_LAMBDA_RUNTIME_API", "AWS_LAMBDA_MAX_CONCURRENCY", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR",
}

// complete sets the defaults. It returns an error for settings that AWS or this package refuses.
func (fn Function) complete(region, account string) (Function, error) {
	if !validName.MatchString(fn.Name) {
		return fn, fmt.Errorf("function name %q: want 1 to 64 letters, digits, hyphens and underscores", fn.Name)
	}
	fail := func(format string, args ...any) (Function, error) {
		return fn, fmt.Errorf("function %s: %w", fn.Name, fmt.Errorf(format, args...))
	}
	if fn.ARN == "" {
		fn.ARN = "arn:aws:lambda:" + region + ":" + account + ":function:" + fn.Name
	}
	if fn.Dir == "" {
		return fail("Dir is missing")
	}
	dir, err := filepath.Abs(fn.Dir)
	if err != nil {
		return fail("absolute path of %s: %w", fn.Dir, err)
	}
	fn.Dir = dir
	if fn.Handler == "" {
		fn.Handler = "bootstrap"
	}
	if fn.Timeout == 0 {
		fn.Timeout = DefaultTimeout
	}
	if fn.Timeout < 0 || fn.Timeout > MaxTimeout {
		return fail("Timeout %v: want up to %v", fn.Timeout, MaxTimeout)
	}
	if fn.MemoryMB == 0 {
		fn.MemoryMB = DefaultMemoryMB
	}
	if fn.MemoryMB < DefaultMemoryMB || fn.MemoryMB > MaxMemoryMB {
		return fail("MemoryMB %d: want %d to %d", fn.MemoryMB, DefaultMemoryMB, MaxMemoryMB)
	}
	if fn.ReservedConcurrency < NoConcurrency {
		return fail("ReservedConcurrency %d: want %d or more", fn.ReservedConcurrency, NoConcurrency)
	}
	return fn, checkEnv(fn)
}

// checkEnv returns the errors of UpdateFunctionConfiguration, with their texts.
func checkEnv(fn Function) error {
	const unable = "function %s: InvalidParameterValueException: Lambda was unable to configure your environment " +
		"variables because the environment variables you have provided "
	var taken []string
	size := 0
	for _, name := range slices.Sorted(maps.Keys(fn.Env)) {
		switch {
		case slices.Contains(reserved, name):
			taken = append(taken, name)
		case !validVariable.MatchString(name):
			return fmt.Errorf("function %s: environment variable %q: want two or more letters, digits and "+
				"underscores, a letter first", fn.Name, name)
		case strings.ContainsRune(fn.Env[name], 0):
			return fmt.Errorf("function %s: environment variable %s holds a NUL", fn.Name, name)
		}
		size += len(name) + len(fn.Env[name])
	}
	if len(taken) > 0 {
		return fmt.Errorf(unable+"contains reserved keys that are currently not supported for modification. "+
			"Reserved keys used in this request: %s", fn.Name, strings.Join(taken, ", "))
	}
	if size > MaxEnvBytes {
		return fmt.Errorf(unable+"exceeded the 4KB limit (%d bytes)", fn.Name, size)
	}
	return nil
}

// environment returns the variables of the function's processes, except the two that differ between them. Later maps
// override earlier ones: Lambda's overridable variables, Options.Env, the function's own, Lambda's reserved ones.
func (fn Function) environment(o Options) map[string]string {
	env := map[string]string{
		"LANG":                     "en_US.UTF-8",
		"TZ":                       ":UTC",
		"PATH":                     "/usr/local/bin:/usr/bin/:/bin:/opt/bin",
		"AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
		"LD_LIBRARY_PATH": "/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:" +
			fn.Dir + ":" + fn.Dir + "/lib:/opt/lib",
	}
	if o.XRayDaemonAddress != "" {
		env["AWS_XRAY_DAEMON_ADDRESS"] = o.XRayDaemonAddress
	}
	maps.Copy(env, o.Env)
	maps.Copy(env, fn.Env)
	maps.Copy(env, map[string]string{
		"_HANDLER":                        fn.Handler,
		"AWS_REGION":                      o.Region,
		"AWS_DEFAULT_REGION":              o.Region,
		"AWS_LAMBDA_FUNCTION_NAME":        fn.Name,
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(fn.MemoryMB),
		"AWS_LAMBDA_FUNCTION_VERSION":     "$LATEST",
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME":       "/aws/lambda/" + fn.Name,
		"AWS_ACCESS_KEY_ID":               fn.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY":           fn.SecretAccessKey,
		"AWS_SESSION_TOKEN":               fn.SessionToken,
		"LAMBDA_TASK_ROOT":                fn.Dir,
		"LAMBDA_RUNTIME_DIR":              "/var/runtime",
	})
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} {
		if env[name] == "" { // an SDK would use an empty token as a token
			delete(env, name)
		}
	}
	return env
}

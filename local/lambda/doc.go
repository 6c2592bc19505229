// Package lambda emulates AWS Lambda: it runs unmodified executables named bootstrap, as the runtimes provided.al2023
// and provided.al2 start them. Each execution environment is a child process that receives its events from the Lambda
// Runtime API.
//
// [New] starts a service and [Service.Add] declares a function. [Service.WarmUp] starts every function, which reports
// at once those that cannot start. [Service.Invoke] invokes a function and [Service.Shutdown] ends the service.
//
// # As on AWS
//
//   - The Runtime API of 2018-06-01 (next, response, error, init/error) with its headers, status codes, limits and
//     state machine. One listener serves every process: AWS_LAMBDA_RUNTIME_API is host:port followed by a secret path
//     of that process. Every runtime that builds "http://${AWS_LAMBDA_RUNTIME_API}/2018-06-01/..." works with it, in
//     any language. A runtime that parses the variable as a bare host and port does not.
//   - One invocation at a time per process; a process is busy until it asks for the next event. A free process is
//     reused, the most recently used first. Without one, a process is started.
//   - Concurrency is limited by the function's reserved concurrency or by the account's unreserved rest. Over the limit
//     an invocation fails with [ErrThrottled] at once: Lambda does not queue synchronous invocations.
//   - Failures: timeout (the process is killed), exit, panic, returned error, init error, init over ten seconds, and
//     response over 6 MB, each with AWS's error type and text. A failed init is repeated once within the invocation's
//     timeout.
//   - A clean environment: the variables of Lambda and of the function's configuration, none of the parent process.
//   - Recursive loop detection by the Lineage field of the trace header, after 16 turns.
//
// # Approximately
//
//   - Scaling: at most Options.StartConcurrency processes of a function start at the same time. An invocation that
//     waits for a start uses a process that becomes free meanwhile. Lambda's own rate (1,000 environments per ten
//     seconds and function) is not modelled.
//   - The caller receives the response when the function asks for its next event, or 50 ms after the response if the
//     function is still running then. Lambda returns it as soon as it is posted, but its callers are farther away than
//     a function needs to become free again.
//   - A process is not frozen between invocations. SIGTERM precedes SIGKILL by 500 ms, and only for a process that
//     registered an internal extension, as aws-lambda-go's WithEnableSIGTERM does.
//   - MaxMemoryUsedMB in a [Report] is read from the kernel on Linux and 0 elsewhere. MemoryMB is not enforced.
//   - Functions run in real time. Only the lifetime of idle processes follows Options.Clock.
//   - Child processes of a function are killed with it, unless they left its process group.
//
// # Not emulated, and refused by name
//
// Response streaming, extensions with events, the Telemetry and Logs APIs, SnapStart (restore/next), versions and
// aliases other than $LATEST, layers, asynchronous invocation, provisioned concurrency, managed instances
// (AWS_LAMBDA_MAX_CONCURRENCY), Windows as the host.
//
// No process outlives the service. On Linux this holds even if the parent is killed with SIGKILL, but not for processes
// that the functions started; other systems have no means for it.
package lambda

// Package lambda runs AWS Lambda functions on this machine: unmodified executables named bootstrap, as the runtimes
// provided.al2023 and provided.al2 start them, each a child process that takes its events from the Lambda Runtime API.
//
// Start with [New], [Service.Add] each function, call [Service.WarmUp] to learn at once of a function that does not
// start, then [Service.Invoke]; end with [Service.Shutdown].
//
// # As on AWS
//
//   - The Runtime API of 2018-06-01 (next, response, error, init/error) with its headers, status codes, limits and
//     state machine. One listener serves every process: AWS_LAMBDA_RUNTIME_API is host:port followed by a secret path
//     of that process, and every runtime that builds "http://${AWS_LAMBDA_RUNTIME_API}/2018-06-01/..." works with it,
//     whatever its language. A runtime that parses the variable as a bare host and port does not work here.
//   - One invocation at a time per process; a process is busy until it asks for the next event. A process that is free
//     is used again, the most recently used first; otherwise one is started.
//   - Concurrency is bounded by the function's reserved concurrency or by what the account has left. Over that an
//     invocation fails with [ErrThrottled] at once: Lambda keeps no queue for synchronous invocations.
//   - Time-out (the process is killed), exit, panic, returned error, init error, init over ten seconds, response over
//     6 MB: each with AWS's error type and wording. A failed init is repeated once within the invocation's own time.
//   - A clean environment: what Lambda sets and what the function configures, nothing of the parent's.
//   - Recursive loop detection by the Lineage field of the trace header, ended after 16 turns.
//
// # Approximately
//
//   - Scaling: at most Options.StartConcurrency processes of a function start at the same time, and an invocation that
//     waits for a start takes a process that becomes free meanwhile. Lambda's own rate (1,000 environments per ten
//     seconds and function) is not modelled.
//   - The response reaches the caller when the function asks for its next event, or 50 ms after it was posted
//     if the function works on. Lambda returns it as soon as it is posted, but a caller there needs longer than a
//     function needs to be free again.
//   - Between invocations a process is not frozen. SIGTERM precedes SIGKILL only for a process that registered an
//     internal extension (as aws-lambda-go's WithEnableSIGTERM does), 500 ms before.
//   - MaxMemoryUsedMB in a [Report] is read from the kernel on Linux and 0 elsewhere; MemoryMB is not enforced.
//   - Functions live in real time: only the life of idle processes follows Options.Clock.
//   - Children of a function's process are killed with it, unless they left its process group.
//
// # Not emulated, and refused by name
//
// Response streaming, extensions with events, the Telemetry and Logs APIs, SnapStart (restore/next), versions and
// aliases other than $LATEST, layers, asynchronous invocation, provisioned concurrency, managed instances
// (AWS_LAMBDA_MAX_CONCURRENCY), Windows as the host.
//
// No process outlives the service. On Linux this holds even if the parent is killed with SIGKILL, though not for what the
// functions themselves have started; other systems offer no means for that.
package lambda

// Package eventsource is Lambda's event source mapping for SQS standard queues: it polls a queue, invokes a function
// with batches of its messages and deletes those that the function has dealt with. [Run] runs one [Mapping].
//
// # As on AWS
//
//   - The event's JSON. Batches close when they have BatchSize messages, when Window has passed since the first, or
//     before the event would exceed 6 MB.
//   - A batch of a function that fails (error, time-out, exit, recursive loop) stays in the queue as a whole and comes
//     back when its visibility time-out has passed; nothing shortens that. With ReportBatchItemFailures the function
//     names the messages that failed, by the rules at [Mapping.ReportBatchItemFailures].
//   - A throttled invocation is repeated, with growing pauses, until the batch's visibility time-out has passed.
//   - Concurrency begins with 5 invocations, grows by 300 a minute while all are busy, to MaximumConcurrency or 1,250, and
//     falls back when polls come back empty. Waiting polls are long, so a message for an idle queue is delivered at once.
//
// # Approximately
//
//   - How far Lambda backs off when a function fails is not documented. Here each failed batch halves the concurrency,
//     down to 2; with ReportBatchItemFailures a failure leaves it alone, a throttle halves it in either case.
//   - An invocation gets the trace header of the batch's first message that has one. Lambda begins a trace and
//     links those of the messages to it.
//   - With a window one poller gathers at a time, so that batches are as full as they can be. Lambda's pollers gather
//     side by side, and its batches may be smaller.
//   - With a window, Lambda may receive messages with a longer visibility time-out than the queue's; here it is the queue's.
//
// # Not emulated, and refused by name
//
// FIFO queues, FilterCriteria, ProvisionedPollerConfig, sources other than SQS.
package eventsource

// Package eventsource emulates Lambda's event source mapping for SQS standard queues: it polls a queue, invokes a
// function with batches of its messages and deletes the messages that the function has processed. [Run] runs one
// [Mapping].
//
// # As on AWS
//
//   - The event's JSON. A batch is complete when it has BatchSize messages, when Window has passed since its first, or
//     when the next message would make the event exceed 6 MB.
//   - If the function fails (error, timeout, exit, recursive loop), the whole batch stays in the queue and becomes
//     visible again after its visibility timeout. With ReportBatchItemFailures the function names the failed messages;
//     for the rules see [Mapping.ReportBatchItemFailures].
//   - A throttled invocation is retried with growing pauses until the batch's visibility timeout has passed.
//   - Concurrency starts at 5 invocations and grows by 300 a minute while all pollers are busy, up to
//     MaximumConcurrency or 1,250. It falls back when polls return no messages. Polls are long, so that an idle queue
//     delivers a message at once.
//
// # Approximately
//
//   - AWS does not document how far Lambda backs off when a function fails. Here each failed batch halves the
//     concurrency, to no less than 2. With ReportBatchItemFailures a failure does not change it. A throttle always
//     halves it.
//   - An invocation receives the trace header of the batch's first message that has one. Lambda starts a new trace and
//     links the traces of the messages to it.
//   - With a window, one poller collects messages at a time, so that batches are as full as possible. Lambda's pollers
//     collect at the same time, and its batches may be smaller.
//   - With a window, Lambda may receive messages with a longer visibility timeout than the queue's. Here it is the
//     queue's.
//
// # Not emulated, and refused by name
//
// FIFO queues, FilterCriteria, ProvisionedPollerConfig, sources other than SQS.
package eventsource

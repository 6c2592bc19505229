// Package sqs is Amazon SQS's standard queues on this machine: in memory, over the wire, with AWS's own rules.
//
// [New] makes a [Server]; it is an http.Handler that speaks AWS JSON 1.0 (X-Amz-Target: AmazonSQS.<Operation>), the
// protocol of the SDKs and the AWS CLI since May 2024 (some began in November 2023). A consumer in the same process,
// such as an event source mapping, uses [Server.Receive] and [Server.Delete], which run the same code as the wire.
//
// # Faithful
//
// Allowed characters, sizes, batches with per-entry failures, message attributes and their MD5, delays, visibility
// timeouts, receive counts, long polling, dead-letter queues and move tasks, retention, the in-flight limit, purge and
// delete cool-downs, tags, and the errors with the types and codes by which SDKs tell them apart. Where AWS's documents
// and recordings of AWS differ, the recording counts and the comment says so.
//
// # Approximate
//
//   - Delivery is exactly once per visibility timeout and nearly first in, first out. SQS promises neither: [Faults]
//     makes the server use the freedom that SQS has.
//   - Counts and attribute changes are exact and immediate; AWS's lag by up to a minute. A queue is deleted at once.
//   - MessageGroupId on a standard queue is kept and returned, but groups are not balanced against each other.
//   - Policy and the server-side encryption attributes are kept and returned, and have no effect.
//   - An unsigned request is accepted unless Options.Authorize refuses it; signatures are not verified.
//
// # Missing, and refused by name
//
// FIFO queues, the query protocol, AddPermission and RemovePermission, and any operation or request member that the API
// does not have.
package sqs

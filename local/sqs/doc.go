// Package sqs emulates the standard queues of Amazon SQS in memory, behind AWS's wire protocol.
//
// [New] makes a [Server], an http.Handler that speaks AWS JSON 1.0 (X-Amz-Target: AmazonSQS.<Operation>). The SDKs and
// the AWS CLI have used this protocol since May 2024, some since November 2023. A consumer in the same process, such as
// an event source mapping, calls [Server.Receive] and [Server.Delete], which run the same code as the operations.
//
// # Faithful
//
// Allowed characters, sizes, batches with failures per entry, message attributes and their MD5, delays, visibility
// timeouts, receive counts, long polling, dead-letter queues, retention, the in-flight limit, the cool-downs of purge
// and delete, and the error types and codes that SDKs report. Where AWS's documentation and recorded answers of AWS
// differ, the code follows the recording, and a comment says so.
//
// # Approximate
//
//   - A message is delivered once per visibility timeout, and nearly first in, first out. SQS promises neither:
//     [Faults] duplicate, delay and reorder messages as SQS may.
//   - Counts and changes of attributes are exact and immediate; on AWS they lag by up to a minute. A queue is deleted
//     at once.
//   - The MessageGroupId of a message is stored and returned, but groups are not balanced against each other.
//   - Policy and the attributes of server-side encryption are stored and returned, and have no effect.
//   - Signatures are not verified. Unsigned requests are accepted unless Options.Authorize denies them.
//
// # Missing, and refused by name
//
// FIFO queues, tags, move tasks, the query protocol, AddPermission and RemovePermission, and every operation or request
// member that the API does not have.
package sqs

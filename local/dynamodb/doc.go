// Package dynamodb is Amazon DynamoDB as an application sees it: one account's tables, in memory, behind the wire
// protocol that the AWS SDKs and the CLI speak (AWS JSON 1.0). New makes a Server, which is an http.Handler;
// CreateTable, of the API or of the Server, makes a table.
//
// # Faithful
//
//   - The expression language: conditions, filters, key conditions, projections and updates, with its functions,
//     placeholders, nested paths and reserved words, and AWS's words for what is wrong with an expression.
//   - Numbers of 38 digits, compared as numbers; item sizes by AWS's rules; pages of 1 MB of items before the filter;
//     capacity units; the limits on keys, items, batches and transactions.
//   - Scans in the order of a hash of the partition key, in any number of segments. A row keeps its place, so a scan
//     goes on after a key that has been deleted meanwhile. Queries come in the order of the sort key.
//   - Conditional writes and transactions are atomic. A ClientRequestToken makes a repeated transaction harmless.
//   - Items past their time to live stay readable until a sweep deletes them (Options.TTLDelay).
//   - The headers X-Amz-Crc32 and X-Amzn-RequestId, which the SDKs check or report.
//
// # Approximate
//
//   - Every read is strongly consistent; ConsistentRead only changes the units.
//   - Tables are active, and deleted, at once; their counts are always current; AWS's take minutes and hours.
//   - The provisioned throughput is described but not enforced, the time to live can be switched any number of times an
//     hour, and transactions wait for each other where AWS may answer TransactionConflictException.
//   - Signatures are not verified; the access key in them is what Options.Authorize is asked about.
//   - Which of several mistakes in a request is reported first.
//   - The size of a page: AWS measures items as they are stored, which is close to their documented size, not equal.
//
// Faults (Server.SetFaults) make throttling, unprocessed items, lost answers and latency, repeatable by a seed.
//
// # Compared with DynamoDB Local
//
// The conformance tests also pass against DynamoDB Local 1.25.1, AWS's own emulator, when the environment variable
// DYNAMODB_ENDPOINT holds its URL. Known differences, and why they are as they are here:
//
//   - UPDATED_OLD and UPDATED_NEW return the elements and fields that an update named, not the whole attribute: the
//     suites of dynalite and moto, which ran against AWS, have it so.
//   - An action of a transaction that cannot be applied cancels it with the reason ValidationError, as the API
//     reference of TransactWriteItems lists; DynamoDB Local answers a plain ValidationException.
//   - Messages about keys that do not match the schema, numbers, sets, and Segment follow dynalite's suite.
//   - A Query that finds nothing takes the minimum of half a unit (DynamoDB Local: none); a transaction two units for
//     each 1 KB (DynamoDB Local: more).
//   - Every answer has an X-Amz-Crc32 (DynamoDB Local: not the errors).
//   - What is malformed is a SerializationException (DynamoDB Local: some is taken, some is an internal error).
//
// # Refused
//
// Secondary indexes, streams, backups, replicas, PartiQL, TransactGetItems, UpdateTable, and the parameters from before
// expressions (Expected, AttributesToGet, ScanFilter and their like). An operation that is not emulated is answered
// with UnknownOperationException, a parameter with ValidationException; both name it. So is a parameter that AWS does
// not know, which AWS itself would ignore.
package dynamodb

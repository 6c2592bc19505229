// Package dynamodb emulates Amazon DynamoDB: the tables of one account, in memory, behind the wire protocol of the AWS
// SDKs and the AWS CLI (AWS JSON 1.0). New makes a Server, which is an http.Handler. CreateTable, of the API or of the
// Server, makes a table.
//
// # Faithful
//
//   - The expression language: conditions, filters, key conditions, projections and updates, with functions,
//     placeholders, nested paths and reserved words, and AWS's error messages.
//   - Numbers of 38 digits, compared as numbers; item sizes by AWS's rules; pages of 1 MB of items before the filter;
//     capacity units; the limits of keys, items, batches and transactions.
//   - Scans in the order of a hash of the partition key, in any number of segments. The position of a row never
//     changes, so a scan can continue after a key that was deleted. Queries return rows in the order of the sort key.
//   - Conditional writes and transactions are atomic. A ClientRequestToken makes a transaction idempotent.
//   - Expired items stay readable until a sweep deletes them (Options.TTLDelay).
//   - The headers X-Amz-Crc32 and X-Amzn-RequestId, which the SDKs check or report.
//
// # Approximate
//
//   - A read without ConsistentRead is stale only if Faults say so, and then as old as Faults.StaleBy at most.
//   - Tables are created and deleted at once, and their counts are current. On AWS this takes minutes and hours.
//   - The provisioned throughput is described, not enforced. Transactions wait for each other, where AWS may answer
//     TransactionConflictException.
//   - Signatures are not verified. Options.Authorize gets the access key of the signature.
//   - A request with several mistakes may be answered with another of its errors.
//   - The size of a page: AWS measures items as they are stored, which is close to their documented size, not equal.
//
// Faults (Server.SetFaults) inject throttling, unprocessed items, stale reads, lost answers and latency. A seed makes
// them repeatable.
//
// # Compared with DynamoDB Local
//
// The conformance tests also pass against DynamoDB Local 1.25.1, AWS's own emulator, if the environment variable
// DYNAMODB_ENDPOINT holds its URL. The known differences, with the reason for each:
//
//   - UPDATED_OLD and UPDATED_NEW return only the elements and fields that an update names, not the whole attribute, as
//     in the test suites of dynalite and moto, which ran against AWS.
//   - An action of a transaction that cannot be applied cancels it with the reason ValidationError, as in the API
//     reference of TransactWriteItems. DynamoDB Local answers a plain ValidationException.
//   - Messages about keys that do not match the schema, numbers, sets, and Segment are as in dynalite's test suite.
//   - A Query that finds nothing consumes the minimum of half a unit (DynamoDB Local: none), a transaction two units
//     for each 1 KB (DynamoDB Local: more).
//   - Every answer has an X-Amz-Crc32 (DynamoDB Local: errors have none).
//   - Malformed requests are a SerializationException (DynamoDB Local accepts some, and answers some with an internal
//     error).
//
// # Refused
//
// Secondary indexes, tags, streams, backups, replicas, PartiQL, BatchGetItem, TransactGetItems, UpdateTable,
// UpdateTimeToLive, and the legacy parameters that expressions replaced (Expected, AttributesToGet, ScanFilter and
// others). An operation that is not emulated is answered with UnknownOperationException, a parameter with
// ValidationException; both name it. The same applies to parameters that AWS does not know, which AWS ignores.
package dynamodb

// Package result writes and reads the result files of load tests: compact streams of all events, from which every
// report can be made again.
//
// A file is a sequence of segments, one for each process and measurement, so files can be concatenated. A segment is a
// sequence of blocks:
//
//	kind (1 byte) · length of body (uvarint) · body · CRC-32C of kind and body (4 bytes, little endian)
//
//	S  start of a segment: Conditions as JSON
//	E  events: records (see Record), one after another
//	V  one vitals.Sample as JSON
//	Z  end of a segment: End as JSON; without it the segment is truncated, which readers report
//	L  part of the system's own ledger: a Ledger as JSON; in one or more blocks after the end of a segment
//
// A record has its kind (1 byte) and zigzag varints: the differences of At, Connection and Broadcast to the previous
// record of the block (0 before the first). All kinds but Delivered continue with Flag (1 byte), A and B (varints), and
// Text (uvarint length, bytes). A delivery takes 4 to 6 bytes.
//
// Records of one connection are in the order of time; between connections there is no order. Payloads, tokens and
// header values are never written.
package result

// Package result is what a load test leaves on disk: a compact stream of everything that happened, from which every
// report can be made again.
//
// A file is a sequence of segments, one for each process and measurement, so files can be put together with cat. A
// segment is a sequence of blocks:
//
//	kind (1 byte) · length of body (uvarint) · body · CRC-32C of kind and body (4 bytes, little endian)
//
//	S  start of a segment: Conditions as JSON
//	E  events: records (see Record), one after another
//	V  one vitals.Sample as JSON
//	Z  end of a segment: End as JSON; without it the segment was cut short, and readers say so
//	L  what the system's own ledger says of the run, a Ledger as JSON; after the end of a segment, in one or more blocks
//
// A record is its kind (1 byte), then zigzag varints: the differences of At, Connection and Broadcast to the record
// before it in the block (0 before the first); all kinds but Delivered go on with Flag (1 byte), A and B (varints), and
// Text (uvarint length, bytes). A delivery takes 4 to 6 bytes.
//
// Records of one connection stand in the order in which they happened; between connections there is no order. No
// payload, token or header value is ever written.
package result

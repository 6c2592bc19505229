// Package broadcast is the core of Fanfare: messages, batches, outcomes, failure classes, how they are written on the
// queues, and the limits of AWS that apply to them. Of this module it imports only package publish, for the wire form
// of payloads; the stages and the adapters import it.
//
// A [Message] is one broadcast: a publisher sent it, and every client receives it. A [Batch] is a list of messages for
// a list of connections, the unit of work of a sender. A [Class] decides how a failure is handled: the connection is
// gone, the post is retried, the delivery is given up, or the invocation fails.
//
// Delivery is at least once. A plain client receives the payload alone and cannot see the id of the broadcast; a
// publisher whose clients must recognise repeats puts an id of its own into the payload.
package broadcast

// Package broadcast is the core of Fanfare: what a message, a batch and a fate are, how they are written on the queues,
// and the limits of AWS that shape them. It imports nothing but the standard library, and everything else imports it.
//
// A [Message] is what a publisher sent and every client receives. A [Batch] is messages addressed to connections: the
// unit of work of a sender. A [Fate] says what becomes of a failure: the connection is gone, the post is tried again,
// it is given up, or the whole batch fails loudly.
//
// Delivery is at least once. The id of a broadcast lets a client drop repeats.
package broadcast

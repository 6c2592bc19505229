// Package audit decides, from what was accepted and what each client received, whether a broadcast system kept its word.
//
// A test writes a [Trail]: which payloads were handed over and accepted, which connections were open from when to when,
// what each client received in which order, and, if it likes, what the system's own books say of each broadcast. Judge
// then finds what was owed and is missing, repeated, out of order, sent to somebody who should not have it, altered or
// late, and where the books differ from what clients saw. It knows nothing of how the system works, and takes nothing
// on trust: a delivery counts when its client had it in hand, and the system's books can excuse a missing one only as
// often as they say that a delivery failed.
//
// # What is owed
//
// A broadcast that was accepted is owed to every connection that was open before it was handed over, that it does not
// exclude, and that stays open. Each owed delivery ends as exactly one of: delivered; excused, because the client left;
// cut, because the system closed the connection; failed or outstanding, because the books say so; missing.
//
// # Repeats
//
// A repeated delivery is a fault unless the trail holds a licence for it ([Trail.MayRepeat]): the test has crashed what
// was delivering it, or lost its answer. A test that cannot know which deliveries it crashed accepts so many repeats of a
// broadcast as the system's own books allow for ([Options].MayRepeat).
//
// # Cost
//
// A delivery takes eight bytes, and ten million are judged within a second or so. All methods but Judge may be called
// concurrently; a client's receptions have to be recorded in the order in which it received them.
package audit

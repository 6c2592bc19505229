// Package audit checks, from the accepted broadcasts and from what each client received, whether a broadcast system
// kept its promises.
//
// A test records a [Trail]: which payloads were offered and accepted, when connections opened and closed, what each
// client received in which order, and optionally the system's own report on each broadcast. [Trail.Check] then finds
// owed deliveries that are missing, repeated, out of order, sent to the wrong client, damaged or late, and reports that
// differ from what the clients received. It does not depend on how the system works. A delivery counts when its client
// has received it; a report excuses a missing delivery only as often as it counts a failed one.
//
// # Owed deliveries
//
// An accepted broadcast is owed to every connection that was open before it was offered, is not excluded, and stays
// open. Each owed delivery has exactly one outcome: delivered; excused, as the client closed; cut, as the system closed
// the connection; failed or outstanding, by the report; or missing.
//
// # Repeats
//
// A repeated delivery is a fault unless the trail allows it ([Trail.MayRepeat]): the test has crashed its sender, or
// dropped its answer. A test that does not know which deliveries it affected allows as many repeats of a broadcast as
// the system's report does ([Options].MayRepeat).
//
// # Why there are two
//
// Package loadtest/account answers the same question for the load harness. The two are kept apart on purpose:
//
//   - The harness is a black box beside the system and must not import test/. It sees payloads that identify
//     themselves, acknowledgements that it must sometimes guess, and records in files, and it reports latencies and
//     lags of its own.
//   - Tests here know more: they control crashes, exclude connections, know which broadcasts one pass dispatched, and
//     run in virtual time. audit uses this knowledge to check order within passes, exclusions and single allowed
//     repeats.
//   - The harness writes its records to disk during a run and reads them afterwards; audit keeps a run in memory.
//
// TestCheck_AgreesWithAccount checks each against the other: on random runs both must count the same outcomes.
//
// # Cost
//
// A delivery takes eight bytes, and Check processes ten million in about a second. The receptions of a client must be
// recorded in the order in which it received them.
package audit

// Package simulation runs the stages (pkg/ingress, pkg/fanout, pkg/delivery), their handlers (pkg/handler) and the
// queue adapter (pkg/queue over the SDK, with its redrive) against a model of AWS with faults, and checks the results
// against the promises of the design.
//
// A run is made from a seed: a stack with its parameters, clients that connect and disconnect, broadcasts, and faults.
// SQS delivers messages twice, late and in any order, stores messages that it reports as refused, and moves messages
// that were received too often to a dead-letter queue. DynamoDB fails before or after a write took effect, and answers
// late. @connections throttles, fails before or after it has delivered, delivers posts that the sender has given up,
// forbids, and answers 410 for a connection that is still being opened. Requests or their answers are slow. Lambda
// drops messages that came through too many invocations of one function. A dispatcher, a sender or a redrive dies
// before or after any of its requests, or at its timeout; its pending requests then take effect or not.
//
// When the system is at rest, every delivery must be accounted for. Then the faults end, the dead letters are redriven,
// and every client that stayed must have received every message. Package [fanfare/test/audit] checks this from what
// clients received. This package checks the rest: no row of a live client is deleted, no row of a closed connection is
// left, the budget holds, and the ledger's counts add up.
//
// # How faithful it is
//
// The ledger and the connections table are models of pkg/ledger and pkg/registry over DynamoDB; tests compare each
// model with the real package. Failures of posts have the classes that pkg/push gives them.
//
// # How to run it
//
// One hundred seeds and every crash point; more seeds; one seed, with a log of all events; the crash points:
//
//	go test ./test/simulation
//	go test ./test/simulation -count=1 -timeout 1h -run TestSeeds -v -args -seeds 10000
//	go test ./test/simulation -count=1 -run TestSeeds -v -args -seeds 1 -seed 42
//	go test ./test/simulation -count=1 -run TestRun_EveryCrashPoint -v
//
// # How a run repeats
//
// Time is virtual (testing/synctest). The stages run in goroutines of their own, but their requests to the world wait
// until all goroutines wait, and are then executed one by one in an order that the seed decides. The same seed
// therefore makes the same run. There is one exception: if a sender has several concurrent posts (a quarter of the
// seeds), the Go scheduler decides which of them waits first for the pace, and so which client is first. About one in a
// hundred of those runs differs; a single seed is therefore run until it fails, at most a hundred times.
package simulation

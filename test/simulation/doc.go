// Package simulation runs the stages (pkg/ingress, pkg/fanout, pkg/delivery) and the queue adapter (pkg/queue, over the
// SDK, and what sends dead letters back) against AWS as it is on a bad day, and holds what comes of it against the promises of the design.
//
// A run is made from a seed: a stack with its parameters, clients that are there, come, go and vanish, broadcasts, and
// faults. SQS hands messages over twice, late, in any order, stores what it reports as refused, and moves what was
// received too often to a dead-letter queue. DynamoDB fails before or after a write took effect, and answers late.
// @connections throttles, fails before or after it has delivered, delivers what the sender has given up, forbids, and
// answers 410 for a connection that is still being made. Requests are slow, or their answers are. Lambda drops what has
// come through too many invocations of one function. A dispatcher, a sender or whoever sends dead letters back dies before
// or after any single thing that it asks for, or at its time-out, with what it had on the wire taking effect or not.
//
// When all has come to rest, everything has to be accounted for; then the faults end, the dead-letter queues are sent
// back, and everybody who stayed has to have everything. [fanfare/audit] judges that from what clients received; the
// rest (nothing deleted that lives, nothing left behind that is dead, the budget, the ledger's own sums) is judged here.
//
// # How faithful it is
//
// The ledger and the connections table are models of what pkg/ledger and pkg/registry do with DynamoDB;
// tests hold them against each other. The fates of posts are given as pkg/push gives them.
//
// # How to run it
//
// One hundred seeds and every crash point; as many seeds as wanted; a single seed, with all that happens; the crash points:
//
//	go test ./test/simulation
//	go test ./test/simulation -count=1 -timeout 1h -run TestSeeds -v -args -seeds 10000
//	go test ./test/simulation -count=1 -run TestSeeds -v -args -seeds 1 -seed 42
//	go test ./test/simulation -count=1 -run TestEveryCrashPoint -v
//
// # How a run repeats
//
// Time is virtual (testing/synctest). The stages run in goroutines of their own, but whatever they ask of the world waits
// until all of them wait, and is then done one by one in an order that the seed decides; so the same seed makes the same
// run. The one exception: where a sender has several posts under way (a quarter of the seeds), the Go scheduler decides
// which of them waits first for the pace, and which client comes first then may differ. About one in a hundred of those
// runs comes out otherwise; so a single seed is run until it fails, up to a hundred times.
package simulation

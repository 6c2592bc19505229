// Package engine opens the clients of a load test, publishes on schedule, and records everything that comes back.
//
// An Engine does one process's share. It is opened once and may measure several times on the same connections. The
// measurements are in the result files; the engine computes no results.
//
// A Fleet runs one load test in one or more engines: one in this process by default, and one in each of several worker
// processes if the descriptors of one process do not suffice. A worker is this program, started again; it receives its
// orders on standard input.
package engine

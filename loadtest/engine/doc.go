// Package engine is one process's share of a load test: it opens clients, publishes on schedule, and records all that
// comes back.
//
// An engine is opened once and may measure several times on the same connections. What it measured is in the result
// files; the engine itself judges nothing.
package engine

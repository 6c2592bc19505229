// Package client holds many WebSocket clients in one process, cheaply enough that the harness is not what it measures.
//
// A Pool has a few shards. On Linux, connections without TLS are read by one epoll loop per shard with one buffer for
// all of them: a connection at rest costs a few hundred bytes. Elsewhere, and with TLS, each connection has a goroutine.
// Either way a shard's Handler is called by one goroutine at a time, under the shard's lock.
//
// Writing never waits: what the kernel does not take at once is kept, up to a bound, and sent when it can be.
//
// A probe that is written into every shard a hundred times a second and read like any connection tells how long
// arriving data waits for the harness: its read lag.
package client

// Package client holds many WebSocket clients in one process, at low cost, so that the harness is not the bottleneck.
//
// A Pool has a few shards. On Linux, one epoll loop per shard reads the connections without TLS, with one buffer for
// all of them: an idle connection needs a few hundred bytes. On other systems, and with TLS, each connection has a
// goroutine. In both cases a shard's Handler is called by one goroutine at a time, with the shard's lock held.
//
// Writing does not block: bytes that the kernel does not accept at once are buffered, up to a limit, and sent later.
//
// A probe is written to every shard fifty times a second and read like the data of a connection. Its delay is the read
// lag: the time for which received data waits for the harness.
package client

package apigateway

import (
	"hash/maphash"
	"sync"
)

// shards is the number of the table's locks. Several reduce contention among posts.
const shards = 64

// table holds the connections by id. It is safe for concurrent use.
type table struct {
	seed   maphash.Seed
	shards [shards]struct {
		sync.RWMutex
		connections map[string]*connection
	}
}

func newTable() *table {
	t := &table{seed: maphash.MakeSeed()}
	for i := range t.shards {
		t.shards[i].connections = make(map[string]*connection)
	}
	return t
}

func (t *table) shard(id string) int { return int(maphash.String(t.seed, id) % shards) }

func (t *table) get(id string) *connection {
	shard := &t.shards[t.shard(id)]
	shard.RLock()
	defer shard.RUnlock()
	return shard.connections[id]
}

func (t *table) put(c *connection) {
	shard := &t.shards[t.shard(c.id)]
	shard.Lock()
	defer shard.Unlock()
	shard.connections[c.id] = c
}

func (t *table) remove(id string) {
	shard := &t.shards[t.shard(id)]
	shard.Lock()
	defer shard.Unlock()
	delete(shard.connections, id)
}

func (t *table) len() int {
	n := 0
	for i := range t.shards {
		t.shards[i].RLock()
		n += len(t.shards[i].connections)
		t.shards[i].RUnlock()
	}
	return n
}

// each calls f for every connection in the table, without holding a lock.
func (t *table) each(f func(*connection)) {
	for i := range t.shards {
		shard := &t.shards[i]
		shard.RLock()
		connections := make([]*connection, 0, len(shard.connections))
		for _, c := range shard.connections {
			connections = append(connections, c)
		}
		shard.RUnlock()
		for _, c := range connections {
			f(c)
		}
	}
}

package dynamodb

import (
	"encoding/json"
	"maps"
	"slices"
)

// Limits of BatchWriteItem (API reference).
const (
	maxBatchWrite    = 25 // items
	tooManyForLength = "1 validation error detected: Value at '%s' failed to satisfy constraint: Member must have " +
		"length less than or equal to %d"
	tooFewForLength = "1 validation error detected: Value at '%s' failed to satisfy constraint: Member must have " +
		"length greater than or equal to 1"
)

// requestItems returns the member RequestItems and its table names, sorted.
func (c *call) requestItems() (requests *members, tables []string, err error) {
	requests = c.object("RequestItems")
	switch {
	case c.failure != nil:
		return nil, nil, c.failure
	case !c.has("RequestItems"):
		return nil, nil, validationError("1 validation error detected: Value null at 'requestItems' failed to satisfy " +
			"constraint: " +
			"Member must not be null")
	case len(requests.values) == 0:
		return nil, nil, validationError(tooFewForLength, "requestItems")
	}
	return requests, slices.Sorted(maps.Keys(requests.values)), nil
}

// write is one put or delete of a batch, and its place in the request.
type write struct {
	mutation *mutation
	table    string // as in the request
	request  map[string]any
}

// batchWriteItem executes BatchWriteItem.
func (c *call) batchWriteItem() ([]byte, error) {
	consumed := c.consumption()
	c.choice("ReturnItemCollectionMetrics", "NONE SIZE")
	requests, tables, err := c.requestItems()
	if err := c.first(err); err != nil {
		return nil, err
	}
	var batch []write
	for _, name := range tables {
		t, err := c.table(name, "BatchWriteItem")
		if err != nil {
			return nil, err
		}
		writes := requests.objects(name)
		if requests.failure != nil {
			return nil, requests.failure
		}
		if len(writes) == 0 || len(writes) > maxBatchWrite {
			return nil, validationError("1 validation error detected: Value at 'requestItems' failed to satisfy "+
				"constraint: Map "+
				"value must satisfy constraint: [Member must have length less than or equal to %d, Member must have length "+
				"greater than or equal to 1]", maxBatchWrite)
		}
		seen := make(map[string]bool)
		for _, request := range writes {
			m, err := parseWriteRequest(t, request)
			if err != nil {
				return nil, err
			}
			if seen[m.rowKey] {
				return nil, validationError("Provided list of item keys contains duplicates")
			}
			seen[m.rowKey] = true
			batch = append(batch, write{m, name, request.values})
		}
	}
	if len(batch) > maxBatchWrite {
		return nil, validationError("Too many items requested for the BatchWriteItem call")
	}
	unprocessed := make(map[string][]any)
	done := 0
	for _, w := range batch {
		if !c.fault.processes() {
			unprocessed[w.table] = append(unprocessed[w.table], w.request)
			continue
		}
		old, changed, err := w.mutation.write()
		if err != nil {
			return nil, err // cannot happen: the writes have no conditions
		}
		done++
		consumed.add(w.mutation.table, writeUnits(old, changed))
	}
	if done == 0 {
		return nil, throughputExceeded()
	}
	rest, err := json.Marshal(unprocessed)
	if err != nil {
		return nil, err
	}
	var a answer
	a.raw("UnprocessedItems", rest)
	consumed.write(&a, true)
	return a.end(), nil
}

// parseWriteRequest parses one put or delete of a batch.
func parseWriteRequest(t *table, m *members) (*mutation, error) {
	if err := m.allow("a WriteRequest", "DeleteRequest PutRequest", ""); err != nil {
		return nil, err
	}
	put, remove := m.object("PutRequest"), m.object("DeleteRequest")
	switch {
	case m.failure != nil:
		return nil, m.failure
	case m.has("PutRequest") == m.has("DeleteRequest"):
		return nil, validationError("Supplied AttributeValue has more than one datatypes set, must contain exactly one " +
			"of the " +
			"supported datatypes")
	case m.has("PutRequest"):
		if err := put.allow("a PutRequest", "Item", ""); err != nil {
			return nil, err
		}
		it := put.item("Item")
		if put.failure != nil {
			return nil, put.failure
		}
		return newPut(t, it)
	}
	if err := remove.allow("a DeleteRequest", "Key", ""); err != nil {
		return nil, err
	}
	key := remove.item("Key")
	if remove.failure != nil {
		return nil, remove.failure
	}
	if err := t.schema.checkKey(key); err != nil {
		return nil, err
	}
	return &mutation{table: t, key: key, rowKey: t.schema.rowKey(key),
		change: func(item) (item, error) { return nil, nil }}, nil
}

package dynamodb

import (
	"maps"
	"slices"
	"sync"
	"time"

	"fanfare/local/clock"
)

// table is a table and its rows.
type table struct {
	name    string
	arn     string
	schema  schema
	config  TableConfig
	id      string
	created time.Time
	clock   *clock.Clock

	mu      sync.RWMutex // guards the fields below; held for one write, or while the rows of a page are collected
	rows    rowList
	replica *replica // nil if eventually consistent reads are not stale
	ttl     string   // the attribute with the expiry time, or ""
}

// mutation is one conditional write of a row.
type mutation struct {
	table     *table
	key       item
	rowKey    string
	condition condition
	returnOld bool // a failed condition returns the row
	size      int  // of the values of an action in a transaction, in bytes

	// change returns the item after the write; nil deletes it. old is nil if there is no item. A mutation without change
	// only checks the condition.
	change func(old item) (item, error)
}

// prepare checks the condition and returns the new row, or nil if there will be none. It changes nothing.
func (m *mutation) prepare(old *row) (*row, error) {
	var current item
	if old != nil {
		current = old.item
	}
	if m.condition != nil && !m.condition.holds(current) {
		if !m.returnOld {
			old = nil
		}
		return nil, conditionFailed(old)
	}
	if m.change == nil {
		return old, nil
	}
	changed, err := m.change(current)
	if changed == nil || err != nil {
		return nil, err
	}
	return newRow(m.rowKey, changed), nil
}

// newRow returns a row. The texts of its attributes are parts of its JSON, so that they are in memory once, and a scan
// with a filter reads the memory that it copies from.
func newRow(rowKey string, it item) *row {
	json := []byte{'{'}
	begins := make([]int, len(it)) // offsets of the texts in the JSON; 0 for escaped texts
	for i, a := range it {
		if i > 0 {
			json = append(json, ',')
		}
		json = appendString(json, a.name)
		json = append(json, ':')
		begin := len(json) + len(`{"":"`) + len(a.value.kind)
		json = a.value.appendJSON(json)
		unescaped := len(json) == begin+len(a.value.text)+len(`"}`)
		if unescaped && (a.value.kind == kindString || a.value.kind == kindNumber) {
			begins[i] = begin
		}
	}
	r := &row{key: rowKey, item: slices.Clone(it), size: it.size(), json: string(append(json, '}'))}
	for i, begin := range begins {
		if begin > 0 {
			r.item[i].value.text = r.json[begin : begin+len(it[i].value.text)]
		}
	}
	return r
}

// commit stores the row that prepare returned.
func (m *mutation) commit(changed *row) {
	if m.change != nil {
		m.table.store(m.rowKey, changed)
	}
}

// write executes one mutation and returns the row before and after it.
func (m *mutation) write() (old, changed *row, err error) {
	t := m.table
	t.mu.Lock()
	defer t.mu.Unlock()
	old = t.rows.get(m.rowKey)
	if changed, err = m.prepare(old); err != nil {
		return nil, nil, err
	}
	m.commit(changed)
	return old, changed, nil
}

// writeAll executes mutations of distinct rows, in any tables, atomically. If any mutation fails, it changes nothing
// and returns the errors by the indexes of the mutations.
func writeAll(mutations []*mutation) (before, after []*row, errs []error) {
	tables := make(map[string]*table)
	for _, m := range mutations {
		tables[m.table.name] = m.table
	}
	for _, name := range slices.Sorted(maps.Keys(tables)) { // lock in one order, to avoid deadlocks
		tables[name].mu.Lock()
		defer tables[name].mu.Unlock()
	}
	before, after, errs = make([]*row, len(mutations)), make([]*row, len(mutations)), make([]error, len(mutations))
	failed := false
	for i, m := range mutations {
		before[i] = m.table.rows.get(m.rowKey)
		after[i], errs[i] = m.prepare(before[i])
		failed = failed || errs[i] != nil
	}
	if failed {
		return nil, nil, errs
	}
	for i, m := range mutations {
		m.commit(after[i])
	}
	return before, after, nil
}

// get returns the row with this key, or nil.
func (t *table) get(rowKey string, stale bool) (found *row) {
	t.read(stale, func(rows *rowList) { found = rows.get(rowKey) })
	return found
}

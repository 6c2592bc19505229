package dynamodb

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// table is a table and its rows.
type table struct {
	name    string
	arn     string
	schema  schema
	config  TableConfig
	id      string
	created time.Time

	mu   sync.RWMutex // guards the following; held for one write, or while a page's rows are collected
	rows rowList
	ttl  string // the attribute of the time to live, "" when it is off
}

// mutation is one write: a condition on the row as it is, and what becomes of it.
type mutation struct {
	table     *table
	key       item
	rowKey    string
	condition condition
	returnOld bool // the error of a failed condition carries the row
	size      int  // of the values in a transaction's action, in bytes

	// change returns the item after the write: nil deletes it. old is nil when there is none. A mutation without a
	// change only checks.
	change func(old item) (item, error)
}

// prepare checks the condition and makes the new row, nil for none. It writes nothing.
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

// newRow makes a row. The texts of its attributes become parts of its JSON: they are in memory once, and a scan with a
// filter finds them where it copies from.
func newRow(rowKey string, it item) *row {
	json := []byte{'{'}
	begins := make([]int, len(it)) // where the text of an attribute begins in the JSON; 0 where it is not as it is
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

// commit puts the row that prepare made.
func (m *mutation) commit(changed *row) {
	switch {
	case m.change == nil:
	case changed == nil:
		m.table.rows.delete(m.rowKey)
	default:
		m.table.rows.put(changed)
	}
}

// write runs one mutation and returns the row before and after it.
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

// writeAll runs mutations of distinct rows, of any tables, as one: all or none. The errors are those of the
// mutations that failed, at their indexes; they are nil when all were done.
func writeAll(mutations []*mutation) (before, after []*row, errs []error) {
	tables := make(map[string]*table)
	for _, m := range mutations {
		tables[m.table.name] = m.table
	}
	for _, name := range slices.Sorted(maps.Keys(tables)) { // one order for all, so that none waits for another in a ring
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

// get returns the row at a rowKey, or nil.
func (t *table) get(rowKey string) *row {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.rows.get(rowKey)
}

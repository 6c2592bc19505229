package dynamodb

import (
	"cmp"
	"errors"
	"slices"
)

// maxPage is the size of a page of Query or Scan, in bytes of items before the filter (Query and Scan, "1 MB").
const maxPage = 1 << 20

// getItem executes GetItem.
func (c *call) getItem() ([]byte, error) {
	ph := c.placeholders()
	consistent := c.boolean("ConsistentRead")
	consumed := c.consumption()
	wanted, err := c.parseKey(c.members, "GetItem")
	if err != nil {
		return nil, err
	}
	projection, err := c.parseProjection(ph)
	if err == nil {
		err = ph.checkUsed()
	}
	if err := c.first(err); err != nil {
		return nil, err
	}
	var a answer
	size := 0
	if r := wanted.table.get(wanted.rowKey, !consistent && c.fault.stale()); r != nil {
		size = r.size
		a.member("Item")
		a.text = r.appendTo(a.text, projection)
	}
	consumed.add(wanted.table, readUnits(size, consistent))
	consumed.write(&a, false)
	return a.end(), nil
}

// appendTo appends the selected part of the item as JSON.
func (r *row) appendTo(text []byte, wanted projection) []byte {
	if wanted == nil {
		return append(text, r.json...)
	}
	return wanted.appendJSON(text, r.item)
}

// pageRead reads a page of a range of row keys, in ascending or descending order. Query and Scan share it.
type pageRead struct {
	table      *table
	low, high  string // low <= row key < high; a high of "" is no bound
	descending bool
	limit      int // of rows; 0 is no limit
	consistent bool
	stale      bool // read the replica
	filter     condition
	projection projection
	count      bool // return the count only
	consumed   *consumption
}

// parsePageRead parses the parameters that Query and Scan share. It checks that every placeholder is used, so it must
// be called after the key condition was parsed.
func (c *call) parsePageRead(t *table, ph *placeholders) (*pageRead, error) {
	r := &pageRead{
		table:      t,
		limit:      int(c.integer("Limit", 1, 1<<31-1)),
		consistent: c.boolean("ConsistentRead"),
		consumed:   c.consumption(),
	}
	r.stale = !r.consistent && c.fault.stale()
	if c.has("IndexName") {
		return nil, validationError("The table does not have the specified index: %s", c.text("IndexName"))
	}
	selected := c.choice("Select", "ALL_ATTRIBUTES ALL_PROJECTED_ATTRIBUTES COUNT SPECIFIC_ATTRIBUTES")
	r.count = selected == "COUNT"
	switch projected := c.has("ProjectionExpression"); {
	case selected == "ALL_PROJECTED_ATTRIBUTES":
		return nil, validationError("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName")
	case selected == "SPECIFIC_ATTRIBUTES" && !projected:
		return nil, validationError("Must specify the AttributesToGet or ProjectionExpression when choosing to get " +
			"SPECIFIC_ATTRIBUTES")
	case projected && c.has("Select") && selected != "SPECIFIC_ATTRIBUTES":
		return nil, validationError("Cannot specify the ProjectionExpression when choosing to get %s",
			cmp.Or(map[string]string{"COUNT": "only the Count"}[selected], selected))
	}
	var err error
	if r.filter, err = c.parseCondition("FilterExpression", ph); err != nil {
		return nil, err
	}
	for _, name := range ph.attributes["FilterExpression"] {
		if c.operation == "Query" && t.schema.isKey(name) {
			return nil, validationError("Filter Expression can only contain non-primary key attributes: Primary key "+
				"attribute: %s", name)
		}
	}
	if r.projection, err = c.parseProjection(ph); err != nil {
		return nil, err
	}
	if err := ph.checkUsed(); err != nil {
		return nil, err
	}
	return r, c.err()
}

// startKey parses ExclusiveStartKey. It returns "" if the request has none.
func (c *call) startKey(s schema) (rowKey string, err error) {
	if !c.has("ExclusiveStartKey") {
		return "", nil
	}
	key := c.item("ExclusiveStartKey")
	if c.failure != nil {
		return "", c.failure
	}
	if err := s.checkKey(key); err != nil {
		if invalid, ok := errors.AsType[*failure](err); ok {
			return "", validationError("The provided starting key is invalid: %s", invalid.message)
		}
		return "", err
	}
	return s.rowKey(key), nil
}

// startAfter makes the read begin after a row key in its range.
func (r *pageRead) startAfter(rowKey string) {
	if r.descending {
		r.high = rowKey
	} else {
		r.low = successor(rowKey)
	}
}

// successor returns the smallest string that is greater than rowKey.
func successor(rowKey string) string { return rowKey + "\x00" }

// prefixEnd returns the smallest string that is greater than all strings with the prefix, which must not be all 0xff.
func prefixEnd(prefix string) string {
	text := []byte(prefix)
	for i := len(text) - 1; ; i-- {
		if text[i] < 0xff {
			text[i]++
			return string(text[:i+1])
		}
	}
}

// collect returns the rows of the next page, and reports whether the page ended at a limit, so that there may be more
// rows. Only collect holds the lock of the table.
func (r *pageRead) collect() (page []*row, size int, full bool) {
	take := func(found *row) bool {
		page = append(page, found)
		size += found.size
		full = len(page) == r.limit || size >= maxPage // the row that exceeds the size belongs to the page
		return !full
	}
	r.table.read(r.stale, func(rows *rowList) {
		if r.descending {
			for found := range rows.below(r.high) {
				if found.key < r.low || !take(found) {
					return
				}
			}
			return
		}
		for found := range rows.from(r.low) {
			if r.high != "" && found.key >= r.high || !take(found) {
				return
			}
		}
	})
	return page, size, full
}

// page reads a page and returns the answer, which it builds in the buffer.
func (r *pageRead) page(buffer *[]byte) []byte {
	rows, size, full := r.collect()
	a := answer{(*buffer)[:0]}
	if !r.count {
		a.text = slices.Grow(a.text, 2*size+64*len(rows))
		a.member("Items")
		a.text = append(a.text, '[')
	}
	matched := 0
	for _, found := range rows {
		if r.filter != nil && !r.filter.holds(found.item) {
			continue
		}
		matched++
		if r.count {
			continue
		}
		if matched > 1 {
			a.text = append(a.text, ',')
		}
		a.text = found.appendTo(a.text, r.projection)
	}
	if !r.count {
		a.text = append(a.text, ']')
	}
	a.integer("Count", matched)
	a.integer("ScannedCount", len(rows))
	if full {
		a.item("LastEvaluatedKey", r.table.schema.keyOf(rows[len(rows)-1].item))
	}
	r.consumed.add(r.table, readUnits(size, r.consistent))
	r.consumed.write(&a, false)
	*buffer = a.end()
	return *buffer
}

// scan executes Scan.
func (c *call) scan() ([]byte, error) {
	ph := c.placeholders()
	t, err := c.table(c.required("TableName"), "Scan")
	if err != nil {
		return nil, c.first(err)
	}
	part, err := c.segment()
	if err != nil {
		return nil, err
	}
	r, err := c.parsePageRead(t, ph)
	if err != nil {
		return nil, c.first(err)
	}
	r.low = part.first()
	r.high, _ = part.end()
	start, err := c.startKey(t.schema)
	if err != nil {
		return nil, err
	}
	if start != "" {
		if !part.holds(start) {
			return nil, validationError("Exclusive start key must lie within the segment")
		}
		r.startAfter(start)
	}
	return r.page(c.page), nil
}

// maxSegments is the largest number of segments of a parallel scan (API reference, Scan, TotalSegments).
const maxSegments = 1_000_000

// segment parses Segment and TotalSegments. Without them, the whole table is one segment.
func (c *call) segment() (segment, error) {
	number, total := c.integer("Segment", 0, maxSegments-1), c.integer("TotalSegments", 1, maxSegments)
	switch {
	case c.failure != nil:
		return segment{}, c.failure
	case !c.has("Segment") && !c.has("TotalSegments"):
		return segment{0, 1}, nil
	case !c.has("TotalSegments"):
		return segment{}, validationError("The TotalSegments parameter is required but was not present in the request when " +
			"Segment parameter is present")
	case !c.has("Segment"):
		return segment{}, validationError("The Segment parameter is required but was not present in the request when " +
			"parameter " +
			"TotalSegments is present")
	case number >= total:
		return segment{}, validationError("The Segment parameter is zero-based and must be less than parameter "+
			"TotalSegments: "+
			"Segment: %d is not less than TotalSegments: %d", number, total)
	}
	return segment{uint64(number), uint64(total)}, nil
}

package dynamodb

import "strconv"

// Sizes of capacity units (developer guide, "DynamoDB read and write operations"). A strongly consistent read consumes
// one unit for each started 4 KB, an eventually consistent read half of that, and a write one for each started 1 KB. A
// transaction consumes twice as much.
const (
	readUnitSize  = 4 << 10
	writeUnitSize = 1 << 10
)

func readUnits(size int, consistent bool) float64 {
	units := float64(max(1, (size+readUnitSize-1)/readUnitSize))
	if !consistent {
		units /= 2
	}
	return units
}

// writeUnits returns the units of a write that replaces a row. The larger row counts. Either may be nil.
func writeUnits(old, changed *row) float64 {
	size := 0
	for _, r := range []*row{old, changed} {
		if r != nil {
			size = max(size, r.size)
		}
	}
	return float64(max(1, (size+writeUnitSize-1)/writeUnitSize))
}

// consumption sums the consumed units of a request, in case the request asks for them.
type consumption struct {
	mode   string   // ReturnConsumedCapacity
	tables []string // in the order of their first use
	units  map[string]float64
	kind   string // "ReadCapacityUnits" or "WriteCapacityUnits" for a transaction, which reports these too
}

func (m *members) consumption() *consumption {
	return &consumption{mode: m.choice("ReturnConsumedCapacity", "NONE TOTAL INDEXES"), units: make(map[string]float64)}
}

func (c *consumption) add(t *table, units float64) {
	if _, met := c.units[t.name]; !met {
		c.tables = append(c.tables, t.name)
	}
	c.units[t.name] += units
}

// write adds ConsumedCapacity to an answer: one object, or a list for operations on several tables.
func (c *consumption) write(a *answer, asList bool) {
	if c.mode == "NONE" {
		return
	}
	a.member("ConsumedCapacity")
	if asList {
		a.text = append(a.text, '[')
	}
	for i, name := range c.tables {
		if i > 0 {
			a.text = append(a.text, ',')
		}
		var of answer
		of.member("TableName")
		of.text = appendString(of.text, name)
		c.appendUnits(&of, c.units[name])
		if c.mode == "INDEXES" {
			var share answer
			c.appendUnits(&share, c.units[name])
			of.raw("Table", share.end())
		}
		a.text = append(a.text, of.end()...)
	}
	if asList {
		a.text = append(a.text, ']')
	}
}

func (c *consumption) appendUnits(a *answer, units float64) {
	number := strconv.AppendFloat(nil, units, 'f', 1, 64)
	a.raw("CapacityUnits", number)
	if c.kind != "" {
		a.raw(c.kind, number)
	}
}

package dynamodb

import "strconv"

// Capacity units (developer guide, "DynamoDB read and write operations"): a strongly consistent read takes one for
// each 4 KB begun, an eventually consistent one half of that; a write one for each 1 KB begun; a transaction double.
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

// writeUnits are those of a write that replaces one row by another; the larger counts, either may be nil.
func writeUnits(old, changed *row) float64 {
	size := 0
	for _, r := range []*row{old, changed} {
		if r != nil {
			size = max(size, r.size)
		}
	}
	return float64(max(1, (size+writeUnitSize-1)/writeUnitSize))
}

// consumption is what a request consumed, to be told if it asked.
type consumption struct {
	mode   string   // ReturnConsumedCapacity
	tables []string // in the order in which they were first met
	units  map[string]float64
	kind   string // of a transaction, the units by their kind too: "ReadCapacityUnits" or "WriteCapacityUnits"
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

// tell adds ConsumedCapacity to an answer: one object, or a list of them from operations on several tables.
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

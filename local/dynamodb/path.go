package dynamodb

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// step is one step of a document path: a field of a map or an element of a list.
type step struct {
	name  string
	index int // of the element when name is empty
}

func (s step) isIndex() bool { return s.name == "" }

func (s step) compare(other step) int {
	return cmp.Or(cmp.Compare(s.name, other.name), cmp.Compare(s.index, other.index))
}

// path is a document path to an attribute of an item. It has at least one step. The first step is a name.
type path []step

// String formats the path as in AWS's error messages.
func (p path) String() string {
	steps := make([]string, len(p))
	for i, s := range p {
		steps[i] = s.name
		if s.isIndex() {
			steps[i] = "[" + strconv.Itoa(s.index) + "]"
		}
	}
	return "[" + strings.Join(steps, ", ") + "]"
}

func (p path) equal(other path) bool { return p.String() == other.String() }

// find returns the value at the path.
func (p path) find(it item) (value, bool) {
	v, found := it.get(p[0].name)
	for _, s := range p[1:] {
		if !found {
			return value{}, false
		}
		v, found = v.child(s)
	}
	return v, found
}

// child returns the field of a map or the element of a list.
func (v value) child(s step) (value, bool) {
	if !s.isIndex() {
		return v.fields().get(s.name)
	}
	if v.kind != kindList || s.index >= len(v.list()) {
		return value{}, false
	}
	return v.list()[s.index], true
}

// checkOverlap refuses two paths if one contains the other, or if one attribute would have to be both a map and a list.
func checkOverlap(paths []path) error {
	for i, second := range paths {
		for _, first := range paths[:i] {
			if err := first.overlap(second); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p path) overlap(other path) error {
	for i := range min(len(p), len(other)) {
		if p[i].isIndex() != other[i].isIndex() {
			return validationError("Two document paths conflict with each other; must remove or rewrite one of these "+
				"paths; path "+
				"one: %s, path two: %s", p, other)
		}
		if p[i] != other[i] {
			return nil
		}
	}
	return validationError("Two document paths overlap with each other; must remove or rewrite one of these paths; "+
		"path one: "+
		"%s, path two: %s", p, other)
}

// projection is a tree of paths, its branches sorted by name and index. A branch without further branches selects the
// whole value.
type projection []branch

type branch struct {
	step  step
	below projection
}

// newProjection merges paths that do not overlap.
func newProjection(paths []path) projection {
	var root projection
	for _, p := range paths {
		root = root.with(p)
	}
	return root
}

// with returns the projection with one more path.
func (p projection) with(wanted path) projection {
	if len(wanted) == 0 {
		return p
	}
	at, found := slices.BinarySearchFunc(p, wanted[0], func(b branch, s step) int { return b.step.compare(s) })
	if !found {
		p = slices.Insert(p, at, branch{step: wanted[0]})
	}
	p[at].below = p[at].below.with(wanted[1:])
	return p
}

// apply returns the selected attributes of the item. The remaining elements of a list are renumbered.
func (p projection) apply(it item) item {
	var picked item
	for _, b := range p { // in the order of an item
		if v, found := b.pickFrom(it); found {
			picked = append(picked, attribute{b.step.name, v})
		}
	}
	return picked
}

// appendJSON appends the selected attributes of the item. It builds no item, because scans call it for every row.
func (p projection) appendJSON(text []byte, it item) []byte {
	text = append(text, '{')
	begin := len(text)
	for _, b := range p {
		if v, found := b.pickFrom(it); found {
			if len(text) > begin {
				text = append(text, ',')
			}
			text = appendString(text, b.step.name)
			text = append(text, ':')
			text = v.appendJSON(text)
		}
	}
	return append(text, '}')
}

func (b branch) pickFrom(it item) (value, bool) {
	v, found := it.get(b.step.name)
	if !found {
		return value{}, false
	}
	return b.below.pick(v)
}

// pick returns the selected part of a value and reports whether there is one.
func (p projection) pick(v value) (picked value, found bool) {
	if len(p) == 0 {
		return v, true
	}
	switch v.kind {
	case kindMap:
		fields := p.apply(v.fields())
		return mapValue(fields), len(fields) > 0
	case kindList:
		var list []value
		for _, b := range p {
			element, found := v.child(b.step)
			if !found {
				continue
			}
			if part, found := b.below.pick(element); found {
				list = append(list, part)
			}
		}
		return listValue(kindList, list), len(list) > 0
	}
	return value{}, false
}

// parseProjection parses a ProjectionExpression. Without one it returns nil, which selects everything.
func (m *members) parseProjection(ph *placeholders) (projection, error) {
	if !m.has("ProjectionExpression") {
		return nil, nil
	}
	return parse("ProjectionExpression", m.text("ProjectionExpression"), ph, func(p *parser) projection {
		paths := list(p, p.path)
		if err := checkOverlap(paths); err != nil {
			panic(err)
		}
		return newProjection(paths)
	})
}

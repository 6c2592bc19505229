package dynamodb

import (
	"slices"
)

// update is a parsed UpdateExpression.
type update struct {
	set    []assignment
	remove []path
	add    []change
	delete []change
}

// assignment is one element of the SET section.
type assignment struct {
	path  path
	value expression
}

// change is one element of the ADD or DELETE section.
type change struct {
	path  path
	value value
}

// expression is the right side of an assignment. It is evaluated on the item before the update.
type expression interface {
	evaluate(item) (value, error)
}

type (
	reference struct{ operand operand } // an attribute or a constant
	sum       struct {
		left, right expression
		subtract    bool
	}
	ifNotExists struct {
		path      path
		otherwise expression
	}
	listAppend struct{ left, right expression }
)

var errOperandType = validationError("An operand in the update expression has an incorrect data type")

func (r reference) evaluate(it item) (value, error) {
	v, found := r.operand.resolve(it)
	if !found {
		return value{}, validationError("The provided expression refers to an attribute that does not exist in the item")
	}
	return v, nil
}

func (s sum) evaluate(it item) (value, error) {
	left, right, err := evaluateBoth(it, s.left, s.right, kindNumber)
	if err != nil {
		return value{}, err
	}
	total, err := left.number().add(right.number(), s.subtract)
	return numberValue(total), err
}

func (f ifNotExists) evaluate(it item) (value, error) {
	if v, found := f.path.find(it); found {
		return v, nil
	}
	return f.otherwise.evaluate(it)
}

func (f listAppend) evaluate(it item) (value, error) {
	left, right, err := evaluateBoth(it, f.left, f.right, kindList)
	return listValue(kindList, slices.Concat(left.list(), right.list())), err
}

// evaluateBoth evaluates two operands, which must be of the type want.
func evaluateBoth(it item, left, right expression, want kind) (l, r value, err error) {
	if l, err = left.evaluate(it); err != nil {
		return l, r, err
	}
	if r, err = right.evaluate(it); err != nil {
		return l, r, err
	}
	if l.kind != want || r.kind != want {
		return l, r, errOperandType
	}
	return l, r, nil
}

// paths returns every path that the update writes.
func (u *update) paths() []path {
	var paths []path
	for _, a := range u.set {
		paths = append(paths, a.path)
	}
	paths = append(paths, u.remove...)
	for _, c := range slices.Concat(u.add, u.delete) {
		paths = append(paths, c.path)
	}
	return paths
}

// apply returns the item after the update. It does not change old.
func (u *update) apply(old item) (item, error) {
	updated := mapValue(old)
	assignments := make([]change, 0, len(u.set))
	for _, a := range u.set {
		v, err := a.value.evaluate(old)
		if err != nil {
			return nil, err
		}
		assignments = append(assignments, change{a.path, v})
	}
	// Elements after the end of a list are appended in the order of their indexes.
	slices.SortStableFunc(assignments, func(a, b change) int { return a.path.compareIndexes(b.path) })
	for _, a := range assignments {
		var err error
		if updated, err = updated.assign(a.path, a.value); err != nil {
			return nil, err
		}
	}
	for _, section := range []struct {
		changes []change
		combine func(current value, exists bool, operand value) (value, error)
	}{{u.add, addTo}, {u.delete, deleteFrom}} {
		for _, c := range section.changes {
			current, exists := c.path.find(old)
			v, err := section.combine(current, exists, c.value)
			if err != nil {
				return nil, err
			}
			if v.kind != "" {
				updated, err = updated.assign(c.path, v)
			} else {
				updated, err = updated.remove(c.path)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	// In descending order, so that every index refers to the element of the old item.
	removals := slices.SortedFunc(slices.Values(u.remove), func(a, b path) int { return b.compareIndexes(a) })
	for _, p := range removals {
		var err error
		if updated, err = updated.remove(p); err != nil {
			return nil, err
		}
	}
	return updated.fields(), nil
}

// compareIndexes compares paths by the indexes in them.
func (p path) compareIndexes(other path) int {
	return slices.CompareFunc(p, other, step.compare)
}

// addTo executes ADD: it adds a number, or adds elements to a set.
func addTo(current value, exists bool, operand value) (value, error) {
	switch {
	case !exists:
		return operand, nil
	case current.kind != operand.kind:
		return value{}, errOperandType
	case operand.kind == kindNumber:
		total, err := current.number().add(operand.number(), false)
		return numberValue(total), err
	}
	union := slices.Clone(current.list())
	for _, element := range operand.list() {
		if !current.hasElement(element) {
			union = append(union, element)
		}
	}
	return listValue(current.kind, union), nil
}

// deleteFrom executes DELETE: it removes elements from a set. A set without elements is removed: the result is then a
// value without a kind.
func deleteFrom(current value, exists bool, operand value) (value, error) {
	switch {
	case !exists:
		return value{}, nil
	case current.kind != operand.kind:
		return value{}, errOperandType
	}
	rest := slices.DeleteFunc(slices.Clone(current.list()), operand.hasElement)
	if len(rest) == 0 {
		return value{}, nil
	}
	return listValue(current.kind, rest), nil
}

var errDocumentPath = validationError("The document path provided in the update expression is invalid for update")

// assign returns v with another value at the path. It copies the maps and lists of the path and shares the others.
func (v value) assign(p path, other value) (value, error) {
	if len(p) == 0 {
		return other, nil
	}
	child, found := v.child(p[0])
	if !found && len(p) > 1 {
		return value{}, errDocumentPath
	}
	child, err := child.assign(p[1:], other)
	if err != nil {
		return value{}, err
	}
	return v.with(p[0], child)
}

// with returns v with another field or element. An index after the end of a list appends.
func (v value) with(s step, child value) (value, error) {
	switch {
	case s.isIndex() && v.kind == kindList:
		list := slices.Clone(v.list())
		if s.index < len(list) {
			list[s.index] = child
		} else {
			list = append(list, child)
		}
		return listValue(kindList, list), nil
	case !s.isIndex() && v.kind == kindMap:
		return mapValue(v.fields().with(s.name, child)), nil
	}
	return value{}, errDocumentPath
}

// remove returns v without the value at the path. An absent value is no error, but an absent parent is.
func (v value) remove(p path) (value, error) {
	if len(p) > 1 {
		child, found := v.child(p[0])
		if !found {
			return value{}, errDocumentPath
		}
		child, err := child.remove(p[1:])
		if err != nil {
			return value{}, err
		}
		return v.with(p[0], child)
	}
	switch s := p[0]; {
	case s.isIndex() && v.kind == kindList:
		if s.index >= len(v.list()) {
			return v, nil
		}
		return listValue(kindList, slices.Delete(slices.Clone(v.list()), s.index, s.index+1)), nil
	case !s.isIndex() && v.kind == kindMap:
		return mapValue(v.fields().without(s.name)), nil
	}
	return value{}, errDocumentPath
}

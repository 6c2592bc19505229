package dynamodb

import "slices"

// query executes Query.
func (c *call) query() ([]byte, error) {
	ph := c.placeholders()
	t, err := c.table(c.required("TableName"), "Query")
	if err != nil {
		return nil, c.first(err)
	}
	if c.has("IndexName") {
		return nil, validationError("The table does not have the specified index: %s", c.text("IndexName"))
	}
	if !c.has("KeyConditionExpression") {
		return nil, c.first(validationError("Either the KeyConditions or KeyConditionExpression parameter must be " +
			"specified in " +
			"the request."))
	}
	condition, err := c.parseCondition("KeyConditionExpression", ph)
	if err != nil {
		return nil, c.first(err)
	}
	keys, err := newKeyCondition(condition, t.schema)
	if err != nil {
		return nil, err
	}
	r, err := c.parsePageRead(t, ph)
	if err != nil {
		return nil, c.first(err)
	}
	r.descending = c.has("ScanIndexForward") && !c.boolean("ScanIndexForward")
	r.low, r.high = keys.low, keys.high
	start, err := c.startKey(t.schema)
	if err := c.first(err); err != nil {
		return nil, err
	}
	if start != "" {
		switch {
		case !keys.partition.equal(c.item("ExclusiveStartKey").value(t.schema.partition.name)):
			return nil, validationError("The provided starting key is outside query boundaries based on provided conditions")
		case start < r.low || start >= r.high:
			return nil, validationError("The provided starting key does not match the range key predicate")
		}
		r.startAfter(start)
	}
	return r.page(c.page), nil
}

// keyCondition is the range of row keys of a KeyConditionExpression.
type keyCondition struct {
	partition value
	low, high string
}

var errKeyCondition = validationError("Query key condition not supported")

// newKeyCondition returns the range of a condition, which must be an equality on the partition key and, after AND, at
// most one condition on the sort key.
func newKeyCondition(c condition, s schema) (*keyCondition, error) {
	conditions := make(map[string]condition)
	for _, part := range conjuncts(c) {
		name, same, err := onKey(part)
		if err != nil {
			return nil, err
		}
		if conditions[name] != nil {
			return nil, validationError("KeyConditionExpressions must only contain one condition per key")
		}
		conditions[name] = same
	}
	onPartition, onSort := conditions[s.partition.name], condition(nil)
	if onPartition == nil {
		return nil, validationError("Query condition missed key schema element: %s", s.partition.name)
	}
	if s.hasSort() {
		onSort = conditions[s.sort.name]
	}
	switch {
	case len(conditions) > 2 || len(conditions) == 2 && !s.hasSort():
		return nil, errKeyCondition
	case len(conditions) == 2 && onSort == nil:
		return nil, validationError("Query condition missed key schema element: %s", s.sort.name)
	}
	equality, ok := onPartition.(comparison)
	if !ok || equality.operator != "=" {
		return nil, errKeyCondition
	}
	partition, err := keyConstant(equality.right, s.partition)
	if err != nil {
		return nil, err
	}
	prefix := s.partitionPrefix(partition)
	k := &keyCondition{partition, prefix, prefixEnd(prefix)}
	if onSort == nil {
		return k, nil
	}
	return k, k.narrow(prefix, onSort, s.sort)
}

// conjuncts splits a condition at its ANDs.
func conjuncts(c condition) []condition {
	if both, ok := c.(and); ok {
		return slices.Concat(conjuncts(both.left), conjuncts(both.right))
	}
	return []condition{c}
}

// mirrored maps comparison operators to those for exchanged operands.
var mirrored = map[string]string{"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}

// onKey returns a condition on one attribute, with the attribute on the left, and the attribute's name. It refuses
// conditions that are not allowed on keys.
func onKey(c condition) (name string, same condition, err error) {
	var what operand
	refused := ""
	switch c := c.(type) {
	case comparison:
		what, same = c.left, c
		if _, isConstant := c.left.(constant); isConstant {
			what, same = c.right, comparison{mirrored[c.operator], c.right, c.left}
		}
		if c.operator == "<>" {
			refused = c.operator
		}
	case between:
		what, same = c.what, c
	case beginsWith:
		what, same = c.what, c
	case or:
		refused = "OR"
	case not:
		refused = "NOT"
	case in:
		refused = "IN"
	default:
		refused, _ = functionName(c)
	}
	if refused != "" {
		return "", nil, validationError("Invalid operator used in KeyConditionExpression: %s", refused)
	}
	where, ok := what.(path)
	switch {
	case !ok:
		return "", nil, validationError("KeyConditionExpressions cannot contain nested operations")
	case len(where) > 1:
		return "", nil, validationError("Key attributes must be scalars; list random access '[]' and map lookup '.' are not "+
			"allowed: Key: %s", where[0].name)
	}
	return where[0].name, same, nil
}

// keyConstant returns the constant that is compared with a key attribute.
func keyConstant(o operand, attribute keyAttribute) (value, error) {
	c, ok := o.(constant)
	switch {
	case !ok:
		return value{}, validationError("Invalid condition in KeyConditionExpression: Multiple attribute names used in " +
			"one condition")
	case c.kind != attribute.kind:
		return value{}, validationError("One or more parameter values were invalid: Condition parameter type does " +
			"not match " +
			"schema type")
	case c.kind != kindNumber && c.text == "":
		return value{}, validationError("One or more parameter values are not valid. The AttributeValue for a key attribute "+
			"cannot contain an empty %s value. Key: %s",
			map[kind]string{kindString: "string", kindBinary: "binary"}[c.kind], attribute.name)
	}
	return c.value, nil
}

// narrow limits the range to the rows of the partition whose sort keys meet the condition.
func (k *keyCondition) narrow(prefix string, onSort condition, attribute keyAttribute) error {
	bounds := func(operands ...operand) (rowKeys []string, err error) {
		for _, o := range operands {
			v, err := keyConstant(o, attribute)
			if err != nil {
				return nil, err
			}
			rowKeys = append(rowKeys, prefix+sortable(v))
		}
		return rowKeys, nil
	}
	switch c := onSort.(type) {
	case beginsWith:
		rowKeys, err := bounds(c.prefix)
		if err != nil {
			return err
		}
		k.low, k.high = rowKeys[0], prefixEnd(rowKeys[0])
	case between:
		rowKeys, err := bounds(c.low, c.high)
		if err != nil {
			return err
		}
		k.low, k.high = rowKeys[0], successor(rowKeys[1])
	case comparison:
		rowKeys, err := bounds(c.right)
		if err != nil {
			return err
		}
		rowKey := rowKeys[0]
		switch c.operator {
		case "=":
			k.low, k.high = rowKey, successor(rowKey)
		case "<":
			k.high = rowKey
		case "<=":
			k.high = successor(rowKey)
		case ">":
			k.low = successor(rowKey)
		case ">=":
			k.low = rowKey
		}
	}
	return nil
}

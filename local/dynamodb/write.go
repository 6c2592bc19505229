package dynamodb

// parsePut, parseDelete, parseUpdate and parseCheck parse the mutation of a request, or of an action in a transaction,
// which has the same parameters. The caller must check the placeholders.

func (c *call) parsePut(m *members, ph *placeholders) (*mutation, error) {
	t, err := c.table(m.required("TableName"), "PutItem")
	if err != nil {
		return nil, m.first(err)
	}
	it := m.item("Item")
	if m.failure == nil && !m.has("Item") {
		m.fail(validationError("1 validation error detected: Value null at 'item' failed to satisfy constraint: Member " +
			"must not " +
			"be null"))
	}
	if m.failure != nil {
		return nil, m.failure
	}
	mutation, err := newPut(t, it)
	if err != nil {
		return nil, err
	}
	return mutation, m.parseWriteCondition(mutation, ph)
}

// newPut returns the unconditional put of an item.
func newPut(t *table, it item) (*mutation, error) {
	if err := t.schema.checkItem(it); err != nil {
		return nil, err
	}
	if it.size() > maxItem {
		return nil, validationError("Item size has exceeded the maximum allowed size")
	}
	return &mutation{table: t, key: t.schema.keyOf(it), rowKey: t.schema.rowKey(it),
		change: func(item) (item, error) { return it, nil }}, nil
}

// parseKey parses the table and the key of a request, and returns a mutation without a change.
func (c *call) parseKey(m *members, action string) (*mutation, error) {
	t, err := c.table(m.required("TableName"), action)
	if err != nil {
		return nil, m.first(err)
	}
	if m.failure == nil && !m.has("Key") {
		m.fail(validationError("1 validation error detected: Value null at 'key' failed to satisfy constraint: Member " +
			"must not " +
			"be null"))
	}
	key := m.item("Key")
	if m.failure != nil {
		return nil, m.failure
	}
	if err := t.schema.checkKey(key); err != nil {
		return nil, err
	}
	return &mutation{table: t, key: key, rowKey: t.schema.rowKey(key)}, nil
}

func (c *call) parseDelete(m *members, ph *placeholders) (*mutation, error) {
	mutation, err := c.parseKey(m, "DeleteItem")
	if err != nil {
		return nil, err
	}
	mutation.change = func(item) (item, error) { return nil, nil }
	return mutation, m.parseWriteCondition(mutation, ph)
}

func (c *call) parseCheck(m *members, ph *placeholders) (*mutation, error) {
	mutation, err := c.parseKey(m, "ConditionCheckItem")
	if err != nil {
		return nil, err
	}
	m.required("ConditionExpression")
	return mutation, m.parseWriteCondition(mutation, ph)
}

func (c *call) parseUpdate(m *members, ph *placeholders) (*mutation, *update, error) {
	mutation, err := c.parseKey(m, "UpdateItem")
	if err != nil {
		return nil, nil, err
	}
	u, err := m.parseUpdate(ph)
	if err != nil {
		return nil, nil, err
	}
	for _, p := range u.paths() {
		if mutation.table.schema.isKey(p[0].name) {
			return nil, nil, validationError("One or more parameter values were invalid: Cannot update attribute %s. This "+
				"attribute "+
				"is part of the key", p[0].name)
		}
	}
	mutation.change = func(old item) (item, error) {
		if old == nil {
			old = mutation.key
		}
		updated, err := u.apply(old)
		if err == nil && updated.size() > maxItem {
			err = validationError("Item size to update has exceeded the maximum allowed size")
		}
		return updated, err
	}
	return mutation, u, m.parseWriteCondition(mutation, ph)
}

// parseWriteCondition parses the condition of a write, and whether its failure returns the row.
func (m *members) parseWriteCondition(mutation *mutation, ph *placeholders) (err error) {
	mutation.returnOld = m.choice("ReturnValuesOnConditionCheckFailure", "NONE ALL_OLD") == "ALL_OLD"
	if mutation.condition, err = m.parseCondition("ConditionExpression", ph); err != nil {
		return err
	}
	return m.err()
}

// first returns the failure of a member, which occurred earlier, or err.
func (m *members) first(err error) error {
	if m.failure != nil {
		return m.failure
	}
	return err
}

// write executes PutItem, UpdateItem or DeleteItem. parse parses the mutation. returned selects the returned attributes
// from the rows before and after it; "" returns none.
func (c *call) write(returnValues string, parse func(*placeholders) (*mutation, error), returned func(values string,
	old, changed *row) string) ([]byte, error) {
	ph := c.placeholders()
	values := c.choice("ReturnValues", returnValues)
	consumed := c.consumption()
	c.choice("ReturnItemCollectionMetrics", "NONE SIZE") // SIZE concerns tables with local indexes, which are not emulated
	mutation, err := parse(ph)
	if err == nil {
		err = ph.checkUsed()
	}
	if err := c.first(err); err != nil {
		return nil, err
	}
	old, changed, err := mutation.write()
	if err != nil {
		return nil, err
	}
	var a answer
	if attributes := returned(values, old, changed); attributes != "" {
		a.member("Attributes")
		a.text = append(a.text, attributes...)
	}
	consumed.add(mutation.table, writeUnits(old, changed))
	consumed.write(&a, false)
	return a.end(), nil
}

func returnedOld(values string, old, _ *row) string {
	if values == "ALL_OLD" && old != nil {
		return old.json
	}
	return ""
}

func (c *call) putItem() ([]byte, error) {
	return c.write("NONE ALL_OLD", func(ph *placeholders) (*mutation, error) { return c.parsePut(c.members, ph) },
		returnedOld)
}

func (c *call) deleteItem() ([]byte, error) {
	return c.write("NONE ALL_OLD", func(ph *placeholders) (*mutation, error) { return c.parseDelete(c.members, ph) },
		returnedOld)
}

func (c *call) updateItem() ([]byte, error) {
	var u *update
	return c.write("NONE ALL_OLD UPDATED_OLD ALL_NEW UPDATED_NEW", func(ph *placeholders) (m *mutation, err error) {
		m, u, err = c.parseUpdate(c.members, ph)
		return m, err
	}, func(values string, old, changed *row) string {
		r := old
		if values == "ALL_NEW" || values == "UPDATED_NEW" {
			r = changed
		}
		switch {
		case values == "NONE" || r == nil:
			return ""
		case values == "ALL_OLD" || values == "ALL_NEW":
			return r.json
		}
		attributes := newProjection(u.paths()).apply(r.item)
		if len(attributes) == 0 {
			return ""
		}
		return string(attributes.appendJSON(nil))
	})
}

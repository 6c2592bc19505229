package dynamodb

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"fanfare/local/awsapi"
)

// CreateTable adds an empty table, which is active at once. It fails, as the API does, if the configuration is invalid
// or a table of this name exists.
func (s *Server) CreateTable(config TableConfig) error {
	_, err := s.createTable(config)
	return err
}

func (s *Server) createTable(config TableConfig) (*table, error) {
	key, err := config.check()
	if err != nil {
		return nil, fmt.Errorf("create table %q: %w", config.Name, err)
	}
	config.BillingMode = cmp.Or(config.BillingMode, Provisioned)
	config.TableClass = cmp.Or(config.TableClass, "STANDARD")
	t := &table{name: config.Name, arn: s.arn(config.Name), schema: key, config: config, ttl: config.TTLAttribute,
		id: awsapi.NewUUID(), clock: s.options.Clock, created: s.options.Clock.Now()}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tables[t.name] != nil {
		return nil, serviceError("ResourceInUseException", "Table already exists: %s", t.name)
	}
	if faults := s.faults.Load(); faults != nil {
		t.setReplica(faults.StaleBy)
	}
	s.tables[t.name] = t
	return t, nil
}

// createTable executes CreateTable.
func (c *call) createTable() ([]byte, error) {
	config, err := c.tableConfig()
	if err != nil {
		return nil, err
	}
	if err := c.authorize("CreateTable", c.server.arn(config.Name)); err != nil {
		return nil, err
	}
	t, err := c.server.createTable(config)
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{"TableDescription": t.describe("CREATING")})
}

// tableConfig parses the parameters of CreateTable.
func (c *call) tableConfig() (TableConfig, error) {
	config := TableConfig{
		Name:               c.required("TableName"),
		BillingMode:        c.choice("BillingMode", "PROVISIONED PAY_PER_REQUEST"),
		TableClass:         c.choice("TableClass", "STANDARD STANDARD_INFREQUENT_ACCESS"),
		DeletionProtection: c.boolean("DeletionProtectionEnabled"),
	}
	parts := []*members{c.members}
	read := func(m *members, where, known string) (err error) {
		parts = append(parts, m)
		return m.allow(where, known, "")
	}
	for _, m := range c.objects("KeySchema") {
		if err := read(m, "KeySchemaElement", "AttributeName KeyType"); err != nil {
			return config, err
		}
		config.KeySchema = append(config.KeySchema, KeyElement{m.required("AttributeName"),
			m.choice("KeyType", "HASH RANGE")})
	}
	for _, m := range c.objects("AttributeDefinitions") {
		if err := read(m, "AttributeDefinition", "AttributeName AttributeType"); err != nil {
			return config, err
		}
		config.AttributeDefinitions = append(config.AttributeDefinitions, AttributeDefinition{m.required("AttributeName"),
			m.required("AttributeType")})
	}
	throughput := c.object("ProvisionedThroughput")
	if err := read(throughput, "ProvisionedThroughput", "ReadCapacityUnits WriteCapacityUnits"); err != nil {
		return config, err
	}
	const most = 1 << 40
	config.ReadCapacityUnits = throughput.integer("ReadCapacityUnits", 1, most)
	config.WriteCapacityUnits = throughput.integer("WriteCapacityUnits", 1, most)
	for _, m := range parts {
		if m.failure != nil {
			return config, m.failure
		}
	}
	return config, nil
}

// describe returns the table's TableDescription.
func (t *table) describe(status string) map[string]any {
	t.mu.RLock()
	count, size := t.rows.count, t.rows.size
	t.mu.RUnlock()
	throughput := map[string]any{"NumberOfDecreasesToday": 0,
		"ReadCapacityUnits": t.config.ReadCapacityUnits, "WriteCapacityUnits": t.config.WriteCapacityUnits}
	description := map[string]any{
		"AttributeDefinitions":      t.config.AttributeDefinitions,
		"CreationDateTime":          float64(t.created.UnixMilli()) / 1000,
		"DeletionProtectionEnabled": t.config.DeletionProtection,
		"ItemCount":                 count,
		"KeySchema":                 t.config.KeySchema,
		"ProvisionedThroughput":     throughput,
		"TableArn":                  t.arn,
		"TableClassSummary":         map[string]any{"TableClass": t.config.TableClass},
		"TableId":                   t.id,
		"TableName":                 t.name,
		"TableSizeBytes":            size,
		"TableStatus":               status,
	}
	if t.config.BillingMode == PayPerRequest {
		description["BillingModeSummary"] = map[string]any{"BillingMode": PayPerRequest,
			"LastUpdateToPayPerRequestDateTime": float64(t.created.UnixMilli()) / 1000}
	}
	return description
}

// namedTable returns the table in TableName. If there is none, the error names it.
func (c *call) namedTable() (*table, error) {
	name := c.required("TableName")
	if c.failure != nil {
		return nil, c.failure
	}
	t, err := c.table(name, c.operation)
	if f, ok := errors.AsType[*failure](err); ok && f.code() == "ResourceNotFoundException" {
		f.message += ": Table: " + name + " not found"
	}
	return t, err
}

// describeTable executes DescribeTable.
func (c *call) describeTable() ([]byte, error) {
	t, err := c.namedTable()
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{"Table": t.describe("ACTIVE")})
}

// deleteTable executes DeleteTable. The table is deleted at once.
func (c *call) deleteTable() ([]byte, error) {
	t, err := c.namedTable()
	if err != nil {
		return nil, err
	}
	if t.config.DeletionProtection {
		return nil, validationError("Resource cannot be deleted as it is currently protected against deletion. Disable " +
			"deletion " +
			"protection first.")
	}
	c.server.mu.Lock()
	if c.server.tables[t.name] == t {
		delete(c.server.tables, t.name)
	}
	c.server.mu.Unlock()
	return json.Marshal(map[string]any{"TableDescription": t.describe("DELETING")})
}

// maxListTables is the largest page of ListTables (API reference, ListTables, Limit).
const maxListTables = 100

// listTables executes ListTables.
func (c *call) listTables() ([]byte, error) {
	start, limit := c.text("ExclusiveStartTableName"), int(c.integer("Limit", 1, maxListTables))
	if c.failure != nil {
		return nil, c.failure
	}
	if err := c.authorize("ListTables", "*"); err != nil {
		return nil, err
	}
	c.server.mu.RLock()
	names := slices.Sorted(maps.Keys(c.server.tables))
	c.server.mu.RUnlock()
	first, found := slices.BinarySearch(names, start)
	if found {
		first++
	}
	page := names[first:]
	answer := make(map[string]any)
	if limit = cmp.Or(limit, maxListTables); len(page) > limit {
		page = page[:limit]
		answer["LastEvaluatedTableName"] = page[limit-1]
	}
	answer["TableNames"] = append([]string{}, page...)
	return json.Marshal(answer)
}

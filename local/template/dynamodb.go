package template

import "regexp"

// dynamoDBTypes are the tables. They may have streams, which nothing here can read.
func dynamoDBTypes() map[string]*emulatedType {
	throughput := of(schema{"ReadCapacityUnits": known, "WriteCapacityUnits": known})
	key := of(schema{"AttributeName": known, "KeyType": known})
	projection := of(schema{"NonKeyAttributes": known, "ProjectionType": known})
	noCaps := refused("request units are not capped here")
	return map[string]*emulatedType{
		"AWS::DynamoDB::Table": {resourceType: resourceType{
			schema: settable(`
				BillingMode ContributorInsightsSpecification DeletionProtectionEnabled
				PointInTimeRecoverySpecification SSESpecification StreamSpecification TableClass TableName Tags
				WarmThroughput`).
				all(key, `KeySchema`).
				all(noCaps, `OnDemandThroughput`).
				all(throughput, `ProvisionedThroughput`).
				all(returned, `Arn StreamArn`).
				with(schema{
					"AttributeDefinitions": of(schema{"AttributeName": known, "AttributeType": known}),
					"GlobalSecondaryIndexes": of(schema{
						"ContributorInsightsSpecification": known, "IndexName": known, "KeySchema": key, "OnDemandThroughput": noCaps,
						"Projection": projection, "ProvisionedThroughput": throughput, "WarmThroughput": known,
					}),
					"ImportSourceSpecification":  refused("tables start empty"),
					"KinesisStreamSpecification": refused("there is no Kinesis here"),
					"LocalSecondaryIndexes":      of(schema{"IndexName": known, "KeySchema": key, "Projection": projection}),
					"ResourcePolicy":             refused("only roles' policies are evaluated for tables"),
					"TimeToLiveSpecification":    of(schema{"AttributeName": known, "Enabled": known}),
					"VectorIndexes":              refused("tables have no vector indexes here"),
				}),
			required: []string{"KeySchema", "AttributeDefinitions"}, nameProperty: "TableName", namePattern: tableName, nameLimit: 255,
			ref: "{name}", attributes: map[string]string{"Arn": "arn:aws:dynamodb:{region}:{account}:table/{name}"},
			refusedAttributes: map[string]string{"StreamArn": "tables have no streams here"},
		}, read: (*builder).readTable,
		},
	}
}

// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateTable.html
var tableName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{3,255}$`)

func (b *builder) readTable(r *resource, p properties) {
	t := Table{
		Source: b.source(r.id, r.position), Name: b.name(r), ARN: b.arn(r),
		Attributes: map[string]string{}, BillingMode: p.oneOf("BillingMode", "PROVISIONED", "PAY_PER_REQUEST"),
		DeletionProtection: p.boolean("DeletionProtectionEnabled", false), Tags: p.tags("Tags"),
	}
	for _, definition := range p.parts("AttributeDefinitions") {
		definition.require("AttributeName", "AttributeType")
		t.Attributes[definition.text("AttributeName")] = definition.oneOf("AttributeType", "S", "N", "B")
	}
	used := map[string]bool{}
	t.PartitionKey, t.SortKey = t.readKey(p, used)
	t.ReadUnits, t.WriteUnits = t.readUnits(p)
	if ttl := p.part("TimeToLiveSpecification"); ttl.object != nil {
		ttl.require("Enabled")
		if ttl.boolean("Enabled", false) {
			ttl.require("AttributeName")
			t.TTLAttribute = ttl.text("AttributeName")
		}
	}
	for _, index := range p.parts("GlobalSecondaryIndexes") {
		i := t.readIndex(index, used)
		i.ReadUnits, i.WriteUnits = t.readUnits(index)
		t.GlobalIndexes = append(t.GlobalIndexes, i)
	}
	for _, index := range p.parts("LocalSecondaryIndexes") {
		i := t.readIndex(index, used)
		if i.PartitionKey != t.PartitionKey {
			index.problem("KeySchema", "a local index has the table's partition key, %s", t.PartitionKey)
		}
		t.LocalIndexes = append(t.LocalIndexes, i)
	}
	for name := range t.Attributes {
		if !used[name] {
			p.problem("AttributeDefinitions", "%s is no key of the table or an index, and DynamoDB refuses other definitions", name)
		}
	}
	b.tables = append(b.tables, pending[Table]{t, p})
}

// readKey reads a KeySchema, whose attributes must be defined.
func (t *Table) readKey(p properties, used map[string]bool) (partition, sort string) {
	p.require("KeySchema")
	for _, key := range p.parts("KeySchema") {
		key.require("AttributeName", "KeyType")
		name := key.text("AttributeName")
		used[name] = true
		if t.Attributes[name] == "" && name != "" {
			key.problem("AttributeName", "%s is not in AttributeDefinitions", name)
		}
		into := &partition
		if key.oneOf("KeyType", "HASH", "RANGE") == "RANGE" {
			into = &sort
		}
		if *into != "" {
			key.problem("KeyType", "keys of more than one HASH and one RANGE attribute are not emulated")
		}
		*into = name
	}
	if partition == "" && p.has("KeySchema") {
		p.problem("KeySchema", "a key needs a HASH attribute")
	}
	return partition, sort
}

func (t *Table) readIndex(p properties, used map[string]bool) Index {
	p.require("IndexName", "Projection")
	projection := p.part("Projection")
	i := Index{
		Name: p.text("IndexName"), Projection: projection.oneOf("ProjectionType", "ALL", "KEYS_ONLY", "INCLUDE"),
		NonKeyAttributes: projection.texts("NonKeyAttributes"),
	}
	i.PartitionKey, i.SortKey = t.readKey(p, used)
	return i
}

// readUnits reads the provisioned throughput, which PROVISIONED needs and PAY_PER_REQUEST forbids.
func (t *Table) readUnits(p properties) (read, write int) {
	throughput := p.part("ProvisionedThroughput")
	if t.BillingMode == "PAY_PER_REQUEST" {
		if throughput.object != nil {
			p.problem("ProvisionedThroughput", "cannot be given with BillingMode PAY_PER_REQUEST")
		}
		return 0, 0
	}
	p.require("ProvisionedThroughput")
	if throughput.object != nil {
		throughput.require("ReadCapacityUnits", "WriteCapacityUnits")
	}
	return throughput.between("ReadCapacityUnits", 0, 1, 1<<40), throughput.between("WriteCapacityUnits", 0, 1, 1<<40)
}

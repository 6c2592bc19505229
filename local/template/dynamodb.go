package template

import (
	"regexp"

	"fanfare/local/template/internal/cfn"
	"fanfare/local/template/internal/tree"
)

// dynamoDBTypes returns the types of DynamoDB. A table may have a stream, which is not emulated.
func dynamoDBTypes() map[string]*emulatedType {
	throughput := tree.Nested(tree.Schema{"ReadCapacityUnits": tree.Accepted, "WriteCapacityUnits": tree.Accepted})
	key := tree.Nested(tree.Schema{"AttributeName": tree.Accepted, "KeyType": tree.Accepted})
	projection := tree.Nested(tree.Schema{"NonKeyAttributes": tree.Accepted, "ProjectionType": tree.Accepted})
	noCaps := tree.Refused("request units are not capped here")
	return map[string]*emulatedType{
		"AWS::DynamoDB::Table": {Type: cfn.Type{
			Schema: tree.Settable(`
				BillingMode ContributorInsightsSpecification DeletionProtectionEnabled
				PointInTimeRecoverySpecification SSESpecification StreamSpecification TableClass TableName Tags
				WarmThroughput`).
				All(key, `KeySchema`).
				All(noCaps, `OnDemandThroughput`).
				All(throughput, `ProvisionedThroughput`).
				All(tree.Returned, `Arn StreamArn`).
				With(tree.Schema{
					"AttributeDefinitions": tree.Nested(tree.Schema{"AttributeName": tree.Accepted, "AttributeType": tree.Accepted}),
					"GlobalSecondaryIndexes": tree.Nested(tree.Schema{
						"ContributorInsightsSpecification": tree.Accepted, "IndexName": tree.Accepted, "KeySchema": key,
						"OnDemandThroughput": noCaps,
						"Projection":         projection, "ProvisionedThroughput": throughput, "WarmThroughput": tree.Accepted,
					}),
					"ImportSourceSpecification":  tree.Refused("tables start empty"),
					"KinesisStreamSpecification": tree.Refused("there is no Kinesis here"),
					"LocalSecondaryIndexes": tree.Nested(tree.Schema{"IndexName": tree.Accepted, "KeySchema": key,
						"Projection": projection}),
					"ResourcePolicy":          tree.Refused("only roles' policies are evaluated for tables"),
					"TimeToLiveSpecification": tree.Nested(tree.Schema{"AttributeName": tree.Accepted, "Enabled": tree.Accepted}),
					"VectorIndexes":           tree.Refused("tables have no vector indexes here"),
				}),
			Required: []string{"KeySchema", "AttributeDefinitions"}, NameProperty: "TableName", NamePattern: tableName,
			NameLimit: 255,
			Ref:       "{name}", Attributes: map[string]string{"Arn": "arn:aws:dynamodb:{region}:{account}:table/{name}"},
			RefusedAttributes: map[string]string{"StreamArn": "tables have no streams here"},
		}, read: (*builder).readTable,
		},
	}
}

// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateTable.html
var tableName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{3,255}$`)

func (b *builder) readTable(r *cfn.Resource, p tree.Reader) {
	t := Table{
		Source: b.source(r.ID, r.Position), Name: b.Name(r), ARN: b.ARN(r),
		Attributes: map[string]string{}, BillingMode: p.OneOf("BillingMode", "PROVISIONED", "PAY_PER_REQUEST"),
		DeletionProtection: p.Bool("DeletionProtectionEnabled", false), Tags: p.Tags(),
	}
	for _, definition := range p.Parts("AttributeDefinitions") {
		definition.Require("AttributeName", "AttributeType")
		t.Attributes[definition.Text("AttributeName")] = definition.OneOf("AttributeType", "S", "N", "B")
	}
	used := map[string]bool{}
	t.PartitionKey, t.SortKey = t.readKey(p, used)
	t.ReadUnits, t.WriteUnits = t.readUnits(p)
	if ttl := p.Part("TimeToLiveSpecification"); ttl.Object != nil {
		ttl.Require("Enabled")
		if ttl.Bool("Enabled", false) {
			ttl.Require("AttributeName")
			t.TTLAttribute = ttl.Text("AttributeName")
		}
	}
	for _, index := range p.Parts("GlobalSecondaryIndexes") {
		i := t.readIndex(index, used)
		i.ReadUnits, i.WriteUnits = t.readUnits(index)
		t.GlobalIndexes = append(t.GlobalIndexes, i)
	}
	for _, index := range p.Parts("LocalSecondaryIndexes") {
		i := t.readIndex(index, used)
		if i.PartitionKey != t.PartitionKey {
			index.Problem("KeySchema", "a local index must have the table's partition key, %s", t.PartitionKey)
		}
		t.LocalIndexes = append(t.LocalIndexes, i)
	}
	for name := range t.Attributes {
		if !used[name] && !p.Invalid("KeySchema") {
			p.Problem("AttributeDefinitions",
				"%s is not a key of the table or of an index, and DynamoDB refuses other definitions",
				name)
		}
	}
	b.tables = append(b.tables, pending[Table]{t, p})
}

// readKey reads a KeySchema. Its attributes must be defined. It adds their names to used.
func (t *Table) readKey(p tree.Reader, used map[string]bool) (partition, sort string) {
	p.Require("KeySchema")
	for _, key := range p.Parts("KeySchema") {
		key.Require("AttributeName", "KeyType")
		name := key.Text("AttributeName")
		used[name] = true
		if t.Attributes[name] == "" && name != "" {
			key.Problem("AttributeName", "%s is not in AttributeDefinitions", name)
		}
		into := &partition
		if key.OneOf("KeyType", "HASH", "RANGE") == "RANGE" {
			into = &sort
		}
		if *into != "" {
			key.Problem("KeyType", "keys of more than one HASH and one RANGE attribute are not emulated")
		}
		*into = name
	}
	if partition == "" && p.Has("KeySchema") {
		p.Problem("KeySchema", "a key needs a HASH attribute")
	}
	return partition, sort
}

// readIndex reads an index.
func (t *Table) readIndex(p tree.Reader, used map[string]bool) Index {
	p.Require("IndexName", "Projection")
	projection := p.Part("Projection")
	i := Index{
		Line: p.Position.Line, Name: p.Text("IndexName"),
		Projection:       projection.OneOf("ProjectionType", "ALL", "KEYS_ONLY", "INCLUDE"),
		NonKeyAttributes: projection.Texts("NonKeyAttributes"),
	}
	i.PartitionKey, i.SortKey = t.readKey(p, used)
	return i
}

// readUnits reads the provisioned throughput. PROVISIONED requires it, PAY_PER_REQUEST forbids it.
func (t *Table) readUnits(p tree.Reader) (read, write int) {
	throughput := p.Part("ProvisionedThroughput")
	if t.BillingMode == "PAY_PER_REQUEST" {
		if throughput.Object != nil {
			p.Problem("ProvisionedThroughput", "cannot be given with BillingMode PAY_PER_REQUEST")
		}
		return 0, 0
	}
	p.Require("ProvisionedThroughput")
	if throughput.Object != nil {
		throughput.Require("ReadCapacityUnits", "WriteCapacityUnits")
	}
	return throughput.Between("ReadCapacityUnits", 0, 1, 1<<40), throughput.Between("WriteCapacityUnits", 0, 1, 1<<40)
}

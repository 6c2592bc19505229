package template

import "slices"

// serverlessTable are the properties of AWS::Serverless::SimpleTable.
var serverlessTable = settable(`
	PointInTimeRecoverySpecification ProvisionedThroughput SSESpecification TableName Tags`).
	with(schema{
		"PrimaryKey": of(schema{"Name": known, "Type": known}),
	})

// attributeTypes are SAM's names of DynamoDB's key types.
var attributeTypes = map[string]string{"String": "S", "Number": "N", "Binary": "B"}

func (x *expansion) simpleTable() {
	at := x.r.position
	name, typ := at.newText("id"), "S"
	if key := x.part("PrimaryKey"); key.object != nil {
		key.require("Name", "Type")
		name = key.value("Name")
		given := key.text("Type")
		if typ = attributeTypes[given]; typ == "" && key.has("Type") {
			key.problem("Type", "%q is not one of String, Number, Binary", given)
		}
	}
	var billing *value
	if !x.has("ProvisionedThroughput") {
		billing = at.newText("PAY_PER_REQUEST")
	}
	var tags *value
	if own := x.value("Tags"); own != nil {
		tags = x.tagList(own)
		tags = tags.newList(tags.items[1:]...) // SAM does not mark tables as its own
	}
	table := x.add(x.r.id, "AWS::DynamoDB::Table", slices.Concat([]field{
		{"AttributeDefinitions", at.newList(at.newObject(field{"AttributeName", name}, field{"AttributeType", at.newText(typ)}))},
		{"KeySchema", at.newList(at.newObject(field{"AttributeName", name}, field{"KeyType", at.newText("HASH")}))},
		{"BillingMode", billing},
		{"Tags", tags},
	}, x.copied("PointInTimeRecoverySpecification", "ProvisionedThroughput", "SSESpecification", "TableName"))...)
	table.dependsOn, table.metadata = x.r.dependsOn, x.r.metadata
}

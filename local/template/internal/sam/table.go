package sam

import (
	"slices"

	"fanfare/local/template/internal/tree"
)

// serverlessTable is the schema of AWS::Serverless::SimpleTable.
var serverlessTable = tree.Settable(`
	PointInTimeRecoverySpecification ProvisionedThroughput SSESpecification TableName Tags`).
	With(tree.Schema{
		"PrimaryKey": tree.Nested(tree.Schema{"Name": tree.Accepted, "Type": tree.Accepted}),
	})

// attributeTypes maps SAM's names of DynamoDB's key types to DynamoDB's.
var attributeTypes = map[string]string{"String": "S", "Number": "N", "Binary": "B"}

// simpleTable generates the table.
func (x *expansion) simpleTable() {
	at := x.r.Position
	name, typ := at.NewText("id"), "S"
	if key := x.Part("PrimaryKey"); key.Object != nil {
		key.Require("Name", "Type")
		name = key.Value("Name")
		given := key.Text("Type")
		if typ = attributeTypes[given]; typ == "" && key.Has("Type") {
			key.Problem("Type", "%q is not one of String, Number, Binary", given)
		}
	}
	var billing *tree.Value
	if !x.Has("ProvisionedThroughput") {
		billing = at.NewText("PAY_PER_REQUEST")
	}
	var tags *tree.Value
	if own := x.Value("Tags"); own != nil {
		tags = x.tagList(own)
		tags = tags.NewList(tags.Items[1:]...) // SAM does not add its own tag to tables
	}
	table := x.add(x.r.ID, "AWS::DynamoDB::Table", slices.Concat([]tree.Field{
		tree.Entry("AttributeDefinitions",
			at.NewList(at.NewObject(tree.Entry("AttributeName", name), tree.Entry("AttributeType", at.NewText(typ))))),
		tree.Entry("KeySchema",
			at.NewList(at.NewObject(tree.Entry("AttributeName", name), tree.Entry("KeyType", at.NewText("HASH"))))),
		tree.Entry("BillingMode", billing),
		tree.Entry("Tags", tags),
	}, x.copied("PointInTimeRecoverySpecification", "ProvisionedThroughput", "SSESpecification", "TableName"))...)
	table.DependsOn, table.Metadata = x.r.DependsOn, x.r.Metadata
}

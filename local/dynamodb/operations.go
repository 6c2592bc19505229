package dynamodb

import (
	"maps"
	"slices"
)

// Operations returns the names of the operations that are emulated, sorted.
func Operations() []string { return slices.Sorted(maps.Keys(operations)) }

// operation is an operation of the API with the parameters it accepts, and those of the API that it refuses.
type operation struct {
	serve      func(*call) ([]byte, error)
	parameters string
	refused    string
}

// operations holds the emulated operations. A parameter in neither list does not exist in the API.
var operations = map[string]operation{
	"CreateTable": {(*call).createTable,
		"AttributeDefinitions BillingMode DeletionProtectionEnabled KeySchema ProvisionedThroughput TableClass TableName",
		"GlobalSecondaryIndexes GlobalTableSettingsReplicationMode GlobalTableSourceArn LocalSecondaryIndexes " +
			"OnDemandThroughput ResourcePolicy SSESpecification StreamSpecification Tags WarmThroughput"},
	"DeleteTable":        {(*call).deleteTable, "TableName", ""},
	"DescribeTable":      {(*call).describeTable, "TableName", ""},
	"DescribeTimeToLive": {(*call).describeTimeToLive, "TableName", ""},
	"ListTables":         {(*call).listTables, "ExclusiveStartTableName Limit", ""},
	"PutItem": {(*call).putItem,
		"ConditionExpression ExpressionAttributeNames ExpressionAttributeValues Item ReturnConsumedCapacity " +
			"ReturnItemCollectionMetrics ReturnValues ReturnValuesOnConditionCheckFailure TableName",
		"ConditionalOperator Expected"},
	"UpdateItem": {(*call).updateItem,
		"ConditionExpression ExpressionAttributeNames ExpressionAttributeValues Key ReturnConsumedCapacity " +
			"ReturnItemCollectionMetrics ReturnValues ReturnValuesOnConditionCheckFailure TableName UpdateExpression",
		"AttributeUpdates ConditionalOperator Expected"},
	"DeleteItem": {(*call).deleteItem,
		"ConditionExpression ExpressionAttributeNames ExpressionAttributeValues Key ReturnConsumedCapacity " +
			"ReturnItemCollectionMetrics ReturnValues ReturnValuesOnConditionCheckFailure TableName",
		"ConditionalOperator Expected"},
	"GetItem": {(*call).getItem,
		"ConsistentRead ExpressionAttributeNames Key ProjectionExpression ReturnConsumedCapacity TableName",
		"AttributesToGet"},
	"Query": {(*call).query,
		"ConsistentRead ExclusiveStartKey ExpressionAttributeNames ExpressionAttributeValues FilterExpression IndexName " +
			"KeyConditionExpression Limit ProjectionExpression ReturnConsumedCapacity ScanIndexForward Select TableName",
		"AttributesToGet ConditionalOperator KeyConditions QueryFilter"},
	"Scan": {(*call).scan,
		"ConsistentRead ExclusiveStartKey ExpressionAttributeNames ExpressionAttributeValues FilterExpression IndexName " +
			"Limit ProjectionExpression ReturnConsumedCapacity Segment Select TableName TotalSegments",
		"AttributesToGet ConditionalOperator ScanFilter"},
	"BatchWriteItem": {(*call).batchWriteItem, "RequestItems ReturnConsumedCapacity ReturnItemCollectionMetrics", ""},
	"TransactWriteItems": {(*call).transactWriteItems, "ClientRequestToken ReturnConsumedCapacity " +
		"ReturnItemCollectionMetrics TransactItems", ""},
}

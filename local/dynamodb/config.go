package dynamodb

import "slices"

// Billing modes of a table.
const (
	PayPerRequest = "PAY_PER_REQUEST"
	Provisioned   = "PROVISIONED"
)

// KeyElement is an element of a table's key schema.
type KeyElement struct {
	AttributeName string
	KeyType       string // "HASH", the partition key, or "RANGE", the sort key
}

// AttributeDefinition defines the type of a key attribute.
type AttributeDefinition struct {
	AttributeName string
	AttributeType string // "S", "N" or "B"
}

// TableConfig describes a table, like CreateTable of the API and AWS::DynamoDB::Table of CloudFormation. Other
// properties of tables, such as indexes, streams and replicas, are not emulated.
type TableConfig struct {
	Name                 string // 3 to 255 of a-z A-Z 0-9 _ - .
	KeySchema            []KeyElement
	AttributeDefinitions []AttributeDefinition // exactly those of the key
	BillingMode          string                // "" is Provisioned, as in AWS

	// The throughput of a Provisioned table, at least 1. It is described, not enforced.
	ReadCapacityUnits, WriteCapacityUnits int64

	TTLAttribute       string // the attribute with the expiry time; "" disables expiry
	TableClass         string // "" is STANDARD
	DeletionProtection bool   // refuse DeleteTable
}

// check returns the primary key, or the error that AWS would answer.
func (c *TableConfig) check() (schema, error) {
	if err := checkTableName(c.Name); err != nil {
		return schema{}, err
	}
	key, err := c.schema()
	if err != nil {
		return schema{}, err
	}
	switch c.BillingMode {
	case PayPerRequest:
		if c.ReadCapacityUnits != 0 || c.WriteCapacityUnits != 0 {
			return schema{}, validationError("One or more parameter values were invalid: Neither ReadCapacityUnits nor " +
				"WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST")
		}
	case Provisioned, "":
		if c.ReadCapacityUnits < 1 || c.WriteCapacityUnits < 1 {
			return schema{}, validationError("One or more parameter values were invalid: ReadCapacityUnits and " +
				"WriteCapacityUnits " +
				"must both be specified when BillingMode is PROVISIONED")
		}
	default:
		return schema{}, validationError("1 validation error detected: Value '%s' at 'billingMode' failed to satisfy "+
			"constraint: "+
			"Member must satisfy enum value set: [PROVISIONED, PAY_PER_REQUEST]", c.BillingMode)
	}
	return key, nil
}

func (c *TableConfig) schema() (schema, error) {
	kinds := make(map[string]kind)
	for _, definition := range c.AttributeDefinitions {
		k := kind(definition.AttributeType)
		if !slices.Contains([]kind{kindString, kindNumber, kindBinary}, k) {
			return schema{}, validationError("1 validation error detected: Value '%s' at "+
				"'attributeDefinitions.1.member.attributeType' failed to satisfy constraint: Member must satisfy enum value "+
				"set: [B, N, S]", k)
		}
		if kinds[definition.AttributeName] != "" {
			return schema{}, validationError("Cannot have two attributes with the same name")
		}
		kinds[definition.AttributeName] = k
	}
	if len(c.KeySchema) < 1 || len(c.KeySchema) > 2 {
		return schema{}, validationError("1 validation error detected: Value at 'keySchema' failed to satisfy constraint: " +
			"Member " +
			"must have length between 1 and 2")
	}
	var keys [2]keyAttribute
	for i, element := range c.KeySchema {
		if element.KeyType != [2]string{"HASH", "RANGE"}[i] {
			return schema{}, validationError("Invalid KeySchema: element %d of the KeySchema is not a %s key type", i+1,
				[2]string{"HASH", "RANGE"}[i])
		}
		k, defined := kinds[element.AttributeName]
		if !defined {
			return schema{}, validationError("One or more parameter values were invalid: Some index key attributes are not "+
				"defined "+
				"in AttributeDefinitions. Keys: [%s]", element.AttributeName)
		}
		keys[i] = keyAttribute{element.AttributeName, k}
	}
	if keys[0].name == keys[1].name {
		return schema{}, validationError("Both the Hash Key and the Range Key element in the KeySchema have the same name")
	}
	if len(kinds) != len(c.KeySchema) {
		return schema{}, validationError("One or more parameter values were invalid: Number of attributes in KeySchema " +
			"does not " +
			"exactly match number of attributes defined in AttributeDefinitions")
	}
	return schema{keys[0], keys[1]}, nil
}

func checkTableName(name string) error {
	for i := range len(name) {
		if c := name[i]; !isWordByte(c) && c != '-' && c != '.' {
			return validationError("1 validation error detected: Value '%s' at 'tableName' failed to satisfy constraint: "+
				"Member must "+
				"satisfy regular expression pattern: [a-zA-Z0-9_.-]+", name)
		}
	}
	if len(name) < 3 || len(name) > 255 {
		return validationError("Invalid table/index name.  Table/index names must be between 3 and 255 characters long, " +
			"and may " +
			"contain only the characters a-z, A-Z, 0-9, '_', '-', and '.'")
	}
	return nil
}

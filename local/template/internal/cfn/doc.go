// Package cfn evaluates a template as CloudFormation does: parameters, mappings, conditions, intrinsic functions, names
// of resources, the dependencies between resources, and outputs. It gets the resource types as a parameter and knows
// none itself.
package cfn

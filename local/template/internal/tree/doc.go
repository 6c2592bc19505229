// Package tree is a template as a tree of values with positions. It parses YAML and JSON, reads properties by a schema
// and collects the problems of a template. It knows nothing about CloudFormation's functions or resource types.
//
// A [Report] belongs to one template and is not safe for concurrent use. Values are never changed after they are built.
package tree

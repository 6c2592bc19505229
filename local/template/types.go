package template

import (
	"maps"
	"slices"
)

// emulatedType is a resource type with the function that reads its resources; nil for types without a local part.
type emulatedType struct {
	resourceType
	read func(b *builder, r *resource, p properties)
}

// emulatedTypes holds every supported type.
var emulatedTypes = func() map[string]*emulatedType {
	all := map[string]*emulatedType{}
	for _, types := range []map[string]*emulatedType{
		lambdaTypes(), iamTypes(), sqsTypes(), dynamoDBTypes(), apiGatewayTypes(), secretTypes(), inertTypes(),
	} {
		maps.Copy(all, types)
	}
	return all
}()

// typeOf returns the description of a resource type, or nil for one that is not supported.
func (o Options) typeOf(name string) *resourceType {
	if t := emulatedTypes[name]; t != nil {
		return &t.resourceType
	}
	if slices.Contains(o.Inert, name) {
		return &resourceType{ref: "{name}"}
	}
	return nil
}

package template

import (
	"maps"
	"slices"

	"fanfare/local/template/internal/cfn"
	"fanfare/local/template/internal/tree"
)

// emulatedType is a supported resource type. read adds a resource to the builder; nil for types that are not emulated.
type emulatedType struct {
	cfn.Type
	read func(b *builder, r *cfn.Resource, p tree.Reader)
}

// emulatedTypes has every supported type, by name.
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
func (o Options) typeOf(name string) *cfn.Type {
	if t := emulatedTypes[name]; t != nil {
		return &t.Type
	}
	if slices.Contains(o.Inert, name) {
		return &cfn.Type{Ref: "{name}"}
	}
	return nil
}

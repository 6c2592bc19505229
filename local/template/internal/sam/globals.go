package sam

import (
	"slices"

	"fanfare/local/template/internal/cfn"
	"fanfare/local/template/internal/tree"
)

// globalProperties are the properties that Globals may set, by SAM resource type.
// Source: AWS SAM developer guide, sam-specification-template-anatomy-globals.html.
var globalProperties = map[string][]string{
	"Function": {
		"Handler", "Runtime", "CodeUri", "DeadLetterQueue", "Description", "MemorySize", "Timeout", "VpcConfig",
		"Environment", "Tags",
		"PropagateTags", "Tracing", "KmsKeyArn", "AutoPublishAlias", "AutoPublishAliasAllProperties", "Layers",
		"DeploymentPreference",
		"RolePath", "PermissionsBoundary", "ReservedConcurrentExecutions", "ProvisionedConcurrencyConfig",
		"AssumeRolePolicyDocument",
		"EventInvokeConfig", "FileSystemConfigs", "CodeSigningConfigArn", "Architectures", "SnapStart", "EphemeralStorage",
		"FunctionUrlConfig", "RuntimeManagementConfig", "LoggingConfig", "RecursiveLoop", "SourceKMSKeyArn", "TenancyConfig",
		"DurableConfig", "CapacityProviderConfig", "FunctionScalingConfig", "PublishToLatestPublished",
		"VersionDeletionPolicy",
	},
	"SimpleTable": {"SSESpecification"},
	"WebSocketApi": {
		"AccessLogSettings", "ApiKeySelectionExpression", "DefaultRouteSettings", "DisableExecuteApiEndpoint",
		"DisableSchemaValidation",
		"Domain", "FailOnWarnings", "IpAddressType", "PropagateTags", "RouteSelectionExpression", "RouteSettings",
		"StageVariables",
		"Tags",
	},
}

// replacedGlobals are the lists that a resource replaces. It appends to all others.
var replacedGlobals = []string{"Architectures"}

// otherGlobals are the sections of SAM types that are not supported. They have no effect without such a resource.
var otherGlobals = []string{
	"Api", "CapacityProvider", "HttpApi", "LayerVersion", "MicroVMImage", "NetworkConnector", "StateMachine",
}

// readGlobals returns the section Globals by SAM resource type. It reports types and properties that SAM does not
// accept.
func readGlobals(report *tree.Report, section *tree.Value) map[string]*tree.Value {
	globals := map[string]*tree.Value{}
	top := report.Reader(section, tree.Place{Resource: "Globals"})
	if top.Object == nil {
		return globals
	}
	for _, f := range top.Object.Fields {
		allowed, ok := globalProperties[f.Key]
		if !ok {
			if !slices.Contains(otherGlobals, f.Key) {
				top.Problem(f.Key, "SAM has no Globals for %s", f.Key)
			}
			continue
		}
		p := top.Part(f.Key)
		if p.Object == nil {
			continue
		}
		var accepted []tree.Field
		for _, property := range p.Object.Fields {
			if slices.Contains(allowed, property.Key) {
				accepted = append(accepted, property)
			} else {
				p.Problem(property.Key, "SAM does not take this property of %s from Globals", f.Key)
			}
		}
		globals[f.Key] = p.Object.NewObject(accepted...)
	}
	return globals
}

// withGlobals merges the properties of a resource with the globals of its type. It leaves out the globals that the
// resource ignores.
func withGlobals(report *tree.Report, r *cfn.Resource, globals *tree.Value) *tree.Value {
	if globals == nil {
		return r.Properties
	}
	for _, f := range r.Entry.Object.Fields {
		if f.Key != "IgnoreGlobals" {
			continue
		}
		if f.Value.Kind == tree.Text && f.Value.Text == "*" {
			return r.Properties
		}
		ignored := report.Reader(f.Value.NewObject(f), tree.Place{Resource: r.ID}).Texts(f.Key)
		for _, key := range ignored {
			if globals.Get(key) == nil {
				report.Problem(f.Value, tree.At(r.ID, f.Key), "%s is not in Globals", key)
			}
		}
		globals = globals.NewObject(slices.DeleteFunc(slices.Clone(globals.Fields), func(f tree.Field) bool {
			return slices.Contains(ignored, f.Key)
		})...)
	}
	return merge(globals, r.Properties, true)
}

// merge merges a global value with that of a resource. Objects are merged. A list is appended to the global list. Any
// other value replaces the global one, a call of a function, too. top is true for the properties of the resource.
func merge(global, own *tree.Value, top bool) *tree.Value {
	isMap := func(v *tree.Value) bool {
		name, _ := v.Function()
		return v.Kind == tree.Object && name == ""
	}
	switch {
	case global.Kind == tree.List && own.Kind == tree.List:
		return own.NewList(slices.Concat(global.Items, own.Items)...)
	case !isMap(global) || !isMap(own):
		return own
	}
	fields := slices.Clone(global.Fields)
	for _, f := range own.Fields {
		i := slices.IndexFunc(fields, func(g tree.Field) bool { return g.Key == f.Key })
		switch {
		case i < 0:
			fields = append(fields, f)
		case top && slices.Contains(replacedGlobals, f.Key):
			fields[i] = f
		default:
			fields[i].Value = merge(fields[i].Value, f.Value, false)
		}
	}
	return own.NewObject(fields...)
}

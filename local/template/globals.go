package template

import "slices"

// globalProperties are the properties that Globals may set, by SAM resource type. Sections of types that are not
// supported here are accepted when no such resource uses them.
// https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-specification-template-anatomy-globals.html
var globalProperties = map[string][]string{
	"Function": {
		"Handler", "Runtime", "CodeUri", "DeadLetterQueue", "Description", "MemorySize", "Timeout", "VpcConfig", "Environment", "Tags",
		"PropagateTags", "Tracing", "KmsKeyArn", "AutoPublishAlias", "AutoPublishAliasAllProperties", "Layers", "DeploymentPreference",
		"RolePath", "PermissionsBoundary", "ReservedConcurrentExecutions", "ProvisionedConcurrencyConfig", "AssumeRolePolicyDocument",
		"EventInvokeConfig", "FileSystemConfigs", "CodeSigningConfigArn", "Architectures", "SnapStart", "EphemeralStorage",
		"FunctionUrlConfig", "RuntimeManagementConfig", "LoggingConfig", "RecursiveLoop", "SourceKMSKeyArn", "TenancyConfig",
		"DurableConfig", "CapacityProviderConfig", "FunctionScalingConfig", "PublishToLatestPublished", "VersionDeletionPolicy",
	},
	"SimpleTable": {"SSESpecification"},
	"WebSocketApi": {
		"AccessLogSettings", "ApiKeySelectionExpression", "DefaultRouteSettings", "DisableExecuteApiEndpoint",
		"DisableSchemaValidation",
		"Domain", "FailOnWarnings", "IpAddressType", "PropagateTags", "RouteSelectionExpression", "RouteSettings", "StageVariables",
		"Tags",
	},
}

// replacedGlobals are the lists that a resource replaces instead of adding to.
var replacedGlobals = []string{"Architectures"}

// otherGlobals are the sections for SAM types that are not supported here: without such a resource they do nothing.
var otherGlobals = []string{
	"Api", "CapacityProvider", "HttpApi", "LayerVersion", "MicroVMImage", "NetworkConnector", "StateMachine",
}

// readGlobals returns the Globals section by SAM type name, with what SAM does not know reported.
func readGlobals(report *report, section *value) map[string]*value {
	globals := map[string]*value{}
	top := report.properties(section, where{resource: "Globals"})
	if top.object == nil {
		return globals
	}
	for _, f := range top.object.fields {
		allowed, ok := globalProperties[f.key]
		if !ok {
			if !slices.Contains(otherGlobals, f.key) {
				top.problem(f.key, "SAM has no Globals for %s", f.key)
			}
			continue
		}
		p := top.part(f.key)
		if p.object == nil {
			continue
		}
		var taken []field
		for _, property := range p.object.fields {
			if slices.Contains(allowed, property.key) {
				taken = append(taken, property)
			} else {
				p.problem(property.key, "SAM does not take this property of %s from Globals", f.key)
			}
		}
		globals[f.key] = p.object.newObject(taken...)
	}
	return globals
}

// withGlobals merges a resource's properties with its type's Globals, but for those that it asks to ignore.
func withGlobals(report *report, r *resource, globals *value) *value {
	if globals == nil {
		return r.properties
	}
	for _, f := range r.entry.object.fields {
		if f.key != "IgnoreGlobals" {
			continue
		}
		if f.value.kind == text && f.value.text == "*" {
			return r.properties
		}
		ignored := report.properties(f.value.newObject(f), where{resource: r.id}).texts(f.key)
		for _, key := range ignored {
			if globals.get(key) == nil {
				report.problem(f.value, where{r.id, f.key}, "%s is not in Globals", key)
			}
		}
		globals = globals.newObject(slices.DeleteFunc(slices.Clone(globals.fields), func(f field) bool {
			return slices.Contains(ignored, f.key)
		})...)
	}
	return merge(globals, r.properties, true)
}

// merge combines a global value with a resource's own: maps are merged, lists are appended to the global one, and
// anything else, functions included, is replaced. top is true for the properties themselves.
func merge(global, own *value, top bool) *value {
	isMap := func(v *value) bool {
		name, _ := v.function()
		return v.kind == object && name == ""
	}
	switch {
	case global.kind == list && own.kind == list:
		return own.newList(slices.Concat(global.items, own.items)...)
	case !isMap(global) || !isMap(own):
		return own
	}
	fields := slices.Clone(global.fields)
	for _, f := range own.fields {
		i := slices.IndexFunc(fields, func(g field) bool { return g.key == f.key })
		switch {
		case i < 0:
			fields = append(fields, f)
		case top && slices.Contains(replacedGlobals, f.key):
			fields[i] = f
		default:
			fields[i].value = merge(fields[i].value, f.value, false)
		}
	}
	return own.newObject(fields...)
}

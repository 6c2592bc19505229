package template

import (
	"slices"
	"strconv"

	"fanfare/local/iam"
)

// serverlessFunction are the properties of AWS::Serverless::Function.
// https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-resource-function.html
var serverlessFunction = settable(`
	Architectures AssumeRolePolicyDocument CodeSigningConfigArn CodeUri Description Environment EphemeralStorage
	Events FunctionName Handler KmsKeyArn LoggingConfig MemorySize PackageType Policies PropagateTags RecursiveLoop
	ReservedConcurrentExecutions Role RolePath Runtime RuntimeManagementConfig SourceKMSKeyArn Tags Timeout Tracing`).
	with(schema{
		"AutoPublishAlias":              refused("functions have no versions and aliases here"),
		"AutoPublishAliasAllProperties": refused("functions have no versions and aliases here"),
		"AutoPublishCodeSha256":         refused("functions have no versions and aliases here"),
		"CapacityProviderConfig":        refused("functions run on this machine"),
		"DeadLetterQueue":               of(schema{"Type": known, "TargetArn": known}),
		"DeploymentPreference":          refused("functions have no versions and aliases here"),
		"DurableConfig":                 refused("durable executions need a service of their own"),
		"EventInvokeConfig":             refused("nothing invokes functions asynchronously here"),
		"FileSystemConfigs":             refused("no file systems are mounted here"),
		"FunctionScalingConfig":         refused("functions run on this machine"),
		"FunctionUrlConfig":             refused("functions have no URLs here"),
		"ImageConfig":                   refused("functions are executables here, not images"),
		"ImageUri":                      refused("functions are executables here, not images"),
		"InlineCode":                    refused("functions are executables here"),
		"Layers":                        refused("functions have no layers here"),
		"PermissionsBoundary":           refused("only the role's own policies are evaluated"),
		"ProvisionedConcurrencyConfig":  refused("functions have no versions and aliases here"),
		"PublishToLatestPublished":      refused("functions have no versions and aliases here"),
		"SnapStart":                     refused("snapshots are for other runtimes"),
		"TenancyConfig":                 refused("invocations carry no tenants here"),
		"VersionDeletionPolicy":         refused("functions have no versions and aliases here"),
		"VersionDescription":            refused("functions have no versions and aliases here"),
		"VpcConfig":                     refused("functions run on this machine's loopback"),
	})

// function expands a function into itself, its role unless it brings one, and an event source mapping for each event.
func (x *expansion) function() {
	at := x.r.position
	role := x.e.taken(x.value("Role"), x.at.field("Role"))
	var generated *resource
	if role == nil {
		generated = x.functionRole()
		role = at.newGetAtt(generated.id, "Arn")
	}
	tracing := x.tracing()
	var deadLetters *value
	if x.has("DeadLetterQueue") {
		deadLetters = at.newObject(field{"TargetArn", x.part("DeadLetterQueue").value("TargetArn")})
	}
	if tracing != nil {
		tracing = at.newObject(field{"Mode", tracing})
	}
	function := x.add(x.r.id, "AWS::Lambda::Function", slices.Concat([]field{
		{"Code", x.value("CodeUri")},
		{"Role", role},
		{"Tags", x.functionTags()},
		{"TracingConfig", tracing},
		{"DeadLetterConfig", deadLetters},
	}, x.copied("Architectures", "CodeSigningConfigArn", "Description", "Environment", "EphemeralStorage", "FunctionName", "Handler",
		"KmsKeyArn", "LoggingConfig", "MemorySize", "PackageType", "RecursiveLoop", "ReservedConcurrentExecutions", "Runtime",
		"RuntimeManagementConfig", "Timeout"))...)
	function.dependsOn, function.metadata = x.r.dependsOn, x.r.metadata
	if generated != nil {
		x.made = append(x.made[1:], generated) // the function first, as it was written
	}
	x.functionEvents(generated)
}

// tracing returns the function's tracing mode, or nil when it has none, as SAM decides it: "Disabled" is none.
func (x *expansion) tracing() *value {
	v := x.value("Tracing")
	if v == nil {
		return nil
	}
	mode := v
	if name, argument := v.function(); name == "Ref" && argument.kind == text {
		if given := x.e.parameterValue(argument.text); given != nil {
			mode = given
		}
	}
	if mode.kind == text && mode.text == "Disabled" {
		return nil
	}
	return v
}

// functionTags returns the tags of a function and its role. Propagated tags replace SAM's own mark.
func (x *expansion) functionTags() *value {
	tags := x.tagList(x.value("Tags"))
	if x.boolean("PropagateTags", false) && len(tags.items) > 1 {
		return tags.newList(tags.items[1:]...)
	}
	return tags
}

const managedPolicyPrefix = "arn:aws:iam::aws:policy/"

// functionRole generates the role of a function that has none.
func (x *expansion) functionRole() *resource {
	at := x.r.position
	managed := []*value{at.newText(managedPolicyPrefix + "service-role/AWSLambdaBasicExecutionRole")}
	if x.tracing() != nil {
		managed = append(managed, at.newText(managedPolicyPrefix+"AWSXrayWriteOnlyAccess"))
	}
	id := x.r.id + "Role"
	var inline []*value
	if queue := x.part("DeadLetterQueue"); queue.object != nil {
		queue.require("Type", "TargetArn")
		action := map[string]string{"SQS": "sqs:SendMessage", "SNS": "sns:Publish"}[queue.text("Type")]
		if action == "" && queue.has("Type") {
			queue.problem("Type", "must be SQS or SNS")
		}
		inline = append(inline, inlinePolicy(at, "DeadLetterQueuePolicy", at.newObject(
			field{"Version", at.newText("2012-10-17")},
			field{"Statement", at.newList(at.newObject(
				field{"Action", at.newText(action)}, field{"Resource", queue.value("TargetArn")}, field{"Effect", at.newText("Allow")}))})))
	}
	more, documents := x.policies(id)
	for _, policy := range more {
		if !slices.ContainsFunc(managed, func(v *value) bool { return same(v, policy) }) {
			managed = append(managed, policy)
		}
	}
	inline = append(inline, documents...)
	trust := x.value("AssumeRolePolicyDocument")
	if trust == nil {
		trust = trustPolicy(at, "lambda.amazonaws.com")
	}
	fields := []field{
		{"AssumeRolePolicyDocument", trust},
		{"ManagedPolicyArns", at.newList(managed...)},
		{"Path", x.value("RolePath")},
		{"Tags", x.functionTags()},
	}
	if len(inline) > 0 {
		fields = append(fields, field{"Policies", at.newList(inline...)})
	}
	return x.add(id, "AWS::IAM::Role", fields...)
}

func inlinePolicy(at *value, name string, document *value) *value {
	return at.newObject(field{"PolicyName", at.newText(name)}, field{"PolicyDocument", document})
}

// trustPolicy returns the document that lets a service assume a role.
func trustPolicy(at *value, service string) *value {
	return at.newObject(
		field{"Version", at.newText("2012-10-17")},
		field{"Statement", at.newList(at.newObject(
			field{"Action", at.newList(at.newText("sts:AssumeRole"))},
			field{"Effect", at.newText("Allow")},
			field{"Principal", at.newObject(field{"Service", at.newList(at.newText(service))})}))})
}

// policies sorts a function's Policies into managed policies, by ARN, and the role's own.
func (x *expansion) policies(role string) (managed, inline []*value) {
	v := x.value("Policies")
	if v == nil {
		return nil, nil
	}
	entries, at := []*value{v}, x.at.field("Policies")
	if v.kind == list {
		entries = v.items
	}
	for i, entry := range entries {
		at := at.item(i)
		entry = x.e.taken(entry, at)
		if entry == nil || entry.kind == invalid {
			continue
		}
		function, _ := entry.function()
		switch {
		case entry.kind == text:
			if arn, ok := iam.ManagedARN(entry.text); ok {
				entry = entry.newText(arn)
			}
			managed = append(managed, entry)
		case function != "":
			managed = append(managed, entry)
		case entry.get("Statement") != nil:
			inline = append(inline, inlinePolicy(entry, role+"Policy"+strconv.Itoa(i), entry))
		case entry.kind == object && len(entry.fields) == 1:
			if document := policyTemplate(x.e.report, entry, at); document != nil {
				inline = append(inline, inlinePolicy(entry, role+"Policy"+strconv.Itoa(i), document))
			}
		default:
			x.e.problem(entry, at, "is neither a managed policy, a policy document with a Statement, nor a SAM policy template")
		}
	}
	return managed, inline
}

// sqsEvent are the properties of an SQS event, all of which become properties of the mapping.
var sqsEvent = settable(`
	BatchSize Enabled FilterCriteria FunctionResponseTypes KmsKeyArn LoggingConfig MaximumBatchingWindowInSeconds
	MetricsConfig ProvisionedPollerConfig Queue ScalingConfig`)

// functionEvents generates an event source mapping for each SQS event, and gives the generated role what they need.
func (x *expansion) functionEvents(role *resource) {
	events := x.part("Events")
	if events.object == nil {
		return
	}
	for _, f := range events.object.fields {
		event := events.part(f.key)
		event.check(schema{"Type": known, "Properties": known})
		if typ := event.text("Type"); typ != "SQS" {
			event.problem("Type", "events of type %q are not emulated: only SQS is", typ)
			continue
		}
		p := event.part("Properties")
		p.check(sqsEvent)
		p.require("Queue")
		at := f.value.entry()
		fields := []field{{"EventSourceArn", p.value("Queue")}, {"FunctionName", at.newRef(x.r.id)}}
		for key := range sqsEvent {
			if key != "Queue" {
				fields = append(fields, field{key, p.value(key)})
			}
		}
		mapping := x.add(x.r.id+f.key, "AWS::Lambda::EventSourceMapping", fields...)
		mapping.position = at
		if role != nil {
			allowPolling(role)
		}
	}
}

// allowPolling adds the managed policy for reading queues to a generated role, once.
func allowPolling(role *resource) {
	policy := role.position.newText(managedPolicyPrefix + "service-role/AWSLambdaSQSQueueExecutionRole")
	fields := slices.Clone(role.properties.fields)
	for i, f := range fields {
		if f.key == "ManagedPolicyArns" && !slices.ContainsFunc(f.value.items, func(v *value) bool { return same(v, policy) }) {
			fields[i].value = f.value.newList(append(slices.Clone(f.value.items), policy)...)
		}
	}
	role.properties = role.properties.newObject(fields...)
}

package sam

import (
	"slices"
	"strconv"

	"fanfare/local/iam"
	"fanfare/local/template/internal/cfn"
	"fanfare/local/template/internal/tree"
)

// serverlessFunction is the schema of AWS::Serverless::Function.
// https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-resource-function.html
var serverlessFunction = tree.Settable(`
	Architectures AssumeRolePolicyDocument CodeSigningConfigArn CodeUri Description Environment EphemeralStorage
	Events FunctionName Handler KmsKeyArn LoggingConfig MemorySize PackageType Policies PropagateTags RecursiveLoop
	ReservedConcurrentExecutions Role RolePath Runtime RuntimeManagementConfig SourceKMSKeyArn Tags Timeout Tracing`).
	With(tree.Schema{
		"AutoPublishAlias":              tree.Refused("functions have no versions and aliases here"),
		"AutoPublishAliasAllProperties": tree.Refused("functions have no versions and aliases here"),
		"AutoPublishCodeSha256":         tree.Refused("functions have no versions and aliases here"),
		"CapacityProviderConfig":        tree.Refused("functions run on this machine"),
		"DeadLetterQueue":               tree.Nested(tree.Schema{"Type": tree.Accepted, "TargetArn": tree.Accepted}),
		"DeploymentPreference":          tree.Refused("functions have no versions and aliases here"),
		"DurableConfig":                 tree.Refused("durable executions need a service of their own"),
		"EventInvokeConfig":             tree.Refused("nothing invokes functions asynchronously here"),
		"FileSystemConfigs":             tree.Refused("no file systems are mounted here"),
		"FunctionScalingConfig":         tree.Refused("functions run on this machine"),
		"FunctionUrlConfig":             tree.Refused("functions have no URLs here"),
		"ImageConfig":                   tree.Refused("functions are executables here, not images"),
		"ImageUri":                      tree.Refused("functions are executables here, not images"),
		"InlineCode":                    tree.Refused("functions are executables here"),
		"Layers":                        tree.Refused("functions have no layers here"),
		"PermissionsBoundary":           tree.Refused("only the role's own policies are evaluated"),
		"ProvisionedConcurrencyConfig":  tree.Refused("functions have no versions and aliases here"),
		"PublishToLatestPublished":      tree.Refused("functions have no versions and aliases here"),
		"SnapStart":                     tree.Refused("snapshots are for other runtimes"),
		"TenancyConfig":                 tree.Refused("invocations carry no tenants here"),
		"VersionDeletionPolicy":         tree.Refused("functions have no versions and aliases here"),
		"VersionDescription":            tree.Refused("functions have no versions and aliases here"),
		"VpcConfig":                     tree.Refused("functions run on this machine's loopback"),
	})

// function generates the function, its role unless the template gives one, and an event source mapping for each event.
func (x *expansion) function() {
	at := x.r.Position
	code := x.Value("CodeUri")
	if code == nil {
		x.e.Warn(at, tree.Place{Resource: x.r.ID}, "CodeUri is missing: the folder of the template is used")
		code = at.NewText(".")
	}
	role := x.e.SelectedBranch(x.Value("Role"), x.At.Field("Role"))
	var generated *cfn.Resource
	if role == nil {
		generated = x.functionRole()
		role = at.NewGetAtt(generated.ID, "Arn")
	}
	tracing := x.tracing()
	var deadLetters *tree.Value
	if x.Has("DeadLetterQueue") {
		deadLetters = at.NewObject(tree.Entry("TargetArn", x.Part("DeadLetterQueue").Value("TargetArn")))
	}
	if tracing != nil {
		tracing = at.NewObject(tree.Entry("Mode", tracing))
	}
	function := x.add(x.r.ID, "AWS::Lambda::Function", slices.Concat([]tree.Field{
		tree.Entry("Code", code),
		tree.Entry("Role", role),
		tree.Entry("Tags", x.functionTags()),
		tree.Entry("TracingConfig", tracing),
		tree.Entry("DeadLetterConfig", deadLetters),
	}, x.copied("Architectures", "CodeSigningConfigArn", "Description", "Environment", "EphemeralStorage", "FunctionName",
		"Handler",
		"KmsKeyArn", "LoggingConfig", "MemorySize", "PackageType", "RecursiveLoop", "ReservedConcurrentExecutions", "Runtime",
		"RuntimeManagementConfig", "Timeout"))...)
	function.DependsOn, function.Metadata = x.r.DependsOn, x.r.Metadata
	if generated != nil {
		x.generated = append(x.generated[1:], generated) // the function comes first
	}
	x.functionEvents(generated)
}

// tracing returns the function's tracing mode. It returns nil without one, and for "Disabled", as SAM does.
func (x *expansion) tracing() *tree.Value {
	v := x.Value("Tracing")
	if v == nil {
		return nil
	}
	mode := v
	if name, argument := v.Function(); name == "Ref" && argument.Kind == tree.Text {
		if given := x.e.ParameterValue(argument.Text); given != nil {
			mode = given
		}
	}
	if mode.Kind == tree.Text && mode.Text == "Disabled" {
		return nil
	}
	return v
}

// functionTags returns the tags of a function and its role. Propagated tags replace SAM's own tag.
func (x *expansion) functionTags() *tree.Value {
	tags := x.tagList(x.Value("Tags"))
	if x.Bool("PropagateTags", false) && len(tags.Items) > 1 {
		return tags.NewList(tags.Items[1:]...)
	}
	return tags
}

const managedPolicyPrefix = "arn:aws:iam::aws:policy/"

// functionRole generates the role of a function for which the template gives none.
func (x *expansion) functionRole() *cfn.Resource {
	at := x.r.Position
	managed := []*tree.Value{at.NewText(managedPolicyPrefix + "service-role/AWSLambdaBasicExecutionRole")}
	if x.tracing() != nil {
		managed = append(managed, at.NewText(managedPolicyPrefix+"AWSXrayWriteOnlyAccess"))
	}
	id := x.r.ID + "Role"
	var inline []*tree.Value
	if queue := x.Part("DeadLetterQueue"); queue.Object != nil {
		queue.Require("Type", "TargetArn")
		action := map[string]string{"SQS": "sqs:SendMessage", "SNS": "sns:Publish"}[queue.Text("Type")]
		if action == "" && queue.Has("Type") {
			queue.Problem("Type", "must be SQS or SNS")
		}
		inline = append(inline, inlinePolicy(at, "DeadLetterQueuePolicy", at.NewObject(
			tree.Entry("Version", at.NewText("2012-10-17")),
			tree.Entry("Statement", at.NewList(at.NewObject(
				tree.Entry("Action", at.NewText(action)), tree.Entry("Resource", queue.Value("TargetArn")),
				tree.Entry("Effect", at.NewText("Allow"))))))))
	}
	more, documents := x.policies(id)
	for _, policy := range more {
		if !slices.ContainsFunc(managed, func(v *tree.Value) bool { return tree.Same(v, policy) }) {
			managed = append(managed, policy)
		}
	}
	inline = append(inline, documents...)
	trust := x.Value("AssumeRolePolicyDocument")
	if trust == nil {
		trust = trustPolicy(at, "lambda.amazonaws.com")
	}
	fields := []tree.Field{
		tree.Entry("AssumeRolePolicyDocument", trust),
		tree.Entry("ManagedPolicyArns", at.NewList(managed...)),
		tree.Entry("Path", x.Value("RolePath")),
		tree.Entry("Tags", x.functionTags()),
	}
	if len(inline) > 0 {
		fields = append(fields, tree.Entry("Policies", at.NewList(inline...)))
	}
	return x.add(id, "AWS::IAM::Role", fields...)
}

// inlinePolicy returns a policy of a role.
func inlinePolicy(at *tree.Value, name string, document *tree.Value) *tree.Value {
	return at.NewObject(tree.Entry("PolicyName", at.NewText(name)), tree.Entry("PolicyDocument", document))
}

// trustPolicy returns the document that allows a service to assume a role.
func trustPolicy(at *tree.Value, service string) *tree.Value {
	return at.NewObject(
		tree.Entry("Version", at.NewText("2012-10-17")),
		tree.Entry("Statement", at.NewList(at.NewObject(
			tree.Entry("Action", at.NewList(at.NewText("sts:AssumeRole"))),
			tree.Entry("Effect", at.NewText("Allow")),
			tree.Entry("Principal", at.NewObject(tree.Entry("Service", at.NewList(at.NewText(service)))))))))
}

// policies returns the property Policies as managed policies, by ARN, and as policies of the generated role.
func (x *expansion) policies(role string) (managed, inline []*tree.Value) {
	v := x.Value("Policies")
	if v == nil {
		return nil, nil
	}
	entries, at := []*tree.Value{v}, x.At.Field("Policies")
	if v.Kind == tree.List {
		entries = v.Items
	}
	for i, entry := range entries {
		at := at.Item(i)
		entry = x.e.SelectedBranch(entry, at)
		if entry == nil || entry.Kind == tree.Invalid {
			continue
		}
		function, _ := entry.Function()
		switch {
		case entry.Kind == tree.Text:
			if arn, ok := iam.ManagedARN(entry.Text); ok {
				entry = entry.NewText(arn)
			}
			managed = append(managed, entry)
		case function != "":
			managed = append(managed, entry)
		case entry.Get("Statement") != nil:
			inline = append(inline, inlinePolicy(entry, role+"Policy"+strconv.Itoa(i), entry))
		case entry.Kind == tree.Object && len(entry.Fields) == 1:
			if document := policyTemplate(x.e.Report, entry, at); document != nil {
				inline = append(inline, inlinePolicy(entry, role+"Policy"+strconv.Itoa(i), document))
			}
		default:
			x.e.Problem(entry, at, "is neither a managed policy, a policy document with a Statement, nor a SAM policy template")
		}
	}
	return managed, inline
}

// sqsEvent is the schema of an SQS event. All its properties are properties of the mapping, too.
var sqsEvent = tree.Settable(`
	BatchSize Enabled FilterCriteria FunctionResponseTypes KmsKeyArn LoggingConfig MaximumBatchingWindowInSeconds
	MetricsConfig ProvisionedPollerConfig Queue ScalingConfig`)

// functionEvents generates an event source mapping for each SQS event and allows the generated role to poll. role is
// nil when the template gives the role.
func (x *expansion) functionEvents(role *cfn.Resource) {
	events := x.Part("Events")
	if events.Object == nil {
		return
	}
	for _, f := range events.Object.Fields {
		event := events.Part(f.Key)
		event.Check(tree.Schema{"Type": tree.Accepted, "Properties": tree.Accepted})
		if typ := event.Text("Type"); typ != "SQS" {
			event.Problem("Type", "events of type %q are not emulated: only SQS is", typ)
			continue
		}
		p := event.Part("Properties")
		p.Check(sqsEvent)
		p.Require("Queue")
		at := f.Value.KeyPosition()
		fields := []tree.Field{tree.Entry("EventSourceArn", p.Value("Queue")), tree.Entry("FunctionName", at.NewRef(x.r.ID))}
		for key := range sqsEvent {
			if key != "Queue" {
				fields = append(fields, tree.Entry(key, p.Value(key)))
			}
		}
		mapping := x.add(x.r.ID+f.Key, "AWS::Lambda::EventSourceMapping", fields...)
		mapping.Position = at
		if role != nil {
			allowPolling(role)
		}
	}
}

// allowPolling adds the managed policy for polling queues to a generated role, unless it has it.
func allowPolling(role *cfn.Resource) {
	policy := role.Position.NewText(managedPolicyPrefix + "service-role/AWSLambdaSQSQueueExecutionRole")
	fields := slices.Clone(role.Properties.Fields)
	for i, f := range fields {
		if f.Key == "ManagedPolicyArns" &&
			!slices.ContainsFunc(f.Value.Items, func(v *tree.Value) bool { return tree.Same(v, policy) }) {
			fields[i].Value = f.Value.NewList(append(slices.Clone(f.Value.Items), policy)...)
		}
	}
	role.Properties = role.Properties.NewObject(fields...)
}

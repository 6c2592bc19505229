package template

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"fanfare/local/iam"
)

func lambdaTypes() map[string]*emulatedType {
	return map[string]*emulatedType{
		"AWS::Lambda::Function": {resourceType: resourceType{
			schema: functionProperties, required: []string{"Code", "Role"},
			nameProperty: "FunctionName", namePattern: functionName, nameLimit: 64, ref: "{name}",
			attributes: map[string]string{"Arn": "arn:aws:lambda:{region}:{account}:function:{name}"},
		}, read: (*builder).readFunction,
		},
		"AWS::Lambda::Permission": {resourceType: resourceType{
			schema: permissionProperties, required: []string{"Action", "FunctionName", "Principal"},
			ref: "{stack}-{id}", attributes: map[string]string{"Id": "{stack}-{id}"},
		}, read: (*builder).readPermission,
		},
		"AWS::Lambda::EventSourceMapping": {resourceType: resourceType{
			schema: mappingProperties, required: []string{"FunctionName", "EventSourceArn"}, ref: "{uuid}",
			attributes: map[string]string{
				"Id": "{uuid}", "EventSourceMappingArn": "arn:aws:lambda:{region}:{account}:event-source-mapping:{uuid}",
			},
		}, read: (*builder).readMapping,
		},
	}
}

// https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html
var functionName = regexp.MustCompile(`^[a-zA-Z0-9-_]{1,64}$`)

var functionProperties = settable(`
	Architectures Code CodeSigningConfigArn Description FunctionName Handler KmsKeyArn MemorySize PackageType
	RecursiveLoop ReservedConcurrentExecutions Role Runtime RuntimeManagementConfig Tags Timeout`).
	all(returned, `Arn SnapStartResponse`).
	with(schema{
		"CapacityProviderConfig":   refused("functions run on this machine"),
		"DeadLetterConfig":         of(schema{"TargetArn": known}), // for asynchronous invocations, of which there are none here
		"DurableConfig":            refused("durable executions need a service of their own"),
		"Environment":              of(schema{"Variables": known}),
		"EphemeralStorage":         of(schema{"Size": known}),
		"FileSystemConfigs":        refused("no file systems are mounted here"),
		"FunctionScalingConfig":    refused("functions run on this machine"),
		"ImageConfig":              refused("functions are executables here, not images"),
		"Layers":                   refused("functions have no layers here"),
		"LoggingConfig":            of(settable(`ApplicationLogLevel LogFormat LogGroup SystemLogLevel`)),
		"PublishToLatestPublished": refused("functions have no versions and aliases here"),
		"SnapStart":                refused("snapshots are for other runtimes"),
		"TenancyConfig":            refused("invocations carry no tenants here"),
		"TracingConfig":            of(schema{"Mode": known}),
		"VpcConfig":                refused("functions run on this machine's loopback"),
	})

// runtimes are those whose code is an executable named bootstrap; it is the first that a template should use.
var runtimes = []string{"provided.al2023", "provided.al2"}

// reservedVariables are set by Lambda, which refuses them in a function's configuration.
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
var reservedVariables = []string{
	"_HANDLER", "_X_AMZN_TRACE_ID", "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION", "AWS_EXECUTION_ENV",
	"AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_INITIALIZATION_TYPE",
	"AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_LAMBDA_RUNTIME_API", "AWS_REGION", "AWS_SECRET_ACCESS_KEY",
	"AWS_SESSION_TOKEN", "LAMBDA_RUNTIME_DIR", "LAMBDA_TASK_ROOT",
}

// maxEnvironment bounds a function's own variables, names and values, in bytes.
// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
const maxEnvironment = 4096

// variableName is what Lambda accepts as a variable's name (API CreateFunction, Environment).
var variableName = regexp.MustCompile(`^[a-zA-Z]([a-zA-Z0-9_])+$`)

func (b *builder) readFunction(r *resource, p properties) {
	f := Function{
		Source: b.source(r.id, r.position), Name: b.name(r), ARN: b.arn(r),
		Handler: p.text("Handler"), Runtime: p.text("Runtime"),
		MemoryMB: p.between("MemorySize", 128, 128, 10_240), Timeout: p.seconds("Timeout", 3, 1, 900),
		Tracing:       p.part("TracingConfig").oneOf("Mode", "PassThrough", "Active"),
		RecursiveLoop: p.oneOf("RecursiveLoop", "Terminate", "Allow"),
		Architecture:  "x86_64", Tags: p.tags("Tags"),
	}
	if !slices.Contains(runtimes, f.Runtime) {
		p.problem("Runtime", "runtime %q is not emulated: only %s are", f.Runtime, strings.Join(runtimes, " and "))
	}
	p.require("Handler")
	p.oneOf("PackageType", "Zip")
	for i, architecture := range p.texts("Architectures") {
		if f.Architecture = architecture; i > 0 || architecture != "x86_64" && architecture != "arm64" {
			p.problem("Architectures", "must be one of x86_64 and arm64")
		}
	}
	if p.has("ReservedConcurrentExecutions") {
		n := p.between("ReservedConcurrentExecutions", 0, 0, 1_000_000)
		f.ReservedConcurrency = &n
	}
	b.readCode(&f, p)
	b.readBuild(&f, r)
	f.Environment = b.readEnvironment(p.part("Environment"))
	f.Logging = readLogging(p.part("LoggingConfig"), f.Name)
	b.functions = append(b.functions, pending[Function]{f, p})
}

func (b *builder) readCode(f *Function, p properties) {
	code := p.value("Code")
	switch {
	case code == nil || code.kind == invalid:
	case code.kind != text:
		p.problem("Code", "code in S3, images and inline code are not emulated: give the path of a local folder")
	case strings.Contains(code.text, "://"):
		p.problem("Code", "%s is not a local folder", code.text)
	default:
		f.CodeURI, f.Folder = code.text, b.folder(code.text)
	}
}

// readBuild reads what SAM's build reads from a function's Metadata; the rest of Metadata belongs to other tools.
func (b *builder) readBuild(f *Function, r *resource) {
	if r.metadata == nil {
		return
	}
	p := b.properties(b.resolve(r.metadata, where{r.id, "Metadata"}), where{r.id, "Metadata"})
	f.BuildMethod = p.text("BuildMethod")
	if build := p.part("BuildProperties"); build.object != nil {
		f.BuildProperties = map[string]string{}
		for _, property := range build.object.fields {
			if property.value.kind == text {
				f.BuildProperties[property.key] = property.value.text
			}
		}
	}
}

func (b *builder) readEnvironment(p properties) map[string]string {
	variables := p.textMap("Variables")
	size := 0
	for name, v := range variables {
		size += len(name) + len(v)
		switch at := p.part("Variables"); {
		case slices.Contains(reservedVariables, name):
			at.problem(name, "Lambda reserves this variable for itself")
		case !variableName.MatchString(name):
			at.problem(name, "Lambda accepts only variables that match %s", variableName)
		}
	}
	if size > maxEnvironment {
		p.problem("Variables", "the variables have %d bytes: more than Lambda's %d", size, maxEnvironment)
	}
	if variables == nil {
		variables = map[string]string{}
	}
	return variables
}

var logLevels = []string{"INFO", "TRACE", "DEBUG", "WARN", "ERROR", "FATAL"}

func readLogging(p properties, function string) Logging {
	logging := Logging{Format: p.oneOf("LogFormat", "Text", "JSON"), Group: p.text("LogGroup")}
	if logging.Group == "" {
		logging.Group = "/aws/lambda/" + function
	}
	if logging.Format == "JSON" {
		logging.ApplicationLevel = p.oneOf("ApplicationLogLevel", logLevels...)
		logging.SystemLevel = p.oneOf("SystemLogLevel", "INFO", "DEBUG", "WARN")
	} else if p.has("ApplicationLogLevel") || p.has("SystemLogLevel") {
		p.problem("LogFormat", "log levels need the format JSON")
	}
	return logging
}

var permissionProperties = settable(`Action FunctionName Principal SourceAccount SourceArn`).
	all(returned, `Id`).
	with(schema{
		"EventSourceToken":      refused("Alexa has no part here"),
		"FunctionUrlAuthType":   refused("functions have no URLs here"),
		"InvokedViaFunctionUrl": refused("functions have no URLs here"),
		"PrincipalOrgID":        refused("there is no organization here"),
	})

func (b *builder) readPermission(r *resource, p properties) {
	condition := map[string]map[string]string{}
	if source := p.text("SourceArn"); source != "" {
		condition["ArnLike"] = map[string]string{"aws:SourceArn": source}
	}
	if account := p.text("SourceAccount"); account != "" {
		condition["StringEquals"] = map[string]string{"aws:SourceAccount": account}
	}
	principal := map[string]string{"AWS": p.text("Principal")}
	if strings.HasSuffix(p.text("Principal"), ".amazonaws.com") {
		principal = map[string]string{"Service": p.text("Principal")}
	}
	data, err := json.Marshal(map[string]any{
		"Version": "2012-10-17",
		"Statement": map[string]any{
			"Sid": r.id, "Effect": "Allow", "Principal": principal, "Action": p.text("Action"), "Resource": "*", "Condition": condition,
		},
	})
	if err != nil {
		panic("template: " + err.Error()) // maps of strings always encode
	}
	document, err := iam.Parse(data, iam.Resource)
	if err != nil {
		p.report.problem(p.position, p.at, "%v", err)
		return
	}
	b.permissions = append(b.permissions, pending[iam.Document]{document, p})
}

var mappingProperties = settable(`
	BatchSize Enabled EventSourceArn FunctionName FunctionResponseTypes KmsKeyArn LoggingConfig
	MaximumBatchingWindowInSeconds MetricsConfig Tags`).
	all(notForQueues, `
	AmazonManagedKafkaEventSourceConfig BisectBatchOnFunctionError DestinationConfig DocumentDBEventSourceConfig
	MaximumRecordAgeInSeconds MaximumRetryAttempts ParallelizationFactor Queues SelfManagedEventSource
	SelfManagedKafkaEventSourceConfig SourceAccessConfigurations StartingPosition StartingPositionTimestamp Topics
	TumblingWindowInSeconds`).
	all(returned, `EventSourceMappingArn Id`).
	with(schema{
		"FilterCriteria":          refused("filters are not evaluated here"),
		"ProvisionedPollerConfig": refused("pollers are not provisioned here; cap the mapping with ScalingConfig"),
		"ScalingConfig":           of(schema{"MaximumConcurrency": known}),
	})

// notForQueues is the rule of properties for other event sources.
var notForQueues = refused("it is for event sources other than SQS")

// Limits of event source mappings. https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html
const (
	maxBatchSize      = 10_000
	maxUnwindowed     = 10 // messages in a batch that is not gathered over a window
	maxWindow         = 300
	minMappingWorkers = 2
	maxMappingWorkers = 1000
)

func (b *builder) readMapping(r *resource, p properties) {
	m := EventSourceMapping{
		Source: b.source(r.id, r.position), UUID: b.uuid(r.id), QueueARN: p.text("EventSourceArn"), Enabled: p.boolean("Enabled", true),
		BatchSize: p.between("BatchSize", 10, 1, maxBatchSize), Window: p.seconds("MaximumBatchingWindowInSeconds", 0, 0, maxWindow),
		MaximumConcurrency: p.part("ScalingConfig").between("MaximumConcurrency", 0, minMappingWorkers, maxMappingWorkers),
	}
	if m.BatchSize > maxUnwindowed && m.Window == 0 {
		p.problem("BatchSize", "batches of more than %d messages need MaximumBatchingWindowInSeconds of at least 1", maxUnwindowed)
	}
	for _, typ := range p.texts("FunctionResponseTypes") {
		if typ != "ReportBatchItemFailures" {
			p.problem("FunctionResponseTypes", "%q is not ReportBatchItemFailures", typ)
		}
		m.ReportBatchItemFailures = true
	}
	b.mappings = append(b.mappings, pending[EventSourceMapping]{m, p})
}

// functionNamed returns the function that a name, a partial or a full ARN stands for, or nil.
func (b *builder) functionNamed(name string) *Function {
	for i := range b.functions {
		f := &b.functions[i].model
		if name == f.Name || name == f.ARN || name == b.options.Account+":function:"+f.Name {
			return f
		}
	}
	return nil
}

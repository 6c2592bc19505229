package template

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"fanfare/local/iam"
	"fanfare/local/template/internal/cfn"
	"fanfare/local/template/internal/tree"
)

func lambdaTypes() map[string]*emulatedType {
	return map[string]*emulatedType{
		"AWS::Lambda::Function": {Type: cfn.Type{
			Schema: functionProperties, Required: []string{"Code", "Role"},
			NameProperty: "FunctionName", NamePattern: functionName, NameLimit: 64, Ref: "{name}",
			Attributes: map[string]string{"Arn": "arn:aws:lambda:{region}:{account}:function:{name}"},
		}, read: (*builder).readFunction,
		},
		"AWS::Lambda::Permission": {Type: cfn.Type{
			Schema: permissionProperties, Required: []string{"Action", "FunctionName", "Principal"},
			Ref: "{stack}-{id}", Attributes: map[string]string{"Id": "{stack}-{id}"},
		}, read: (*builder).readPermission,
		},
		"AWS::Lambda::EventSourceMapping": {Type: cfn.Type{
			Schema: mappingProperties, Required: []string{"FunctionName", "EventSourceArn"}, Ref: "{uuid}",
			Attributes: map[string]string{
				"Id": "{uuid}", "EventSourceMappingArn": "arn:aws:lambda:{region}:{account}:event-source-mapping:{uuid}",
			},
		}, read: (*builder).readMapping,
		},
	}
}

// https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html
var functionName = regexp.MustCompile(`^[a-zA-Z0-9-_]{1,64}$`)

var functionProperties = tree.Settable(`
	Architectures Code CodeSigningConfigArn Description FunctionName Handler KmsKeyArn MemorySize PackageType
	RecursiveLoop ReservedConcurrentExecutions Role Runtime RuntimeManagementConfig Tags Timeout`).
	All(tree.Returned, `Arn SnapStartResponse`).
	With(tree.Schema{
		"CapacityProviderConfig": tree.Refused("functions run on this machine"),
		"DeadLetterConfig":       tree.Nested(tree.Schema{"TargetArn": tree.Accepted}),
		// for asynchronous invocations, which do not occur here
		"DurableConfig":            tree.Refused("durable executions need a service of their own"),
		"Environment":              tree.Nested(tree.Schema{"Variables": tree.Accepted}),
		"EphemeralStorage":         tree.Nested(tree.Schema{"Size": tree.Accepted}),
		"FileSystemConfigs":        tree.Refused("no file systems are mounted here"),
		"FunctionScalingConfig":    tree.Refused("functions run on this machine"),
		"ImageConfig":              tree.Refused("functions are executables here, not images"),
		"Layers":                   tree.Refused("functions have no layers here"),
		"LoggingConfig":            tree.Nested(tree.Settable(`ApplicationLogLevel LogFormat LogGroup SystemLogLevel`)),
		"PublishToLatestPublished": tree.Refused("functions have no versions and aliases here"),
		"SnapStart":                tree.Refused("snapshots are for other runtimes"),
		"TenancyConfig":            tree.Refused("invocations carry no tenants here"),
		"TracingConfig":            tree.Nested(tree.Schema{"Mode": tree.Accepted}),
		"VpcConfig":                tree.Refused("functions run on this machine's loopback"),
	})

// runtimes are the supported runtimes. Their code is an executable named bootstrap.
var runtimes = []string{"provided.al2023", "provided.al2"}

// reservedVariables are environment variables that Lambda sets. It refuses them in the configuration of a function.
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
var reservedVariables = []string{
	"_HANDLER", "_X_AMZN_TRACE_ID", "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION", "AWS_EXECUTION_ENV",
	"AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION",
	"AWS_LAMBDA_INITIALIZATION_TYPE",
	"AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_LAMBDA_RUNTIME_API", "AWS_REGION",
	"AWS_SECRET_ACCESS_KEY",
	"AWS_SESSION_TOKEN", "LAMBDA_RUNTIME_DIR", "LAMBDA_TASK_ROOT",
}

// maxEnvironment is the largest size of all names and values of a function's variables, in bytes.
// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
const maxEnvironment = 4096

// variableName matches the names of environment variables. Source: API CreateFunction, Environment.
var variableName = regexp.MustCompile(`^[a-zA-Z]([a-zA-Z0-9_])+$`)

func (b *builder) readFunction(r *cfn.Resource, p tree.Reader) {
	f := Function{
		Source: b.source(r.ID, r.Position), Name: b.Name(r), ARN: b.ARN(r),
		Handler: p.Text("Handler"), Runtime: p.Text("Runtime"),
		MemoryMB: p.Between("MemorySize", 128, 128, 10_240), Timeout: p.Seconds("Timeout", 3, 1, 900),
		Tracing:       p.Part("TracingConfig").OneOf("Mode", "PassThrough", "Active"),
		RecursiveLoop: p.OneOf("RecursiveLoop", "Terminate", "Allow"),
		Architecture:  "x86_64", Tags: p.Tags(),
	}
	if !slices.Contains(runtimes, f.Runtime) {
		p.Problem("Runtime", "runtime %q is not emulated: only %s are", f.Runtime, strings.Join(runtimes, " and "))
	}
	p.Require("Handler")
	p.OneOf("PackageType", "Zip")
	for i, architecture := range p.Texts("Architectures") {
		if f.Architecture = architecture; i > 0 || architecture != "x86_64" && architecture != "arm64" {
			p.Problem("Architectures", "must be one of x86_64 and arm64")
		}
	}
	if p.Has("ReservedConcurrentExecutions") {
		n := p.Between("ReservedConcurrentExecutions", 0, 0, 1_000_000)
		f.ReservedConcurrency = &n
	}
	b.readCode(&f, p)
	b.readBuild(&f, r)
	f.Environment = b.readEnvironment(p.Part("Environment"))
	f.Logging = readLogging(p.Part("LoggingConfig"), f.Name)
	b.functions = append(b.functions, pending[Function]{f, p})
}

// readCode reads the property Code, the path of a local folder.
func (b *builder) readCode(f *Function, p tree.Reader) {
	code := p.Value("Code")
	switch {
	case code == nil || code.Kind == tree.Invalid:
	case code.Kind != tree.Text:
		p.Problem("Code", "code in S3, images and inline code are not emulated: give the path of a local folder")
	case strings.Contains(code.Text, "://"):
		p.Problem("Code", "%s is not a local folder", code.Text)
	default:
		f.CodeURI, f.Folder = code.Text, b.folder(code.Text)
	}
}

// readBuild reads the metadata for "sam build". Other metadata is for other tools.
func (b *builder) readBuild(f *Function, r *cfn.Resource) {
	if r.Metadata == nil {
		return
	}
	p := b.Reader(b.Resolve(r.Metadata, tree.At(r.ID, "Metadata")), tree.At(r.ID, "Metadata"))
	f.BuildMethod = p.Text("BuildMethod")
	if build := p.Part("BuildProperties"); build.Object != nil {
		f.BuildProperties = map[string]string{}
		for _, property := range build.Object.Fields {
			if property.Value.Kind == tree.Text {
				f.BuildProperties[property.Key] = property.Value.Text
			}
		}
	}
}

// readEnvironment reads the environment variables. It never returns nil.
func (b *builder) readEnvironment(p tree.Reader) map[string]string {
	variables := p.TextMap("Variables")
	size := 0
	for name, v := range variables {
		size += len(name) + len(v)
		switch at := p.Part("Variables"); {
		case slices.Contains(reservedVariables, name):
			at.Problem(name, "Lambda reserves this variable")
		case !variableName.MatchString(name):
			at.Problem(name, "Lambda accepts only variables that match %s", variableName)
		}
	}
	if size > maxEnvironment {
		p.Problem("Variables", "the variables have %d bytes, Lambda's limit is %d", size, maxEnvironment)
	}
	if variables == nil {
		variables = map[string]string{}
	}
	return variables
}

var logLevels = []string{"INFO", "TRACE", "DEBUG", "WARN", "ERROR", "FATAL"}

func readLogging(p tree.Reader, function string) Logging {
	logging := Logging{Format: p.OneOf("LogFormat", "Text", "JSON"), Group: p.Text("LogGroup")}
	if logging.Group == "" {
		logging.Group = "/aws/lambda/" + function
	}
	if logging.Format == "JSON" {
		logging.ApplicationLevel = p.OneOf("ApplicationLogLevel", logLevels...)
		logging.SystemLevel = p.OneOf("SystemLogLevel", "INFO", "DEBUG", "WARN")
	} else if p.Has("ApplicationLogLevel") || p.Has("SystemLogLevel") {
		p.Problem("LogFormat", "log levels need the format JSON")
	}
	return logging
}

var permissionProperties = tree.Settable(`Action FunctionName Principal SourceAccount SourceArn`).
	All(tree.Returned, `Id`).
	With(tree.Schema{
		"EventSourceToken":      tree.Refused("Alexa is not emulated"),
		"FunctionUrlAuthType":   tree.Refused("functions have no URLs here"),
		"InvokedViaFunctionUrl": tree.Refused("functions have no URLs here"),
		"PrincipalOrgID":        tree.Refused("there is no organization here"),
	})

// readPermission reads a permission as the resource policy that Lambda makes of it.
func (b *builder) readPermission(r *cfn.Resource, p tree.Reader) {
	if p.Text("Action") == "" || p.Text("Principal") == "" { // reported already
		return
	}
	condition := map[string]map[string]string{}
	if source := p.Text("SourceArn"); source != "" {
		condition["ArnLike"] = map[string]string{"aws:SourceArn": source}
	}
	if account := p.Text("SourceAccount"); account != "" {
		condition["StringEquals"] = map[string]string{"aws:SourceAccount": account}
	}
	principal := map[string]string{"AWS": p.Text("Principal")}
	if strings.HasSuffix(p.Text("Principal"), ".amazonaws.com") {
		principal = map[string]string{"Service": p.Text("Principal")}
	}
	data, err := json.Marshal(map[string]any{
		"Version": "2012-10-17",
		"Statement": map[string]any{
			"Sid": r.ID, "Effect": "Allow", "Principal": principal, "Action": p.Text("Action"), "Resource": "*",
			"Condition": condition,
		},
	})
	if err != nil {
		panic("template: " + err.Error()) // maps of strings always encode
	}
	document, err := iam.Parse(data, iam.Resource)
	if err != nil {
		p.Report.Problem(p.Position, p.At, "%v", err)
		return
	}
	b.permissions = append(b.permissions, pending[iam.Document]{document, p})
}

var mappingProperties = tree.Settable(`
	BatchSize Enabled EventSourceArn FunctionName FunctionResponseTypes KmsKeyArn LoggingConfig
	MaximumBatchingWindowInSeconds MetricsConfig Tags`).
	All(notForQueues, `
	AmazonManagedKafkaEventSourceConfig BisectBatchOnFunctionError DestinationConfig DocumentDBEventSourceConfig
	MaximumRecordAgeInSeconds MaximumRetryAttempts ParallelizationFactor Queues SelfManagedEventSource
	SelfManagedKafkaEventSourceConfig SourceAccessConfigurations StartingPosition StartingPositionTimestamp Topics
	TumblingWindowInSeconds`).
	All(tree.Returned, `EventSourceMappingArn Id`).
	With(tree.Schema{
		"FilterCriteria":          tree.Refused("filters are not evaluated here"),
		"ProvisionedPollerConfig": tree.Refused("pollers are not provisioned here; cap the mapping with ScalingConfig"),
		"ScalingConfig":           tree.Nested(tree.Schema{"MaximumConcurrency": tree.Accepted}),
	})

// notForQueues is the rule of properties of other event sources.
var notForQueues = tree.Refused("it is for event sources other than SQS")

// Limits of event source mappings. https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html
const (
	maxBatchSize      = 10_000
	maxUnwindowed     = 10 // messages in a batch without a window
	maxWindow         = 300
	minMappingWorkers = 2
	maxMappingWorkers = 1000
)

func (b *builder) readMapping(r *cfn.Resource, p tree.Reader) {
	m := EventSourceMapping{
		Source: b.source(r.ID, r.Position), UUID: b.UUID(r.ID), QueueARN: p.Text("EventSourceArn"),
		Enabled:            p.Bool("Enabled", true),
		BatchSize:          p.Between("BatchSize", 10, 1, maxBatchSize),
		Window:             p.Seconds("MaximumBatchingWindowInSeconds", 0, 0, maxWindow),
		MaximumConcurrency: p.Part("ScalingConfig").Between("MaximumConcurrency", 0, minMappingWorkers, maxMappingWorkers),
	}
	if m.BatchSize > maxUnwindowed && m.Window == 0 && !p.Invalid("MaximumBatchingWindowInSeconds") {
		p.Problem("BatchSize", "more than %d messages need MaximumBatchingWindowInSeconds of at least 1",
			maxUnwindowed)
	}
	for _, typ := range p.Texts("FunctionResponseTypes") {
		if typ != "ReportBatchItemFailures" {
			p.Problem("FunctionResponseTypes", "%q is not ReportBatchItemFailures", typ)
		}
		m.ReportBatchItemFailures = true
	}
	b.mappings = append(b.mappings, pending[EventSourceMapping]{m, p})
}

// functionNamed returns the function with a name, a partial ARN or a full ARN, or nil.
func (b *builder) functionNamed(name string) *Function {
	for i := range b.functions {
		f := &b.functions[i].model
		if name == f.Name || name == f.ARN || name == b.options.Account+":function:"+f.Name {
			return f
		}
	}
	return nil
}

package template

import (
	"time"

	"fanfare/local/iam"
	"fanfare/local/template/internal/tree"
)

// Resolved is the stack of a template: every resource that exists, in the order of the template. Resources that SAM
// generates have the place of the SAM resource. The caller may change it.
type Resolved struct {
	// StackName, Region and Account are the options, or their defaults.
	StackName, Region, Account string
	// Parameters are all declared parameters with their values.
	Parameters []Parameter
	// Functions are the Lambda functions.
	Functions []Function
	// Roles are the IAM roles, including those that SAM generates.
	Roles []*Role
	// Queues are the SQS queues.
	Queues []Queue
	// Tables are the DynamoDB tables.
	Tables []Table
	// Secrets are the secrets of Secrets Manager.
	Secrets []Secret
	// Mappings are the event source mappings from queues to functions.
	Mappings []EventSourceMapping
	// APIs are the WebSocket APIs, one entry for each stage. An API with two stages has two entries with the same ID.
	APIs []WebSocketAPI
	// Outputs are the outputs whose condition holds.
	Outputs []Output
	// Inert are the resources that are accepted and not emulated, such as alarms and dashboards.
	Inert []Inert
	// Warnings are the mistakes that AWS accepts at deployment and that fail at run time.
	Warnings []tree.Problem
}

// Source is the place of a resource in the template, for messages.
type Source struct {
	// LogicalID is the name of the resource in the template, or the name that SAM generates.
	LogicalID string
	// File is the file name as passed to Load.
	File string
	// Line and Column count from 1.
	Line, Column int
}

// Parameter is a parameter with its value.
type Parameter struct {
	Source
	// Name is the name of the parameter.
	Name string
	// Value is the value of Options.Parameters, or the default. The items of a list are separated by commas.
	Value string
	// NoEcho is true for a value that must not be printed.
	NoEcho bool
	// Description is the template's description, possibly empty.
	Description string
}

// Output is an output of the stack.
type Output struct {
	Source
	// Name and Value are the name and the value of the output.
	Name, Value string
	// Description and ExportName are the template's, possibly empty. No other stack can import an export here.
	Description, ExportName string
}

// Inert is a resource that is accepted and not emulated.
type Inert struct {
	Source
	// Type is the resource type, like "AWS::CloudWatch::Alarm".
	Type string
}

// Function is a Lambda function.
type Function struct {
	Source
	// Name is the name of the function and ARN its unqualified ARN.
	Name, ARN string
	// Runtime is "provided.al2023" or "provided.al2". The code is an executable named bootstrap.
	Runtime string
	// Handler is the value of the variable _HANDLER.
	Handler string
	// CodeURI is the local path of the code as written. Folder is CodeURI relative to the working directory.
	CodeURI, Folder string
	// BuildMethod is the metadata BuildMethod, like "go1.x" or "makefile". It is empty when the template has none.
	BuildMethod string
	// BuildProperties are the strings and booleans of the metadata BuildProperties, like TrimGoPath.
	BuildProperties map[string]string
	// Architecture is "x86_64" (the default) or "arm64".
	Architecture string
	// MemoryMB is the memory in MB, 128 to 10,240. The default is 128.
	MemoryMB int
	// Timeout is 1 to 900 seconds. The default is 3 seconds.
	Timeout time.Duration
	// Environment has the environment variables of the template. It is never nil.
	Environment map[string]string
	// ReservedConcurrency is the largest number of concurrent invocations. nil reserves none, so that the limit of the
	// account applies. 0 allows no invocation.
	ReservedConcurrency *int
	// Tracing is "Active" or "PassThrough" (the default).
	Tracing string
	// Logging is the logging configuration.
	Logging Logging
	// RecursiveLoop is "Terminate" (the default: Lambda stops a chain of about 16 invocations) or "Allow".
	RecursiveLoop string
	// Tags are the tags of the function.
	Tags map[string]string
	// Role is the role of the function. It is one of Resolved.Roles and never nil.
	Role *Role
	// Invokers are the resource policies of the function, one for each AWS::Lambda::Permission.
	Invokers []iam.Document
}

// Logging is a function's logging configuration.
type Logging struct {
	// Format is "Text" (the default) or "JSON".
	Format string
	// ApplicationLevel and SystemLevel are TRACE, DEBUG, INFO (the default), WARN, ERROR or FATAL with Format JSON, and
	// empty with Format Text.
	ApplicationLevel, SystemLevel string
	// Group is the name of the log group. The default is "/aws/lambda/<function>".
	Group string
}

// Role is an IAM role.
type Role struct {
	Source
	// Name is the name of the role. ARN is its ARN, which includes the path.
	Name, ARN string
	// Policies are the role's own policies, the managed ones and those attached by resources like AWS::IAM::Policy.
	Policies []Policy
	// Trust is the policy that allows to assume the role.
	Trust iam.Document
}

// Documents returns the documents of the role's policies, for iam.Authorize.
func (r *Role) Documents() []iam.Document {
	documents := make([]iam.Document, len(r.Policies))
	for i, policy := range r.Policies {
		documents[i] = policy.Document
	}
	return documents
}

// Policy is a policy of a role.
type Policy struct {
	// Name is the name of the policy, or the ARN of a managed policy.
	Name string
	// Document is the content of the policy.
	Document iam.Document
}

// Queue is an SQS queue.
type Queue struct {
	Source
	// Name, ARN and URL identify the queue. The URL begins with Options.QueueEndpoint.
	Name, ARN, URL string
	// Attributes are the SQS attributes that the template sets. RedrivePolicy, RedriveAllowPolicy and Policy are JSON, as
	// in SQS. A missing attribute has SQS's default. Load does not check the ranges of the values.
	Attributes map[string]string
	// Tags are the tags of the queue.
	Tags map[string]string
	// Policy are the resource policies of the queue. Attributes has them, too.
	Policy []iam.Document
	// VisibilityTimeout is the attribute VisibilityTimeout. The default is 30 seconds.
	VisibilityTimeout time.Duration
}

// Table is a DynamoDB table.
type Table struct {
	Source
	// Name and ARN are the name and the ARN of the table.
	Name, ARN string
	// Attributes has the types of the key attributes by name: "S", "N" or "B".
	Attributes map[string]string
	// PartitionKey and SortKey are the names of the key attributes. SortKey may be empty.
	PartitionKey, SortKey string
	// BillingMode is "PROVISIONED" (the default) or "PAY_PER_REQUEST".
	BillingMode string
	// ReadUnits and WriteUnits are the provisioned throughput in units per second. They are 0 with PAY_PER_REQUEST.
	ReadUnits, WriteUnits int
	// TTLAttribute is the name of the attribute with the time when an item expires, in epoch seconds. It is empty when
	// items do not expire.
	TTLAttribute string
	// GlobalIndexes and LocalIndexes are the secondary indexes.
	GlobalIndexes, LocalIndexes []Index
	// DeletionProtection forbids the deletion of the table.
	DeletionProtection bool
	// Tags are the tags of the table.
	Tags map[string]string
}

// Index is a secondary index of a table.
type Index struct {
	// Line is the line of the index in the template.
	Line int
	// Name is the name of the index.
	Name string
	// PartitionKey and SortKey are the names of the key attributes. SortKey may be empty.
	PartitionKey, SortKey string
	// Projection is "ALL", "KEYS_ONLY" or "INCLUDE". "INCLUDE" adds the NonKeyAttributes.
	Projection       string
	NonKeyAttributes []string
	// ReadUnits and WriteUnits are the provisioned throughput in units per second. They are 0 for a local index.
	ReadUnits, WriteUnits int
}

// EventSourceMapping is an event source mapping: it polls a queue and invokes a function with the messages.
type EventSourceMapping struct {
	Source
	// UUID identifies the mapping.
	UUID string
	// QueueARN is the source and FunctionName the target. Both are in the stack.
	QueueARN, FunctionName string
	// Enabled is false for a mapping that does not poll.
	Enabled bool
	// BatchSize is 1 to 10,000 messages. The default is 10. With more than 10 the Window is at least 1 second.
	BatchSize int
	// Window is the longest time to wait for a full batch, 0 to 300 seconds.
	Window time.Duration
	// MaximumConcurrency is the largest number of concurrent invocations of the mapping, 2 to 1,000. 0 is no limit.
	MaximumConcurrency int
	// ReportBatchItemFailures is true when the response of the function may list messages that failed.
	ReportBatchItemFailures bool
}

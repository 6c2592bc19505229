package template

import (
	"time"

	"fanfare/local/iam"
	"fanfare/local/template/internal/tree"
)

// Resolved is a template's stack: every resource that exists, in the order of the template (resources that SAM
// generates come where what they stem from stands). It is the caller's to keep and to change.
type Resolved struct {
	// StackName, Region and Account are those of the options.
	StackName, Region, Account string
	// Parameters are all declared parameters with the values they have.
	Parameters []Parameter
	// Functions are the Lambda functions.
	Functions []Function
	// Roles are the IAM roles, those that SAM generates included.
	Roles []*Role
	// Queues are the SQS queues.
	Queues []Queue
	// Tables are the DynamoDB tables.
	Tables []Table
	// Secrets are Secrets Manager's.
	Secrets []Secret
	// Mappings are the event source mappings between queues and functions.
	Mappings []EventSourceMapping
	// APIs are the WebSocket APIs, one entry for each stage: an API with two stages appears twice, with the same ID.
	APIs []WebSocketAPI
	// Outputs are those whose condition holds.
	Outputs []Output
	// Inert are resources that are accepted and have no local part, such as alarms and dashboards.
	Inert []Inert
	// Warnings are what AWS accepts at deployment and what then fails, or may fail, at run time.
	Warnings []tree.Problem
}

// Source says where in the template something stands, for messages about it.
type Source struct {
	// LogicalID is the resource's name in the template; for generated ones the name that SAM gives.
	LogicalID string
	// File is the name given to Load.
	File string
	// Line and Column count from 1.
	Line, Column int
}

// Parameter is a parameter with its value.
type Parameter struct {
	Source
	// Name is the parameter's.
	Name string
	// Value is what was given, or the default; a list is written with commas.
	Value string
	// NoEcho is true for values that must not be shown.
	NoEcho bool
	// Description is the template's, possibly empty.
	Description string
}

// Output is an output of the stack.
type Output struct {
	Source
	// Name is the output's, Value what it says.
	Name, Value string
	// Description and ExportName are the template's, possibly empty. Exports reach no other stack here.
	Description, ExportName string
}

// Inert is a resource without a local part.
type Inert struct {
	Source
	// Type is like "AWS::CloudWatch::Alarm".
	Type string
}

// Function is a Lambda function.
type Function struct {
	Source
	// Name is the function's name and ARN its unqualified ARN.
	Name, ARN string
	// Runtime is "provided.al2023" or "provided.al2": an executable named bootstrap.
	Runtime string
	// Handler is what the function finds in _HANDLER.
	Handler string
	// CodeURI is the local path of the code as written; Folder is the same joined to the template's folder.
	CodeURI, Folder string
	// BuildMethod is how "sam build" builds the code: Metadata's BuildMethod, like "go1.x" or "makefile"; empty means
	// that none is given, for which sam build takes a Makefile.
	BuildMethod string
	// BuildProperties are Metadata's BuildProperties that are strings or booleans, like TrimGoPath.
	BuildProperties map[string]string
	// Architecture is "x86_64" (the default) or "arm64".
	Architecture string
	// MemoryMB is 128 to 10,240; 128 when the template says nothing.
	MemoryMB int
	// Timeout is 1 to 900 seconds; 3 when the template says nothing.
	Timeout time.Duration
	// Environment are the function's own variables; never nil.
	Environment map[string]string
	// ReservedConcurrency is how many invocations may run at once; nil when none is reserved (the account's limit
	// holds), and 0 when the function is never run.
	ReservedConcurrency *int
	// Tracing is "Active" or "PassThrough" (the default).
	Tracing string
	// Logging is how the function logs.
	Logging Logging
	// RecursiveLoop is "Terminate" (the default: Lambda cuts chains of invocations at about 16) or "Allow".
	RecursiveLoop string
	// Tags are the function's.
	Tags map[string]string
	// Role is the role that the function runs as, with its policies; it is one of Resolved.Roles and never nil.
	Role *Role
	// Invokers are the resource's policies: what AWS::Lambda::Permission lets services do.
	Invokers []iam.Document
}

// Logging is a function's logging configuration.
type Logging struct {
	// Format is "Text" (the default) or "JSON".
	Format string
	// ApplicationLevel and SystemLevel are set with Format JSON only: TRACE, DEBUG, INFO (the default), WARN, ERROR or
	// FATAL.
	ApplicationLevel, SystemLevel string
	// Group is the name of the log group; "/aws/lambda/<function>" when the template says nothing.
	Group string
}

// Role is an IAM role.
type Role struct {
	Source
	// Name is the role's name and ARN its ARN, with its path.
	Name, ARN string
	// Policies are all of the role's: its own, those attached by AWS::IAM::Policy and managed ones.
	Policies []Policy
	// Trust says who may assume the role.
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
	// Name is the policy's name, or the ARN of a managed policy.
	Name string
	// Document is what it allows and denies.
	Document iam.Document
}

// Queue is an SQS queue.
type Queue struct {
	Source
	// Name, ARN and URL are the queue's; the URL begins with Options.QueueEndpoint.
	Name, ARN, URL string
	// Attributes are those that the template sets, as SQS spells them and with its value formats: RedrivePolicy,
	// RedriveAllowPolicy and Policy are JSON. Attributes that are missing have SQS's defaults. Ranges are checked by
	// whoever creates the queue.
	Attributes map[string]string
	// Tags are the queue's.
	Tags map[string]string
	// Policy are the queue's resource policies (also in Attributes).
	Policy []iam.Document
	// VisibilityTimeout is the attribute of that name, or SQS's default of 30 seconds.
	VisibilityTimeout time.Duration
}

// Table is a DynamoDB table.
type Table struct {
	Source
	// Name and ARN are the table's.
	Name, ARN string
	// Attributes are the types of the key attributes: "S", "N" or "B" by name.
	Attributes map[string]string
	// PartitionKey and SortKey name the table's key; SortKey is empty when there is none.
	PartitionKey, SortKey string
	// BillingMode is "PROVISIONED" (the default) or "PAY_PER_REQUEST".
	BillingMode string
	// ReadUnits and WriteUnits are the provisioned throughput in units a second; 0 with PAY_PER_REQUEST.
	ReadUnits, WriteUnits int
	// TTLAttribute holds the epoch second at which an item expires; empty when items do not.
	TTLAttribute string
	// GlobalIndexes and LocalIndexes are the secondary indexes.
	GlobalIndexes, LocalIndexes []Index
	// DeletionProtection forbids deleting the table.
	DeletionProtection bool
	// Tags are the table's.
	Tags map[string]string
}

// Index is a secondary index of a table.
type Index struct {
	// Name is the index's.
	Name string
	// PartitionKey and SortKey name its key; SortKey may be empty.
	PartitionKey, SortKey string
	// Projection is "ALL", "KEYS_ONLY" or "INCLUDE", which adds NonKeyAttributes.
	Projection       string
	NonKeyAttributes []string
	// ReadUnits and WriteUnits are as the table's; always 0 for a local index.
	ReadUnits, WriteUnits int
}

// EventSourceMapping is a mapping that feeds a queue's messages to a function.
type EventSourceMapping struct {
	Source
	// UUID identifies the mapping.
	UUID string
	// QueueARN is the source and FunctionName the target; both are in the stack.
	QueueARN, FunctionName string
	// Enabled is false for a mapping that does not poll.
	Enabled bool
	// BatchSize is 1 to 10,000 messages; 10 when the template says nothing. Above 10 the Window is at least a second.
	BatchSize int
	// Window is how long a batch is gathered, 0 to 300 seconds.
	Window time.Duration
	// MaximumConcurrency is 2 to 1,000 concurrent invocations by this mapping, or 0 for no limit.
	MaximumConcurrency int
	// ReportBatchItemFailures is true when the function's answer may name messages that failed.
	ReportBatchItemFailures bool
}

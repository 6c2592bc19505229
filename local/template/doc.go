// Package template reads a SAM or CloudFormation template as CloudFormation would and returns the resources that it
// describes, resolved: parameters, mappings, conditions and functions evaluated, SAM's Globals merged and its resources
// expanded as aws-sam-translator expands them, names and ARNs as AWS forms them.
//
// Start with [LoadFile] or [Load]; what they return is documented at [Resolved].
//
// The package never guesses. A resource type, property, function, transform or parameter type that is not emulated is
// an error that names the file, the line, the resource and the property, and Load reports all errors of a template at
// once ([Problems]). So are mistakes that make a deployment fail on AWS: references to nothing, circular dependencies, a
// visibility timeout below the function's timeout, a role that Lambda may not assume. What AWS accepts at deployment and
// fails at run time is a warning ([Resolved.Warnings]).
//
// Not supported: nested stacks, modules, macros and every transform but AWS::Serverless-2016-10-31; Rules; custom
// resources; functions from images, from S3 or with inline code; runtimes other than provided.al2023 and provided.al2;
// function versions, aliases and URLs; event sources other than SQS; REST and HTTP APIs; integrations other than
// AWS_PROXY to a Lambda function and MOCK; custom domains.
package template

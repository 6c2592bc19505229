// Package template reads a SAM or CloudFormation template as CloudFormation does and returns its resources with all
// values resolved. It evaluates parameters, mappings, conditions and functions, merges SAM's Globals, expands SAM's
// resources as aws-sam-translator does, and forms names and ARNs as AWS does.
//
// Start with [LoadFile] or [Load]. They return a [Resolved].
//
// The package never guesses. A resource type, property, function, transform or parameter type that is not emulated is a
// problem with file, line, resource and property. So is every mistake for which AWS refuses a deployment: references to
// names that do not exist, circular dependencies, a visibility timeout shorter than the function's timeout, a role that
// Lambda may not assume. Load returns all problems of a template together ([Problems]). A mistake that AWS accepts at
// deployment and that fails at run time is a warning ([Resolved.Warnings]).
//
// Not supported: nested stacks, modules, macros and every transform but AWS::Serverless-2016-10-31; Rules; custom
// resources; functions from images, from S3 or with inline code; runtimes other than provided.al2023 and provided.al2;
// function versions, aliases and URLs; event sources other than SQS; REST and HTTP APIs; integrations other than
// AWS_PROXY to a Lambda function and MOCK; custom domains.
package template

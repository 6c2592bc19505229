// Package sam expands the resources of SAM (AWS::Serverless::*) into plain CloudFormation resources, as
// aws-sam-translator does, and merges the Globals section.
package sam

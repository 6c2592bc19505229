// Package secrets is the part of AWS Secrets Manager that a function needs at run time: GetSecretValue, in memory, over
// the wire (AWS JSON 1.1), of secrets that a template declares.
//
// Faithful: the names and ARNs by which a secret may be asked for, the members of an answer, the errors' types, and that
// the caller's policies are asked. Approximate: there is one version of each secret, AWSCURRENT. Every other operation
// is refused by name.
package secrets

// Package secrets emulates the operation GetSecretValue of AWS Secrets Manager, with the protocol AWS JSON 1.1. The
// secrets are those of a template and are kept in memory.
//
// As on AWS: the names and ARNs of a secret, the fields of a response, the types of the errors, and the check of the
// caller's policies. Approximate: each secret has one version, AWSCURRENT. Every other operation is refused by name.
package secrets

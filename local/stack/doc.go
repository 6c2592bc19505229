// Package stack runs the stack of a template on this machine: queues, tables, functions as processes, event source
// mappings and WebSocket APIs, with the permissions of the template. It connects the other packages of local/ and
// emulates nothing itself.
//
// Start with [Start]. The HTTP API under /_local/ controls a running stack; see docs/local.md.
package stack

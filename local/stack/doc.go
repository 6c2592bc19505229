// Package stack runs a resolved template on this machine: its queues and tables, its functions as processes, its event
// source mappings and its WebSocket APIs, each behind the port and with the permissions that the template gives it.
//
// It wires the other packages of local/ together and adds nothing of its own to what they emulate.
package stack

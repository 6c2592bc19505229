// Package access decides who may connect and who may publish.
//
// A stack is run in one of three modes ([Mode]). In the mode jwt an authorizer asks package token what a client's token
// is worth; the answer, a [Grant], travels with the connection in API Gateway's authorizer context, and [Mode.MayPublish]
// reads it whenever the client publishes. What cannot be read grants nothing.
package access

// Package access decides who may connect and who may publish.
//
// A stack runs in one of three modes ([Mode]). In the mode jwt an authorizer verifies a client's token with package
// token. The result, a [Grant], is stored with the connection in API Gateway's authorizer context. [Mode.MayPublish]
// reads it when the client publishes; a context that cannot be read grants nothing.
package access

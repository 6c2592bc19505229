// Package token tells what a client's JSON Web Token is worth.
//
// A [Verifier] checks a token's signature and claims by RFC 7519 and the advice of RFC 8725, with keys that [Keys] fetches
// and keeps: those of an issuer's JWK set ([JWKS]), or the shared secret of a stack ([Secret]). A function has one of the
// two and an allow-list of algorithms that fits it, so that a public key can never be taken for a secret.
//
// What is wrong with a token is a [Refused]; any other error is the stack's own, such as an issuer that does not answer.
package token

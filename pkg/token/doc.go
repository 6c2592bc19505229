// Package token verifies clients' JSON Web Tokens.
//
// A [Verifier] checks a token's signature and claims by RFC 7519 and RFC 8725, with keys that [Keys] fetches and
// caches: an issuer's JWK set ([JWKS]), or the shared secret of a stack ([Secret]). A function has one of the two and a
// list of allowed algorithms that fits it, so that a public key can never be used as a secret.
//
// A token that is not accepted is a [Refused]. Any other error is a failure of the stack or of the issuer.
package token

"""Makes keys and tokens with PyJWT, as an issuer does. Reads claims by name from standard input; writes a JWK set and the
tokens by the same names."""

import json
import sys

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

keys = {
    "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
}
published = []
for algorithm, key in keys.items():
    jwk = json.loads(jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key()))
    published.append({**jwk, "kid": algorithm, "use": "sig", "alg": algorithm})

tokens = {
    f"{name} {algorithm}": jwt.encode(claims, key, algorithm=algorithm, headers={"kid": algorithm})
    for name, claims in json.load(sys.stdin).items()
    for algorithm, key in keys.items()
}
json.dump({"jwks": {"keys": published}, "tokens": tokens}, sys.stdout)

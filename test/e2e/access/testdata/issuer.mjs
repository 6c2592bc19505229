// Makes keys and tokens with jose, as an issuer does. Reads claims by name from standard input; writes a JWK set and the
// tokens by the same names.
import { text } from "node:stream/consumers";
import { exportJWK, generateKeyPair, SignJWT } from "jose";

const claims = JSON.parse(await text(process.stdin));
const jwks = { keys: [] };
const tokens = {};
for (const alg of ["RS256", "ES256"]) {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  jwks.keys.push({ ...(await exportJWK(publicKey)), kid: alg, use: "sig", alg });
  for (const [name, payload] of Object.entries(claims)) {
    tokens[`${name} ${alg}`] = await new SignJWT(payload).setProtectedHeader({ alg, kid: alg, typ: "JWT" }).sign(privateKey);
  }
}
console.log(JSON.stringify({ jwks, tokens }));

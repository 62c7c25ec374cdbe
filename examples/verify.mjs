// Verifies an access token in JavaScript, with jose: `node verify.mjs http://127.0.0.1:8080 "$TOKEN"`.
//
// The keys are fetched once and kept. That a token became void before it expires, only authy knows: a service that must
// hear of a logout within a second follows `GET /authy/revocations`.

import { createRemoteJWKSet, jwtVerify } from 'jose'

const [url, token] = process.argv.slice(2)
const keys = createRemoteJWKSet(new URL(`${url}/authy/.well-known/jwks.json`))
try {
  const { payload } = await jwtVerify(token, keys, {
    issuer: url,
    audience: 'authy',
    typ: 'at+jwt',
    // Each key is used with its own algorithm; these are all that authy has.
    algorithms: ['EdDSA', 'ES256', 'RS256'],
    requiredClaims: ['exp', 'sub'],
  })
  console.log(`${payload.username} is ${payload.public_id}, with level ${payload.level}`)
} catch (error) {
  console.error(`the token is not valid: ${error.message}`)
  process.exitCode = 1
}

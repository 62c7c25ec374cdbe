// Verifies an access token in JavaScript, with jose: `node verify.mjs http://127.0.0.1:8080 "$TOKEN"`.
//
// The keys are fetched once and kept. Only authy knows that a token was revoked before it expires: this script asks once what
// is revoked, and a service that must know of a logout within a second follows `GET /authy/revocations` as an event stream.

import { createHash } from 'node:crypto'
import { createRemoteJWKSet, jwtVerify } from 'jose'

const [url, token] = process.argv.slice(2)
const keys = createRemoteJWKSet(new URL(`${url}/authy/.well-known/jwks.json`))

async function fetchJson(path) {
  const answer = await fetch(`${url}${path}`)
  if (!answer.ok) throw new Error(`authy did not answer: ${answer.status}`)
  return answer.json()
}

// What revocations name a session or a user by: once for a token, and then compared.
function idHash(kind, value) {
  return createHash('sha256').update(`authy:${kind}:${value}`).digest().subarray(0, 16).toString('base64url')
}

try {
  const { payload, protectedHeader } = await jwtVerify(token, keys, {
    issuer: url,
    audience: 'authy',
    typ: 'at+jwt',
    // Each key is used with its own algorithm; these are all that authy has.
    algorithms: ['EdDSA', 'ES256', 'RS256'],
    requiredClaims: ['exp', 'iat', 'sub'],
  })
  // Fetched together with the keys: a token that lives longer was forged with a stolen key, to outlive it.
  const { access_token_max_lifetime } = await fetchJson('/authy/.well-known/oauth-authorization-server')
  if (payload.exp - payload.iat > access_token_max_lifetime) throw new Error('it lives too long')
  const session = idHash('session', payload.sid)
  const user = idHash('user', payload.public_id)
  const { revocations } = await fetchJson('/authy/revocations')
  const isRevoked = revocations.some(
    (entry) =>
      (entry.void === 'session' && entry.session === session) ||
      (entry.void === 'user' && entry.user === user && payload.ver < entry.ver) ||
      (entry.void === 'key' && entry.kid === protectedHeader.kid),
  )
  if (isRevoked) throw new Error('it is revoked')
  console.log(`${payload.username} is ${payload.public_id}, with level ${payload.level}`)
} catch (error) {
  console.error(`the token is not valid: ${error.message}`)
  process.exitCode = 1
}

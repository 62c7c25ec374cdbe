"""Verifies an access token in Python, with PyJWT: `python verify.py http://127.0.0.1:8080 "$TOKEN"`.

The keys are fetched once and kept. That a token became void before it expires, only authy knows: a service that must hear
of a logout within a second follows `GET /authy/revocations`.
"""

import sys

import jwt

url, token = sys.argv[1:3]
keys = jwt.PyJWKClient(f"{url}/authy/.well-known/jwks.json", lifespan=300)
try:
    key = keys.get_signing_key_from_jwt(token)
    claims = jwt.decode(
        token,
        key,
        # The key's own algorithm and no other, whatever the token's header says.
        algorithms=[key.algorithm_name],
        issuer=url,
        audience="authy",
        options={"require": ["exp", "iss", "aud", "sub"]},
    )
except jwt.PyJWTError as error:
    sys.exit(f"the token is not valid: {error}")
print(f"{claims['username']} is {claims['public_id']}, with level {claims['level']}")

"""Verifies an access token in Python, with PyJWT: `python verify.py http://127.0.0.1:8080 "$TOKEN"`.

The keys are fetched once and kept. Only authy knows that a token was revoked before it expires: this script asks once what is
revoked, and a service that must know of a logout within a second follows `GET /authy/revocations` as an event stream.
"""

import base64
import hashlib
import json
import sys
import urllib.request

import jwt

url, token = sys.argv[1:3]


def fetch(path):
    with urllib.request.urlopen(url + path) as answer:
        return json.load(answer)


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
        options={"require": ["exp", "iat", "iss", "aud", "sub"]},
    )
except jwt.PyJWTError as error:
    sys.exit(f"the token is not valid: {error}")
# Fetched together with the keys: a token that lives longer was forged with a stolen key, to outlive it.
longest = fetch("/authy/.well-known/oauth-authorization-server")["access_token_max_lifetime"]
if claims["exp"] - claims["iat"] > longest:
    sys.exit("the token is not valid: it lives too long")


def id_hash(kind, value):
    """What revocations name a session or a user by: once for a token, and then compared."""
    digest = hashlib.sha256(f"authy:{kind}:{value}".encode()).digest()
    return base64.urlsafe_b64encode(digest[:16]).rstrip(b"=").decode()


session, user = id_hash("session", claims["sid"]), id_hash("user", claims["public_id"])


def is_revoked(entry):
    match entry["void"]:
        case "session":
            return entry["session"] == session
        case "user":
            return entry["user"] == user and claims["ver"] < entry["ver"]
        case "key":
            return entry["kid"] == key.key_id


if any(map(is_revoked, fetch("/authy/revocations")["revocations"])):
    sys.exit("the token is not valid: it is revoked")
print(f"{claims['username']} is {claims['public_id']}, with level {claims['level']}")

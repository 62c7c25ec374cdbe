"""Receives authy's webhook: verifies who sent it and that the token is the new user's, and answers 201.

usage: webhook.py AUTHY_URL SECRET
"""

import base64
import hashlib
import hmac
import json
import sys
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

authy, secret = sys.argv[1:]


def is_from_authy(secret, headers, body):
    key = base64.b64decode(secret.removeprefix("whsec_"))
    message = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.digest(key, message, hashlib.sha256)).decode()
    is_signed = any(hmac.compare_digest(expected, given) for given in headers["webhook-signature"].split())
    return is_signed and abs(time.time() - int(headers["webhook-timestamp"])) < 300


def user_of(token):
    request = urllib.request.Request(f"{authy}/authy/checkaccess/99999", headers={"x-access-token": token})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["public_id"]


class Webhook(BaseHTTPRequestHandler):
    def do_POST(self):
        try:
            body = self.rfile.read(int(self.headers["content-length"]))
            user = json.loads(body)["public_id"]
            good = is_from_authy(secret, self.headers, body) and user_of(self.headers["x-access-token"]) == user
        except Exception as error:
            print(f"refused: {error!r}", file=sys.stderr)
            good = False
        if good:
            # A repeated call must do no harm: `webhook-id` is the same each time.
            print(f"{user} signed up", flush=True)
        self.send_response(201 if good else 401)
        self.send_header("content-length", "0")
        self.end_headers()


server = ThreadingHTTPServer(("127.0.0.1", 0), Webhook)
print(f"listening on http://127.0.0.1:{server.server_port}/", flush=True)
server.serve_forever()

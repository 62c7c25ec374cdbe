"""A service in Python with Flask that asks authy about every request: `python sibling.py http://127.0.0.1:8080`.

A request may pass when the answer to `GET /authy/checkaccess/10` is exactly 200 and names a user. Anything else refuses it: other
statuses, an answer that is no JSON, and no answer.
"""

import sys
from functools import wraps

import requests
from flask import Flask, g, jsonify, request
from werkzeug.serving import make_server

authy = sys.argv[1].rstrip("/")
app = Flask(__name__)

# A token check takes milliseconds. A service that waits longer for authy than its own clients wait for it helps nobody.
TIMEOUT_SECONDS = 5


def user_of(token, level):
    """Returns the public ID of the user, or None when the token is not good enough."""
    headers = {"x-access-token": token, "Content-Type": "application/json"}
    url = f"{authy}/authy/checkaccess/{level}"
    answer = requests.get(url, headers=headers, timeout=TIMEOUT_SECONDS, allow_redirects=False)
    if answer.status_code != 200:
        return None
    return answer.json().get("public_id")


def require_access_level(level):
    def decorate(view):
        @wraps(view)
        def guarded(*args, **kwargs):
            token = request.headers.get("x-access-token")
            if not token:
                return jsonify({"message": "a token is required"}), 401
            try:
                g.public_id = user_of(token, level)
            except (requests.RequestException, ValueError, AttributeError):
                return jsonify({"message": "authy does not answer"}), 503
            if not g.public_id:
                return jsonify({"message": "the token is not valid, or not enough"}), 401
            return view(*args, **kwargs)

        return guarded

    return decorate


@app.get("/status")
def status():
    return jsonify({"message": "running"})


@app.get("/watchlist")
@require_access_level(10)
def watchlist():
    return jsonify({"public_id": g.public_id, "items": []})


if __name__ == "__main__":
    server = make_server("127.0.0.1", 0, app, threaded=True)
    print(f"listening on http://127.0.0.1:{server.port}", flush=True)
    server.serve_forever()

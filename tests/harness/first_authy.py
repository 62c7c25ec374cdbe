"""The routes of the first authy that its clients call, with Flask as it was: `python first_authy.py USERS.json`.

It answers as the first authy does: messages without a code, 401 for too little power, passwords in base64, tokens with HS512, and
local times that are called GMT.
"""

import base64
import json
import sys
from datetime import datetime, timedelta, timezone
from functools import wraps

import jwt
from flask import Flask, jsonify, request
from werkzeug.security import check_password_hash
from werkzeug.serving import make_server

SECRET = "27-characters-of-a-secret-x"

with open(sys.argv[1], encoding="utf-8") as file:
    users = json.load(file)
app = Flask(__name__)


def find(**wanted):
    return next((user for user in users if all(user[name] == value for name, value in wanted.items())), None)


def guarded(level):
    def decorate(view):
        @wraps(view)
        def decorated(**arguments):
            try:
                claims = jwt.decode(request.headers.get("x-access-token", ""), SECRET, algorithms=["HS512"])
            except jwt.InvalidTokenError:
                return jsonify({"message": "Invalid token."}), 401
            user = find(public_id=claims["public_id"])
            if not user or user["level"] > level:
                return jsonify({"message": "Severe tutting ensues."}), 401
            return view(user, **arguments)

        return decorated

    return decorate


@app.post("/authy/login")
def login():
    data = request.get_json()
    user = find(username=data.get("username"))
    password = base64.b64decode(data.get("password", "")).decode()
    if not user or user["deleted"] or not check_password_hash(user["hash"], password):
        return jsonify({"message": "Could not verify this user"}), 401
    expires = datetime.now(timezone.utc) + timedelta(minutes=240)
    claims = {"public_id": user["public_id"], "username": user["username"], "exp": expires}
    return jsonify({"token": jwt.encode(claims, SECRET, algorithm="HS512")})


@app.get("/authy/user")
@guarded(10)
def own(user):
    shown = {name: user[name] for name in ["public_id", "username", "email"]}
    created = datetime.fromisoformat(user["created"])
    return jsonify(shown | {"created": created, "last_login": datetime.now()})


@app.get("/authy/checkaccess/<int:level>")
@guarded(10)
def check_access(user, level):
    if user["level"] <= level:
        return jsonify({"public_id": user["public_id"]})
    return jsonify({"message": "Your name's not down, you're not coming in."}), 401


@app.get("/authy/username/<public_id>")
def username(public_id):
    user = find(public_id=public_id, deleted=False)
    return jsonify({"username": user["username"]}) if user else (jsonify({"message": "Not found."}), 404)


@app.get("/authy/status")
def status():
    return jsonify({"message": "System running..."})


server = make_server("127.0.0.1", 0, app, threaded=True)
print(f"listening on http://127.0.0.1:{server.port}", flush=True)
server.serve_forever()

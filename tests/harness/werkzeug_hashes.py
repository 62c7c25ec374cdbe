"""Hashes passwords as the first authy does: reads a JSON list of [method, password], and prints the list of hashes."""

import json
import sys

from werkzeug.security import generate_password_hash

pairs = json.load(sys.stdin)
json.dump([generate_password_hash(password, method=method, salt_length=16) for method, password in pairs], sys.stdout)

"""Verifies passwords as the first authy does: reads a JSON list of [hash, password], and prints the list of results."""

import json
import sys

from werkzeug.security import check_password_hash

pairs = json.load(sys.stdin)
json.dump([check_password_hash(stored, password) for stored, password in pairs], sys.stdout)

"""Validates JSON by a JSON Schema: `validate.py SCHEMA TEXTS`, where TEXTS is a file with a list of what has to match."""

import json
import sys

from jsonschema.validators import Draft7Validator, validator_for

with open(sys.argv[1], encoding="utf-8") as file:
    schema = json.load(file)
with open(sys.argv[2], encoding="utf-8") as file:
    texts = json.load(file)
validator = validator_for(schema, Draft7Validator)(schema)
wrong = [f"{error.json_path}: {error.message[:300]}" for text in texts for error in validator.iter_errors(text)]
sys.exit("\n".join(wrong) or None)

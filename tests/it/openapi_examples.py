"""Is this a valid OpenAPI document, and does each of its examples fit the schema beside it?"""

import json
import sys

from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

with open(sys.argv[1], encoding="utf-8") as file:
    document = json.load(file)
validate(document)

checked = 0


def check(value, place):
    """Every example at or below `value`."""
    global checked
    if isinstance(value, dict):
        if "example" in value and "schema" in value:
            schema = {**value["schema"], "components": document["components"]}
            for error in Draft202012Validator(schema).iter_errors(value["example"]):
                sys.exit(f"{place}: {error.json_path} {error.message}")
            checked += 1
        for key, inner in value.items():
            check(inner, f"{place}/{key}")
    elif isinstance(value, list):
        for inner in value:
            check(inner, place)


check(document["paths"], "")
# Bodies, answers and parameters.
assert checked > 20, checked

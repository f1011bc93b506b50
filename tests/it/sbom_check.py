"""Checks a list of what is in the binary against the schema of CycloneDX, and prints the names it has."""

import json
import pathlib
import sys

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

text = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8")
mistake = JsonStrictValidator(SchemaVersion.V1_5).validate_str(text)
assert mistake is None, mistake
bom = json.loads(text)
refs = [bom["metadata"]["component"]["bom-ref"], *(one["bom-ref"] for one in bom["components"])]
assert len(refs) == len(set(refs)), "a component stands twice"
assert sorted(refs) == sorted(one["ref"] for one in bom["dependencies"]), "dependencies of something else"
assert all(other in refs for one in bom["dependencies"] for other in one["dependsOn"]), "an unknown dependency"
for one in bom["components"]:
    assert one.get("licenses") and one.get("purl"), one
    print(one["name"], one["version"])

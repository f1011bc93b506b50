"""Checks the manifests under the directory that is given against the schemas of Kubernetes, and those of
custom resources against the schemas beside them; what kustomization.yaml names has to be there."""

import json
import pathlib
import sys

import jsonschema
import kubernetes_validate
import yaml

root = pathlib.Path(sys.argv[1])
kustomization = yaml.safe_load((root / "kustomization.yaml").read_text())
manifests = sorted(path.name for path in root.glob("*.yaml") if path.name != "kustomization.yaml")
assert manifests == sorted(kustomization["resources"]), (manifests, kustomization["resources"])
for name in manifests:
    manifest = yaml.safe_load((root / name).read_text())
    kubernetes_validate.validate(manifest, "1.30", strict=True)
    print(manifest["kind"])
for path in sorted((root / "monitoring").glob("*.yaml")):
    manifest = yaml.safe_load(path.read_text())
    schema = json.loads((path.parent / "schemas" / f"{path.stem}.json").read_text())
    jsonschema.validate(manifest, schema)
    print(manifest["kind"])

"""Makes the list of what is in the binary (CycloneDX, from cargo-cyclonedx on standard input) say exactly
that, and the same wherever it is made.

cargo-cyclonedx reads `cargo metadata`, which has what any feature could bring in, such as SQLite; cargo itself
knows what is compiled (`cargo tree`, the first argument names the target). It knows nothing of the scripts that
are compiled in, and it names the crates of this workspace by the path of the checkout.
"""

import json
import pathlib
import re
import subprocess
import sys

target = sys.argv[1]
tree = subprocess.run(
    ["cargo", "tree", "--locked", "--package", "noetl-metrics", "--edges", "normal", "--target", target,
     "--prefix", "none", "--format", "{p}"],
    check=True, capture_output=True, text=True,
).stdout
compiled = {tuple(line.split()[:2]) for line in tree.splitlines() if line}
compiled = {(name, version.removeprefix("v")) for name, version in compiled}

bom = json.load(sys.stdin)
top = bom["metadata"]["component"]
components = [one for one in bom["components"] if (one["name"], one["version"]) in compiled]
listed = {(one["name"], one["version"]) for one in [top, *components]}
assert listed == compiled, f"cargo-cyclonedx does not list {compiled - listed}"

names = {}
for one in [top, *components]:
    if one["bom-ref"].startswith("path+"):
        one["purl"] = f"pkg:cargo/{one['name']}@{one['version']}"
        names[one["bom-ref"]] = one["purl"]
    else:
        names[one["bom-ref"]] = one["bom-ref"]
    one["bom-ref"] = names[one["bom-ref"]]
# Targets of the crate, such as its binary, are told by the crate.
top.pop("components", None)

uplot = pathlib.Path("src/http/status/uplot/uPlot.iife.min.js").read_text(encoding="utf-8")
version = re.match(r"/\*! https://github.com/leeoniya/uPlot \(v([0-9.]+)\) \*/", uplot).group(1)
purl = f"pkg:npm/uplot@{version}"
components.append({
    "type": "library", "bom-ref": purl, "name": "uplot", "version": version, "scope": "required",
    "description": "Draws the charts of the status page.", "licenses": [{"license": {"id": "MIT"}}],
    "purl": purl,
    "externalReferences": [{"type": "vcs", "url": "https://github.com/leeoniya/uPlot"}],
})

dependencies = []
for one in bom["dependencies"]:
    if one["ref"] not in names:
        continue
    on = sorted(names[other] for other in one.get("dependsOn", []) if other in names)
    if one["ref"].startswith("path+") and names[one["ref"]] == top["bom-ref"]:
        on.append(purl)
    dependencies.append({"ref": names[one["ref"]], "dependsOn": on})
dependencies.append({"ref": purl, "dependsOn": []})

bom["components"] = sorted(components, key=lambda one: one["bom-ref"])
bom["dependencies"] = sorted(dependencies, key=lambda one: one["ref"])
json.dump(bom, sys.stdout, indent=1, ensure_ascii=False)
print()

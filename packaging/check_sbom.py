"""Is build/sbom.cdx.json valid CycloneDX, does every component name a licence? The schemas come with its library."""

import json
import sys
from importlib.resources import files
from pathlib import Path

from jsonschema import Draft7Validator
from referencing import Registry, Resource

SCHEMAS = files("cyclonedx.schema") / "_res"


def schema(name: str) -> Resource[dict[str, object]]:
    return Resource.from_contents(json.loads((SCHEMAS / name).read_text(encoding="utf-8")))


def main(file: Path) -> None:
    told = json.loads(file.read_text(encoding="utf-8"))
    whole = schema(f"bom-{told['specVersion']}.SNAPSHOT.schema.json")
    names = [one.name for one in SCHEMAS.iterdir() if one.name.endswith(".schema.json")]
    registry = (
        Registry()
        .with_resources([(name, schema(name)) for name in names])
        .with_resource(str(whole.contents["$id"]), whole)
    )
    base = str(whole.contents["$id"]).rpartition("/")[0]
    registry = registry.with_resources([(f"{base}/{name}", schema(name)) for name in names])
    faults = [fault.message for fault in Draft7Validator(whole.contents, registry=registry).iter_errors(told)]
    unnamed = [one["name"] for one in told["components"] if not one.get("licenses")]
    if faults or unnamed:
        sys.exit("\n".join([*faults[:5], *(f"no licence named: {name}" for name in unnamed)]))
    print(f"{file}: CycloneDX {told['specVersion']}, {len(told['components'])} components, each with its licence")


main(Path(sys.argv[1]))

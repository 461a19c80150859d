"""What is locked: no placeholder, and nothing at run time whose licence would bind who uses it."""

import re
import tomllib
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
BINDING = re.compile(r"\b(A?GPL|GNU (Affero )?General Public)", re.IGNORECASE)
LESSER = re.compile(r"\b(LGPL|GNU (Lesser|Library) General Public)[^,;()]*", re.IGNORECASE)


def locked() -> dict[str, dict[str, Any]]:
    packages = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    return {package["name"]: package for package in packages}


def at_run_time(packages: dict[str, dict[str, Any]]) -> set[str]:
    """All that an installation without extras can pull in, on any platform."""
    found: set[str] = set()
    wanted = [("ticketgate", ())]
    while wanted:
        name, extras = wanted.pop()
        if name in found and not extras:
            continue
        found.add(name)
        package = packages[name]
        needs = [*package.get("dependencies", []), *(n for e in extras for n in package["optional-dependencies"][e])]
        wanted.extend((need["name"], tuple(need.get("extra", ()))) for need in needs)
    return found - {"ticketgate"}


def licence(name: str) -> str:
    found = distribution(name)
    said = found.metadata
    classified = [c for c in said.get_all("Classifier", []) if c.startswith("License")]
    told = " ".join([said.get("License-Expression") or "", *classified, (said.get("License") or "")[:60]])
    return told if told.strip() else " ".join(text(found, file) for file in said.get_all("License-File", []))


def text(found: Distribution, file: str) -> str:
    """Of a licence that comes as a file only."""
    return found.read_text(f"licenses/{file}") or found.read_text(file) or ""


def binding(text: str) -> bool:
    return bool(BINDING.search(LESSER.sub("", text)))


def test_no_locked_version_is_a_placeholder() -> None:
    """999.x is what someone registers to keep a name, or to be taken for an inner package."""
    assert [name for name, package in locked().items() if package["version"].startswith("999.")] == []


def test_nothing_at_run_time_is_under_gpl_or_agpl_and_everything_names_its_licence() -> None:
    names = at_run_time(locked())
    assert len(names) > 40
    said = {}
    for name in names:
        try:
            said[name] = licence(name)
        except PackageNotFoundError:
            continue  # of another platform
    assert len(said) > 40
    assert {name: text for name, text in said.items() if binding(text)} == {}
    assert [name for name, text in said.items() if not text.strip()] == []


def test_a_binding_licence_would_be_seen() -> None:
    assert binding("License :: OSI Approved :: GNU General Public License v3 (GPLv3)")
    assert binding("AGPL-3.0-or-later")
    assert not binding("License :: OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)")
    assert not binding("LGPL-2.1-or-later")

"""What is generated from the code and published is current: `make golden` rewrites it, and the diff is the review."""

import json
import os
from pathlib import Path

import pytest

from engine.decision import Decision
from normalizer.canon import REASONS, Contact, Message, Ticket, shape

REFERENCE = Path(__file__).parent.parent / "docs" / "reference"
NOUNS = {"ticket": Ticket, "message": Message, "contact": Contact, "decision": Decision}


def golden(file: Path, text: str) -> None:
    """The file holds this text; with GOLDEN=1 it is made so."""
    if os.environ.get("GOLDEN"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert file.exists(), f"{file} is missing: make golden"
    assert file.read_text() == text, f"{file} is not current: make golden"


@pytest.mark.parametrize("name", NOUNS)
def test_the_published_schema_is_current(name: str) -> None:
    golden(REFERENCE / "schemas" / f"{name}.v1.json", json.dumps(schema(name), indent=2, ensure_ascii=False) + "\n")


def schema(name: str) -> dict[str, object]:
    return shape(NOUNS[name]).json_schema(by_alias=True, mode="serialization")


def test_the_list_of_reasons_is_current() -> None:
    rows = [f"| `{code}` | {meaning} |" for code, meaning in REASONS.items()]
    head = [
        "# Why something was set aside",
        "",
        "`ticketgate quarantine list` shows these codes.",
        "",
        "| code | means |",
        "|---|---|",
    ]
    golden(REFERENCE / "reasons.md", "\n".join([*head, *rows]) + "\n")

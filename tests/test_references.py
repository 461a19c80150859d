"""What is generated from the code and published is current: `make golden` rewrites it, and the diff is the review."""

import json
import os
from pathlib import Path

import pytest

from engine.decision import Decision
from gateway.permissions import PERMISSIONS, ROLES
from normalizer.canon import REASONS, Contact, Message, Ticket, shape

REFERENCE = Path(__file__).parent.parent / "docs" / "reference"
ROLES_BEGIN, ROLES_END = "<!-- roles -->", "<!-- /roles -->"
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


@pytest.mark.parametrize(("page", "language"), [("people.md", 1), ("zh/people.md", 0)])
def test_the_table_of_roles_is_current(page: str, language: int) -> None:
    """Between its two marks; the rest of the page is written by hand."""
    file = REFERENCE.parent / page
    before, _, rest = file.read_text().partition(ROLES_BEGIN)
    _, _, after = rest.partition(ROLES_END)
    golden(file, f"{before}{ROLES_BEGIN}\n{roles(language)}\n{ROLES_END}{after}")


def roles(language: int) -> str:
    """Permission by permission, who has it; `language` 0 Chinese, 1 English."""
    head = ["权限", "可以做什么"] if language == 0 else ["permission", "lets you"]
    rows = [
        f"| `{name}` | {words[language]} | " + " | ".join("✓" if name in has else "" for has in ROLES.values()) + " |"
        for name, words in PERMISSIONS.items()
    ]
    return "\n".join([f"| {' | '.join([*head, *ROLES])} |", "|" + "---|" * (len(ROLES) + 2), *rows])


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

"""Whole mails against what is to be made of them. `make golden` (GOLDEN=1) writes the expectations anew."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from normalizer.mime import message
from normalizer.printed import printed

MAILS = sorted((Path(__file__).parent / "mails").glob("*.eml"))
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
SHOWN = (
    "message_id", "in_reply_to", "references", "subject", "from", "to", "cc", "reply_to", "sent_at", "full_text", "text",
    "quoted", "signature", "attachments", "kind", "answerable", "defects",
)  # fmt: skip


@pytest.mark.parametrize("path", MAILS, ids=lambda path: path.stem)
def test_a_mail_says_what_it_said_before(path: Path) -> None:
    said = printed(message(path.read_bytes(), connector="email_smtp", account="t", received_at=NOON), path.name)
    shown = json.dumps({name: said[name] for name in SHOWN}, ensure_ascii=False, indent=1) + "\n"
    golden = path.with_suffix(".json")
    if os.environ.get("GOLDEN"):
        golden.write_text(shown, encoding="utf-8")
    assert shown == golden.read_text(encoding="utf-8")


def test_there_are_mails() -> None:
    assert len(MAILS) >= 20

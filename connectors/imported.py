"""Mail from files: what customers wrote before, or to another system (`ticketgate import mail`).

It is read as any other mail, so that what is already here is known, and so that an answer finds its ticket. It is as
old as it says, and nobody is acknowledged. What people answer leaves by the mail account that `reply_by` names.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import ClassVar

from connectors.base import AccountSettings, AnsweredSettings
from connectors.mail_account import head_of, scan
from normalizer.canon import Envelope, Message, Reply, Sent
from normalizer.errors import Refused, Unreadable
from normalizer.mime import message

KEPT = 64 * 1024  # of a mail that is too large

_FIELD = re.compile(rb"^(?:from|to|subject|date|message-id|received|sender|delivered-to)[ \t]*:", re.I | re.M)


class Imported:
    name: ClassVar[str] = "import"
    Settings: ClassVar[type[AccountSettings]] = AnsweredSettings

    def __init__(self, settings: AnsweredSettings) -> None:
        self.settings = settings

    def envelope(self, raw: bytes, file: str, dated: datetime, size: int = 0) -> Envelope:
        """Of a mail; `size` if `raw` is only the beginning of one too large. The same mail again has the same key."""
        key, sender = scan(raw)
        way = {"file": file[-200:], **({"size": str(size)} if size else {})}
        return Envelope(self.name, self.settings.account, key, sender or key, dated, raw, way)

    def parse(self, envelope: Envelope) -> Sequence[Message]:
        if size := envelope.transport.get("size"):
            raise Unreadable(f"{size} octets, over the limit; the file has the whole mail", code="oversized")
        if not is_mail(envelope.body):
            raise Unreadable("no mail: there is no header at its beginning", code="malformed")
        mail = message(
            envelope.body, connector=self.name, account=envelope.account, received_at=envelope.received_at,
            envelope_id=envelope.id, channel="email",
        )  # fmt: skip
        return [replace(mail, answerable=False)]

    async def send(self, reply: Reply, now: datetime) -> Sent:
        raise Refused("imported mail has no way back: name a mail account in reply_by")


def is_mail(raw: bytes) -> bool:
    return bool(_FIELD.search(head_of(raw)))

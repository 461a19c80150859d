"""Envelopes and outcomes for tests of the store, as short as a sentence."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import postgres

from engine.decision import Case, Decision, sealed
from engine.thread import Found, Wanted
from gateway.crypto import KeyRing
from gateway.store.database import Database
from gateway.store.postgres import Postgres
from gateway.store.store import Store
from gateway.store.upgrade import REVISION
from gateway.store.work import Claim, Limits, Outcome, Timer
from normalizer.canon import (
    Address,
    Contact,
    Derived,
    Envelope,
    HandoverStep,
    Identity,
    Message,
    Milestone,
    Outgoing,
    Reply,
    Sla,
    Source,
    Ticket,
    digest,
)

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MASTER = b"m" * 32


LATER = f"{int(REVISION) + 1:04d}"
LATER_SCRIPT = f'''"""A later revision."""

import sqlalchemy as sa
from alembic import op

revision = "{LATER}"
down_revision = "{REVISION}"


def upgrade() -> None:
    op.add_column("tickets", sa.Column("later", sa.Text()))
'''

_server: postgres.Postgres | None = None
_elsewhere = ""
_databases: dict[Path, str] = {}  # of that server, by data folder


async def opened(folder: Path, *masters: bytes, limits: Limits | None = None) -> Store:
    """On SQLite, but within `on` on PostgreSQL: the same folder is the same database."""
    ring = KeyRing(*(masters or (MASTER,)))
    return await Store.open(folder, ring, zone=ZoneInfo("Asia/Shanghai"), limits=limits, database=database(folder))


def database(folder: Path) -> Database | None:
    """None stands for the file in the folder."""
    url = address(folder)
    return Postgres(url) if url else None


def address(folder: Path) -> str:
    """Where a store of this folder is, for `elsewhere` in another process; empty for SQLite."""
    if _server is None:
        return _elsewhere
    if folder not in _databases:
        _databases[folder] = _server.lent()
    return _server.url(_databases[folder])


def give_back(folder: Path) -> None:
    """Nobody opens it again; its database is another's."""
    if _server and folder in _databases:
        _server.give_back(_databases.pop(folder))


def server_now() -> postgres.Postgres | None:
    return _server


def elsewhere(url: str) -> None:
    """Open all stores there from now on."""
    global _elsewhere
    _elsewhere = url


@contextmanager
def on(server: postgres.Postgres) -> Iterator[None]:
    global _server
    _server = server
    try:
        yield
    finally:
        _server = None
        for folder in list(_databases):
            server.give_back(_databases.pop(folder))


def envelope(key: str, *, lane: str = "", body: bytes = b"hello", at: datetime = NOW) -> Envelope:
    return Envelope("email_smtp", "main", key, lane or f"lane of {key}", at, body, {"remote": "192.0.2.1"})


async def arrive(store: Store, *keys: str, lane: str = "") -> None:
    await store.journal([envelope(key, lane=lane) for key in keys], NOW)


def message(
    claim: Claim, *, sender: str = "li@example.cn", text: str = "my parcel is lost", **fields: object
) -> Message:
    whole = Message(
        "email", claim.envelope.connector, claim.envelope.account, f"<{claim.envelope.key}@example.cn>",
        Address("email", sender, "李雷"), claim.envelope.received_at, envelope=claim.envelope.id,
        subject="parcel", text=text, full_text=text,
    )  # fmt: skip
    return replace(whole, **fields)  # type: ignore[arg-type]


def contact(sender: str = "li@example.cn", name: str = "李雷") -> Contact:
    return Contact(digest("contact", sender), (Identity("email", sender, "dkim"),), name)


def ticket(of: Message, whose: Contact, number: str) -> Ticket:
    source = Source(of.channel, of.connector, of.account, of.envelope)
    identity = digest("ticket", of.id)
    return Ticket(identity, source, whose.id, of.subject, NOW, of.received_at, of.text, number)


def decided(before: Ticket, whose: Contact, of: Message | None, previous: str = "", **fields: object) -> Decision:
    after = replace(before, **fields)  # type: ignore[arg-type]
    trigger = "ticket.created" if before.version == 0 else "message.received"
    case = Case(trigger, NOW, before, whose, of, previous=previous)
    return sealed(Decision(case, "ab" * 32, "native", (), (), (), (), after))


def outcome(
    claim: Claim, number: str, *, sender: str = "li@example.cn", timers: Sequence[str] = (), hold: bool = False,
    targets: Sequence[str] = (), reply: bool = True, group: str = "after_sales", **fields: object,
) -> Outcome:  # fmt: skip
    """A new ticket: one message, its contact, a decision, the reply and the first hand-over steps."""
    said, whose = message(claim, sender=sender, **fields), contact(sender)
    made = decided(ticket(said, whose, number), whose, said, group=Derived(group, "rule:x"))
    kept = replace(made.ticket, version=1)
    owed = [step(target, "create", kept, whose, said) for target in targets]
    set_ = tuple(Timer(digest("timer", kept.id, name), name, kept.id, NOW + timedelta(hours=1)) for name in timers)
    answers = (acknowledgement(kept, said),) if reply else ()
    return Outcome(claim, ((said, kept.id),), (whose,), (kept,), (made,), (*answers, *owed), set_, hold=hold)


def followed(
    claim: Claim, before: Ticket, previous: str, *, sender: str = "li@example.cn", **fields: object
) -> Outcome:
    """Another message in a ticket."""
    said, whose = message(claim, sender=sender, **fields), contact(sender)
    made = decided(before, whose, said, previous)
    return Outcome(claim, ((said, before.id),), (whose,), (replace(made.ticket, version=before.version + 1),), (made,))


def acknowledgement(of: Ticket, said: Message) -> Outgoing:
    identity = digest("acknowledge", of.id)
    words = Reply(identity, "email", "email_smtp", "main", of.id, of.number, said.sender, "Re: parcel", "got it", "en")
    return Outgoing(identity, "reply", "email_smtp/main", of.id, NOW, words)


def step(target: str, kind: str, of: Ticket, whose: Contact | None = None, said: Message | None = None) -> Outgoing:
    made = HandoverStep(digest(kind, target, of.id, of.version), target, kind, of, whose, said)  # type: ignore[arg-type]
    return Outgoing(made.id, "handover", target, of.id, NOW, made)


async def stored(store: Store, key: str, number: str, **fields: object) -> Outcome:
    """A message all the way to its ticket."""
    await arrive(store, key)
    (claim,) = await store.claim(NOW, 1)
    made = outcome(claim, number, **fields)  # type: ignore[arg-type]
    assert await store.commit([made], NOW) == [True]
    return made


def wanted(
    sender: str = "nobody@example.cn", *, said: str = "", answers: Sequence[str] = (), numbers: Sequence[str] = (),
    thread: tuple[str, str, str, str] | None = None, ticket: str = "",
) -> Wanted:  # fmt: skip
    return Wanted(said, (Identity("email", sender),), tuple(answers), tuple(numbers), thread, ticket)


async def found(store: Store, one: Wanted) -> Found:
    (answer,) = await store.find([one], NOW)
    assert isinstance(answer, Found)
    return answer


async def kept(store: Store, serial: int, **fields: object) -> Ticket:
    """A ticket with these fields, its number ending in this serial."""
    number = f"20261123{serial:03d}"
    await arrive(store, f"key{serial}")
    (claim,) = await store.claim(NOW, 1)
    plain = outcome(claim, number, sender=f"c{serial}@example.cn", reply=False)
    (said, _), whose = plain.messages[0], plain.contacts[0]
    made = decided(replace(plain.tickets[0], version=0), whose, said, **fields)
    ticket = replace(made.ticket, version=1)
    whole = Outcome(claim, ((said, ticket.id),), (whose,), (ticket,), (made,))
    assert await store.commit([whole], NOW) == [True]
    return ticket


def promised(hours: int, met: bool = False) -> Sla:
    """A first response due in so many hours, perhaps kept, and an end an hour later."""
    due = NOW + hours * timedelta(hours=1)
    return Sla(
        "standard",
        "always",
        {"first_response": Milestone(due, NOW if met else None), "solved": Milestone(due + timedelta(hours=1))},
    )

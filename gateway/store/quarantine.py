"""What could not become a message: kept, visible, and to be tried again after a mend.

Stage `door`: turned away before it was ours; its first bytes are kept here. Stage `journal`: ours, its bytes are in the
journal. Stage `noted`: ours, understood, and no failure: nobody asks for anything, so it made no ticket. Reasons may
quote what was sent, so they are sealed; codes stand in clear.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select, update

from gateway.crypto import Vault
from gateway.store import feed
from gateway.store.dialect import Insert, Many, Record, chunks, insert, insert_new, one_of
from gateway.store.tables import (
    ASIDE,
    DONE,
    DOOR,
    JOURNAL,
    LONG_AGO,
    NOTED,
    WAITING,
    envelopes,
    lanes,
    messages,
    quarantine,
    refusals,
    work,
)  # fmt: skip
from gateway.store.work import Claim, Limits, Outcome, SetAside
from normalizer.errors import Rejected
from normalizer.identity import mask, mask_text

HOUR = 3600
LOOKED_AT = 5000  # rows that are opened for one search of words


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which rows are looked for; what is empty chooses nothing."""

    code: str = ""
    stage: str = ""
    connector: str = ""
    account: str = ""
    since: datetime | None = None
    until: datetime | None = None
    words: str = ""


def says(one: SetAside, words: str) -> bool:
    """Whether all these words stand in what is kept beside the envelope."""
    facts = (value for name, value in one.facts.items() if name not in ("helo", "tls"))
    kept = "\n".join([one.reason, *facts, one.body.decode("utf-8", "replace")]).casefold()
    return all(word in kept for word in words.casefold().split())


@dataclass(frozen=True, slots=True)
class Refusal:
    """One request or mail that was turned away."""

    connector: str
    account: str
    code: str
    reason: str
    body: bytes = field(repr=False)
    facts: Mapping[str, str]
    now: datetime


def refuse(connection: Connection, vault: Vault, limits: Limits, refusals_: Sequence[Refusal]) -> list[bool]:
    """Keep what was refused at the door. False: beyond its source's quota for this hour, counted only."""
    if refusals_:
        earlier = min(int(refusal.now.timestamp()) for refusal in refusals_) // HOUR
        connection.execute(delete(refusals).where(refusals.c.hour < earlier))
    return [_refuse(connection, vault, limits, refusal) for refusal in refusals_]


def _refuse(connection: Connection, vault: Vault, limits: Limits, refusal: Refusal) -> bool:
    if _count(connection, vault, refusal) > limits.refused_per_source_an_hour:
        return False
    identity = os.urandom(16).hex()
    connection.execute(
        quarantine.insert(),
        {
            "id": identity, "stage": DOOR, "connector": refusal.connector, "account": refusal.account,
            "code": refusal.code, "at": refusal.now, "received_at": refusal.now, "size": len(refusal.body),
            "attempts": 0,
            "sealed": _seal(vault, identity, refusal.reason, refusal.facts, refusal.body[: limits.refused_body]),
        },
    )  # fmt: skip
    feed.tell(connection, [feed.event(feed.SET_ASIDE, refusal.now, thing=identity)])
    return True


def _count(connection: Connection, vault: Vault, refusal: Refusal) -> int:
    source = vault.digest("source", refusal.facts.get("remote", ""))
    row = {"source": source, "hour": int(refusal.now.timestamp()) // HOUR, "count": 1}
    statement = insert(connection, refusals).on_conflict_do_update(
        index_elements=["hour", "source"], set_={"count": refusals.c.count + 1}
    )
    return int(connection.execute(statement.returning(refusals.c.count), row).scalar_one())


def keep_journalled(connection: Connection, vault: Vault, row: Record, code: str, reason: str, now: datetime) -> None:
    """A row for a journalled envelope that is set aside; `row` is of `envelopes`, with the attempts made."""
    came = {name: getattr(row, name) for name in ("id", "connector", "account", "received_at", "size", "attempts")}
    _set_aside.run(connection, [_row(vault, came, JOURNAL, code, reason, now)])
    feed.tell(connection, [feed.event(feed.SET_ASIDE, now, thing=row.id)])


def note(connection: Connection, vault: Vault, outcomes: Sequence[Outcome], now: datetime) -> None:
    """A row for each envelope that asks for nothing: by its first message, if it holds any."""
    rows = []
    for outcome in outcomes:
        envelope = outcome.claim.envelope
        came = {
            "id": envelope.id, "connector": envelope.connector, "account": envelope.account,
            "received_at": envelope.received_at, "size": len(envelope.body), "attempts": outcome.claim.attempts,
        }  # fmt: skip
        said = [f"{mask(message.sender)}: {mask_text(message.subject)}" for message, _ in outcome.messages]
        reason = said[0] if said else "no message in it"
        rows.append(_row(vault, came, NOTED, outcome.noted, reason, now))
    _note.run(connection, rows)


def _row(vault: Vault, came: dict[str, Any], stage: str, code: str, reason: str, now: datetime) -> dict[str, Any]:
    return {**came, "stage": stage, "code": code, "at": now, "sealed": _seal(vault, came["id"], reason, {})}


def _in_its_place(connection: Connection) -> Insert:
    """What failed takes the place of what was only noted of the same envelope."""
    statement = insert(connection, quarantine)
    fresh = {name: statement.excluded[name] for name in ("stage", "code", "at", "attempts", "sealed")}
    return statement.on_conflict_do_update(index_elements=["id"], set_=fresh)


_set_aside, _note = Many(_in_its_place), insert_new(quarantine)


def remember(connection: Connection, vault: Vault, claim: Claim, reason: str) -> None:
    """Why the latest attempt failed, for the day it is set aside."""
    sealed = vault.house.seal(reason.encode("utf-8", "replace"), f"work.trouble:{claim.envelope.id}")
    connection.execute(update(work).where(work.c.seq == claim.seq).values(trouble=sealed))


def trouble(vault: Vault, row: Record) -> str:
    return vault.house.open(row.trouble, f"work.trouble:{row.id}").decode() if row.trouble else ""


def retry(connection: Connection, ids: Sequence[str]) -> int:
    """Let what is ours wait again, first in its lane, with no attempts counted. Raises Rejected for the other.

    What its messages left that belong to no ticket goes, so that they are not taken for what was placed before.
    """
    count = 0
    for these in chunks(ids):
        rows = connection.execute(_of_ids, {"these": these}).all()
        if any(row.stage == DOOR for row in rows):
            raise Rejected(
                "what was refused at the door was never accepted: have it sent again", status=403, code="forbidden"
            )
        rows = [row for row in rows if row.state in (DONE, ASIDE)]  # else it is being worked on
        for row in rows:
            _requeue(connection, row)
        connection.execute(_unplaced, {"these": [row.seq for row in rows]})
        connection.execute(delete(quarantine).where(one_of(quarantine.c.id)), {"these": [row.id for row in rows]})
        count += len(rows)
    return count


def retry_code(connection: Connection, code: str) -> int:
    """The same for all that is ours and has this code."""
    ours = select(quarantine.c.id).where(quarantine.c.code == code, quarantine.c.stage != DOOR)
    return retry(connection, connection.scalars(ours).all())


_of_ids = (
    select(quarantine.c.id, quarantine.c.stage, envelopes.c.seq, work.c.lane, work.c.state)
    .outerjoin(envelopes, envelopes.c.id == quarantine.c.id)
    .outerjoin(work, work.c.seq == envelopes.c.seq)
    .where(one_of(quarantine.c.id))
)
_unplaced = delete(messages).where(one_of(messages.c.envelope), messages.c.ticket.is_(None))
_wait = (
    update(work).where(work.c.seq == bindparam("of")).values(state=WAITING, attempts=0, finished_at=None, trouble=None)
)


def _requeue(connection: Connection, row: Record) -> None:
    connection.execute(_wait, {"of": row.seq})
    statement = insert(connection, lanes)
    earlier = statement.on_conflict_do_update(
        index_elements=["lane"], set_={"head": statement.excluded.head}, where=lanes.c.head > statement.excluded.head
    )
    connection.execute(earlier, {"lane": row.lane, "head": row.seq, "ready_at": LONG_AGO, "fence": 0})


def opened(vault: Vault, row: Record, *, whole: bool = False) -> SetAside:
    words = vault.house.open(row.sealed, f"quarantine.sealed:{row.id}")
    head, _, body = words.partition(b"\n")
    said = json.loads(head)
    return SetAside(
        row.id, row.stage, row.connector, row.account, row.code, said["reason"], row.received_at, row.size,
        row.attempts, said["facts"], body if whole else b"",
    )  # fmt: skip


def _seal(vault: Vault, identity: str, reason: str, facts: Mapping[str, str], body: bytes = b"") -> bytes:
    head = json.dumps({"reason": reason, "facts": dict(facts)}).encode()
    return vault.house.seal(head + b"\n" + body, f"quarantine.sealed:{identity}")

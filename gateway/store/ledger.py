"""The ledger of acknowledgements: whom we answered, where and in what thread, and when that was held back.

Addresses, domains and threads stand in it as keyed digests, for two days. What counts against a limit is what is owed
or sent; what a limit held back stands here too, with the limit's code, since a storm ends when nobody asks any more.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, delete, func, select

from gateway.crypto import Vault
from gateway.store.dialect import Many, chunks, insert, one_of
from gateway.store.tables import acknowledgements, meta

HOUR, DAY, MINUTE = timedelta(hours=1), timedelta(days=1), timedelta(minutes=1)
KEPT = 2 * DAY
STORM = "acknowledgement_storm"


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whom an acknowledgement is for, and in which thread of theirs."""

    address: str
    thread: str = ""

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class Entry:
    """An acknowledgement that is owed, or is not for this limit's sake."""

    recipient: Recipient
    code: str = ""


@dataclass(frozen=True, slots=True)
class Storm:
    """When acknowledgements stopped, until when, and when a person last said to go on."""

    since: datetime | None = None
    until: datetime | None = None
    resumed_at: datetime | None = None

    def rages(self, now: datetime) -> bool:
        return self.until is not None and now < self.until


@dataclass(frozen=True, slots=True)
class Standing:
    """How many were owed lately: by address and domain within the hour, by thread within the day, and in all."""

    addresses: Mapping[str, int] = field(default_factory=dict)
    domains: Mapping[str, int] = field(default_factory=dict)
    threads: Mapping[str, int] = field(default_factory=dict)
    hour: int = 0
    minute: int = 0
    wanted: int = 0  # within the minute, held back ones too
    storm: Storm = Storm()


COUNTED = frozenset({"address", "domain", "thread", "whole", "storm"})  # what there may be a limit for


def standing(
    connection: Connection, vault: Vault, recipients: Sequence[Recipient], now: datetime, counted: Set[str] = COUNTED
) -> Standing:
    """What counts for these recipients; what there is no limit for is not counted, since there may be much of it."""
    storm = read_storm(connection)
    minute = max(now - MINUTE, storm.resumed_at or now - MINUTE)
    by = {
        "address": (HOUR, {one.address for one in recipients}),
        "domain": (HOUR, {one.domain for one in recipients}),
        "thread": (DAY, {one.thread for one in recipients if one.thread}),
    }
    had = {
        name: _of(connection, vault, name, asked, now - within) if name in counted else {}
        for name, (within, asked) in by.items()
    }
    return Standing(
        had["address"], had["domain"], had["thread"],
        hour=_many(connection, now - HOUR, owed=True) if "whole" in counted else 0,
        minute=_many(connection, minute, owed=True) if "storm" in counted else 0,
        wanted=_many(connection, minute, owed=False) if "storm" in counted else 0,
        storm=storm,
    )  # fmt: skip


_since = acknowledgements.c.at >= bindparam("since")
_each = {
    name: select(acknowledgements.c[name], func.count())
    .where(one_of(acknowledgements.c[name]), _since, acknowledgements.c.code == "")
    .group_by(acknowledgements.c[name])
    for name in ("address", "domain", "thread")
}
_all = select(func.count()).select_from(acknowledgements).where(_since)
_owed = _all.where(acknowledgements.c.code == "")


def _of(connection: Connection, vault: Vault, name: str, asked: Iterable[str], since: datetime) -> dict[str, int]:
    digests = {_digest(vault, name, one): one for one in asked}
    counted = dict.fromkeys(digests.values(), 0)
    for these in chunks(digests):
        for digest, many in connection.execute(_each[name], {"these": these, "since": since}):
            counted[digests[digest]] = many
    return counted


def _many(connection: Connection, since: datetime, *, owed: bool) -> int:
    return connection.scalar(_owed if owed else _all, {"since": since}) or 0


def _digest(vault: Vault, name: str, value: str) -> str:
    return vault.digest(f"acknowledged {name}", value) if value else ""


_enter = Many(acknowledgements.insert())


def enter(connection: Connection, vault: Vault, entries: Iterable[Entry], now: datetime) -> None:
    """Keep these, and forget what is too old to count."""
    rows = [
        {
            "at": now,
            "code": entry.code,
            "address": _digest(vault, "address", entry.recipient.address),
            "domain": _digest(vault, "domain", entry.recipient.domain),
            "thread": _digest(vault, "thread", entry.recipient.thread),
        }
        for entry in entries
    ]
    if rows:
        _enter.run(connection, rows)
        connection.execute(delete(acknowledgements).where(acknowledgements.c.at < now - KEPT))


def counts(connection: Connection, now: datetime) -> dict[str, int]:
    """How many within the hour were owed (`sent`), and held back by each limit."""
    by_code = (
        select(acknowledgements.c.code, func.count()).where(_since).group_by(acknowledgements.c.code)
    )  # fmt: skip
    rows: list[Any] = list(connection.execute(by_code, {"since": now - HOUR}))
    return {code or "sent": many for code, many in sorted(rows)}


def read_storm(connection: Connection) -> Storm:
    kept = connection.scalar(select(meta.c.value).where(meta.c.name == STORM))
    told = orjson.loads(kept) if kept else {}
    return Storm(**{name: datetime.fromisoformat(at) for name, at in told.items() if at})


def write_storm(connection: Connection, storm: Storm) -> None:
    told = orjson.dumps({"since": storm.since, "until": storm.until, "resumed_at": storm.resumed_at})
    statement = insert(connection, meta)
    connection.execute(
        statement.on_conflict_do_update(index_elements=["name"], set_={"value": statement.excluded.value}),
        {"name": STORM, "value": told},
    )


def resume(connection: Connection, now: datetime) -> bool:
    """Let acknowledgements go again from now on; False if nothing stopped them."""
    raged = read_storm(connection).rages(now)
    write_storm(connection, Storm(resumed_at=now))
    return raged

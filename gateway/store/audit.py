"""Who did what: written, never changed. Each row's hash covers it and the hash before it.

The hashes are keyed, so who can write the file but has not the master key can neither change a row nor leave one out
without its showing. The newest hash is kept sealed beside the table, so that cutting off its end shows too. That a
whole older copy was put back shows only to who noted a hash elsewhere: `ticketgate audit verify --has HASH`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, select, update

from gateway.crypto import SealedError, Vault
from gateway.store.dialect import Record, insert
from gateway.store.tables import audit, meta

HEAD = "audit_head"
START = (0, "")
AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Audited:
    """One row of the audit. `who` is Who.source or `terminal`; `about` the ticket, contact or user it was done to."""

    seq: int
    at: datetime
    who: str
    what: str
    about: str
    hash: str
    detail: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verified:
    """What `verify` found: how many rows, the newest hash, and what is wrong; empty if nothing is."""

    rows: int
    head: str
    wrong: tuple[str, ...] = ()


def append(
    connection: Connection,
    vault: Vault,
    now: datetime,
    *,
    who: str,
    what: str,
    about: str = "",
    detail: Mapping[str, str] | None = None,
) -> None:
    """Until the transaction ends, nobody else appends."""
    last, previous = _head(connection, vault)
    seq = last + 1
    sealed = vault.house.seal(orjson.dumps(dict(detail or {})), _place(seq))
    newest = _hash(vault, previous, seq, now, who, what, about, sealed)
    row = {"seq": seq, "at": now, "who": who, "what": what, "about": about, "sealed": sealed, "hash": newest}
    connection.execute(audit.insert(), row)
    _keep_head(connection, vault, seq, newest)


def rows(
    connection: Connection, vault: Vault, *, before: int = 0, limit: int = 50, who: str = "", about: str = ""
) -> list[Audited]:
    """Newest first; before that seq; by or about somebody."""
    chosen = select(audit).order_by(audit.c.seq.desc()).limit(limit)
    for column, value in ((audit.c.who, who), (audit.c.about, about)):
        chosen = chosen.where(column == value) if value else chosen
    return [
        _audited(vault, row) for row in connection.execute(chosen.where(audit.c.seq < before) if before else chosen)
    ]


def verify(connection: Connection, vault: Vault, has: str = "") -> Verified:
    """Walk the whole chain. `has` is a hash noted earlier that must be in it."""
    wrong: list[str] = []
    seq, previous, seen = 0, "", not has
    for row in _all(connection):
        if row.seq != seq + 1:
            wrong.append(f"rows {seq + 1} to {row.seq - 1} are gone")
        if row.hash != _hash(vault, previous, row.seq, row.at, row.who, row.what, row.about, row.sealed):
            wrong.append(f"row {row.seq} was changed" if row.seq == seq + 1 else f"row {row.seq} follows another one")
        seq, previous, seen = row.seq, row.hash, seen or row.hash == has
    try:
        kept = _head(connection, vault)
    except SealedError:
        kept = (-1, "")
    if kept != (seq, previous):
        wrong.append(f"the last rows are not those that were written last: it ends at {seq}, it ended at {kept[0]}")
    if not seen:
        wrong.append(f"the hash {has} is not in it: an older copy, or another one")
    return Verified(seq, previous, tuple(wrong))


def _all(connection: Connection) -> Iterator[Record]:
    last = 0
    while found := list(
        connection.execute(select(audit).where(audit.c.seq > last).order_by(audit.c.seq).limit(AT_ONCE))
    ):
        yield from found
        last = found[-1].seq


def _hash(vault: Vault, previous: str, seq: int, at: datetime, who: str, what: str, about: str, sealed: bytes) -> str:
    return vault.digest("audit", previous, str(seq), at.isoformat(), who, what, about, sealed)


def _head(connection: Connection, vault: Vault) -> tuple[int, str]:
    """The newest row's place and hash; for who writes, nobody else may until the transaction ends."""
    value = connection.scalar(select(meta.c.value).where(meta.c.name == HEAD))
    if value is None:
        return START
    seq, found = orjson.loads(vault.house.open(value, _head_place()))
    return seq, found


def _keep_head(connection: Connection, vault: Vault, seq: int, newest: str) -> None:
    value = vault.house.seal(orjson.dumps([seq, newest]), _head_place())
    if seq == 1:
        connection.execute(insert(connection, meta), {"name": HEAD, "value": value})
    else:
        connection.execute(update(meta).where(meta.c.name == HEAD).values(value=value))


def _audited(vault: Vault, row: Record) -> Audited:
    detail: dict[str, Any] = orjson.loads(vault.house.open(row.sealed, _place(row.seq)))
    return Audited(row.seq, row.at, row.who, row.what, row.about, row.hash, detail)


def _place(seq: int) -> str:
    return f"audit.sealed:{seq}"


def _head_place() -> str:
    return f"meta.value:{HEAD}"

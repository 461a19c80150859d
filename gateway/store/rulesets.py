"""Rule sets and which of them is live: everything that ever decided can be read again, and who put it live, and why.

A set is sealed whole, since it names people (who is a VIP). `live` only grows: taking a set back is putting an earlier
one live again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson
from sqlalchemy import Connection, select

from gateway.crypto import Vault
from gateway.store import audit
from gateway.store.dialect import Record, insert_new
from gateway.store.tables import bundles, lives, rulesets

LIVE = "rules.live"


@dataclass(frozen=True, slots=True)
class Live:
    """That a set went live: `who` is Who.source, `terminal:NAME`, or `files` where the folder is the truth."""

    seq: int
    sha: str
    at: datetime
    who: str
    why: str


def keep(connection: Connection, vault: Vault, sha: str, packed: bytes, now: datetime) -> None:
    """Nothing if it is kept already."""
    sealed = vault.house.seal(packed, _place(sha))
    _keep.run(connection, [{"sha": sha, "at": now, "sealed": sealed}])


def kept(connection: Connection, vault: Vault, sha: str) -> bytes | None:
    """A set, packed as it was given."""
    sealed = connection.scalar(select(bundles.c.sealed).where(bundles.c.sha == sha))
    return vault.house.open(sealed, _place(sha)) if sealed else None


def rulebooks(connection: Connection, sha: str) -> bytes | None:
    """The rulebooks alone of a set that decided before whole sets were kept: zlib of JSON {path: text}."""
    return connection.scalar(select(rulesets.c.files).where(rulesets.c.sha == sha))


def beginning_with(connection: Connection, prefix: str) -> list[str]:
    """Names of sets; two at most, so that one knows whether it is only one."""
    found = [
        sha
        for table in (bundles, rulesets)
        for sha in connection.scalars(
            select(table.c.sha).where(table.c.sha >= prefix, table.c.sha < f"{prefix}g").limit(2)
        )
    ]
    return sorted(set(found))[:2]


def put_live(
    connection: Connection, vault: Vault, sha: str, now: datetime, *, who: str, why: str, after: int | None = None
) -> Live | None:
    """In one transaction with its audit; a set that is live already stays so. None if another went live since `after`.

    `after` is the `seq` of what was live when this was decided; None does not ask.
    """
    latest = live(connection, vault)
    if after is not None and after != (latest.seq if latest else 0):
        return None
    if latest and latest.sha == sha:
        return latest
    seq = (latest.seq if latest else 0) + 1
    sealed = vault.house.seal(orjson.dumps({"why": why}), _live_place(seq))
    connection.execute(lives.insert(), {"seq": seq, "sha": sha, "at": now, "who": who, "sealed": sealed})
    was = {"was": latest.sha[:12]} if latest else {}
    audit.append(connection, vault, now, who=who, what=LIVE, about=sha, detail={"why": why, **was})
    return Live(seq, sha, now, who, why)


def live(connection: Connection, vault: Vault) -> Live | None:
    """What is live."""
    return next(iter(history(connection, vault, limit=1)), None)


def newest(connection: Connection) -> int:
    """`seq` of what is live, 0 for nothing: cheap to ask often."""
    return connection.scalar(select(lives.c.seq).order_by(lives.c.seq.desc()).limit(1)) or 0


def history(connection: Connection, vault: Vault, before: int = 0, limit: int = 50) -> Sequence[Live]:
    """What went live, newest first; before that seq."""
    chosen = select(lives).order_by(lives.c.seq.desc()).limit(limit)
    rows = connection.execute(chosen.where(lives.c.seq < before) if before else chosen)
    return [_live(vault, row) for row in rows]


def _live(vault: Vault, row: Record) -> Live:
    told = orjson.loads(vault.house.open(row.sealed, _live_place(row.seq)))
    return Live(row.seq, row.sha, row.at, row.who, told["why"])


_keep = insert_new(bundles)


def _place(sha: str) -> str:
    return f"bundles.sealed:{sha}"


def _live_place(seq: int) -> str:
    return f"lives.sealed:{seq}"

"""What happened, told in the transaction in which it did: numbers and codes, never words.

Followers ask for what came after the last event they saw; whoever was away for longer than events are kept looks anew.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, select

from gateway.store.dialect import Many
from gateway.store.tables import events
from gateway.store.work import Event

CREATED, ADDED, UPDATED = "ticket.created", "message.added", "ticket.updated"
SENT, DEAD, SET_ASIDE = "outgoing.sent", "outgoing.dead", "quarantined"
KINDS = (CREATED, ADDED, UPDATED, SENT, DEAD, SET_ASIDE)
KEPT = timedelta(days=7)
AT_ONCE = 1000

_tell = Many(events.insert())
_after = select(events).where(events.c.seq > bindparam("after")).order_by(events.c.seq).limit(bindparam("most"))
_oldest = select(events.c.seq, events.c.at).order_by(events.c.seq).limit(AT_ONCE)


def event(
    kind: str, at: datetime, ticket: int | None = None, number: str = "", thing: str = "", version: int = 0
) -> dict[str, Any]:
    """A row of `events`. `ticket` is its seq, `thing` the id of what else it is about."""
    return {"kind": kind, "at": at, "ticket": ticket, "number": number, "thing": thing, "version": version}


def tell(connection: Connection, told: Sequence[dict[str, Any]]) -> None:
    _tell.run(connection, told)


def after(connection: Connection, seq: int, limit: int) -> list[Event]:
    """Those that came after this one, in their order."""
    rows = connection.execute(_after, {"after": seq, "most": limit})
    return [Event(row.seq, row.at, row.kind, row.number, row.thing, row.version) for row in rows]


def bounds(connection: Connection) -> tuple[int, int]:
    """The oldest that is kept, and the latest there is. When none is kept, nothing is known of what was before."""
    oldest = connection.scalar(select(func.min(events.c.seq)))
    latest = connection.scalar(select(func.max(events.c.seq)))
    return (oldest, latest) if oldest and latest else (1, 0)


def prune(connection: Connection, before: datetime, up_to: int) -> int:
    """Forget the oldest, told before then and no later than `up_to`. Returns how many; call until 0."""
    old = [row.seq for row in connection.execute(_oldest) if row.at < before and row.seq <= up_to]
    if old:
        connection.execute(delete(events).where(events.c.seq <= old[-1], events.c.at < before))
    return len(old)

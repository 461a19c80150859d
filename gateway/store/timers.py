"""Timers whose moment has come go into the journal and are gone, in one transaction: each rings once.

While the outbox is held they are too: a restored backup must not escalate what was settled since.
"""

from datetime import datetime

import orjson
from sqlalchemy import Connection, bindparam, delete, select

from gateway.crypto import Vault
from gateway.store import journal, outbox
from gateway.store.blobs import Blobs
from gateway.store.dialect import Many
from gateway.store.tables import tickets, timers
from gateway.store.work import Timer
from normalizer.canon import Envelope

_due = (
    select(timers.c.ticket, timers.c.id, timers.c.name, timers.c.due_at, tickets.c.id.label("about"))
    .join(tickets, tickets.c.seq == timers.c.ticket)
    .where(timers.c.due_at <= bindparam("now"))
    .order_by(timers.c.due_at)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True, of=timers)
)
_gone = Many(delete(timers).where(timers.c.ticket == bindparam("of"), timers.c.id == bindparam("rung")))


def ring(connection: Connection, vault: Vault, blobs: Blobs, now: datetime, limit: int) -> int:
    """How many rang."""
    rows = [] if outbox.is_held(connection) else connection.execute(_due, {"now": now, "most": limit}).all()
    if rows:
        _gone.run(connection, [{"of": row.ticket, "rung": row.id} for row in rows])
        rung = [Timer(row.id, row.name, row.about, row.due_at) for row in rows]
        journal.enqueue(connection, vault, blobs, [envelope(timer, now) for timer in rung])
    return len(rows)


def envelope(timer: Timer, now: datetime) -> Envelope:
    """Each ring is one of its own: a promise that moves away and back has the same timer again."""
    told = {"timer": timer.id, "name": timer.name, "ticket": timer.ticket, "due_at": timer.due_at}
    key = f"{timer.id}@{now.isoformat()}"
    return Envelope("timer", timer.name, key, f"ticket:{timer.ticket}", now, orjson.dumps(told))

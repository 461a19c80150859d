"""Timers whose moment has come go into the journal and are gone, in one transaction: each rings once."""

from datetime import datetime

import orjson
from sqlalchemy import Connection, delete, select

from gateway.crypto import Vault
from gateway.store import journal
from gateway.store.blobs import Blobs
from gateway.store.dialect import one_of
from gateway.store.tables import timers
from gateway.store.work import Timer
from normalizer.canon import Envelope


def ring(connection: Connection, vault: Vault, blobs: Blobs, now: datetime, limit: int) -> int:
    """How many rang."""
    rows = connection.execute(
        select(timers)
        .where(timers.c.due_at <= now)
        .order_by(timers.c.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    if rows:
        rung = [Timer(row.id, row.name, row.ticket, row.due_at) for row in rows]
        connection.execute(delete(timers).where(one_of(timers.c.id)), {"these": [timer.id for timer in rung]})
        journal.enqueue(connection, vault, blobs, [envelope(timer, now) for timer in rung])
    return len(rows)


def envelope(timer: Timer, now: datetime) -> Envelope:
    told = {"timer": timer.id, "name": timer.name, "ticket": timer.ticket, "due_at": timer.due_at}
    return Envelope("timer", timer.name, timer.id, f"ticket:{timer.ticket}", now, orjson.dumps(told))
